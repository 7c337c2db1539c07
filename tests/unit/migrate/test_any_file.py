"""Whatever a file holds: it loads, letter by letter, or one clear error names a line that it has."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilotage.errors import MigrationFileError
from pilotage.hazards import check
from pilotage.hazards.lint import Lint, Source, lint
from pilotage.migrate.loader import parse_migration
from pilotage.migrate.migration import Migration, Section
from pilotage.migrate.sections import SECTIONS
from pilotage.migrate.sql import effects, split

PATH = Path("1_any.sql")

LINES = st.sampled_from(
    [
        *(f"-- {name}" for name in SECTIONS),
        "-- migrate:up",
        "-- migrate:down transaction:false",
        "-- contrakt",
        "-- expand the table",
        "-- pilotage: timeout=5s",
        "-- pilotage: transaction=false",
        "-- pilotage: allow=drop-column because é",
        "-- pilotage: nonsense",
        "/* -- contract",
        "*/",
        "SELECT 1;",
        "SELECT '",
        "';",
        "$$",
        "CREATE TABLE t (",
        ");",
        "a int,",
        "b int",
        "ALTER TABLE t ADD COLUMN c int,",
        "DROP COLUMN d;",
        "UPDATE t SET a = 1 WHERE a IS NULL;",
        "UPDATE t SET a = 1",
        "CREATE TRIGGER g AFTER INSERT ON t BEGIN",
        "BEGIN",
        "END;",
        "CREATE INDEX CONCURRENTLY i ON t (a);",
        "DROP TABLE t;",
        "SELECT é, '😀' FROM ü;",
        "",
        "\\restrict",
        "\0",
        "\ufeff;",
        "--;",
        "--# minus, minus",
        "DELIMITER //",
        "/*! ALTER TABLE t ADD",
        "UPDATE t SET a = 1 WHERE",
    ]
)
TEXTS = st.tuples(st.lists(LINES, max_size=14), st.sampled_from(["\n", "\r\n"])).map(
    lambda pair: pair[1].join(pair[0])
)


def outcome(text: str | bytes, dialect: str) -> Migration | MigrationFileError:
    """The migration, or the one error that a file may end in."""
    try:
        return parse_migration(text, path=PATH, dialect=dialect)
    except MigrationFileError as error:
        return error


def sections(migration: Migration) -> list[Section]:
    """The sections that a migration has, in the order of the file."""
    found = [getattr(migration, name) for name in SECTIONS]
    return sorted((section for section in found if section), key=lambda section: section.line)


@pytest.mark.parametrize("dialect", ["postgresql", "mysql", "sqlite"])
@settings(deadline=None)
@given(text=TEXTS)
def test_it_loads_or_says_where_it_does_not(dialect: str, text: str) -> None:
    migration = outcome(text, dialect)
    if isinstance(migration, MigrationFileError):
        file, _, line = migration.where.partition(":")
        assert file == str(PATH)
        assert 1 <= int(line) <= text.count("\n") + 1
        return

    lines = text.removeprefix("\ufeff").split("\n")
    end = 0
    for section in sections(migration):
        own = section.text.split("\n")
        assert section.line > end
        assert "\n".join(lines[section.line - 1 :]).startswith(section.text)
        end = section.line + len(own) - 2
        effects(section.text, dialect)
    for finding in check(migration, dialect=dialect):
        assert 1 <= finding.line <= len(lines)
        assert finding.message


@pytest.mark.parametrize("dialect", ["postgresql", "mysql", "sqlite"])
@settings(deadline=None)
@given(data=st.binary(max_size=60))
def test_any_bytes(dialect: str, data: bytes) -> None:
    error = outcome(data, dialect)

    assert isinstance(error, Migration) or error.where.startswith(f"{PATH}:")


BREAKS_OFF = [
    "SELECT 1;\n\ufeff;\nSELECT 2;",
    "SELECT 1;\n\ufeff",
    "SELECT 1;\n--;",
    "----\n",
    "--\0",
    "--# minus, minus\n",
    "/*! */--;",
    "ALTER TABLE t ADD",
    "ALTER TABLE t ADD ()",
    "CREATE TABLE t (",
    "CREATE TABLE t ()",
    *(f"-- expand\nSELECT 1;\n-- backfill\n{sql}" for sql in (
        "UPDATE", "UPDATE t AS", "UPDATE ONLY (", "DELETE FROM", "UPDATE t SET a = 1 WHERE",
        "UPDATE t SET a = 1 WHERE;", "UPDATE t SET a = 1 WHERE CURRENT", "DELETE FROM t WHERE LIMIT",
    )),
]  # fmt: skip


@pytest.mark.parametrize("dialect", ["postgresql", "mysql", "sqlite"])
@pytest.mark.parametrize("text", BREAKS_OFF)
def test_a_statement_that_breaks_off_is_judged_or_refused(dialect: str, text: str) -> None:
    report = lint([Source(PATH, text.encode())], Lint(dialect))

    lines = text.count("\n") + 1
    assert all(1 <= finding.line <= lines and finding.message for finding in report.findings)
    if isinstance(outcome(text, dialect), MigrationFileError):
        assert report.findings


@pytest.mark.parametrize(
    ("dialect", "text", "statements"),
    [
        # SQLite's tokenizer takes the mark for a space; a server of MySQL does not know the word.
        ("sqlite", "SELECT 1;\n\ufeff;\n\ufeffSELECT 2", ["SELECT 1", "SELECT 2"]),
        ("mysql", "SELECT 1;\n\ufeff;", ["SELECT 1", "\ufeff"]),
        # Sent alone, without what follows in the file, two minus signs are a comment.
        ("mysql", "SELECT 1;--;", ["SELECT 1"]),
        ("mysql", "SELECT 3--1", ["SELECT 3--1"]),
    ],
)
def test_what_is_sent_of_a_file(dialect: str, text: str, statements: list[str]) -> None:
    assert [statement.text for statement in split(text, dialect)] == statements
