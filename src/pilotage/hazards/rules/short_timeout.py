"""A concurrent build is given less time than it may need."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import BOTH, POSTGRESQL, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c

_ENOUGH = 600.0  # seconds
_SMALL = 100_000  # rows, which are indexed in a second or so


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """A concurrent build under `timeout=` of less than ten minutes, or after `SET lock_timeout`."""
    if not isinstance(change, c.CreateIndex | c.Rewrite) or not change.concurrently:
        return
    name = change.table if isinstance(change, c.CreateIndex) else change.name
    table = context.known.table(name) if name else None
    if table and table.size and table.size.rows <= _SMALL:
        return
    given = context.section.directives.timeout
    if given is not None and given < _ENOUGH:
        limit = f"`timeout={given:g}s`"
    elif any(
        isinstance(x, c.SetVariable) and x.name in _LIMITS and x.value for x in context.earlier
    ):
        limit = "the limit that an earlier statement sets"
    else:
        return
    yield Hazard(
        f"{limit} also counts the waits of a concurrent build for old transactions; when it runs out an "
        "INVALID index is left. Take it out: such a build stops nobody, and has the time of the whole half",
    )


_LIMITS = ("lock_timeout", "statement_timeout", "transaction_timeout")

RULE = Rule(
    id="short-timeout",
    numbers=(8,),
    class_=Class.RUNTIME_FAILURE,
    severity=Severity.WARNING,
    halves=BOTH,
    why="CREATE INDEX CONCURRENTLY waits for every transaction that is older than it, and PostgreSQL counts "
    "these waits as waits for a lock. Pilotage gives concurrent builds a budget of their own.",
    on=(c.CreateIndex, c.Rewrite),
    check=check,
    dialects=POSTGRESQL,
    bad=(
        Example(
            "-- pilotage: transaction=false timeout=30s\n"
            "»CREATE INDEX CONCURRENTLY i ON orders (amount);"
        ),
        Example(
            "-- pilotage: transaction=false\nSET lock_timeout = '2s';\n"
            "»CREATE INDEX CONCURRENTLY i ON orders (amount);"
        ),
    ),
    good=(
        Example(
            "-- pilotage: transaction=false timeout=2h\n"
            "CREATE INDEX CONCURRENTLY i ON orders (amount);"
        ),
        Example(
            "-- pilotage: transaction=false timeout=30s\n"
            "CREATE INDEX CONCURRENTLY i ON orders (amount);",
            "the table is small",
            rows={"orders": 1000},
        ),
    ),
)
