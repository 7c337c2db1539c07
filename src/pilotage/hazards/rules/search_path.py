"""A half changes the search path under names without a schema."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import BOTH, POSTGRESQL, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """`SET search_path` with later names that have no schema."""
    if not isinstance(change, c.SetVariable) or change.name != "search_path":
        return
    bare = next(
        (name for later in context.later for name in _names(later) if not name.schema), None
    )
    if bare:
        first = (change.value or "").partition(",")[0].strip() or "…"
        yield Hazard(
            f"which {bare} is meant from here on depends on the search path: write {first}.{bare}, and take "
            "this line out"
        )


def _names(change: c.Change) -> Iterator[c.Name]:
    for field in ("table", "name", "type"):
        value = getattr(change, field, None)
        if isinstance(value, c.Name):
            yield value
            return


RULE = Rule(
    id="search-path",
    numbers=(64,),
    class_=Class.RUNTIME_FAILURE,
    severity=Severity.WARNING,
    halves=BOTH,
    why="The same file makes its tables in another schema than its author tried it in, what is looked up in the "
    "catalogue later is not found, and in a session of a pooler the setting outlives the file.",
    on=(c.SetVariable,),
    check=check,
    dialects=POSTGRESQL,
    bad=(Example("»SET search_path = archive;\nCREATE TABLE orders (id bigint PRIMARY KEY);"),),
    good=(
        Example("CREATE TABLE archive.orders (id bigint PRIMARY KEY);"),
        Example("SET search_path = archive;\nCREATE TABLE archive.orders (id bigint PRIMARY KEY);"),
    ),
)
