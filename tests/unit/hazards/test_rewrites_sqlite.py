"""What the linter says to write instead in SQLite, run on SQLite: old and new code both work."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pilotage.hazards import check_all
from pilotage.migrate.loader import parse_migration
from pilotage.migrate.migration import Migration, Section
from pilotage.migrate.sql import batched, split

BEFORE = "CREATE TABLE Orders (id INTEGER PRIMARY KEY, item VARCHAR(20), amount INT);"


def parse(text: str, version: int) -> Migration:
    return parse_migration(text, path=Path(f"{version}_x.sql"), dialect="sqlite")


def rewrite_of(sql: str) -> Migration:
    (finding,) = check_all([parse(BEFORE, 1), parse(sql, 2)], dialect="sqlite")
    return parse(finding.rewrite, 3)


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute(BEFORE)
        connection.executemany(
            "INSERT INTO orders (item, amount) VALUES (?, ?)",
            [(f"old {n}", n) for n in range(1, 26)],
        )
        yield connection


def run(database: sqlite3.Connection, section: Section | None) -> None:
    assert section
    for statement in split(section.text, "sqlite"):
        database.execute(statement.text)


def query(database: sqlite3.Connection, sql: str) -> list[tuple[Any, ...]]:
    return database.execute(sql).fetchall()


@pytest.mark.parametrize("recursive", ["ON", "OFF"])
def test_rename_column(database: sqlite3.Connection, recursive: str) -> None:
    database.execute(f"PRAGMA recursive_triggers = {recursive}")
    migration = rewrite_of("ALTER TABLE orders RENAME COLUMN item TO product;")

    run(database, migration.expand)
    query(database, "INSERT INTO orders (item) VALUES ('by old')")
    query(database, "INSERT INTO orders (product) VALUES ('by new')")
    query(database, "UPDATE orders SET item = 'old again' WHERE id = 1")
    query(database, "UPDATE orders SET product = 'new again' WHERE id = 2")
    query(database, "UPDATE orders SET item = NULL WHERE id = 26")
    both = "SELECT item, product FROM orders WHERE id < 3 OR id > 25 ORDER BY id"
    assert query(database, both) == [
        ("old again", "old again"),
        ("new again", "new again"),
        (None, None),
        ("by new", "by new"),
    ]
    assert migration.backfill
    assert migration.verify
    (statement,) = split(migration.backfill.text, "sqlite")
    batch = batched(statement.text, "sqlite")
    for low in range(0, 30, 10):
        query(database, batch.render(f"{batch.qualifier}.id > {low} AND id <= {low + 10}"))
    assert database.execute(statement.text).rowcount == 0
    assert query(database, split(migration.verify.text, "sqlite")[0].text) == []
    run(database, migration.contract)

    assert query(database, "SELECT product FROM orders WHERE id IN (3, 27)") == [
        ("old 3",),
        ("by new",),
    ]
    assert query(database, "SELECT count(*) FROM sqlite_master WHERE type = 'trigger'") == [(0,)]


def test_rename_table(database: sqlite3.Connection) -> None:
    migration = rewrite_of("ALTER TABLE orders RENAME TO sales;")

    run(database, migration.expand)
    query(database, "INSERT INTO orders (item) VALUES ('by old')")
    query(database, "INSERT INTO sales (item) VALUES ('by new')")
    query(database, "UPDATE sales SET item = 'both' WHERE id = 1")
    query(database, "DELETE FROM sales WHERE id = 2")
    assert query(database, "SELECT id, item FROM orders WHERE id < 3") == [(1, "both")]
    run(database, migration.contract)

    assert query(database, "SELECT count(*), max(item) FROM sales") == [(26, "old 9")]


@pytest.mark.parametrize(
    ("kind", "value"),
    [("INT", 0), ("TEXT", ""), ("BOOLEAN", 0), ("TIMESTAMP", "1970-01-01 00:00:00")],
)
def test_add_column_not_null(database: sqlite3.Connection, kind: str, value: object) -> None:
    migration = rewrite_of(f"ALTER TABLE orders ADD n {kind} NOT NULL;")

    run(database, migration.expand)
    query(database, "INSERT INTO orders (item) VALUES ('by old')")

    assert query(database, "SELECT DISTINCT n FROM orders") == [(value,)]


def test_drop_column(database: sqlite3.Connection) -> None:
    run(database, rewrite_of("ALTER TABLE orders DROP COLUMN amount;").contract)

    assert query(database, "SELECT * FROM orders LIMIT 1") == [(1, "old 1")]
