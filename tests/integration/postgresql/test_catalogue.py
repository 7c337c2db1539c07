"""What ``mark --verify`` and a resumed half believe: the catalogue, for each kind of effect."""

from __future__ import annotations

import asyncio

import pytest
from tests.integration.postgresql.support import Db
from tests.migrations import migration, section

from pilotage.errors import DatabaseError
from pilotage.events import ignore
from pilotage.migrate.dialects.postgresql.dump import find
from pilotage.model import Half

pytestmark = pytest.mark.integration

BEFORE = (
    "CREATE SCHEMA app",
    'CREATE TABLE app."Order" (id bigint PRIMARY KEY, note varchar(10), price numeric(8, 2))',
    "CREATE TABLE t (id int, a int DEFAULT 1, b text NOT NULL, c int CONSTRAINT c_up CHECK (c > 0))",
    "CREATE INDEX t_a ON t (a)",
    "CREATE TYPE mood AS ENUM ('good')",
    "CREATE FUNCTION f(a int, b text) RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
    "CREATE TRIGGER old AFTER INSERT ON t EXECUTE FUNCTION tell()",
)

# A statement, and what it leaves in the catalogue.
STATEMENTS = [
    "CREATE TABLE app.new (id serial PRIMARY KEY, at timestamptz(3) NOT NULL DEFAULT now())",
    'ALTER TABLE app."Order" ADD COLUMN "Total" numeric(10)',
    'ALTER TABLE app."Order" ALTER COLUMN note TYPE varchar(20)',
    'ALTER TABLE app."Order" ALTER COLUMN price TYPE numeric(12, 2)',
    "ALTER TABLE t ALTER COLUMN a TYPE bigint",
    "ALTER TABLE t ALTER COLUMN a SET NOT NULL",
    "ALTER TABLE t ALTER COLUMN b DROP NOT NULL",
    "ALTER TABLE t ALTER COLUMN id SET DEFAULT 7",
    "ALTER TABLE t ALTER COLUMN a DROP DEFAULT",
    "ALTER TABLE t DROP COLUMN b",
    "ALTER TABLE t RENAME COLUMN b TO bb",
    "ALTER TABLE t RENAME TO tt",
    "DROP TABLE t",
    "ALTER TABLE t ADD CONSTRAINT positive CHECK (a > 0) NOT VALID",
    "ALTER TABLE t DROP CONSTRAINT c_up",
    "CREATE UNIQUE INDEX t_id ON t (id)",
    'CREATE INDEX "Notes" ON app."Order" (note)',
    "DROP INDEX t_a",
    "CREATE TYPE colour AS ENUM ('red')",
    "ALTER TYPE mood ADD VALUE 'bad'",
    "DROP TYPE mood",
    "CREATE DOMAIN short AS text CHECK (length(VALUE) < 9)",
    "CREATE FUNCTION g(a int, b text[]) RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE FUNCTION app.h() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "DROP FUNCTION f(int, text)",
    "DROP FUNCTION f",
    "CREATE TRIGGER young AFTER UPDATE ON t EXECUTE FUNCTION tell()",
    "DROP TRIGGER old ON t",
    "CREATE VIEW app.v AS SELECT 1 AS one",
    "CREATE MATERIALIZED VIEW m AS SELECT 1 AS one",
    "CREATE SEQUENCE app.counter",
    "CREATE SCHEMA extra",
    "DROP SCHEMA app CASCADE",
]


@pytest.mark.parametrize("statement", STATEMENTS)
def test_an_effect_is_missing_before_and_there_after(one_db: Db, statement: str) -> None:
    one_db.execute(*BEFORE)
    file = migration("1", expand=statement)

    async def story() -> None:
        async with one_db.schema() as schema:
            await schema.prepare()
            before = await schema.missing_effects(file, Half.EXPAND)
            assert before.missing
            await schema.apply(file, Half.EXPAND, release="r", token=1, emit=ignore)
            after = await schema.missing_effects(file, Half.EXPAND)
            assert after.missing == ()

    asyncio.run(story())


def test_a_constraint_that_is_not_valid_is_not_a_validated_one(one_db: Db) -> None:
    one_db.execute(*BEFORE, "ALTER TABLE t ADD CONSTRAINT positive CHECK (a > 0) NOT VALID")
    file = migration("1", expand="ALTER TABLE t VALIDATE CONSTRAINT positive")

    async def story() -> None:
        async with one_db.schema() as schema:
            (missing,) = (await schema.missing_effects(file, Half.EXPAND)).missing
            assert missing.name == "positive"
            one_db.execute("ALTER TABLE t VALIDATE CONSTRAINT positive")
            assert not await schema.missing_effects(file, Half.EXPAND)

    asyncio.run(story())


def test_what_cannot_be_seen_is_said(one_db: Db) -> None:
    one_db.execute(*BEFORE)
    file = migration("1", expand="UPDATE t SET a = 1 WHERE a IS NULL; DO $$ BEGIN END $$")

    async def story() -> None:
        async with one_db.schema() as schema:
            found = await schema.missing_effects(file, Half.EXPAND)
            assert (found.missing, len(found.unknown)) == ((), 2)

    asyncio.run(story())


def test_a_server_that_is_newer_than_every_pg_dump() -> None:
    with pytest.raises(DatabaseError, match="no pg_dump of version 99 or later") as caught:
        asyncio.run(find(99))
    assert "postgresql-client-99" in caught.value.next


def test_a_role_and_a_search_path_of_a_file_end_with_it(one_db: Db) -> None:
    one_db.execute("CREATE ROLE helper", f"GRANT ALL ON DATABASE {one_db.name} TO helper")
    text = (
        "SET LOCAL ROLE helper; CREATE SCHEMA made; SET search_path = made; CREATE TABLE m (i int)"
    )

    async def story() -> None:
        async with one_db.schema() as schema:
            await schema.prepare()
            for version, whole in (("1", True), ("2", False)):
                file = migration(
                    version,
                    expand=section(text.replace("made", f"made{version}"), transaction=whole),
                )
                await schema.apply(file, Half.EXPAND, release="r", token=1, emit=ignore)
            assert (await schema.view()).applied.expanded == {"1", "2"}

    try:
        asyncio.run(story())
        assert one_db.execute("SELECT tableowner FROM pg_tables WHERE schemaname = 'made1'") == [
            ("helper",)
        ]
    finally:
        one_db.execute("DROP OWNED BY helper CASCADE", "DROP ROLE helper")
