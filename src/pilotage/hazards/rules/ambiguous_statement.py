"""A statement outside of a transaction whose outcome cannot be looked up."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import BOTH, POSTGRESQL, Example, HalfContext, Hazard, Rule
from pilotage.migrate.sql import grammar
from pilotage.migrate.sql.change import CreateIndex


def check(context: HalfContext) -> Iterator[Hazard]:
    """With `transaction=false`: an index without a name, `CALL`, `CREATE DATABASE`, …"""
    if context.section.directives.transaction:
        return
    reader = grammar(context.dialect)
    seen: set[int] = set()
    for statement, change in context.pairs:
        if statement.start in seen:
            continue
        seen.add(statement.start)
        command = reader.no_transaction(statement.text)
        if isinstance(change, CreateIndex) and change.concurrently and change.name is None:
            message = "an index without a name cannot be found again when its build breaks off"
            rewrite = context.rewriter.index(change)
        elif command.startswith(("CREATE ", "DROP ")) and not command.endswith("CONCURRENTLY"):
            message = f"{command} fails when a half that broke off is run again"
            rewrite = ""
        else:
            continue
        yield Hazard(message, rewrite, at=statement.start)


RULE = Rule(
    id="ambiguous-statement",
    numbers=(62,),
    class_=Class.RUNTIME_FAILURE,
    severity=Severity.WARNING,
    halves=BOTH,
    why="A half without a transaction that breaks off is resumed: pilotage looks in the catalogue for what its last "
    "statement makes. Where that cannot be seen, a person must say whether it ran.",
    check_half=check,
    dialects=POSTGRESQL,
    bad=(
        Example("-- pilotage: transaction=false\n»CREATE INDEX CONCURRENTLY ON orders (amount);"),
        Example("-- pilotage: transaction=false\n»CREATE DATABASE reports;"),
    ),
    good=(
        Example("-- pilotage: transaction=false\nCREATE INDEX CONCURRENTLY i ON orders (amount);"),
        Example(
            "-- pilotage: transaction=false\nINSERT INTO customers VALUES (1, 'x');",
            "what can run in a transaction has one of its own, with its record",
        ),
    ),
)
