"""Columns, constraints and indexes as CREATE TABLE and ALTER TABLE write them."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from pilotage.migrate.sql import change as c
from pilotage.migrate.sql.mysql.reader import Reader
from pilotage.migrate.sql.reader import Unreadable, parted, unquoted
from pilotage.migrate.sql.token import Kind, Token, with_depth

# What follows a column's type.
_ATTRIBUTES = frozenset(
    {"NOT", "NULL", "DEFAULT", "AUTO_INCREMENT", "UNIQUE", "PRIMARY", "KEY", "COMMENT", "COLLATE"}
    | {
        "CHARSET",
        "GENERATED",
        "AS",
        "VIRTUAL",
        "STORED",
        "PERSISTENT",
        "INVISIBLE",
        "VISIBLE",
        "CHECK",
    }
    | {
        "REFERENCES",
        "CONSTRAINT",
        "ON",
        "COLUMN_FORMAT",
        "STORAGE",
        "FIRST",
        "AFTER",
        "WITH",
        "WITHOUT",
    }
    | {"COMPRESSED", "REF_SYSTEM_ID", "SRID", "ENGINE_ATTRIBUTE", "FORMAT"}
)
_MARKS = frozenset(
    {"AUTO_INCREMENT", "VIRTUAL", "STORED", "PERSISTENT", "INVISIBLE", "UNIQUE", "PRIMARY", "CHECK"}
    | {"REFERENCES", "SERIAL"}
)
_INDEXES = frozenset({"INDEX", "KEY", "FULLTEXT", "SPATIAL", "VECTOR"})
_CONSTRAINTS = frozenset({"CONSTRAINT", "PRIMARY", "UNIQUE", "FOREIGN", "CHECK"})


def column(sql: str, tokens: list[Token]) -> tuple[c.Column, tuple[c.Constraint, ...]]:
    """A column's definition, its name first, and the constraints written beside it.

    ``REFERENCES`` beside a column is ignored by MySQL; it is told all the same, for it stands there.
    """
    if len(tokens) < 2:
        raise Unreadable
    name = unquoted(tokens[0]).lower()
    top = [(i, token) for i, (depth, token) in enumerate(with_depth(tokens)) if not depth and i]
    begin = next((i for i, token in top if i > 1 and _is_attribute(tokens, i)), len(tokens))
    words = [(i, token.word) for i, token in top if i >= begin and not _is_value(tokens, i)]
    marks = {word for _, word in words} & _MARKS
    if tokens[1].named("SERIAL"):
        marks |= {"SERIAL", "UNIQUE", "AUTO_INCREMENT"}
    not_null = any(a == "NOT" and b == "NULL" and j == i + 1 for (i, a), (j, b) in pairwise(words))
    default = next((i for i, word in words if word == "DEFAULT"), None)
    constraints = tuple(
        c.Constraint(kind, columns=(name,))
        for kind, mark in _BESIDE
        if mark in marks or (kind == "primary key" and _is_key(words))
    )
    read = c.Column(
        name,
        sql[tokens[1].start : tokens[begin - 1].end],
        not_null=not_null or any(constraint.kind == "primary key" for constraint in constraints),
        default=None if default is None else _default(sql, tokens, default + 1),
        generated=bool(_source(marks, words)),
        source=_source(marks, words),
        position=_position(tokens, words),
        charset=_after(tokens, words, "CHARSET") or _charset(tokens, words),
        collation=_after(tokens, words, "COLLATE"),
        marks=frozenset(marks),
    )
    return read, constraints


def _source(marks: set[str], words: list[tuple[int, str]]) -> str:
    """How a column gets its value from the database, where it has no DEFAULT."""
    if "AUTO_INCREMENT" in marks:
        return "serial"
    if not any(word == "AS" for _, word in words):
        return ""
    return "stored" if marks & {"STORED", "PERSISTENT"} else "virtual"


_BESIDE = (
    ("primary key", "PRIMARY"),
    ("unique", "UNIQUE"),
    ("check", "CHECK"),
    ("foreign key", "REFERENCES"),
)


def _is_key(words: list[tuple[int, str]]) -> bool:
    """Whether a bare KEY stands there, which means PRIMARY KEY; UNIQUE KEY does not."""
    before = dict(zip((i for i, _ in words), ("", *(w for _, w in words)), strict=False))
    return any(word == "KEY" and before[i] != "UNIQUE" for i, word in words)


def _is_attribute(tokens: list[Token], i: int) -> bool:
    if tokens[i].named("CHARACTER", "CHAR"):
        return i + 1 < len(tokens) and tokens[i + 1].named("SET")
    return tokens[i].word in _ATTRIBUTES


def _is_value(tokens: list[Token], i: int) -> bool:
    """Whether it is the name after AFTER, COLLATE, …, and no attribute of its own."""
    return tokens[i - 1].named("AFTER", "COLLATE", "CHARSET") or (
        tokens[i - 1].named("SET") and tokens[i - 2].named("CHARACTER", "CHAR")
    )


def _position(tokens: list[Token], words: list[tuple[int, str]]) -> str:
    for i, word in words:
        if word == "FIRST":
            return "first"
        if word == "AFTER" and i + 1 < len(tokens):
            return f"after {unquoted(tokens[i + 1]).lower()}"
    return ""


def _after(tokens: list[Token], words: list[tuple[int, str]], mark: str) -> str:
    """The name after a word, with or without ``=``."""
    for i, word in words:
        if word == mark:
            value = i + 2 if i + 1 < len(tokens) and tokens[i + 1].is_("=") else i + 1
            return unquoted(tokens[value]).lower() if value < len(tokens) else ""
    return ""


def _charset(tokens: list[Token], words: list[tuple[int, str]]) -> str:
    sets = [(i, word) for i, word in words if tokens[i - 1].named("CHARACTER", "CHAR")]
    return _after(tokens, sets, "SET")


def _default(sql: str, tokens: list[Token], begin: int) -> str | None:
    """The value after DEFAULT: a literal, an expression in parentheses, a call; None for NULL."""
    if begin >= len(tokens):
        raise Unreadable
    if tokens[begin].named("NULL"):
        return None
    end = begin
    if tokens[begin].is_("+", "-"):
        end = min(begin + 1, len(tokens) - 1)
    elif tokens[begin].kind is Kind.WORD and begin + 1 < len(tokens):
        introduced = tokens[begin].text.startswith("_") and tokens[begin + 1].kind is Kind.STRING
        end += introduced
    following = begin if tokens[begin].is_("(") else end + 1
    if following < len(tokens) and tokens[following].is_("("):
        depth = 0
        for end in range(following, len(tokens)):
            depth += tokens[end].is_("(") - tokens[end].is_(")")
            if not depth:
                break
    return sql[tokens[begin].start : tokens[end].end]


def is_beside(tokens: list[Token]) -> bool:
    """Whether a part of CREATE TABLE, or what follows ADD, is an index or a constraint, not a column."""
    return any(first.named(*_INDEXES, *_CONSTRAINTS, "PERIOD", "LIKE") for first in tokens[:1])


def constraint(sql: str, tokens: list[Token]) -> c.Constraint | None:
    """A constraint; None for an index that constrains nothing."""
    reader = Reader(sql, tokens)
    name = None
    if reader.accept("CONSTRAINT"):
        reader.exists("NOT")
        if reader.rest and reader.rest[0].word not in _CONSTRAINTS:
            name = reader.small()
    if reader.accept("PRIMARY", "KEY"):
        _using(reader, named=False)
        return c.Constraint("primary key", "primary", reader.names())
    if reader.accept("UNIQUE"):
        reader.accept_one("INDEX", "KEY")
        name = _using(reader) or name
        columns = reader.names()
        # MySQL names it after its first column; which number it adds where that is taken is not known.
        return c.Constraint("unique", name, columns)
    if reader.accept("FOREIGN", "KEY"):
        reader.exists("NOT")
        given = reader.small() if not reader.sees("(") else None
        columns = reader.names()
        reader.expect("REFERENCES")
        table = reader.qualified()
        referenced = reader.names() if reader.sees("(") else ()
        return c.Constraint(
            "foreign key", name or given, columns, references=table, referenced=referenced
        )
    if reader.accept("CHECK"):
        inside = reader.group()
        named = {unquoted(t).lower() for t in inside if t.kind in (Kind.WORD, Kind.QUOTED)}
        expression = sql[inside[0].start : inside[-1].end] if inside else ""
        return c.Constraint("check", name, tuple(sorted(named)), expression=expression)
    if reader.rest and reader.rest[0].word in _INDEXES:
        return None
    raise Unreadable


def index(sql: str, tokens: list[Token], table: c.Name) -> c.CreateIndex:
    """``INDEX name (…)`` of ALTER TABLE and CREATE TABLE."""
    reader = Reader(sql, tokens)
    reader.accept_one("FULLTEXT", "SPATIAL", "VECTOR")
    reader.accept_one("INDEX", "KEY")
    exists = reader.exists("NOT")
    name = _using(reader)
    return c.CreateIndex(
        table=table, name=name, columns=reader.names(), if_not_exists=exists, sql=sql
    )


def _using(reader: Reader, *, named: bool = True) -> str | None:
    """The name of an index, where one is written, and what it is made with."""
    name = None
    if named and not reader.sees("(") and not (reader.rest and reader.rest[0].named("USING")):
        name = reader.small()
    if reader.accept("USING"):
        reader.next()
    return name


def parts(sql: str, tokens: list[Token]) -> tuple[tuple[c.Column, ...], tuple[c.Constraint, ...]]:
    """The columns and constraints between the parentheses of CREATE TABLE."""
    columns: list[c.Column] = []
    constraints: list[c.Constraint] = []
    for part in parted(tokens):
        if part[0].word in ("PERIOD", "LIKE"):
            continue
        if is_beside(part):
            read = constraint(sql, part)
            constraints += [read] if read else []
        else:
            found, beside = column(sql, part)
            columns.append(found)
            constraints += beside
    keys = {n for k in constraints if k.kind == "primary key" for n in k.columns}
    return tuple(_not_null(each, keys) for each in columns), tuple(constraints)


def _not_null(column: c.Column, keys: set[str]) -> c.Column:
    return replace(column, not_null=True) if column.name in keys else column
