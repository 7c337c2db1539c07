"""A contract half that makes a column NOT NULL reads the whole table under a lock."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import CONTRACT, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """SET NOT NULL without a CHECK on the table that was validated just before."""
    if not isinstance(change, c.SetNotNull) or context.is_idle(change.table):
        return
    table, column = context.known.table(change.table), context.column(change.table, change.column)
    if column and column.not_null:
        return
    checks = table.constrained(change.column, "check") if table else ()
    if not context.server_before((12, 0)) and any(x.valid and _present(x) for x in checks):
        return
    if table is None and any(isinstance(x, c.ValidateConstraint) for x in context.earlier):
        return  # what it validates is not known
    yield Hazard(
        f"{change.table} is read from end to end under a lock that stops everybody, to see that "
        f"{change.column} is never NULL",
        context.rewriter.set_not_null(change.table, change.column, column.type if column else ""),
    )


def _present(check: c.Constraint) -> bool:
    """Whether the CHECK says that its only column is never NULL."""
    return check.expression.upper() in (f"{name.upper()} IS NOT NULL" for name in _spelled(check))


def _spelled(check: c.Constraint) -> tuple[str, ...]:
    return tuple(form for name in check.columns for form in (name, f'"{name}"'))


RULE = Rule(
    id="scan-for-null",
    numbers=(17,),
    class_=Class.AVAILABILITY,
    severity=Severity.WARNING,
    halves=CONTRACT,
    why="SET NOT NULL believes a validated CHECK (… IS NOT NULL), and reads nothing then; validating it "
    "stops nobody.",
    on=(c.SetNotNull,),
    check=check,
    bad=(
        Example("-- contract\nALTER TABLE orders »ALTER amount SET NOT NULL;"),
        Example(
            "-- contract\nALTER TABLE t »ALTER n SET NOT NULL;",
            "before PostgreSQL 12 a CHECK does not help",
            before="CREATE TABLE t (n int, CHECK (n IS NOT NULL));",
            server=(11, 22),
        ),
    ),
    good=(
        Example(
            "-- contract\nALTER TABLE t ALTER n SET NOT NULL;",
            "a valid CHECK proves it",
            before="CREATE TABLE t (n int, CHECK (n IS NOT NULL));",
        ),
        Example(
            "-- contract\nALTER TABLE orders ALTER amount SET NOT NULL;",
            "it is empty",
            rows={"orders": 0},
        ),
    ),
)
