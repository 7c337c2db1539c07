"""A command that cannot run in a transaction stands in one."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rewrites import NO_TRANSACTION, section
from pilotage.hazards.rule import BOTH, Example, HalfContext, Hazard, Rule
from pilotage.migrate.sql import grammar


def check(context: HalfContext) -> Iterator[Hazard]:
    """`CREATE INDEX CONCURRENTLY`, `VACUUM`, … without `transaction=false`."""
    if not context.section.directives.transaction:
        return
    reader = grammar(context.dialect)
    for statement in context.statements:
        command = reader.no_transaction(statement.text)
        if command:
            yield Hazard(
                f"{command} cannot run in a transaction, so the half fails",
                section(context.half, statement.text, note=NO_TRANSACTION),
                at=statement.start,
            )


RULE = Rule(
    id="concurrently-in-transaction",
    numbers=(2,),
    class_=Class.RUNTIME_FAILURE,
    severity=Severity.ERROR,
    halves=BOTH,
    why="Such a command commits in between, so the database rejects it inside of a transaction.",
    check_half=check,
    bad=(
        Example("»CREATE INDEX CONCURRENTLY i ON orders (amount);"),
        Example("ANALYZE orders;\n»VACUUM orders;"),
        Example("»VACUUM;", dialect="sqlite"),
    ),
    good=(
        Example(
            "-- pilotage: transaction=false\nCREATE INDEX CONCURRENTLY i ON orders (amount);",
            "each statement runs on its own",
        ),
    ),
)
