"""A foreign key has another type than the key that it points at."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import BOTH, POSTGRESQL, Context, Example, Hazard, Rule
from pilotage.hazards.rules.change_type import parts
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """A foreign key between columns of known and different types."""
    columns: dict[str, c.Column] = {}
    if isinstance(change, c.CreateTable):
        columns = {column.name: column for column in change.columns}
        constraints = change.constraints
    elif isinstance(change, c.AddColumn):
        columns = {change.column.name: change.column}
        constraints = change.constraints
    elif isinstance(change, c.AddConstraint):
        constraints = (change.constraint,)
    else:
        return
    for constraint in constraints:
        target = context.known.table(constraint.references) if constraint.references else None
        if target is None:
            continue
        pairs = zip(constraint.columns, constraint.referenced or target.primary_key, strict=False)
        for name, other in pairs:
            mine = columns.get(name) or context.column(change.table, name)
            theirs = target.columns.get(other)
            if mine and theirs and mine.type and theirs.type and _kind(mine) != _kind(theirs):
                yield Hazard(
                    f"{change.table}.{name} is {mine.type}, but {target.name}.{other}, which it points "
                    f"at, is {theirs.type}"
                )


_COUNTED = {
    "serial": "integer",
    "serial4": "integer",
    "bigserial": "bigint",
    "serial8": "bigint",
    "smallserial": "smallint",
    "serial2": "smallint",
    "varchar": "text",
}


def _kind(column: c.Column) -> str:
    name = parts(column.type)[0]
    return _COUNTED.get(name, name)


RULE = Rule(
    id="key-type-mismatch",
    numbers=(60,),
    class_=Class.AVAILABILITY,
    severity=Severity.WARNING,
    halves=BOTH,
    why="The narrower of the two runs out first, and joins that compare different types may not use the index.",
    on=(c.CreateTable, c.AddColumn, c.AddConstraint),
    check=check,
    dialects=POSTGRESQL,
    bad=(
        Example("»CREATE TABLE visits (customer_id int REFERENCES customers (id));"),
        Example("ALTER TABLE orders »ADD FOREIGN KEY (amount) REFERENCES customers NOT VALID;"),
    ),
    good=(
        Example("CREATE TABLE visits (customer_id bigint REFERENCES customers (id));"),
        Example("CREATE TABLE visits (customer_id int REFERENCES elsewhere (id));", "not known"),
    ),
)
