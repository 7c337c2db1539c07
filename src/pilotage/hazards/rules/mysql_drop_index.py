"""An index is dropped without a trial."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rewrites import section
from pilotage.hazards.rule import BOTH, MYSQL, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c
from pilotage.migrate.sql.mysql.words import quote


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """DROP INDEX of an index that was not made invisible before."""
    if not isinstance(change, c.Drop):
        return
    if change.kind != "index" or change.table is None or context.is_idle(change.table):
        return
    on, name = quote(change.table.name), quote(change.name.name)
    yield Hazard(
        f"whoever needs {change.name.name} reads all of {change.table}: try it out first, and drop it with a "
        "later file",
        section(
            "expand", f"ALTER TABLE {on} ALTER INDEX {name} IGNORED", note="On MySQL: INVISIBLE."
        ),
    )


RULE = Rule(
    id="untried-drop-index",
    numbers=(85,),
    class_=Class.AVAILABILITY,
    severity=Severity.WARNING,
    halves=BOTH,
    why="A query that needed it reads the whole table from then on, and building it again takes long. Made INVISIBLE (MySQL) or IGNORED (MariaDB) it can be brought back at once.",
    on=(c.Drop,),
    check=check,
    dialects=MYSQL,
    bad=(Example("»DROP INDEX orders_item ON orders LOCK=NONE;", dialect="mysql"),),
    good=(
        Example(
            "DROP INDEX orders_item ON orders LOCK=NONE;",
            why="it is empty",
            rows={"orders": 0},
            dialect="mysql",
        ),
    ),
)
