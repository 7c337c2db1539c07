"""A file begins or ends transactions by itself."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import BOTH, Example, HalfContext, Hazard, Rule
from pilotage.migrate.sql import grammar


def check(context: HalfContext) -> Iterator[Hazard]:
    """`BEGIN`, `COMMIT`, `ROLLBACK`, `SAVEPOINT` in a half."""
    reader = grammar(context.dialect)
    for statement in context.statements:
        control = reader.transaction_control(statement.text)
        if control:
            yield Hazard(
                f"{control} in a migration: pilotage begins and ends the transactions; take it out",
                at=statement.start,
            )


RULE = Rule(
    id="transaction-control",
    numbers=(63,),
    class_=Class.RUNTIME_FAILURE,
    severity=Severity.ERROR,
    halves=BOTH,
    why="What comes after a COMMIT of one's own is in no transaction, and a BEGIN that is never committed "
    "is rolled back; in both cases the record of what is applied is wrong.",
    check_half=check,
    bad=(
        Example("»BEGIN;\nALTER TABLE orders ADD COLUMN x int;"),
        Example("ALTER TABLE orders ADD COLUMN x INT;\n»COMMIT;", dialect="sqlite"),
    ),
    good=(Example("ALTER TABLE orders ADD COLUMN x int;", "it is in a transaction as it is"),),
)
