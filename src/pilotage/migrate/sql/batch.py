"""A backfill statement, made to run in batches without changing a letter of what its author wrote.

``UPDATE t … WHERE c`` becomes ``UPDATE t … WHERE (c) AND (predicate)``, where the predicate is a range
of the table's key that the runner chooses. A statement that limits itself is run again and again until
it affects no row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pilotage.migrate.sql.statement import SqlError
from pilotage.migrate.sql.token import CLOSING, OPENING, Kind, Token, line_of, with_depth

_VERBS = frozenset({"UPDATE", "DELETE", "INSERT", "REPLACE", "MERGE", "SELECT", "VALUES", "TABLE"})
_MAY_BE_A_NAME = frozenset({"UPDATE", "DELETE", "INSERT", "REPLACE", "MERGE", "VALUES"})
_NO_ALIAS = frozenset(
    {"SET", "USING", "WHERE", "RETURNING", "FROM", "INDEXED", "NOT", "ORDER"}
    | {"JOIN", "INNER", "LEFT", "RIGHT", "CROSS", "NATURAL", "STRAIGHT_JOIN"}
)
_MANNER = frozenset({"LOW_PRIORITY", "IGNORE"})  # MySQL's, before the table
_AFTER_WHERE = frozenset({"RETURNING", "ORDER", "LIMIT"})
_LIMITING = frozenset(
    {"IN", "ANY", "ARRAY", "AS", "MATERIALIZED", "FROM", "USING", "JOIN", "LATERAL"}
)


@dataclass(frozen=True, slots=True)
class Batchable:
    """A backfill statement and how to run it in batches.

    ``kind`` is ``update`` or ``delete`` for a statement that takes a key range through `render`, and
    ``repeat`` for one with a LIMIT of its own: run ``text`` until it affects no row. ``table`` is the
    target as written, with its schema where one is written, and ``alias`` its alias as written
    (``None`` without one); both are empty for ``repeat``.
    """

    text: str
    kind: Literal["update", "delete", "repeat"]
    table: str = ""
    alias: str | None = None
    condition: tuple[int, int] = (0, 0)

    @property
    def qualifier(self) -> str:
        """What stands before the ``.`` of the target's columns: its alias, else its bare name."""
        return self.alias or self.table[_last_name(self.table) :]

    def render(self, predicate: str) -> str:
        """The statement for one range: ``WHERE (the author's condition) AND (predicate)``.

        The predicate is put in as it is, and the author's ``%`` and ``?`` stay as they are.

        Raises
        ------
        ValueError
            The statement limits itself (``kind`` is ``repeat``).
        """
        if self.kind == "repeat":
            raise ValueError("a statement with a LIMIT of its own takes no key range")
        start, end = self.condition
        text = self.text
        return f"{text[:start]}({text[start:end]}) AND ({predicate}){text[end:]}"


def _last_name(table: str) -> int:
    """Where the last of the dotted names begins; a dot inside quotes does not count."""
    quote, begin = "", 0
    for index, character in enumerate(table):
        if quote:
            quote = "" if character == quote else quote
        elif character in '"`[':
            quote = "]" if character == "[" else character
        elif character == ".":
            begin = index + 1
    while begin < len(table) and table[begin].isspace():
        begin += 1
    return begin


def batchable(text: str, tokens: Sequence[Token]) -> Batchable:
    """Read one backfill statement (its text and its tokens without comments).

    Raises
    ------
    SqlError
        It would never converge, or cannot be run in batches; says what to write instead.
    """
    verb = main_verb(tokens)
    if verb is None or verb.named("SELECT", "VALUES", "TABLE"):
        raise SqlError(
            f"a backfill cannot run {tokens[0].text.upper()} in batches: it must say how many rows "
            "it changed",
            line=line_of(text, tokens[0].start),
            next="write an UPDATE or DELETE with a WHERE, or an INSERT … SELECT … LIMIT 1000",
        )
    limited = _limits_itself(tokens)
    if limited:
        return Batchable(text, "repeat")
    if not verb.named("UPDATE", "DELETE"):
        raise SqlError(
            f"this {verb.word} has no LIMIT, so it would do everything in one transaction",
            line=line_of(text, verb.start),
            next="select the rows that are still to do, with a LIMIT: `INSERT … SELECT … WHERE NOT "
            "EXISTS (…) LIMIT 1000` is repeated until it affects no row",
        )
    return _keyed(text, list(tokens), verb)


def main_verb(tokens: Sequence[Token]) -> Token | None:
    """The verb of a statement: the first word, or what follows the list of a WITH; None for others."""
    if not tokens:
        return None
    if not tokens[0].named("WITH"):
        first = next((token for token in tokens if not token.is_("(")), tokens[0])
        return first if first.word in _VERBS else None
    for index, (depth, token) in enumerate(with_depth(tokens)):
        if depth or token.word not in _VERBS:
            continue
        following = tokens[index + 1] if index + 1 < len(tokens) else None
        if (
            token.word in _MAY_BE_A_NAME
            and following
            and (following.named("AS") or (following.is_("(") and not token.named("VALUES")))
        ):
            continue  # a CTE that somebody called `update`
        return token
    return None


def _limits_itself(tokens: Sequence[Token]) -> bool:
    """Whether a LIMIT bounds the rows affected, and not only what is computed for each of them.

    A LIMIT counts at the top, or when every parenthesis around it belongs to IN, ANY, ARRAY, a CTE
    or FROM, outside SET. ``SET x = (SELECT … LIMIT 1)`` and ``EXISTS (… LIMIT 1)`` do not count.
    """
    opened: list[bool] = []
    assigning = False
    for index, token in enumerate(tokens):
        before = tokens[index - 1] if index else None
        after = tokens[index + 1] if index + 1 < len(tokens) else None
        if not opened and token.named("SET", "FROM", "WHERE"):
            assigning = token.named("SET")
        if token.is_(*OPENING):
            wraps = before is not None and (before.is_("(", "[") or before.word in _LIMITING)
            opened.append(wraps and not assigning)
        elif token.is_(*CLOSING):
            del opened[-1:]
        elif all(opened) and (
            token.named("LIMIT")
            or (token.named("FETCH") and after is not None and after.named("FIRST", "NEXT"))
        ):
            return True
    return False


def _keyed(text: str, tokens: list[Token], verb: Token) -> Batchable:
    place = tokens.index(verb)
    kind: Literal["update", "delete"] = "update" if verb.named("UPDATE") else "delete"
    top = [(index, token) for index, (depth, token) in enumerate(with_depth(tokens)) if not depth]
    where = next((i for i, token in top if i > place and token.named("WHERE")), None)
    if where is None:
        raise SqlError(
            f"this {verb.word} has no WHERE, so a backfill of it would never end",
            line=line_of(text, verb.start),
            next="add a WHERE that is false for the rows already done, for example "
            "`WHERE new_column IS NULL` or `WHERE new_column IS DISTINCT FROM old_column`",
        )
    after = next((i for i, t in top if i > where and t.word in _AFTER_WHERE), len(tokens))
    if after == where + 1:
        raise SqlError(
            f"nothing stands behind the WHERE of this {verb.word}",
            line=line_of(text, tokens[where].start),
        )
    if [token.word for token in tokens[where + 1 : where + 3]] == ["CURRENT", "OF"]:
        raise SqlError(
            "WHERE CURRENT OF has no place in a backfill", line=line_of(text, verb.start)
        )
    table, alias = _target(text, tokens, place + 1)
    condition = (tokens[where + 1].start, tokens[after - 1].end)
    return Batchable(text, kind, table, alias, condition)


def _target(text: str, tokens: list[Token], index: int) -> tuple[str, str | None]:
    """The table that an UPDATE or DELETE changes, as written, and its alias."""
    if tokens[index].named("OR"):  # SQLite's UPDATE OR IGNORE
        index += 2
    while tokens[index].word in _MANNER and not tokens[index + 1].named("SET", "AS", "WHERE"):
        index += 1
    if tokens[index].named("FROM"):
        index += 1
    elif tokens[index + 1].named("FROM"):  # MySQL's DELETE x FROM t AS x JOIN …
        found = _target(text, tokens, index + 1)
        if found[1] == tokens[index].text:
            return found
    wrapped = tokens[index].named("ONLY") and tokens[index + 1].is_("(")
    if tokens[index].named("ONLY"):
        index += 2 if wrapped else 1
    first = last = index
    while last + 2 < len(tokens) and tokens[last + 1].is_("."):
        last += 2
    table = text[tokens[first].start : tokens[last].end]
    index = last + 2 if wrapped else last + 1
    if index < len(tokens) and tokens[index].is_("*"):
        index += 1
    if index < len(tokens) and tokens[index].named("AS"):
        return table, tokens[index + 1].text
    if index < len(tokens) and _is_alias(tokens[index : index + 2]):
        return table, tokens[index].text
    return table, None


def _is_alias(tokens: Sequence[Token]) -> bool:
    """Whether the first is an alias: no word of the statement, nor of ``PARTITION (…)`` or ``USE INDEX (…)``."""
    first, *after = tokens
    if any(token.is_("(") or token.named("INDEX", "KEY") for token in after):
        return False
    return first.kind is Kind.QUOTED or (first.kind is Kind.WORD and first.word not in _NO_ALIAS)
