"""PostgreSQL's own scanner and parser (`libpg_query`) over migration text.

Its token and statement offsets count bytes and its error positions count characters; everything that
leaves this module counts characters.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from itertools import accumulate
from typing import Any, NamedTuple

from pilotage.migrate.sql.foreign import foreign
from pilotage.migrate.sql.postgresql import libpg_query
from pilotage.migrate.sql.postgresql.libpg_query import PgQueryError, pb, walk
from pilotage.migrate.sql.statement import SqlError, Statement
from pilotage.migrate.sql.token import Kind, Token, column_of, line_of

_SPACE = " \t\n\r\f\v"

_KINDS = {
    pb.SQL_COMMENT: Kind.LINE_COMMENT,
    pb.C_COMMENT: Kind.BLOCK_COMMENT,
    pb.SCONST: Kind.STRING,
    pb.USCONST: Kind.STRING,
    pb.BCONST: Kind.STRING,
    pb.XCONST: Kind.STRING,
    pb.ICONST: Kind.NUMBER,
    pb.FCONST: Kind.NUMBER,
    pb.PARAM: Kind.NUMBER,
    pb.UIDENT: Kind.QUOTED,
    pb.IDENT: Kind.WORD,
}


class Tree(NamedTuple):
    """The node of a statement, e.g. a ``DropStmt``. Its locations count from ``start`` bytes before it."""

    node: Any
    start: int


_KEPT = 16384
_trees: dict[str, Tree] = {}
"""Trees by statement. Several readers ask for the same one, and `split` has read it already."""


def _keep(statement: str, tree: Tree) -> Tree:
    if len(_trees) >= _KEPT:
        _trees.clear()
    _trees[statement] = tree
    return tree


def _read(statement: str) -> Tree:
    found = _trees.get(statement)
    if found is None:
        raw = parse(statement).stmts[0]
        found = _keep(statement, Tree(libpg_query.unwrapped(raw.stmt), 0))
    return found


def tree(statement: str) -> Any:
    """The node of a single statement.

    Raises
    ------
    SqlError
        PostgreSQL's parser does not accept it.
    """
    return _read(statement).node


def start(statement: str) -> int:
    """What is to be taken from a location in the statement's `tree`, to count bytes of the statement."""
    return _read(statement).start


def parse(text: str) -> Any:
    """The ``ParseResult`` of a text.

    Raises
    ------
    SqlError
        PostgreSQL's parser does not accept it.
    """
    try:
        return libpg_query.parse(text)
    except PgQueryError as error:
        raise _syntax_error(text, error) from error


@lru_cache(maxsize=256)
def scan(text: str) -> tuple[Token, ...]:
    if "\0" in text:
        raise SqlError("a NUL character", line=line_of(text, text.index("\0")))
    try:
        scanned = libpg_query.scan(text).tokens
    except PgQueryError as error:
        raise _syntax_error(text, error) from error
    to_char = characters(text)
    known, word, identifier = _KINDS.get, Kind.WORD, pb.IDENT  # there are many tokens
    found = []
    for token in scanned:
        start, end, number = to_char[token.start], to_char[token.end], token.token
        kind = known(number)
        if kind is None:
            kind = word if token.keyword_kind else Kind.PUNCTUATION
        elif number == identifier and text[start] == '"':
            kind = Kind.QUOTED
        found.append(Token(kind, text[start:end], start, end))
    return tuple(found)


def comments(text: str) -> bool:
    """Whether a text has comments; only where it might, all of its tokens are read."""
    may_have = "--" in text or "/*" in text or "\0" in text
    return may_have and any(token.kind.comment for token in scan(text))


def characters(text: str) -> range | dict[int, int]:
    """Byte offset → character offset, for every offset at which a character begins or the text ends."""
    if text.isascii():
        return range(len(text) + 1)
    sizes = accumulate((len(character.encode()) for character in text), initial=0)
    return {byte: index for index, byte in enumerate(sizes)}


def _syntax_error(text: str, error: PgQueryError) -> SqlError:
    from pilotage.migrate.sql.sqlite import scanner  # reads any text that closes its quotes

    other = foreign(text, "postgresql", scanner.scan)
    if other is not None:
        return other
    position = max(error.position - 1, 0)
    hint = ""
    if text[position : position + 1] == "\\":
        hint = "psql's backslash commands are not SQL: take the line out"
    line, column = line_of(text, position), column_of(text, position)
    return SqlError(error.message, line=line, column=column, next=hint)


@lru_cache(maxsize=16384)
def split(text: str) -> tuple[Statement, ...]:
    """The statements of a text; raises `SqlError` at the place that the parser names."""
    to_char = characters(text)
    statements = []
    for raw in parse(text).stmts:
        first, size = raw.stmt_location, raw.stmt_len
        begin = to_char[first]
        body = _without_end(text[begin : to_char[first + size] if size else len(text)])
        _keep(body, Tree(libpg_query.unwrapped(raw.stmt), first))
        statements.append(Statement(body, begin, line_of(text, begin)))
    return tuple(statements)


def _without_end(statement: str) -> str:
    """A statement without the space, the comments and the ``;`` after it."""
    body = statement.rstrip(_SPACE)
    if "--" not in body and "/*" not in body:
        return body.rstrip(";" + _SPACE)
    tokens = [token for token in scan(body) if not token.kind.comment and not token.is_(";")]
    return body[: tokens[-1].end]


@lru_cache(maxsize=1024)
def quote(name: str) -> str:
    """A name as SQL: bare where PostgreSQL reads the same name back, else in double quotes."""
    tokens = libpg_query.scan(name).tokens if name.isascii() and name.isidentifier() else []
    free = (pb.NO_KEYWORD, pb.UNRESERVED_KEYWORD)
    if len(tokens) == 1 and tokens[0].keyword_kind in free and name == name.lower():
        return name
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


def no_transaction(node: Any) -> str:
    """The command that PostgreSQL rejects inside a transaction block, or ``""``."""
    rule = _OUTSIDE.get(type(node).__name__)
    return rule(node) if rule else ""


def transaction_control(node: Any) -> str:
    """The transaction command that the statement is, or ``""``."""
    if not isinstance(node, pb.TransactionStmt):
        return ""
    name = libpg_query.label("TransactionStmtKind", node.kind)
    return name.removeprefix("TRANS_STMT_").replace("_", " ")


def query(node: Any) -> bool:
    """Whether the statement is a query without INTO, row locks or a CTE that changes rows."""
    if not isinstance(node, pb.SelectStmt):
        return False
    return not any(isinstance(inner, _WRITERS) for inner in walk(node))


_WRITERS = (
    pb.InsertStmt,
    pb.UpdateStmt,
    pb.DeleteStmt,
    pb.MergeStmt,
    pb.LockingClause,
    pb.IntoClause,
)


_PLAIN = {
    "AlterEnumStmt": "",
    "AlterObjectSchemaStmt": "",
    "AlterOwnerStmt": "",
    "AlterSeqStmt": "",
    "AlterTableStmt": "",
    "CommentStmt": "",
    "CompositeTypeStmt": "",
    "CreateDomainStmt": "",
    "CreateEnumStmt": "",
    "CreateFunctionStmt": "",
    "CreateSchemaStmt": "",
    "CreateSeqStmt": "sequence",
    "CreateStatsStmt": "",
    "CreateStmt": "relation",
    "CreateTrigStmt": "",
    "DropStmt": "",
    "GrantStmt": "",
    "IndexStmt": "",
    "RenameStmt": "",
    "ViewStmt": "view",
}
"""Statements that leave the session as it was, and which of their fields names what they make."""


def plain(node: Any) -> bool:
    """Whether the statement is one of `_PLAIN`, runs in a transaction, and makes nothing temporary."""
    field = _PLAIN.get(type(node).__name__)
    if field is None or no_transaction(node):
        return False
    made = getattr(node, field) if field else None
    return made is None or (made.relpersistence != "t" and made.schemaname != "pg_temp")


def _options(node: Any) -> dict[str, Any]:
    return {option.def_elem.defname: option.def_elem for option in node.params}


def _reindex(node: Any) -> str:
    if "concurrently" in _options(node):
        return "REINDEX CONCURRENTLY"
    whole = {
        pb.REINDEX_OBJECT_SCHEMA: "REINDEX SCHEMA",
        pb.REINDEX_OBJECT_SYSTEM: "REINDEX SYSTEM",
        pb.REINDEX_OBJECT_DATABASE: "REINDEX DATABASE",
    }
    return whole.get(node.kind, "")


def _alter_table(node: Any) -> str:
    for item in node.cmds:
        detach = item.alter_table_cmd.subtype == pb.AT_DetachPartition
        if detach and getattr(item.alter_table_cmd, "def").partition_cmd.concurrent:
            return "DETACH PARTITION CONCURRENTLY"
    return ""


_OUTSIDE: dict[str, Callable[[Any], str]] = {
    "IndexStmt": lambda node: "CREATE INDEX CONCURRENTLY" if node.concurrent else "",
    "DropStmt": lambda node: "DROP INDEX CONCURRENTLY" if node.concurrent else "",
    "ReindexStmt": _reindex,
    "AlterTableStmt": _alter_table,
    "VacuumStmt": lambda node: "VACUUM" if node.is_vacuumcmd else "",
    "ClusterStmt": lambda node: "" if node.HasField("relation") else "CLUSTER",
    "CreatedbStmt": lambda _: "CREATE DATABASE",
    "DropdbStmt": lambda _: "DROP DATABASE",
    "CreateTableSpaceStmt": lambda _: "CREATE TABLESPACE",
    "DropTableSpaceStmt": lambda _: "DROP TABLESPACE",
    "AlterSystemStmt": lambda _: "ALTER SYSTEM",
    "CreateSubscriptionStmt": lambda _: "CREATE SUBSCRIPTION",
    "DropSubscriptionStmt": lambda _: "DROP SUBSCRIPTION",
}
