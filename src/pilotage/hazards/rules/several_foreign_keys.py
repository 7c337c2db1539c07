"""Several foreign keys are added in one transaction."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import BOTH, POSTGRESQL, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """The second `FOREIGN KEY` of a transaction between tables in use."""
    if not context.section.directives.transaction or not _references(change, context):
        return
    before = [x for x in context.earlier if _references(x, context)]
    if len(before) == 1:
        yield Hazard(
            "the transaction adds more than one foreign key, and holds the locks of all tables on both "
            "sides to its end",
            context.one_by_one(),
        )


def _references(change: c.Change, context: Context) -> bool:
    if isinstance(change, c.AddConstraint):
        constraints: tuple[c.Constraint, ...] = (change.constraint,)
    elif isinstance(change, c.AddColumn):
        constraints = change.constraints
    else:
        return False
    return any(
        x.references
        and not (context.is_idle(change.table) and context.is_idle(x.references))
        and not context.is_new(change.table)
        for x in constraints
    )


RULE = Rule(
    id="several-foreign-keys",
    numbers=(15,),
    class_=Class.AVAILABILITY,
    severity=Severity.WARNING,
    halves=BOTH,
    why="Each takes SHARE ROW EXCLUSIVE on two tables. Taken together they stop writers of all of them, and "
    "an application that locks two of them in the other order ends in a deadlock.",
    on=(c.AddConstraint, c.AddColumn),
    check=check,
    dialects=POSTGRESQL,
    bad=(
        Example(
            "ALTER TABLE orders ADD FOREIGN KEY (customer_id) REFERENCES customers (id) NOT VALID;\n"
            "ALTER TABLE customers »ADD FOREIGN KEY (id) REFERENCES orders (id) NOT VALID;"
        ),
    ),
    good=(
        Example(
            "-- pilotage: transaction=false\n"
            "ALTER TABLE orders ADD FOREIGN KEY (customer_id) REFERENCES customers (id) NOT VALID;\n"
            "ALTER TABLE customers ADD FOREIGN KEY (id) REFERENCES orders (id) NOT VALID;",
            "one transaction each",
        ),
        Example(
            "CREATE TABLE lines (order_id bigint REFERENCES orders (id), "
            "customer_id bigint REFERENCES customers (id));",
            "a new table holds no locks that others wait for long",
        ),
    ),
)
