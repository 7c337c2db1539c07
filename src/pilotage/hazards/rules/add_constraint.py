"""A constraint is checked, or its index built, under a lock."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import BOTH, POSTGRESQL, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """A validated CHECK or FOREIGN KEY, or UNIQUE, PRIMARY KEY or EXCLUDE without an index."""
    if not isinstance(change, c.AddConstraint) or context.is_idle(change.table):
        return
    constraint = change.constraint
    if constraint.kind in ("", "not null") or constraint.using_index:
        return
    if constraint.kind in ("check", "foreign key"):
        if not constraint.valid:
            return
        does = "reads every row"
    elif constraint.kind == "primary key":
        does = "builds an index, and reads every row for NULL,"
    else:
        does = "builds an index"
    who = "writers" if constraint.kind == "foreign key" else "everybody"
    yield Hazard(
        f"the {constraint.kind} constraint on {change.table} {does} under a lock that stops {who}",
        context.rewriter.add_constraint(change, _nullable(change, context)),
    )


def _nullable(change: c.AddConstraint, context: Context) -> tuple[str, ...]:
    """The columns of a primary key that are not known to be NOT NULL."""
    if change.constraint.kind != "primary key":
        return ()
    known = ((name, context.column(change.table, name)) for name in change.constraint.columns)
    return tuple(name for name, column in known if column is None or not column.not_null)


RULE = Rule(
    id="add-constraint",
    numbers=(9, 10, 11, 12, 13),
    class_=Class.AVAILABILITY,
    severity=Severity.WARNING,
    halves=BOTH,
    why="Everybody who writes the table waits until all of it was read.",
    on=(c.AddConstraint,),
    dialects=POSTGRESQL,
    check=check,
    mechanical=True,
    bad=(
        Example("ALTER TABLE orders »ADD CONSTRAINT k CHECK (amount > 0);"),
        Example("ALTER TABLE orders »ADD FOREIGN KEY (customer_id) REFERENCES customers (id);"),
        Example("ALTER TABLE orders »ADD UNIQUE (item);"),
        Example(
            "ALTER TABLE keyless »ADD PRIMARY KEY (n);", before="CREATE TABLE keyless (n int);"
        ),
        Example(
            "ALTER TABLE orders »ADD EXCLUDE USING btree (item WITH =);",
            "there is no way online: make a new table",
        ),
    ),
    good=(
        Example("ALTER TABLE orders ADD CONSTRAINT k CHECK (amount > 0) NOT VALID;"),
        Example("ALTER TABLE orders ADD CONSTRAINT k UNIQUE USING INDEX k;"),
        Example("ALTER TABLE orders ADD UNIQUE (item);", "it is empty", rows={"orders": 0}),
    ),
)
