"""What the linter says to write instead, on a real database: old and new code both work, all the way.

Each test takes the rewrite of a refused statement, runs its expand half, lets old and new code work side
by side, backfills in batches, asks the ``-- verify`` query, runs the contract half, and looks at the rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.servers import server

from pilotage.hazards import check_all
from pilotage.migrate.loader import parse_migration
from pilotage.migrate.migration import Migration, Section
from pilotage.migrate.sql import batched, split

pytestmark = pytest.mark.integration

DIALECT = "postgresql"
BEFORE = """\
CREATE TABLE orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    item varchar(20) NOT NULL,
    amount int,
    state text
);
CREATE TYPE mood AS ENUM ('good', 'bad');
"""
ROWS = "INSERT INTO orders (item, amount) SELECT 'old ' || n, n FROM generate_series(1, 25) AS n"


def parse(text: str, version: int) -> Migration:
    path = Path(f"{version}_x.sql")
    return parse_migration(text, path=path, dialect=DIALECT)


def rewrite_of(sql: str, *filled: str) -> Migration:
    """The migration to write instead of ``sql`` in an expand half. ``filled``: what a person put in the place
    of what."""
    (finding,) = check_all([parse(BEFORE, 1), parse(sql, 2)], dialect=DIALECT)
    return parse(finding.rewrite.replace(*filled) if filled else finding.rewrite, 3)


@dataclass(slots=True)
class Database:
    """A database with the old schema and 25 rows, and ways to run sections on it."""

    connection: psycopg.Connection[tuple[Any, ...]]

    def run(self, section: Section | None) -> None:
        assert section
        with self.connection.transaction():
            for statement in split(section.text, DIALECT):
                self.connection.execute(statement.text.encode())

    def backfill(self, section: Section | None) -> None:
        assert section
        (statement,) = split(section.text, DIALECT)
        batch = batched(statement.text, DIALECT)
        for low in range(0, 100, 10):
            predicate = f"{batch.qualifier}.id > {low} AND {batch.qualifier}.id <= {low + 10}"
            self.connection.execute(batch.render(predicate).encode())
        assert self.connection.execute(statement.text.encode()).rowcount == 0

    def verify(self, section: Section | None) -> list[tuple[Any, ...]]:
        assert section
        (statement,) = split(section.text, DIALECT)
        return self.query(statement.text)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        cursor = self.connection.execute(sql.encode())
        return cursor.fetchall() if cursor.description else []


@pytest.fixture(params=[15, 18])
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    with opened(request.param) as opened_database:
        yield opened_database


@contextmanager
def opened(major: int) -> Iterator[Database]:
    postgres = server(major)
    statements = [statement.text for statement in split(BEFORE, DIALECT)]
    with (
        postgres.database(*statements, ROWS) as name,
        psycopg.connect(postgres.url(name), autocommit=True) as connection,
    ):
        yield Database(connection)


def test_rename_column(database: Database) -> None:
    migration = rewrite_of("ALTER TABLE orders RENAME item TO product;")

    database.run(migration.expand)
    # old code inserts, updates and reads `item`; new code `product`, on the same rows
    database.query("INSERT INTO orders (item) VALUES ('by old')")
    database.query("INSERT INTO orders (product) VALUES ('by new')")
    database.query("UPDATE orders SET item = 'old again' WHERE id = 1")
    database.query("UPDATE orders SET product = 'new again' WHERE id = 2")
    database.query("UPDATE orders SET amount = 0 WHERE id = 3")
    both = "SELECT item, product FROM orders WHERE id IN (1, 2, 3) OR id > 25 ORDER BY id"
    assert database.query(both) == [
        ("old again", "old again"),
        ("new again", "new again"),
        ("old 3", "old 3"),
        ("by old", "by old"),
        ("by new", "by new"),
    ]
    assert database.verify(migration.verify)
    database.backfill(migration.backfill)
    assert database.verify(migration.verify) == []
    database.run(migration.contract)

    database.query("INSERT INTO orders (product) VALUES ('later')")
    products = [product for (product,) in database.query("SELECT product FROM orders ORDER BY id")]
    assert products[3:5] == ["old 4", "old 5"]
    assert products[-1] == "later"
    assert len(products) == 28


def test_change_type(database: Database) -> None:
    migration = rewrite_of("ALTER TABLE orders ALTER amount TYPE numeric(12, 2);")

    database.run(migration.expand)
    database.query("INSERT INTO orders (item, amount) VALUES ('by old', 7)")
    database.query("INSERT INTO orders (item, amount_new) VALUES ('by new', 8)")
    database.query("UPDATE orders SET amount = 100 WHERE id = 1")
    database.query("UPDATE orders SET amount_new = 200 WHERE id = 2")
    database.backfill(migration.backfill)
    assert database.verify(migration.verify) == []
    assert database.query("SELECT amount, amount_new FROM orders WHERE id < 3 ORDER BY id") == [
        (100, 100),
        (200, 200),
    ]
    database.run(migration.contract)

    (total,) = database.query("SELECT sum(amount_new) FROM orders")[0]
    assert total == sum(range(3, 26)) + 100 + 200 + 7 + 8


def test_change_type_using_an_expression(database: Database) -> None:
    migration = rewrite_of(
        "ALTER TABLE orders ALTER amount TYPE bigint USING orders.amount * 100 + length(item);",
        "NEW.amount_new /* the old value that (orders.amount * 100) + length(item) makes this of */",
        "(NEW.amount_new - length(NEW.item)) / 100",
    )

    database.run(migration.expand)
    database.query("INSERT INTO orders (item, amount) VALUES ('by old', 7)")
    database.query("INSERT INTO orders (item, amount_new) VALUES ('by new', 806)")
    database.query("UPDATE orders SET amount = 100 WHERE id = 1")
    database.backfill(migration.backfill)
    assert database.verify(migration.verify) == []
    found = database.query(
        "SELECT amount, amount_new - length(item) FROM orders WHERE id IN (1, 2) OR item LIKE 'by%'"
        " ORDER BY id"
    )
    assert found == [(100, 10000), (2, 200), (7, 700), (8, 800)]
    database.run(migration.contract)


def test_set_not_null(database: Database) -> None:
    migration = rewrite_of("ALTER TABLE orders ALTER state SET NOT NULL;")

    database.run(migration.expand)
    database.query("INSERT INTO orders (item) VALUES ('by old')")
    database.query("INSERT INTO orders (item, state) VALUES ('by old', NULL)")
    database.backfill(migration.backfill)
    assert database.verify(migration.verify) == []
    assert migration.contract
    assert not migration.contract.directives.transaction
    for statement in split(migration.contract.text, DIALECT):
        database.connection.execute(statement.text.encode())

    with pytest.raises(psycopg.errors.NotNullViolation):
        database.query("INSERT INTO orders (item, state) VALUES ('x', NULL)")


def test_add_column_not_null(database: Database) -> None:
    migration = rewrite_of("ALTER TABLE orders ADD COLUMN seen_at timestamptz NOT NULL;")

    database.run(migration.expand)
    database.query("INSERT INTO orders (item) VALUES ('by old')")
    database.run(migration.contract)

    with pytest.raises(psycopg.errors.NotNullViolation):
        database.query("INSERT INTO orders (item) VALUES ('x')")


def test_rename_table(database: Database) -> None:
    migration = rewrite_of("ALTER TABLE orders RENAME TO sales;")

    database.run(migration.expand)
    database.query("INSERT INTO orders (item) VALUES ('by old')")
    database.query("INSERT INTO sales (item) VALUES ('by new')")
    database.query("UPDATE sales SET item = 'both' WHERE id = 1")
    assert database.query("SELECT item FROM orders WHERE id = 1") == [("both",)]
    database.run(migration.contract)

    assert database.query("SELECT count(*) FROM sales") == [(27,)]


def test_rename_enum_value(database: Database) -> None:
    migration = rewrite_of("ALTER TYPE mood RENAME VALUE 'good' TO 'fine';")

    database.run(migration.expand)

    assert database.query("SELECT enum_range(NULL::mood)::text") == [("{good,fine,bad}",)]


def test_update_in_batches(database: Database) -> None:
    migration = parse(
        "-- expand\nSELECT 1;\n"
        + check_all(
            [parse(BEFORE, 1), parse("UPDATE orders SET state = upper(item);", 2)], dialect=DIALECT
        )[0].rewrite,
        3,
    )

    database.backfill(migration.backfill)

    assert database.query("SELECT DISTINCT state = upper(item) FROM orders") == [(True,)]


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE UNIQUE INDEX ON orders (item, (id + 1)) WHERE id > 0;",
        "ALTER TABLE orders ADD CHECK (amount > 0);",
        "ALTER TABLE orders ADD CONSTRAINT positive CHECK (amount > 0);",
        "ALTER TABLE orders ADD UNIQUE (item, id);",
        "ALTER TABLE orders ADD FOREIGN KEY (amount) REFERENCES orders (id);",
        "ALTER TABLE orders ADD COLUMN u uuid DEFAULT gen_random_uuid();",
        "ALTER TABLE orders ADD CONSTRAINT k CHECK (amount > 0) NOT VALID; "
        "ALTER TABLE orders VALIDATE CONSTRAINT k;",
    ],
)
def test_what_takes_its_time_beside_writers(database: Database, sql: str) -> None:
    findings = check_all([parse(BEFORE, 1), parse(sql, 2)], dialect=DIALECT)
    migration = parse(next(f.rewrite for f in findings if f.rewrite), 3)
    assert migration.expand

    for statement in split(migration.expand.text, DIALECT):
        database.connection.execute(statement.text.encode())

    if migration.backfill:
        database.backfill(migration.backfill)
    wrong = "SELECT 1 FROM pg_index WHERE NOT indisvalid UNION SELECT 1 FROM pg_constraint WHERE NOT convalidated"
    assert database.query(wrong) == []
