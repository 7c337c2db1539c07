"""A type grows under a CHECK, which is then checked for every row."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import BOTH, POSTGRESQL, Context, Example, Hazard, Rule
from pilotage.hazards.rules.change_type import widens
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """`ALTER COLUMN TYPE` that needs no rewrite, of a column that a valid `CHECK` names."""
    if not isinstance(change, c.AlterType) or context.is_idle(change.table):
        return
    table = context.known.table(change.table)
    before = context.type_of(change.table, change.column)
    if table is None or change.using or not before or not widens(before, change.type):
        return
    checks = {
        name: x
        for name, x in table.constraints.items()
        if x.kind == "check" and x.valid and change.column in x.columns
    }
    if checks:
        yield Hazard(
            f"{change.table} is read from end to end under a lock that stops everybody, to check "
            f"{', '.join(checks)} again",
            context.rewriter.change_type_under_checks(change, checks),
        )


RULE = Rule(
    id="recheck-type",
    numbers=(27,),
    class_=Class.AVAILABILITY,
    severity=Severity.WARNING,
    halves=BOTH,
    why="The expression of the constraint is compiled anew for the new type, and PostgreSQL does not take it "
    "for granted that every row still passes.",
    on=(c.AlterType,),
    check=check,
    mechanical=True,
    dialects=POSTGRESQL,
    bad=(Example("ALTER TABLE orders »ALTER price TYPE numeric(12, 2);"),),
    good=(
        Example("ALTER TABLE orders ALTER item TYPE varchar(40);", "no CHECK names it"),
        Example(
            "ALTER TABLE t ALTER n TYPE numeric(12, 2);",
            "NOT VALID, so its rows were never checked, and are not now",
            before="CREATE TABLE t (n numeric(10, 2));\n"
            "ALTER TABLE t ADD CONSTRAINT k CHECK (n > 0) NOT VALID;",
        ),
        Example(
            "ALTER TABLE orders ALTER price TYPE numeric(12, 2);",
            "it is empty",
            rows={"orders": 0},
        ),
    ),
)
