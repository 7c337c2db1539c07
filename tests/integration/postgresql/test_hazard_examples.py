"""What each rule of PostgreSQL says to write instead runs on a real server, from its expand to its contract half.

And none of it does what the hazard is about: no table that was there before is written anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.servers import server

from pilotage.hazards import RULES, Class
from pilotage.hazards.examples import MARK, before, findings, text_of
from pilotage.hazards.rule import Example, Rule
from pilotage.migrate.loader import parse_migration
from pilotage.migrate.migration import Migration, Section
from pilotage.migrate.sql import split

pytestmark = pytest.mark.integration

DIALECT = "postgresql"

# What the examples name beside the schema that they share.
BESIDE = """\
CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE FUNCTION f(int) RETURNS int LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION next_code() RETURNS text LANGUAGE sql AS 'SELECT md5(random()::text)';
CREATE TRIGGER g BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION f();
CREATE POLICY p ON orders USING (true);
CREATE VIEW recent AS SELECT 1 AS n;
CREATE MATERIALIZED VIEW totals AS SELECT 1 AS n;
CREATE UNIQUE INDEX totals_n ON totals (n);
CREATE SEQUENCE numbers;
CREATE SCHEMA archive;
CREATE DOMAIN positive AS int CHECK (value > 0);
CREATE TYPE mood AS ENUM ('calm');
CREATE FUNCTION drop_everything() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE COLLATION german FROM "C";
CREATE TABLE elsewhere (id bigint PRIMARY KEY, code varchar(5));
CREATE TABLE log (year int NOT NULL) PARTITION BY RANGE (year);
CREATE TABLE log_2020 PARTITION OF log FOR VALUES FROM (2020) TO (2021);
DO $$ BEGIN CREATE ROLE app; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
GRANT SELECT ON orders TO app;
INSERT INTO customers SELECT n, 'c' || n, n || '@example.com' FROM generate_series(1, 5) AS n;
INSERT INTO orders (id, customer_id, item, amount, price, note)
    SELECT n, n % 5 + 1, 'item ' || n, n, n, 'note ' || n FROM generate_series(1, 25) AS n;
"""
# Extensions of others come with Debian's server alone; those from PyPI have plpgsql, which functions need.
EXTENSIONS = {"drop-extension": "CREATE EXTENSION citext;\n"}
# Their hazard is a rewrite that the half wants: they move it to where it hurts nobody.
REWRITES_ON_PURPOSE = {"rewrite-type"}


def cases() -> list[Any]:
    return [
        pytest.param(rule, example, major, id=f"{rule.id}-{number}-{major}")
        for rule in RULES
        if rule.is_for(DIALECT)
        for number, example in enumerate(rule.bad, 1)
        if example.dialect == DIALECT and rewrites(rule, example)
        for major in (15, 18)
        if major == 15 or rule.id not in EXTENSIONS
    ]


def rewrites(rule: Rule, example: Example) -> list[str]:
    return [f.rewrite for f in findings(example) if f.rule == rule.id and f.rewrite]


@contextmanager
def database(
    major: int, rule: Rule, example: Example
) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    text = before(example) + (BESIDE if example.before is None else "")
    text += EXTENSIONS.get(rule.id, "")
    postgres = server(major)
    with (
        postgres.database(*(statement.text for statement in split(text, DIALECT))) as name,
        psycopg.connect(postgres.url(name), autocommit=True) as connection,
    ):
        yield connection


def run(connection: psycopg.Connection[tuple[Any, ...]], section: Section | None) -> None:
    if section is None:
        return
    statements = [statement.text.encode() for statement in split(section.text, DIALECT)]
    if section.directives.transaction:
        with connection.transaction():
            for statement in statements:
                connection.execute(statement)
    else:
        for statement in statements:
            connection.execute(statement)


def parsed(text: str, name: str) -> Migration:
    if text.startswith(("-- backfill", "-- verify")):
        text = f"-- expand\nSELECT 1;\n{text}"
    return parse_migration(text, path=Path(f"3_{name}.sql"), dialect=DIALECT)


def earlier(example: Example, rewrite: str) -> list[str]:
    """What the example does before what is found, where the rewrite does not repeat it."""
    place = example.sql.index(MARK)
    statements = split(text_of(example), DIALECT)
    return [s.text for s in statements if s.end < place and s.text not in rewrite]


FILES = """
SELECT oid, relfilenode FROM pg_class
WHERE relkind IN ('r', 'm') AND relnamespace NOT IN ('pg_catalog'::regnamespace,
    'information_schema'::regnamespace, 'pg_toast'::regnamespace)
"""


@pytest.mark.parametrize(("rule", "example", "major"), cases())
def test_what_to_write_instead(rule: Rule, example: Example, major: int) -> None:
    (text,) = rewrites(rule, example)
    migration = parsed(text, rule.id)

    with database(major, rule, example) as connection:
        for statement in earlier(example, text):
            connection.execute(statement.encode())
        files = dict(connection.execute(FILES).fetchall())
        run(connection, migration.expand)
        if migration.backfill:
            run(connection, migration.backfill)
        if migration.verify:
            for statement in split(migration.verify.text, DIALECT):
                assert connection.execute(statement.text.encode()).fetchall() == []
        if rule.class_ is Class.AVAILABILITY and rule.id not in REWRITES_ON_PURPOSE:
            after = dict(connection.execute(FILES).fetchall())
            assert {oid: after[oid] for oid in files} == files
        run(connection, migration.contract)
