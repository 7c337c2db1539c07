"""A key that runs out of numbers."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import BOTH, POSTGRESQL, Context, Example, Hazard, Rule
from pilotage.hazards.rules.change_type import parts
from pilotage.migrate.sql import change as c

_ROOM = {"smallint": "32,767", "integer": "2,147,483,647", "smallserial": "32,767"}
_ROOM |= {"serial": _ROOM["integer"], "serial4": _ROOM["integer"], "serial2": _ROOM["smallint"]}


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """A primary key of type `int`, `smallint` or `serial` that the database counts up."""
    if isinstance(change, c.CreateTable):
        columns, constraints = change.columns, change.constraints
        if change.temporary:
            return
    elif isinstance(change, c.AddColumn):
        columns, constraints = (change.column,), change.constraints
    else:
        return
    keys = {x.columns for x in constraints if x.kind == "primary key"}
    for column in columns:
        counted = column.source in ("serial", "identity") or "nextval" in column.calls
        room = _ROOM.get(parts(column.type)[0]) if counted and (column.name,) in keys else None
        if room:
            yield Hazard(
                f"{change.table}.{column.name} is {column.type}: after {room} rows every INSERT fails",
                context.rewriter.bigint_key(change),
            )


RULE = Rule(
    id="int-key",
    numbers=(60,),
    class_=Class.AVAILABILITY,
    severity=Severity.WARNING,
    halves=BOTH,
    why="Numbers are used up by rolled back transactions, too, and to widen a key of a large table later rewrites it "
    "and everything that references it. On an empty table it costs nothing.",
    on=(c.CreateTable, c.AddColumn),
    check=check,
    mechanical=True,
    dialects=POSTGRESQL,
    bad=(
        Example("»CREATE TABLE visits (id serial PRIMARY KEY, at timestamptz);"),
        Example("»CREATE TABLE visits (id int GENERATED ALWAYS AS IDENTITY, PRIMARY KEY (id));"),
    ),
    good=(
        Example("CREATE TABLE visits (id bigserial PRIMARY KEY);"),
        Example("CREATE TABLE countries (code int PRIMARY KEY);", "nobody counts it up"),
        Example("CREATE TEMPORARY TABLE visits (id serial PRIMARY KEY);"),
    ),
)
