"""A new column for which the whole table is written anew."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import BOTH, POSTGRESQL, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c


def check(change: c.Change, context: Context) -> Iterator[Hazard]:
    """A volatile default, serial, identity, or a stored generated column."""
    if not isinstance(change, c.AddColumn) or context.is_idle(change.table):
        return
    column = change.column
    if column.source in ("identity", "serial", "stored") or set(column.calls) - _NOT_VOLATILE:
        yield Hazard(
            f"{change.table} is rewritten under a lock that stops everybody, to give every row its "
            f"{column.name}",
            context.rewriter.add_column_in_steps(change),
        )


# Functions that are evaluated once for all rows. Any other is taken to be volatile: most that stand in a
# default are, and those of one's own are VOLATILE unless they say otherwise.
_NOT_VOLATILE = frozenset(
    {"now", "transaction_timestamp", "statement_timestamp", "timezone", "date_trunc", "date_part"}
    | {"to_char", "to_date", "to_timestamp", "make_date", "make_interval", "age", "extract"}
    | {"lower", "upper", "concat", "format", "length", "md5", "trim", "btrim", "replace", "repeat"}
    | {"abs", "round", "floor", "ceil", "sqrt", "pg_catalog.timezone", "current_setting"}
    | {"to_jsonb", "jsonb_build_object", "jsonb_build_array", "json_build_object", "array_fill"}
    | {
        "daterange",
        "tstzrange",
        "tsrange",
        "int4range",
        "int8range",
        "numrange",
        "decode",
        "encode",
    }
)

RULE = Rule(
    id="add-column-rewrite",
    numbers=(21, 23, 24),
    class_=Class.AVAILABILITY,
    severity=Severity.WARNING,
    halves=BOTH,
    why="A constant or stable default is kept once in the catalogue; any other must be written into "
    "each row.",
    on=(c.AddColumn,),
    dialects=POSTGRESQL,
    check=check,
    mechanical=True,
    bad=(
        Example("ALTER TABLE orders »ADD COLUMN code uuid DEFAULT gen_random_uuid();"),
        Example("ALTER TABLE orders »ADD COLUMN number serial;"),
        Example(
            "ALTER TABLE orders »ADD COLUMN total int GENERATED ALWAYS AS (amount * 2) STORED;"
        ),
        Example(
            "ALTER TABLE orders »ADD COLUMN code text DEFAULT next_code();",
            "what an unknown function does",
        ),
        Example(
            "ALTER TABLE keyless »ADD COLUMN id bigserial PRIMARY KEY;",
            "what stands beside the column is added when every row has its value",
            before="CREATE TABLE keyless (n int);",
        ),
    ),
    good=(
        Example(
            "ALTER TABLE orders ADD COLUMN at timestamptz DEFAULT now();",
            "now() is the same for all rows",
        ),
        Example(
            "ALTER TABLE orders ADD COLUMN total int GENERATED ALWAYS AS (amount * 2) VIRTUAL;"
        ),
        Example("ALTER TABLE orders ADD COLUMN number serial;", "it is empty", rows={"orders": 0}),
    ),
)
