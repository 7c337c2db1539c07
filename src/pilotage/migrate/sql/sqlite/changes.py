"""What an SQLite statement does, read from its tokens.

SQLite's grammar for definitions is small, and each word in it decides what comes next, so that reading
it takes no parser generator. What is not in it is `Opaque`, and never guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import pairwise

from pilotage.migrate.sql import change as c
from pilotage.migrate.sql.batch import main_verb
from pilotage.migrate.sql.reader import Reader, Unreadable, parted, unquoted
from pilotage.migrate.sql.sqlite.scanner import scan
from pilotage.migrate.sql.token import Kind, Token, code, with_depth

_COLUMN_CONSTRAINTS = frozenset(
    {"CONSTRAINT", "PRIMARY", "NOT", "NULL", "UNIQUE", "CHECK", "DEFAULT", "COLLATE", "REFERENCES"}
    | {"GENERATED", "AS"}
)
_TABLE_CONSTRAINTS = frozenset({"CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN"})
_HARMLESS = frozenset({"SELECT", "VALUES", "ANALYZE", "REINDEX", "VACUUM", "EXPLAIN"})


@lru_cache(maxsize=4096)
def changes(statement: str) -> tuple[c.Change, ...]:
    """What one statement does; `Opaque` where that cannot be read from it."""
    reader = _Reader(statement)
    try:
        return tuple(reader.read())
    except Unreadable:
        return (c.Opaque(what="a statement that could not be read", sql=statement),)


class _Reader(Reader):
    """Reads one statement; SQLite ignores the case of every name."""

    def __init__(self, statement: str) -> None:
        super().__init__(statement, code(scan(statement)))

    def name(self) -> str:
        return super().name().lower()

    def read(self) -> Iterator[c.Change]:
        first = self.tokens[0].word
        readers: dict[str, Callable[[], Iterator[c.Change]]] = {
            "CREATE": self.create,
            "ALTER": self.alter,
            "DROP": self.drop,
        }
        if first in readers:
            self.at = 1
            yield from readers[first]()
            return
        verb = main_verb(self.tokens)
        if first == "PRAGMA":
            words = {token.word for token in self.tokens}
            if "WRITABLE_SCHEMA" in words:
                yield c.Opaque(what="PRAGMA writable_schema", sql=self.sql)
            else:
                yield c.Other(what="PRAGMA", visible=False, sql=self.sql)
        elif verb is not None and verb.named("UPDATE", "DELETE"):
            yield self.rows(verb)
        elif verb is not None and verb.named("INSERT", "REPLACE"):
            yield self.insert(first, verb)
        elif first in _HARMLESS or (verb is not None and verb.named("SELECT", "VALUES")):
            yield c.Other(what=first, visible=False, sql=self.sql)
        elif verb is not None or first in ("ATTACH", "DETACH"):
            yield c.Other(what=first, sql=self.sql)
        else:
            raise Unreadable

    def rows(self, verb: Token) -> c.Change:
        self.at = self.tokens.index(verb) + 1
        if self.accept("OR"):
            self.next()
        self.accept("FROM")
        table = self.qualified()
        rest = with_depth(self.tokens[self.at :])
        whole = not any(token.named("WHERE", "LIMIT") for depth, token in rest if not depth)
        return c.ChangeRows(
            verb=verb.word, table=table, whole=whole, columns=self.assigned(), sql=self.sql
        )

    def assigned(self) -> tuple[str, ...]:
        """The columns that the SET of an UPDATE assigns to, one by one."""
        columns: list[str] = []
        expected = False
        for depth, token in with_depth(self.tokens[self.at :]):
            if depth:
                continue
            if token.named("SET") or (columns and token.is_(",")):
                expected = True
            elif token.named("FROM", "WHERE", "RETURNING", "LIMIT", "ORDER"):
                break
            elif expected:
                expected = False
                if token.kind in (Kind.WORD, Kind.QUOTED):
                    columns.append(unquoted(token).lower())
        return tuple(columns)

    def insert(self, what: str, verb: Token) -> c.Change:
        self.at = self.tokens.index(verb) + 1
        again = verb.named("REPLACE")
        if self.accept("OR"):
            again = self.next().named("IGNORE", "REPLACE")
        self.expect("INTO")
        table = self.qualified()
        rest = [token for depth, token in with_depth(self.tokens[self.at :]) if not depth]
        query = any(token.named("SELECT") for token in rest)
        again = again or any(token.named("CONFLICT") for token in rest)
        return c.InsertRows(what=what, table=table, query=query, again=again, sql=self.sql)

    # CREATE

    def create(self) -> Iterator[c.Change]:
        temporary = self.accept("TEMP") or self.accept("TEMPORARY")
        unique = self.accept("UNIQUE")
        kind = self.next().word
        if kind == "VIRTUAL":
            self.expect("TABLE")
        exists = self.accept("IF", "NOT", "EXISTS")
        name = self.qualified()
        if kind in ("TABLE", "VIRTUAL"):
            columns, constraints = self.columns() if kind == "TABLE" else ((), ())
            yield c.CreateTable(
                table=name,
                columns=columns,
                constraints=constraints,
                if_not_exists=exists,
                temporary=temporary,
                sql=self.sql,
            )
        elif kind == "INDEX":
            self.expect("ON")
            table = c.Name(name.schema, self.name())
            yield c.CreateIndex(
                table=table,
                name=name.name,
                columns=_indexed(self.group()),
                unique=unique,
                if_not_exists=exists,
                sql=self.sql,
            )
        elif kind == "TRIGGER":
            while not self.accept("ON"):
                self.next()
            table = c.Name(name.schema, self.name())
            yield c.Create(
                kind="trigger", name=name, table=table, if_not_exists=exists, sql=self.sql
            )
        elif kind == "VIEW":
            yield c.Create(kind="view", name=name, if_not_exists=exists, sql=self.sql)
        else:
            raise Unreadable

    def columns(self) -> tuple[tuple[c.Column, ...], tuple[c.Constraint, ...]]:
        """The parenthesised columns and constraints of CREATE TABLE; none after AS SELECT."""
        if self.accept("AS"):
            return (), ()
        columns: list[c.Column] = []
        constraints: list[c.Constraint] = []
        for part in parted(self.group()):
            if part[0].word in _TABLE_CONSTRAINTS:
                constraints.append(_table_constraint(part))
            else:
                column, beside = _column(self.sql, part)
                columns.append(column)
                constraints += beside
        return tuple(columns), tuple(constraints)

    # ALTER and DROP

    def alter(self) -> Iterator[c.Change]:
        self.expect("TABLE")
        table = self.qualified()
        offset = self.next().start
        self.at -= 1
        if self.accept("RENAME", "TO"):
            to = c.Name(table.schema, self.name())
            yield c.Rename(kind="table", name=table, to=to, sql=self.sql, offset=offset)
        elif self.accept("RENAME"):
            self.accept("COLUMN")
            column = self.name()
            self.expect("TO")
            yield c.RenameColumn(
                table=table, column=column, to=self.name(), sql=self.sql, offset=offset
            )
        elif self.accept("ADD"):
            self.accept("COLUMN")
            added, beside = _column(self.sql, self.tokens[self.at :])
            yield c.AddColumn(
                table=table, column=added, constraints=beside, sql=self.sql, offset=offset
            )
        elif self.accept("DROP"):
            self.accept("COLUMN")
            yield c.DropColumn(table=table, column=self.name(), sql=self.sql, offset=offset)
        else:
            raise Unreadable

    def drop(self) -> Iterator[c.Change]:
        kind = self.next().word
        if kind not in ("TABLE", "INDEX", "VIEW", "TRIGGER"):
            raise Unreadable
        exists = self.accept("IF", "EXISTS")
        yield c.Drop(kind=kind.lower(), name=self.qualified(), if_exists=exists, sql=self.sql)


def _indexed(tokens: list[Token]) -> tuple[str, ...]:
    """The columns of an index; ``""`` for an expression."""
    firsts = ((part[0], part[1:2]) for part in parted(tokens))
    return tuple(
        unquoted(name).lower()
        if name.kind in (Kind.WORD, Kind.QUOTED) and (not after or after[0].kind is Kind.WORD)
        else ""
        for name, after in firsts
    )


def _column(sql: str, tokens: list[Token]) -> tuple[c.Column, tuple[c.Constraint, ...]]:
    """A column definition, and the constraints written beside it."""
    if not tokens:
        raise Unreadable
    name = unquoted(tokens[0]).lower()
    top = [(i, token) for i, (depth, token) in enumerate(with_depth(tokens)) if not depth]
    words = [(i, token.word) for i, token in top if i > 0]
    begin = next((i for i, word in words if word in _COLUMN_CONSTRAINTS), len(tokens))
    kind = sql[tokens[1].start : tokens[begin - 1].end] if begin > 1 else ""
    marks = {word for i, word in words if i >= begin}
    not_null = any(
        a[1] == "NOT" and b[1] == "NULL" and b[0] == a[0] + 1 for a, b in pairwise(words)
    )
    default = next((i for i, word in words if word == "DEFAULT"), None)
    constraints = [
        c.Constraint(label, columns=(name,))
        for label, mark in (
            ("primary key", "PRIMARY"),
            ("unique", "UNIQUE"),
            ("check", "CHECK"),
            ("foreign key", "REFERENCES"),
        )
        if mark in marks
    ]
    column = c.Column(
        name,
        kind,
        not_null=not_null,
        default=None if default is None else _default(sql, tokens, default + 1),
        generated="AS" in marks,
    )
    return column, tuple(constraints)


def _default(sql: str, tokens: list[Token], begin: int) -> str:
    """The value after DEFAULT: a literal, a signed number, or an expression in parentheses."""
    if begin >= len(tokens):
        raise Unreadable
    end = begin
    if tokens[begin].is_("("):
        depth = 0
        for end in range(begin, len(tokens)):
            depth += tokens[end].is_("(") - tokens[end].is_(")")
            if not depth:
                break
    elif tokens[begin].is_("+", "-"):
        end = min(begin + 1, len(tokens) - 1)
    return sql[tokens[begin].start : tokens[end].end]


def _table_constraint(tokens: list[Token]) -> c.Constraint:
    name = None
    if tokens[0].named("CONSTRAINT"):
        if len(tokens) < 3:
            raise Unreadable
        name, tokens = unquoted(tokens[1]).lower(), tokens[2:]
    kinds = {"PRIMARY": "primary key", "FOREIGN": "foreign key"}
    return c.Constraint(kinds.get(tokens[0].word, tokens[0].word.lower()), name)
