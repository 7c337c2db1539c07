"""ALTER TABLE: each of its actions as a change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pilotage.migrate.sql import change as c
from pilotage.migrate.sql.mysql import columns
from pilotage.migrate.sql.mysql.reader import Reader
from pilotage.migrate.sql.reader import Unreadable, parted, unquoted
from pilotage.migrate.sql.token import Token

_PARTITIONS = frozenset(
    {"PARTITION", "PARTITIONS", "PARTITIONING", "REORGANIZE", "COALESCE", "EXCHANGE", "REBUILD"}
    | {"REMOVE", "ANALYZE", "CHECK", "OPTIMIZE", "REPAIR", "TRUNCATE", "DISCARD", "IMPORT"}
)


@dataclass(frozen=True, slots=True)
class Alteration:
    """An ALTER TABLE, CREATE INDEX or DROP INDEX, taken apart.

    ``head`` is its text up to the actions, ``written`` the table as it is written. ``algorithm`` and
    ``lock`` are upper case, ``""`` where they are not written.
    """

    table: c.Name
    head: str
    written: str
    actions: tuple[tuple[Token, ...], ...]
    algorithm: str = ""
    lock: str = ""


def alteration(sql: str) -> Alteration:
    """Take an ALTER TABLE apart; raises `Unreadable`."""
    reader = Reader(sql)
    reader.expect("ALTER")
    reader.accept("ONLINE")
    reader.accept("IGNORE")
    reader.expect("TABLE")
    reader.exists()
    begin = reader.at
    table = reader.qualified()
    written = sql[reader.tokens[begin].start : reader.tokens[reader.at - 1].end]
    if reader.accept("WAIT"):
        reader.next()
    else:
        reader.accept("NOWAIT")
    head = sql[: reader.tokens[reader.at - 1].end]
    actions, said = [], {"ALGORITHM": "", "LOCK": ""}
    for part in parted(reader.rest) if not reader.over else []:
        value, behind = _said(part)
        if value:
            said[part[0].word] = value
        if behind:
            actions.append(tuple(behind))
    return Alteration(table, head, written, tuple(actions), said["ALGORITHM"], said["LOCK"])


def _said(part: list[Token]) -> tuple[str, list[Token]]:
    """The value of ``ALGORITHM [=] value`` or LOCK, and what follows without a comma, which only partitions
    do; ``""`` and all of it where it is neither."""
    first, *rest = part
    if rest and rest[0].is_("="):
        del rest[0]
    if not first.named("ALGORITHM", "LOCK") or not rest:
        return "", part
    value, *behind = rest
    if behind and not behind[0].named("PARTITION", "REMOVE"):
        return "", part
    return value.word, behind


def read(sql: str) -> Iterator[c.Change]:
    """The changes of an ALTER TABLE."""
    whole = alteration(sql)
    if not whole.actions:
        raise Unreadable
    for action in whole.actions:
        tokens = list(action)
        text = sql[tokens[0].start : tokens[-1].end]
        for change in _Action(sql, tokens, whole.table).read():
            yield change.but(
                sql=f"{whole.head} {text}",
                offset=tokens[0].start,
                algorithm=whole.algorithm,
                lock=whole.lock,
            )


class _Action:
    """One action. What it yields carries no ``sql`` yet."""

    def __init__(self, sql: str, tokens: list[Token], table: c.Name) -> None:
        self.reader = Reader(sql, tokens)
        self.sql = sql
        self.table = table

    def read(self) -> Iterator[c.Change]:
        verbs: dict[str, Callable[[], Iterator[c.Change]]] = {
            "ADD": self.add,
            "DROP": self.drop,
            "MODIFY": self.modify,
            "CHANGE": self.change,
            "ALTER": self.alter,
            "RENAME": self.rename,
        }
        words = [token.word for token in self.reader.tokens]
        if "PARTITION" in words[:2] or words[0] in _PARTITIONS:
            yield from self.partition(words)
        elif words[0] in verbs:
            self.reader.at = 1
            yield from verbs[words[0]]()
        else:
            yield self.option(words)

    def add(self) -> Iterator[c.Change]:
        reader = self.reader
        if reader.accept("SYSTEM") or reader.accept("PERIOD"):
            yield self.table_option("versioning", "")
            return
        written = reader.accept("COLUMN")
        exists = reader.exists("NOT")
        if not written and reader.rest and columns.is_beside(reader.rest):
            constraint = columns.constraint(self.sql, reader.rest)
            if constraint is None:
                yield columns.index(self.sql, reader.rest, self.table)
            else:
                yield c.AddConstraint(table=self.table, constraint=constraint)
            return
        parts = parted(reader.group()) if reader.sees("(") else [reader.rest]
        for part in parts:
            if columns.is_beside(part):
                raise Unreadable
            column, beside = columns.column(self.sql, part)
            yield c.AddColumn(
                table=self.table, column=column, constraints=beside, if_not_exists=exists
            )

    def drop(self) -> Iterator[c.Change]:
        reader, table = self.reader, self.table
        if reader.accept("PRIMARY", "KEY"):
            yield c.DropConstraint(table=table, constraint="primary")
        elif reader.accept_one("INDEX", "KEY"):
            exists = reader.exists()
            name = c.Name(table.schema, reader.small())
            yield c.Drop(kind="index", name=name, table=table, if_exists=exists)
        elif reader.accept("FOREIGN", "KEY") or reader.accept_one("CONSTRAINT", "CHECK"):
            reader.exists()
            yield c.DropConstraint(table=table, constraint=reader.small())
        elif reader.accept("SYSTEM") or reader.accept("PERIOD"):
            yield self.table_option("drop versioning", "")
        else:
            reader.accept("COLUMN")
            reader.exists()
            yield c.DropColumn(table=table, column=reader.small())

    def modify(self) -> Iterator[c.Change]:
        self.reader.accept("COLUMN")
        self.reader.exists()
        yield from self.restate(self.reader.rest)

    def change(self) -> Iterator[c.Change]:
        self.reader.accept("COLUMN")
        self.reader.exists()
        old = self.reader.small()
        definition = self.reader.rest
        new = unquoted(definition[0]).lower() if definition else ""
        if new != old:
            yield c.RenameColumn(table=self.table, column=old, to=new)
        yield from self.restate(definition)

    def restate(self, definition: list[Token]) -> Iterator[c.Change]:
        """A column's whole definition, given anew: what it does not repeat is gone."""
        column, beside = columns.column(self.sql, definition)
        at: dict[str, Any] = {"table": self.table, "column": column.name, "restated": True}
        yield c.AlterType(type=column.type, definition=column, **at)
        yield c.SetNotNull(**at) if column.not_null else c.DropNotNull(**at)
        if column.default is not None:
            yield c.SetDefault(default=column.default, **at)
        elif not column.generated:
            yield c.DropDefault(**at)
        for constraint in beside:
            yield c.AddConstraint(table=self.table, constraint=constraint)

    def alter(self) -> Iterator[c.Change]:
        reader, table = self.reader, self.table
        what = reader.accept_one("INDEX", "KEY", "CHECK", "CONSTRAINT")
        if what:
            reader.exists()
            name = reader.small()
            rest = " ".join(token.text.lower() for token in reader.rest)
            yield self.table_option(f"{what.lower()} {rest}", name)
            return
        reader.accept("COLUMN")
        reader.exists()
        column = reader.small()
        if reader.accept("DROP", "DEFAULT"):
            yield c.DropDefault(table=table, column=column)
        elif reader.accept("SET", "DEFAULT"):
            value = reader.rest
            if not value:
                raise Unreadable
            default = self.sql[value[0].start : value[-1].end]
            if value[0].named("NULL"):
                yield c.DropDefault(table=table, column=column)
            else:
                yield c.SetDefault(table=table, column=column, default=default)
        elif reader.accept("SET"):
            yield self.table_option(f"column {reader.next().text.lower()}", column)
        else:
            raise Unreadable

    def rename(self) -> Iterator[c.Change]:
        reader, table = self.reader, self.table
        if reader.accept("COLUMN"):
            reader.exists()
            old = reader.small()
            reader.expect("TO")
            yield c.RenameColumn(table=table, column=old, to=reader.small())
        elif reader.accept_one("INDEX", "KEY"):
            reader.exists()
            old = reader.small()
            reader.expect("TO")
            to = c.Name(table.schema, reader.small())
            yield c.Rename(kind="index", name=c.Name(table.schema, old), to=to, table=table)
        else:
            if not reader.accept_one("TO", "AS"):
                reader.mark("=")
            to = reader.qualified()
            yield c.Rename(kind="table", name=table, to=c.Name(to.schema or table.schema, to.name))

    def partition(self, words: list[str]) -> Iterator[c.Change]:
        rest = " ".join(token.text for token in self.reader.tokens)
        if words[:2] == ["TRUNCATE", "PARTITION"]:
            yield c.Truncate(table=self.table)
        else:
            yield self.table_option(f"{words[0].lower()} partition", rest)

    def option(self, words: list[str]) -> c.Change:
        """A table option, or several without commas between them."""
        rest = " ".join(token.text for token in self.reader.tokens)
        if words[0] == "CONVERT":
            return self.table_option("convert", rest)
        if words[0] not in _OPTIONS:
            raise Unreadable
        return self.table_option(_OPTIONS[words[0]], rest)

    def table_option(self, kind: str, detail: str) -> c.Change:
        return c.TableOption(table=self.table, kind=kind, detail=detail)


_OPTIONS = {
    "ENGINE": "engine",
    "TYPE": "engine",
    "FORCE": "force",
    "ORDER": "order",
    "DEFAULT": "charset",
    "CHARACTER": "charset",
    "CHARSET": "charset",
    "COLLATE": "charset",
    "ROW_FORMAT": "row format",
    "KEY_BLOCK_SIZE": "row format",
    "AUTO_INCREMENT": "auto_increment",
    "COMMENT": "comment",
    "DISABLE": "keys",
    "ENABLE": "keys",
    "WITH": "validation",
    "WITHOUT": "validation",
    "TABLESPACE": "tablespace",
} | dict.fromkeys(("AVG_ROW_LENGTH", "CHECKSUM", "COMPRESSION", "CONNECTION", "DATA", "DELAY_KEY_WRITE", "ENCRYPTION", "ENCRYPTED", "ENCRYPTION_KEY_ID", "INDEX", "INSERT_METHOD", "MAX_ROWS", "MIN_ROWS", "PACK_KEYS", "PAGE_CHECKSUM", "PAGE_COMPRESSED", "PAGE_COMPRESSION_LEVEL", "PASSWORD", "SECONDARY_ENGINE", "SEQUENCE", "STATS_AUTO_RECALC", "STATS_PERSISTENT", "STATS_SAMPLE_PAGES", "TRANSACTIONAL", "UNION"), "option")  # fmt: skip
