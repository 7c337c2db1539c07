"""A name is longer than PostgreSQL keeps."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rule import BOTH, POSTGRESQL, Example, HalfContext, Hazard, Rule
from pilotage.migrate.sql import grammar
from pilotage.migrate.sql.token import Kind

_LONGEST = 63  # bytes: NAMEDATALEN - 1


def check(context: HalfContext) -> Iterator[Hazard]:
    """A name of more than 63 bytes."""
    for statement in context.statements:
        if not _may_hold_one(statement.text):
            continue
        for token in grammar(context.dialect).tokens(statement.text):
            if token.kind not in (Kind.WORD, Kind.QUOTED):
                continue
            name = token.text.strip('"').replace('""', '"').encode()
            if len(name) > _LONGEST:
                kept = name[:_LONGEST].decode(errors="ignore")
                yield Hazard(
                    f"this name has {len(name)} bytes, and PostgreSQL keeps {_LONGEST}: it is called {kept}",
                    at=statement.start + token.start,
                )


def _may_hold_one(text: str) -> bool:
    """Whether it is worth while to look at its tokens; nearly never."""
    return len(text) > _LONGEST and (
        any(len(word.encode()) > _LONGEST for word in text.split()) or text.count('"') > 1
    )


RULE = Rule(
    id="long-name",
    numbers=(61,),
    class_=Class.RUNTIME_FAILURE,
    severity=Severity.WARNING,
    halves=BOTH,
    why="It is cut without an error. Two long names that begin alike become one and the same, and code that looks for "
    "the whole name finds nothing.",
    check_half=check,
    dialects=POSTGRESQL,
    bad=(
        Example(
            "CREATE INDEX\n  »orders_item_amount_price_state_customer_id_note_and_whatever_else_idx\n"
            "  ON orders (item);"
        ),
        Example(
            'ALTER TABLE orders ADD COLUMN »"how many euros and cents the customer would like to pay for all of it" int;'
        ),
    ),
    good=(
        Example(
            "COMMENT ON TABLE orders IS "
            "'how_many_euros_and_cents_the_customer_would_like_to_pay_for_the_order';",
            "a text is no name",
        ),
    ),
)
