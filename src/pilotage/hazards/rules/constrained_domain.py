"""A domain that demands something: every table that uses it is read under a lock."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import BOTH, POSTGRESQL, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c
from pilotage.model import Half


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """`CREATE DOMAIN` with a `CHECK` or `NOT NULL`; `ALTER DOMAIN … ADD CONSTRAINT` without `NOT VALID`,
    `SET NOT NULL` of a domain; and a column of such a domain that is added."""
    if isinstance(change, c.Create):
        if change.kind == "domain" and change.constrained:
            yield Hazard(
                f"a column of the domain {change.name} that is added to a table later rewrites it, and "
                "changing the domain reads every table that uses it",
                context.rewriter.plain_domain(change),
            )
    elif isinstance(change, c.ConstrainDomain):
        if change.valid and not context.new_object("domain", change.domain):
            yield Hazard(
                f"every table with a column of the domain {change.domain} is read under a lock that stops "
                "writers",
                context.rewriter.constrain_domain(change),
            )
    elif isinstance(change, c.SetNotNull):
        contract = context.half is Half.CONTRACT  # elsewhere `set-not-null` refuses it
        if change.domain and contract and not context.new_object("domain", change.table):
            yield Hazard(
                f"every table with a column of the domain {change.table} is read under a lock that stops "
                "writers"
            )
    elif isinstance(change, c.AddColumn) and not context.is_idle(change.table):
        schema, _, name = change.column.type.rpartition(".")
        if context.known.domains.get(c.Name(schema or None, name).key):
            yield Hazard(
                f"{change.table} is rewritten under a lock that stops everybody: the domain {name} has a "
                "constraint, which PostgreSQL checks for every row",
                context.rewriter.add_column_of_base_type(change),
            )


RULE = Rule(
    id="constrained-domain",
    numbers=(29,),
    class_=Class.AVAILABILITY,
    severity=Severity.WARNING,
    halves=BOTH,
    why="A domain's constraint belongs to no table, so it can be neither validated table by table nor added "
    "for one of them alone. A plain type with a CHECK NOT VALID, validated later, does the same work.",
    on=(c.Create, c.ConstrainDomain, c.SetNotNull, c.AddColumn),
    check=check,
    dialects=POSTGRESQL,
    bad=(
        Example("»CREATE DOMAIN weight AS int CHECK (value > 0);"),
        Example("»ALTER DOMAIN positive ADD CONSTRAINT small CHECK (value < 1000);"),
        Example(
            "ALTER TABLE orders »ADD COLUMN weight positive;",
            before="CREATE DOMAIN positive AS int CHECK (value > 0);\n"
            "CREATE TABLE orders (id bigint PRIMARY KEY);",
        ),
    ),
    good=(
        Example("ALTER DOMAIN positive ADD CONSTRAINT small CHECK (value < 1000) NOT VALID;"),
        Example("CREATE DOMAIN weight AS int;", "it demands nothing"),
        Example(
            "CREATE TABLE parcels (weight positive);",
            "the table is new",
            before="CREATE DOMAIN positive AS int CHECK (value > 0);",
        ),
    ),
)
