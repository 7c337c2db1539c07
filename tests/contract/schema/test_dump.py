"""The schema as text: dumped, loaded, compared, squashed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.contract.schema.conftest import Kit
from tests.migrations import migration, migrations

from pilotage.errors import HalfFailed, Refused, UsageError
from pilotage.events import ignore
from pilotage.migrate.dump import differences, drift
from pilotage.migrate.loader import parse_migration
from pilotage.migrate.migration import Migration
from pilotage.migrate.runner import RunnerSettings, SqlSchema
from pilotage.model import Half

FIRST = migration(
    "1",
    "first",
    expand="CREATE TABLE t (id integer PRIMARY KEY, a varchar(20) NOT NULL DEFAULT 'x;y');\n"
    "CREATE INDEX t_a ON t (a);\nCREATE VIEW v AS SELECT id FROM t",
)


def second(kit: Kit) -> Migration:
    return migration(
        "2",
        "second",
        expand="ALTER TABLE t ADD COLUMN b integer",
        contract="DROP INDEX t_a ON t" if kit.dialect == "mysql" else "DROP INDEX t_a",
    )


async def applied(schema: SqlSchema, *files: Migration) -> None:
    await schema.prepare()
    for file in files:
        for ref in file.halves():
            await schema.apply(file, ref.half, release="r", token=1, emit=ignore)


def test_a_dump_is_the_same_each_time_and_knows_what_it_holds(kit: Kit) -> None:
    async def story() -> str:
        async with kit.schema() as schema:
            await applied(schema, FIRST, second(kit))
            text = await schema.dump()
            assert text == await schema.dump()
            assert await schema.drift(text) == ""
            return text

    text = asyncio.run(story())
    assert "pilotage_" not in text
    assert f"-- pilotage: applied 2/contract {second(kit).checksum(Half.CONTRACT)} second" in text


def test_a_new_database_is_loaded_from_the_schema_and_the_seed(kit: Kit, tmp_path: Path) -> None:
    schema_file, seed = tmp_path / "schema.sql", tmp_path / "seed.sql"
    settings = RunnerSettings(schema_file=schema_file, seed_file=seed)

    async def story() -> None:
        async with kit.schema() as schema:
            await applied(schema, FIRST, second(kit))
            schema_file.write_text(await schema.dump())
            before = await schema.view()
        tables = "t", *(name for (name,) in kit.execute(_OURS[kit.dialect]))
        kit.execute("DROP VIEW v", *(f"DROP TABLE {table}" for table in tables))

        seed.write_text("INSERT INTO t (id) VALUES (1);\nINSERT INTO t (id) VALUES (NULL), (1)")
        async with kit.schema(settings=settings) as schema:
            with pytest.raises(HalfFailed) as caught:
                await schema.prepare()
            assert caught.value.where == f"{seed}:2"
            assert (await schema.view()).rows == ()
        seed.write_text("INSERT INTO t (id) VALUES (1)")
        async with kit.schema(settings=settings) as schema:
            await schema.prepare()
            await schema.prepare()
            after = await schema.view()
            assert after.fresh
            assert [(r.ref, r.name, r.checksum) for r in after.rows] == [
                (r.ref, r.name, r.checksum) for r in before.rows
            ]
            assert {row.how for row in after.rows} == {"adopted"}
            assert await schema.drift(schema_file.read_text()) == ""

    asyncio.run(story())
    assert kit.execute("SELECT id, a FROM t") == [(1, "x;y")]


_OURS = {
    "postgresql": r"SELECT tablename FROM pg_tables WHERE tablename LIKE 'pilotage\_%'",
    "mysql": "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()"
    " AND table_name LIKE 'pilotage%'",
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'pilotage%'",
}


def test_drift_is_told_as_a_diff(kit: Kit) -> None:
    async def story() -> str:
        async with kit.schema() as schema:
            await applied(schema, FIRST)
            assert await schema.drift() == ""  # nothing was recorded
            await schema.record_dump()
            assert await schema.drift() == ""
            kit.execute("CREATE TABLE surprise (i integer)")
            return await schema.drift()

    found = asyncio.run(story())
    assert "+CREATE TABLE" in found
    assert "surprise" in found


def test_two_routes_to_one_schema_are_alike(kit: Kit) -> None:
    other = [
        migration("1", expand="CREATE TABLE t (id integer PRIMARY KEY, b integer)"),
        migration("2", expand="ALTER TABLE t ADD COLUMN a varchar(20) NOT NULL DEFAULT 'x;y'"),
        migration("3", expand="CREATE VIEW v AS SELECT id FROM t"),
    ]

    async def dumped(*files: Migration) -> str:
        async with kit.schema() as schema:
            await applied(schema, *files)
            text = await schema.dump()
        kit.execute("DROP VIEW v", "DROP TABLE t", "DELETE FROM pilotage_migrations")
        return text

    one = asyncio.run(dumped(FIRST, second(kit)))
    two = asyncio.run(dumped(*other))
    assert drift(one, two, kit.dialect) != ""
    assert differences(one, two, kit.dialect) == ""
    three = asyncio.run(dumped(FIRST))
    assert "t_a" in differences(one, three, kit.dialect)


def test_a_baseline_makes_the_schema_that_its_files_made(kit: Kit) -> None:
    files = migrations(FIRST, second(kit))

    async def story() -> None:
        async with kit.schema() as schema:
            await applied(schema, FIRST)
            with pytest.raises(UsageError, match="no migration 3"):
                await schema.baseline(files, through="3")
            with pytest.raises(Refused, match="2/expand, 2/contract is not applied"):
                await schema.baseline(files, through="2")
            await applied(schema, second(kit))
            with pytest.raises(Refused, match="2/expand, 2/contract is applied"):
                await schema.baseline(files, through="1")
            text = await schema.baseline(files, through="2")
            before = await schema.dump()
        squash = parse_migration(text, path=Path("3_squash.sql"), dialect=kit.dialect)
        assert squash.replaces == (("1", "2"),)
        kit.execute("DROP VIEW v", "DROP TABLE t", "DELETE FROM pilotage_migrations")
        async with kit.schema() as schema:
            await schema.apply(squash, Half.EXPAND, release="r", token=1, emit=ignore, fresh=True)
            assert await schema.drift(before) == ""
            assert (await schema.view()).applied.contracted == {"3"}

    asyncio.run(story())


def test_a_file_that_cannot_be_read_is_a_wrong_configuration(kit: Kit, tmp_path: Path) -> None:
    settings = RunnerSettings(schema_file=tmp_path / "none.sql")

    async def story() -> None:
        async with kit.schema(settings=settings) as schema:
            with pytest.raises(UsageError, match="cannot be read"):
                await schema.prepare()

    asyncio.run(story())


def test_nobody_who_looks_waits_for_a_dump_that_waits(postgresql: Kit) -> None:
    waiting = (
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        " AND query LIKE '%ACCESS SHARE%' AND datname = current_database()"
    )

    async def story() -> str:
        async with postgresql.schema() as schema, asyncio.timeout(60):
            await applied(schema, FIRST)
            with postgresql.blocked("t") as let_go:
                dumping = asyncio.create_task(schema.dump())
                while postgresql.execute(waiting) != [(1,)]:
                    assert not dumping.done()
                    await asyncio.sleep(0.01)
                assert (await schema.view()).rows
                assert not dumping.done()
                let_go()
                return await dumping

    assert "CREATE TABLE" in asyncio.run(story())
