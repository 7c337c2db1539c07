"""The schema as text, by SHOW CREATE: it needs no program beside the server and is the same on both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pilotage.migrate.dialects.base import Session
from pilotage.migrate.dialects.mysql.session import quoted
from pilotage.migrate.sql import grammar
from pilotage.migrate.sql.token import Token, code, with_depth

_LISTS = {
    "TABLE": "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = $1"
    " AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED') ORDER BY TABLE_NAME",
    "SEQUENCE": "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = $1"
    " AND TABLE_TYPE = 'SEQUENCE' ORDER BY TABLE_NAME",
    "FUNCTION": "SELECT ROUTINE_NAME FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = $1"
    " AND ROUTINE_TYPE = 'FUNCTION' ORDER BY ROUTINE_NAME",
    "PROCEDURE": "SELECT ROUTINE_NAME FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = $1"
    " AND ROUTINE_TYPE = 'PROCEDURE' ORDER BY ROUTINE_NAME",
    "VIEW": "SELECT TABLE_NAME FROM information_schema.VIEWS WHERE TABLE_SCHEMA = $1"
    " ORDER BY TABLE_NAME",
    "TRIGGER": "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = $1"
    " ORDER BY EVENT_OBJECT_TABLE, ACTION_TIMING, EVENT_MANIPULATION, ACTION_ORDER, TRIGGER_NAME",
    "EVENT": "SELECT EVENT_NAME FROM information_schema.EVENTS WHERE EVENT_SCHEMA = $1"
    " ORDER BY EVENT_NAME",
}
# The column of SHOW CREATE's answer that has the statement.
_PLACE = {"FUNCTION": 2, "PROCEDURE": 2, "TRIGGER": 2, "EVENT": 3}


async def dump(session: Session, database: str) -> str:
    """The statements that make everything in the database that is not pilotage's, in an order that can be
    run with ``foreign_key_checks`` off."""
    found: list[str] = []
    for kind, question in _LISTS.items():
        names = [name for (name,) in await session.query(question, database)]
        made = {}
        for name in names:
            if name.startswith("pilotage_"):
                continue
            rows = await session.query(f"SHOW CREATE {kind} {quoted(database)}.{quoted(name)}")
            made[name] = plain(rows[0][_PLACE.get(kind, 1)], database)
        found += _in_order(made) if kind == "VIEW" else made.values()
    return "".join(f"{text};\n\n" for text in found)


def _in_order(views: dict[str, str]) -> Iterator[str]:
    """A view after those that it reads."""
    left = dict(views)
    while left:
        free = [name for name in left if not _names(left[name]) & (left.keys() - {name})]
        for name in free or list(left):
            yield left.pop(name)


def _names(text: str) -> set[str]:
    return {token.text[1:-1] for token in grammar("mysql").tokens(text) if token.text[:1] == "`"}


def plain(text: str, database: str) -> str:
    """A statement without what differs between databases of one schema: who defined it, how far its
    numbers have come, and the name of the database itself."""
    tokens = code(grammar("mysql").tokens(text))
    cuts = [*_definer(tokens), *_auto_increment(tokens), *_own_database(tokens, database)]
    out, at = [], 0
    for begin, end in sorted(cuts):
        out.append(text[at:begin])
        at = end
    return "".join([*out, text[at:]])


def _definer(tokens: Sequence[Token]) -> Iterator[tuple[int, int]]:
    for index, token in enumerate(tokens[:8]):
        if token.named("DEFINER"):
            last = index + 2
            if last + 1 < len(tokens) and tokens[last + 1].is_("@"):
                last += 2
            yield token.start, tokens[last + 1].start
            return


def _auto_increment(tokens: Sequence[Token]) -> Iterator[tuple[int, int]]:
    for index, (depth, token) in enumerate(with_depth(tokens)):
        if not depth and token.named("AUTO_INCREMENT") and tokens[index + 1].is_("="):
            end = tokens[index + 3].start if index + 3 < len(tokens) else tokens[index + 2].end
            yield token.start, end


def _own_database(tokens: Sequence[Token], database: str) -> Iterator[tuple[int, int]]:
    for index, token in enumerate(tokens[:-1]):
        if token.text == quoted(database) and tokens[index + 1].is_("."):
            yield token.start, tokens[index + 1].end
