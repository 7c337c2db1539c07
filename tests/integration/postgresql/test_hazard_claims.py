"""Where a rule says that rows are read or written under a lock, PostgreSQL says so too, and nowhere else.

The server tells with `client_min_messages = debug1` when it rewrites a table, verifies or validates its rows,
or builds an index.
"""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from tests.servers import server

from pilotage.hazards import Class, check_all
from pilotage.migrate.loader import read_migration
from pilotage.migrate.sql import split

pytestmark = pytest.mark.integration

BEFORE = """\
CREATE DOMAIN positive AS int CHECK (value > 0);
CREATE DOMAIN plain AS int;
CREATE TABLE customers (id bigint PRIMARY KEY);
CREATE TABLE orders (
    id bigint PRIMARY KEY,
    customer_id bigint,
    item varchar(20) NOT NULL,
    amount int,
    price numeric(10, 2) CHECK (price > 0),
    weight int,
    CONSTRAINT weighed CHECK (weight IS NOT NULL)
);
ALTER TABLE orders ADD discount numeric(10, 2);
ALTER TABLE orders ADD CONSTRAINT later CHECK (discount > 0) NOT VALID;
CREATE INDEX orders_item_idx ON orders (item);
CREATE TABLE log (year int NOT NULL) PARTITION BY RANGE (year);
CREATE TABLE log_2020 (year int NOT NULL);
CREATE TABLE log_2021 (year int NOT NULL, CHECK (year >= 2021 AND year < 2022));
"""
ROWS = "INSERT INTO orders SELECT n, NULL, 'i' || n, n, n, n FROM generate_series(1, 50) AS n"

WORK = [
    "ALTER TABLE orders ADD x int CHECK (x > 0)",
    "ALTER TABLE orders ADD x text UNIQUE",
    "ALTER TABLE orders ADD x bigint DEFAULT NULL::bigint REFERENCES customers",
    "ALTER TABLE orders ADD x positive",
    "ALTER TABLE orders ADD x serial",
    "ALTER TABLE orders ADD x int GENERATED ALWAYS AS IDENTITY",
    "ALTER TABLE orders ADD x int GENERATED ALWAYS AS (amount) STORED",
    "ALTER TABLE orders ADD x timestamptz DEFAULT clock_timestamp()",
    "ALTER TABLE orders ALTER price TYPE numeric(12, 2)",
    "ALTER TABLE orders ALTER amount TYPE bigint",
    "ALTER TABLE orders ALTER item TYPE varchar(10)",
    "ALTER TABLE orders ALTER amount SET NOT NULL",
    "ALTER TABLE orders ADD CHECK (amount > 0)",
    "ALTER TABLE orders ADD FOREIGN KEY (customer_id) REFERENCES customers",
    "ALTER TABLE orders ADD UNIQUE (item)",
    "ALTER TABLE log ATTACH PARTITION log_2020 FOR VALUES FROM (2020) TO (2021)",
    "REINDEX TABLE orders",
    "CLUSTER orders USING orders_item_idx",
    "CREATE INDEX ON orders (amount)",
]
NO_WORK = [
    "ALTER TABLE orders ADD x plain",
    "ALTER TABLE orders ADD x timestamptz DEFAULT now()",
    "ALTER TABLE orders ADD x int DEFAULT 1",
    "ALTER TABLE orders ADD x int NOT NULL DEFAULT 1",
    "ALTER TABLE orders ALTER item TYPE varchar(40)",
    "ALTER TABLE orders ALTER item TYPE text",
    "ALTER TABLE orders ALTER weight SET NOT NULL",
    "ALTER TABLE orders ADD CHECK (amount > 0) NOT VALID",
    "ALTER TABLE orders ADD FOREIGN KEY (customer_id) REFERENCES customers NOT VALID",
    "ALTER TABLE log ATTACH PARTITION log_2021 FOR VALUES FROM (2021) TO (2022)",
    "ALTER TABLE orders RENAME item TO product",
    "ALTER TABLE orders DROP COLUMN amount",
    "ALTER TABLE orders ALTER discount TYPE numeric(12, 2)",
    "CREATE TABLE fresh (id bigint PRIMARY KEY, n int UNIQUE CHECK (n > 0))",
]
VIRTUAL = "ALTER TABLE orders ADD x int GENERATED ALWAYS AS (amount) VIRTUAL"
AT_WORK = ("rewriting table", "verifying table", "validating foreign key", "building index")


def works(major: int, sql: str) -> bool:
    """Whether the server reads or writes the rows of a table that was there before."""
    postgres = server(major)
    messages: list[str] = []
    statements = [statement.text for statement in split(BEFORE, "postgresql")]
    with (
        postgres.database(*statements, ROWS) as name,
        psycopg.connect(postgres.url(name), autocommit=True) as connection,
    ):
        connection.execute("SET client_min_messages = debug1")
        connection.add_notice_handler(lambda said: messages.append(said.message_primary or ""))
        connection.execute(sql.encode())
    of_others = [said for said in messages if "fresh" not in said and "pg_toast" not in said]
    return any(said.startswith(AT_WORK) for said in of_others)


def warned(sql: str) -> bool:
    """Whether a rule says that it does. In contract, where old code is no longer of interest."""
    files = [
        read_migration(text, path=Path(f"{number}_x.sql"), dialect="postgresql")
        for number, text in enumerate((BEFORE, f"-- contract\n{sql};"), 1)
    ]
    found = check_all(files, dialect="postgresql")
    return any(f.class_ is Class.AVAILABILITY and f.file == files[1].path for f in found)


@pytest.mark.parametrize("major", [15, 18])
@pytest.mark.parametrize("sql", WORK)
def test_work_is_warned_of(sql: str, major: int) -> None:
    assert works(major, sql)
    assert warned(sql)


@pytest.mark.parametrize("major", [15, 18])
@pytest.mark.parametrize("sql", NO_WORK)
def test_no_wolf_is_cried(sql: str, major: int) -> None:
    assert not works(major, sql)
    assert not warned(sql)


@pytest.mark.parametrize("major", [15, 18])
def test_a_primary_key_believes_a_check(major: int) -> None:
    made = (
        "CREATE UNIQUE INDEX u ON orders (weight)",
        "ALTER TABLE orders ADD CONSTRAINT p PRIMARY KEY USING INDEX u",
    )
    postgres = server(major)
    messages: list[str] = []
    statements = [statement.text for statement in split(BEFORE, "postgresql")]
    with (
        postgres.database(*statements, "ALTER TABLE orders DROP CONSTRAINT orders_pkey") as name,
        psycopg.connect(postgres.url(name), autocommit=True) as connection,
    ):
        connection.execute(made[0].encode())
        connection.execute("SET client_min_messages = debug1")
        connection.add_notice_handler(lambda said: messages.append(said.message_primary or ""))
        connection.execute(made[1].encode())
    assert not [said for said in messages if said.startswith(AT_WORK)]


def test_a_virtual_column_costs_nothing() -> None:
    assert not works(18, VIRTUAL)
    assert not warned(VIRTUAL)
