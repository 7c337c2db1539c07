"""A table of SQLite is rebuilt with a column that is NOT NULL, and was not before."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import CONTRACT, SQLITE, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """A copy into a table of this file that takes the name, with a stricter column."""
    if not isinstance(change, c.InsertRows) or not change.query:
        return
    renamed = next(
        (x for x in context.later if isinstance(x, c.Rename) and x.name.key == change.table.key),
        None,
    )
    new = context.made.table(change.table)
    old = context.known.table(renamed.to) if renamed else None
    if new is None or old is None or context.is_idle(old.name):
        return
    for name, column in new.columns.items():
        before = old.columns.get(name)
        if before and column.not_null and not before.not_null:
            if any(name in x.columns for x in old.constraints.values() if x.kind == "primary key"):
                continue
            yield Hazard(
                f"{old.name}.{name} becomes NOT NULL: the copy fails at the first row without a value",
                f"-- verify\nSELECT * FROM {old.name} WHERE {name} IS NULL LIMIT 5;\n",
            )


RULE = Rule(
    id="sqlite-not-null",
    numbers=(90,),
    class_=Class.RUNTIME_FAILURE,
    severity=Severity.WARNING,
    halves=CONTRACT,
    why="A DEFAULT does not help, since the copy writes NULL by itself. Fill the rows in a backfill, and let a `-- verify` "
    "look before contract.",
    on=(c.InsertRows,),
    check=check,
    dialects=SQLITE,
    bad=(
        Example(
            "-- contract\nCREATE TABLE orders_new (id INTEGER PRIMARY KEY, item TEXT NOT NULL);\n"
            "»INSERT INTO orders_new SELECT id, item FROM orders;\n"
            "DROP TABLE orders;\nALTER TABLE orders_new RENAME TO orders;",
            dialect="sqlite",
        ),
    ),
    good=(
        Example(
            "-- contract\nCREATE TABLE orders_new (id INTEGER PRIMARY KEY, item TEXT);\n"
            "INSERT INTO orders_new SELECT id, item FROM orders;\n"
            "DROP TABLE orders;\nALTER TABLE orders_new RENAME TO orders;",
            dialect="sqlite",
        ),
    ),
)
