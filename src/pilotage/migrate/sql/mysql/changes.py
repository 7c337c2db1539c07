"""What a MySQL or MariaDB statement does, read from its tokens.

sqlglot gives an opaque command for much of this (CONVERT, RENAME TABLE, CREATE INDEX … ALGORITHM), cuts
bodies at ``;`` and has no position for what it does read; see decision 100. What does not follow the
grammar here is `Opaque`, and never guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from pilotage.migrate.sql import change as c
from pilotage.migrate.sql.batch import main_verb
from pilotage.migrate.sql.mysql import alter, columns
from pilotage.migrate.sql.mysql.reader import Reader
from pilotage.migrate.sql.reader import Unreadable
from pilotage.migrate.sql.token import Token, with_depth

_QUIET = frozenset(
    {
        "SELECT",
        "VALUES",
        "TABLE",
        "SHOW",
        "DESCRIBE",
        "DESC",
        "EXPLAIN",
        "ANALYZE",
        "CHECK",
        "OPTIMIZE",
    }
    | {"REPAIR", "FLUSH", "USE", "SET", "PREPARE", "DEALLOCATE", "DO", "UNLOCK", "HANDLER", "HELP"}
    | {"CHECKSUM", "CACHE"}
)
_VISIBLE = frozenset({"INSERT", "REPLACE", "LOAD", "GRANT", "LOCK", "INSTALL", "UNINSTALL", "KILL"})
_OBJECTS = {
    "PROCEDURE": "procedure",
    "FUNCTION": "function",
    "EVENT": "event",
    "SEQUENCE": "sequence",
    "DATABASE": "schema",
    "SCHEMA": "schema",
    "USER": "role",
    "ROLE": "role",
    "SERVER": "server",
    "TABLESPACE": "tablespace",
    "VIEW": "view",
    "TRIGGER": "trigger",
}


@lru_cache(maxsize=4096)
def changes(statement: str) -> tuple[c.Change, ...]:
    """What one statement does; `Opaque` where that cannot be read from it."""
    try:
        return tuple(_Statement(statement).read())
    except Unreadable:
        return (c.Opaque(what="a statement that could not be read", sql=statement),)


class _Statement:
    def __init__(self, sql: str) -> None:
        self.sql = sql
        self.reader = Reader(sql)

    def read(self) -> Iterator[c.Change]:
        reader = self.reader
        first = reader.tokens[0].word
        readers: dict[str, Callable[[], Iterator[c.Change]]] = {
            "CREATE": self.create,
            "ALTER": self.alter,
            "DROP": self.drop,
            "RENAME": self.rename,
            "TRUNCATE": self.truncate,
            "REVOKE": self.revoke,
        }
        if first in readers:
            reader.at = 1
            yield from readers[first]()
            return
        verb = main_verb(reader.tokens)
        if verb is not None and verb.named("UPDATE", "DELETE"):
            yield self.rows(verb)
        elif first == "SET" and {"GLOBAL", "PERSIST", "PASSWORD"} & set(self.words(3)):
            yield c.Other(what=" ".join(self.words(2)), sql=self.sql)
        elif first in _QUIET or (verb is not None and verb.named("SELECT", "VALUES", "TABLE")):
            yield c.Other(what=first, visible=False, sql=self.sql)
        elif verb is not None and verb.named("INSERT", "REPLACE"):
            yield self.inserted(verb)
        elif first in _VISIBLE or verb is not None:
            yield c.Other(what=" ".join(self.words(2)) if first == "LOCK" else first, sql=self.sql)
        elif first in ("CALL", "EXECUTE", "BEGIN"):
            yield c.Opaque(what=first, sql=self.sql)
        else:
            raise Unreadable

    def words(self, most: int) -> list[str]:
        return [token.word for token in self.reader.tokens[:most] if token.word]

    def rows(self, verb: Token) -> c.Change:
        reader = self.reader
        reader.at = reader.tokens.index(verb) + 1
        while reader.accept_one("LOW_PRIORITY", "QUICK", "IGNORE", "FROM"):
            pass
        table = reader.qualified()
        rest = list(with_depth(reader.rest))
        whole = not any(token.named("WHERE", "LIMIT") for depth, token in rest if not depth)
        return c.ChangeRows(verb=verb.word, table=table, whole=whole, sql=self.sql)

    def inserted(self, verb: Token) -> c.Change:
        reader = self.reader
        reader.at = reader.tokens.index(verb) + 1
        again = verb.named("REPLACE")
        while word := reader.accept_one(
            "LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY", "IGNORE", "INTO"
        ):
            again = again or word == "IGNORE"
        table = reader.qualified()
        words = {token.word for depth, token in with_depth(reader.rest) if not depth}
        return c.InsertRows(
            what=verb.word,
            table=table,
            query=bool(words & {"SELECT", "TABLE"}),
            again=again or "DUPLICATE" in words,
            sql=self.sql,
        )

    # CREATE

    def create(self) -> Iterator[c.Change]:
        reader = self.reader
        again = reader.accept("OR", "REPLACE")
        temporary = reader.accept("TEMPORARY")
        self.definer()
        unique = reader.accept("UNIQUE")
        reader.accept_one("FULLTEXT", "SPATIAL", "VECTOR", "ONLINE", "AGGREGATE", "UNDO")
        kind = reader.next().word
        if kind not in _OBJECTS and kind not in ("TABLE", "INDEX"):
            raise Unreadable
        exists = reader.exists("NOT")
        if kind == "TABLE":
            yield from self.table(again=again, temporary=temporary, exists=exists)
        elif kind == "INDEX":
            yield self.index(unique=unique, exists=exists)
        elif kind == "TRIGGER":
            yield self.trigger(again=again, exists=exists)
        else:
            name = (
                reader.qualified() if kind not in ("USER", "ROLE") else c.Name(None, reader.name())
            )
            yield c.Create(
                kind=_OBJECTS[kind], name=name, replace=again, if_not_exists=exists, sql=self.sql
            )

    def definer(self) -> None:
        """``[ALGORITHM = …] [DEFINER = …] [SQL SECURITY …]``."""
        reader = self.reader
        if reader.accept("ALGORITHM"):
            reader.mark("=")
            reader.next()
        if reader.accept("DEFINER"):
            reader.mark("=")
            reader.next()
            if reader.mark("@"):
                reader.next()
            elif reader.mark("("):
                reader.mark(")")
        if reader.accept("SQL", "SECURITY"):
            reader.next()

    def table(self, *, again: bool, temporary: bool, exists: bool) -> Iterator[c.Change]:
        reader = self.reader
        name = reader.qualified()
        if again and not temporary:
            yield c.Drop(kind="table", name=name, if_exists=True, sql=self.sql)
        found: tuple[c.Column, ...] = ()
        constraints: tuple[c.Constraint, ...] = ()
        if reader.sees("("):
            inside = reader.group()
            if not any(first.named("LIKE", "SELECT", "WITH") for first in inside[:1]):
                found, constraints = columns.parts(self.sql, inside)
        yield c.CreateTable(
            table=name,
            columns=found,
            constraints=constraints,
            if_not_exists=exists,
            temporary=temporary,
            sql=self.sql,
        )

    def index(self, *, unique: bool, exists: bool) -> c.Change:
        reader = self.reader
        name = reader.small()
        if reader.accept("USING"):
            reader.next()
        reader.expect("ON")
        table = reader.qualified()
        if reader.accept("WAIT"):
            reader.next()
        reader.accept("NOWAIT")
        names = reader.names()
        return c.CreateIndex(
            table=table,
            name=name,
            columns=names,
            unique=unique,
            if_not_exists=exists,
            sql=self.sql,
            **self.said(),
        )

    def said(self) -> dict[str, Any]:
        """ALGORITHM and LOCK behind an index statement."""
        found = {"algorithm": "", "lock": ""}
        reader = self.reader
        while not reader.over:
            word = reader.next().word.lower()
            if word in found:
                reader.mark("=")
                found[word] = reader.next().word
        return found

    def trigger(self, *, again: bool, exists: bool) -> c.Change:
        reader = self.reader
        name = reader.qualified()
        while not reader.accept("ON"):
            reader.next()
        table = reader.qualified()
        return c.Create(
            kind="trigger",
            name=name,
            table=table,
            replace=again,
            if_not_exists=exists,
            sql=self.sql,
        )

    # ALTER, DROP and the rest

    def alter(self) -> Iterator[c.Change]:
        reader = self.reader
        if set(self.words(4)) & {"TABLE"} and "VIEW" not in self.words(4):
            yield from alter.read(self.sql)
            return
        self.definer()
        kind = reader.next().word
        if kind not in _OBJECTS:
            raise Unreadable
        if kind in ("DATABASE", "SCHEMA", "USER", "ROLE"):
            yield c.Other(what=f"ALTER {kind}", sql=self.sql)
        else:
            reader.exists()
            name = reader.qualified()
            yield c.Create(kind=_OBJECTS[kind], name=name, replace=True, sql=self.sql)

    def drop(self) -> Iterator[c.Change]:
        reader = self.reader
        temporary = reader.accept("TEMPORARY")
        kind = reader.next().word
        if kind == "PREPARE":
            yield c.Other(what="DROP PREPARE", visible=False, sql=self.sql)
            return
        if kind not in _OBJECTS and kind not in ("TABLE", "TABLES", "INDEX"):
            raise Unreadable
        exists = reader.exists()
        if temporary:
            yield c.Other(what="DROP TEMPORARY TABLE", visible=False, sql=self.sql)
        elif kind == "INDEX":
            index = reader.small()
            reader.expect("ON")
            table = reader.qualified()
            name = c.Name(table.schema, index)
            yield c.Drop(
                kind="index", name=name, table=table, if_exists=exists, sql=self.sql, **self.said()
            )
        else:
            word = "table" if kind in ("TABLE", "TABLES") else _OBJECTS[kind]
            yield self.dropped(word, exists=exists)
            while reader.mark(","):
                yield self.dropped(word, exists=exists)

    def dropped(self, kind: str, *, exists: bool) -> c.Change:
        name = self.reader.qualified()
        sql = f"DROP {kind.upper()} {name}" if kind in ("table", "view") else self.sql
        return c.Drop(kind=kind, name=name, if_exists=exists, sql=sql)

    def rename(self) -> Iterator[c.Change]:
        reader = self.reader
        if reader.accept("USER"):
            yield c.Other(what="RENAME USER", sql=self.sql)
            return
        if not reader.accept_one("TABLE", "TABLES"):
            raise Unreadable
        reader.exists()
        while True:
            name = reader.qualified()
            if reader.accept("WAIT"):
                reader.next()
            reader.accept("NOWAIT")
            reader.expect("TO")
            yield c.Rename(kind="table", name=name, to=reader.qualified(), sql=self.sql)
            if not reader.mark(","):
                break

    def truncate(self) -> Iterator[c.Change]:
        self.reader.accept("TABLE")
        yield c.Truncate(table=self.reader.qualified(), sql=self.sql)

    def revoke(self) -> Iterator[c.Change]:
        yield c.Restrict(what="REVOKE", sql=self.sql)
