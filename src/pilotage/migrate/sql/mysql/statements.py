"""Where the statements of MySQL and MariaDB end.

A routine's body holds ``;``. The ``mysql`` client is told so with ``DELIMITER``; a file here may do the
same, or leave it out: then the words that open and close blocks tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from pilotage.migrate.sql.foreign import foreign
from pilotage.migrate.sql.mysql.scanner import delimiter, executable, scan
from pilotage.migrate.sql.statement import SqlError, Statement
from pilotage.migrate.sql.token import Kind, Token, code, line_of

_ROUTINES = frozenset({"TRIGGER", "PROCEDURE", "FUNCTION", "EVENT", "PACKAGE"})
_BLOCKS = frozenset({"IF", "LOOP", "REPEAT", "WHILE", "FOR"})
_BEFORE_KIND = frozenset({"OR", "REPLACE", "DEFINER", "CURRENT_USER", "CURRENT_ROLE", "AGGREGATE"})
# What may stand before the word that opens a block, so that IF(a, b, c) and FOR UPDATE open none.
_BEFORE_BLOCK = frozenset(
    {"BEGIN", "THEN", "ELSE", "DO", "LOOP", "REPEAT", "ROW"}
    | {"FOUND", "SQLEXCEPTION", "SQLWARNING", "DETERMINISTIC", "SQL", "DATA", "INVOKER", "DEFINER"}
)


_FOREIGN = ("CONCURRENTLY", "PLPGSQL", "AUTOINCREMENT", "WITHOUT ROWID")
"""Without one of these no text is taken for another database's."""


def split(text: str) -> tuple[Statement, ...]:
    """The statements of a text; the last one may go without its ``;``.

    Raises
    ------
    SqlError
        A quote, a comment or a body is never closed, or it is another database's SQL.
    """
    tokens = scan(text)
    upper = text.upper()
    other = foreign(text, "mysql", scan) if any(w in upper for w in _FOREIGN) else None
    if other is not None:
        raise other
    found: list[Statement] = []
    for begin, end in _read(text)[0]:
        start = tokens[begin].start
        sent = text[start : tokens[end].end]
        if sent.endswith("--") and not code(scan(sent)):
            continue  # two minus signs in the file are a comment where they are sent alone
        found.append(Statement(sent, start, line_of(text, start)))
    return tuple(found)


def inner(text: str) -> frozenset[int]:
    """The indexes of the tokens that lie inside a body."""
    return _read(text)[1]


@lru_cache(maxsize=256)
def _read(text: str) -> tuple[tuple[tuple[int, int], ...], frozenset[int]]:
    """The first and the last token of each statement, and the tokens inside bodies."""
    tokens = scan(text)
    statements: list[tuple[int, int]] = []
    inside: set[int] = set()
    mark_is_own = False
    current: list[int] = []  # of the statement, with the comments that are run
    body = _Body()
    for index, token in enumerate(tokens):
        if delimiter(token):
            mark_is_own = token.text.split()[1] != ";"
        elif token.kind.comment and not executable(token):
            if body.depth or (mark_is_own and body.held):
                inside.add(index)
        elif token.is_(";") and _ends(text[token.start], mark_is_own, body):
            if any(not tokens[i].kind.comment for i in current):
                statements.append((current[0], current[-1]))
            current, body = [], _Body()
        else:
            body.take(token, _next_code(tokens, index))
            if body.depth or (mark_is_own and body.held):
                inside.add(index)
            current.append(index)
    if body.depth and not mark_is_own:
        raise SqlError(
            "the body of this statement is never closed",
            line=line_of(text, tokens[current[0]].start),
            next="end each block: `END IF;`, `END LOOP;`, `END;`",
        )
    if any(not tokens[i].kind.comment for i in current):
        statements.append((current[0], current[-1]))
    return tuple(statements), frozenset(inside)


def _ends(written: str, mark_is_own: bool, body: _Body) -> bool:
    """Whether a ``;``, or the mark that stands for it, is the end of the statement."""
    if mark_is_own:
        return written != ";" or body.first is None
    return not body.depth


def _next_code(tokens: Sequence[Token], index: int) -> Token | None:
    following = (token for token in tokens[index + 1 : index + 20] if not token.kind.comment)
    return next(following, None)


class _Body:
    """How many blocks are open in the statement that is being read."""

    def __init__(self) -> None:
        self.depth = 0
        self.held = False  # whether a `;` was seen in it
        self.first: Token | None = None
        self._routine: bool | None = None  # None: not known yet
        self._before: Token | None = None

    def take(self, token: Token, following: Token | None) -> None:
        """Read one token of the statement."""
        if token.kind is Kind.BLOCK_COMMENT:
            return
        self.held = self.held or token.is_(";")
        if self._routine is None:
            self._judge(token, following)
        if self._routine:
            self._count(token, following)
        self._before = token

    def _judge(self, token: Token, following: Token | None) -> None:
        """Whether it is a statement that may have a body."""
        if self.first is None:
            self.first = token
            bare = token.named("BEGIN") and following is not None and following.named("NOT")
            if bare or token.word in ("CASE", *_BLOCKS):
                self._routine = True
            elif not token.named("CREATE", "ALTER"):
                self._routine = False
        elif self._before is not None and self._before.is_("=", "@"):
            return  # the name of DEFINER = name@host
        elif token.word in _ROUTINES:
            self._routine = True
        elif token.word and token.word not in _BEFORE_KIND:
            self._routine = False

    def _count(self, token: Token, following: Token | None) -> None:
        before = self._before
        if before is not None and (before.is_(".", "@") or before.named("END")):
            return  # a column, a variable, or the rest of END IF
        if token.named("END") and self.depth:
            self.depth -= 1
        elif token.named("CASE"):
            self.depth += 1
        elif token.named("BEGIN"):
            named = following is not None and following.is_("=", ",", ")", ".")
            self.depth += not (named or (before is not None and before.is_("=", ",", "(")))
        elif token.named("FOR") and following is not None and following.named("EACH"):
            return  # of a trigger's header
        elif token.word in _BLOCKS and self._begins(before, conditional=token.named("IF")):
            self.depth += 1

    def _begins(self, before: Token | None, *, conditional: bool) -> bool:
        """Whether a statement of the body may begin after this token. What a handler is for, a number or
        a string, comes before an IF (``conditional``); before the others it belongs to a query."""
        if before is None or before.is_(";", ":"):
            return True
        if before.kind in (Kind.STRING, Kind.NUMBER) or before.is_(")"):
            return conditional or not self.depth
        if before.kind is Kind.QUOTED:
            return not self.depth
        if before.word in _BEFORE_BLOCK:
            return True
        # A header may end with any type or name: RETURNS int IF …, FOLLOWS other IF ….
        return not self.depth and bool(before.word) and before.word not in _NOT_A_HEADER


_NOT_A_HEADER = _ROUTINES | {
    "SELECT", "RETURN", "SET", "AND", "OR", "NOT", "XOR", "WHERE", "BY", "ON", "WHEN", "TABLE", "VIEW",
    "INDEX", "COLUMN", "BODY", "VALUES", "DISTINCT", "LIKE", "IN", "IS", "DIV", "MOD", "BETWEEN",
    "DATABASE", "SCHEMA", "SEQUENCE", "USER", "ROLE", "EACH",
}  # fmt: skip
