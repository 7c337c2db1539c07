"""Schema dumps as text: made the same from run to run, compared, and turned into a squash migration.

Pure: `pilotage.migrate.runner` fetches the raw text from the database.
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import unified_diff

from pilotage.errors import Refused, UsageError
from pilotage.migrate import sql
from pilotage.migrate.migration import Migrations
from pilotage.migrate.sql.token import Kind, Token, code
from pilotage.model import HalfRef, SchemaView, version_key

# Statements of a dump that set up the session that loads it, or that only a superuser may run.
_NOT_SCHEMA = (
    ("SET",),
    ("SELECT", "pg_catalog", ".", "set_config"),
    ("COMMENT", "ON", "EXTENSION"),
    ("ALTER", "DEFAULT", "PRIVILEGES"),
)
_LOADING = {
    "postgresql": "SET LOCAL check_function_bodies = off;\n\n",
    "mysql": "SET foreign_key_checks = 0;\n\n",
}


def normalise(text: str, dialect: str) -> str:
    """A dump without what differs between two dumps of one schema.

    Left out: comments, SET statements, ownership, pg_dump's ``\\restrict`` tokens, which are random.
    """
    return "".join(f"{statement};\n\n" for statement in _statements(text, dialect))


def loadable(text: str, dialect: str) -> str:
    """A normalised dump with what the session that loads it needs; to run in one transaction."""
    return _LOADING.get(dialect, "") + text


def drift(expected: str, actual: str, dialect: str) -> str:
    """A unified diff from one dump to the other; ``""`` when they describe one schema."""
    before, after = normalise(expected, dialect), normalise(actual, dialect)
    return "".join(
        unified_diff(
            before.splitlines(keepends=True),
            after.splitlines(keepends=True),
            "expected",
            "database",
            n=2,
        )
    )


def differences(one: str, other: str, dialect: str) -> str:
    """`drift` of two schemas that were made by different routes.

    The order of columns and of statements, quotes that are not needed and white space do not count.
    """
    return "".join(
        unified_diff(
            sorted(_canonical(one, dialect)),
            sorted(_canonical(other, dialect)),
            "one",
            "other",
            n=0,
        )
    )


def _statements(text: str, dialect: str) -> Iterator[str]:
    # psql's commands do not parse; pg_dump writes these two alone on a line.
    lines = [
        line
        for line in text.splitlines(keepends=True)
        if not line.startswith(("\\restrict ", "\\unrestrict "))
    ]
    for statement in sql.split("".join(lines), dialect):
        words = [token.text for token in _code(statement.text, dialect)[:4]]
        if not any(words[: len(skipped)] == list(skipped) for skipped in _NOT_SCHEMA):
            yield "\n".join(line.rstrip() for line in statement.text.splitlines())


def _code(text: str, dialect: str) -> list[Token]:
    return code(sql.grammar(dialect).tokens(text))


def _canonical(text: str, dialect: str) -> Iterator[str]:
    for statement in _statements(text, dialect):
        tokens = [_plain(token) for token in _code(statement, dialect)]
        if tokens[:1] == ["create"] and "table" in tokens[:4] and "(" in tokens:
            tokens = _sorted_columns(tokens)
        yield " ".join(tokens) + "\n"


def _plain(token: Token) -> str:
    if token.kind is Kind.QUOTED and token.text[1:-1].replace("_", "a").isalnum():
        return token.text[1:-1].lower()
    return token.text.lower() if token.kind is Kind.WORD else token.text


def _sorted_columns(words: list[str]) -> list[str]:
    start = words.index("(")
    depth, end = 0, start
    parts: list[list[str]] = [[]]
    for index, word in enumerate(words[start:], start):
        depth += (word == "(") - (word == ")")
        if depth == 0:
            end = index
            break
        if word == "," and depth == 1:
            parts.append([])
        elif index > start:
            parts[-1].append(word)
    columns = sorted(" ".join(part) for part in parts)
    return [*words[: start + 1], " , ".join(columns), *words[end:]]


def baseline(
    view: SchemaView, migrations: Migrations, dump: str, *, through: str, dialect: str
) -> str:
    """The text of a squash migration: the schema as it is, in place of every file up to ``through``.

    The database must hold exactly what these files make: everything up to ``through``, and nothing
    after it.

    Raises
    ------
    UsageError
        There is no file ``through``.
    Refused
        The database holds less, or more; names the halves.
    """
    covered = [m for m in migrations if version_key(m.version) <= version_key(through)]
    if not covered or covered[-1].version != through:
        raise UsageError(
            f"there is no migration {through}", next="pilotage migrate status lists the versions"
        )
    applied = view.applied
    pending = [ref for m in covered for ref in m.halves() if not applied.has(ref)]
    beyond = [row.ref for row in view.rows if version_key(row.ref.version) > version_key(through)]
    if pending or beyond:
        less = f"{_list(pending)} is not applied" if pending else ""
        more = f"{_list(beyond)} is applied" if beyond else ""
        raise Refused(
            f"the database does not hold exactly the migrations up to {through}: "
            + " and ".join(part for part in (less, more) if part),
            state="nothing was written",
            next=f"use a database to which exactly these are applied, for example a new one: "
            f"pilotage migrate apply, with the files up to {through}",
        )
    # What an earlier squash replaced is replaced by this one: databases may still have its records.
    lows = [low for m in covered for low, _ in m.replaces]
    first = min((covered[0].version, *lows), key=version_key)
    return (
        f"-- The schema that {len(covered)} migrations had made.\n"
        "-- expand\n"
        f"-- pilotage: replaces={first}..{through}\n\n"
        + loadable(normalise(dump, dialect), dialect)
    )


def _list(refs: list[HalfRef]) -> str:
    return ", ".join(str(ref) for ref in refs)
