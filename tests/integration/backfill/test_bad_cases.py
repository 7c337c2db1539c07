"""What goes wrong in a backfill on a real server: no room, a row that is held, slow rows, no key."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
from tests.integration.backfill.support import (
    EVEN,
    FILE,
    QUIET,
    database,
    done,
    running,
    schema_of,
)
from tests.integration.postgresql.support import Db
from tests.migrations import migration
from tests.servers import missing, os_user, server

from pilotage.errors import HalfFailed
from pilotage.events import BackfillProgress, HalfRetried, ignore
from pilotage.migrate.runner import RunnerSettings, SqlSchema
from pilotage.model import Half
from pilotage.secret import Secret


@contextmanager
def small_disk(megabytes: int) -> Iterator[Path]:
    """A filesystem of its own that is soon full."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        missing("a filesystem that can be mounted (root)")
    folder = Path(tempfile.mkdtemp(prefix="small-"))
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0777", "tmpfs", str(folder)]
    subprocess.run(mount, check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
        folder.rmdir()


def grow(folder: Path, megabytes: int) -> None:
    """Make room."""
    subprocess.run(["mount", "-o", f"remount,size={megabytes}m", "tmpfs", str(folder)], check=True)


def test_a_full_disk_is_one_clear_error_and_the_run_after_it_resumes() -> None:
    postgres = server(18)
    with small_disk(4) as disk, postgres.database() as name:
        db = Db(postgres, name)
        place, space = disk / "space", f"small_{uuid4().hex[:8]}"
        place.mkdir()
        user = os_user()
        if user is not None:
            shutil.chown(place, user, user)
        try:
            db.execute(
                f"CREATE TABLESPACE {space} LOCATION '{place}'",
                f"CREATE TABLE t (id integer PRIMARY KEY, note text) TABLESPACE {space}",
                "INSERT INTO t SELECT i, repeat('x', 150) FROM generate_series(1, 12000) i",
            )

            async def story() -> None:
                async with schema_of(db, EVEN) as schema:
                    with pytest.raises(HalfFailed, match="has no room left") as caught:
                        await schema.backfill(FILE, final=False, token=1, emit=ignore)
                    assert "No space left on device" in str(caught.value)
                    assert "the cursor is kept" in caught.value.state
                    assert caught.value.next.startswith("make room for it")
                    ((before,),) = db.execute("SELECT count(*) FROM t WHERE done = 1")
                    assert before % 100 == 0
                    assert 0 < before < 12000
                    assert f"{before} rows were changed" in caught.value.state
                    grow(disk, 64)
                    await schema.backfill(FILE, final=False, token=1, emit=ignore)

            asyncio.run(story())
            assert done(db) == [(1, 12000)]
        finally:
            db.execute("DROP TABLE IF EXISTS t", f"DROP TABLESPACE IF EXISTS {space}")


def test_a_full_disk_under_sqlite() -> None:
    with small_disk(2) as disk:
        path = disk / "shop.db"
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("CREATE TABLE t (id integer PRIMARY KEY, note text)")
            connection.execute(
                "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 6000)"
                " INSERT INTO t SELECT i, hex(zeroblob(75)) FROM n"
            )
        file = migration(
            "1",
            expand="ALTER TABLE t ADD COLUMN done text; ALTER TABLE t ADD COLUMN n integer",
            backfill="UPDATE t SET done = note || note, n = coalesce(n, 0) + 1 WHERE done IS NULL",
        )

        async def story() -> None:
            settings = RunnerSettings(backfill=QUIET)
            async with SqlSchema(
                url=Secret(f"sqlite:///{path}"), stream="shop", service="shop", settings=settings
            ) as schema:
                await schema.prepare()
                await schema.apply(file, Half.EXPAND, release="r", token=1, emit=ignore)
                with pytest.raises(HalfFailed, match="has no room left") as caught:
                    await schema.backfill(file, final=False, token=1, emit=ignore)
                assert caught.value.next.startswith("make room for it")
                grow(disk, 64)
                await schema.backfill(file, final=False, token=1, emit=ignore)

        asyncio.run(story())
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("SELECT n, count(*) FROM t GROUP BY n").fetchall() == [
                (1, 6000)
            ]


def test_around_a_row_that_somebody_holds_everything_before_it_is_done() -> None:
    with database() as db, db.connection(application_name="editor") as editor:

        async def story() -> None:
            async with schema_of(db) as schema, running(schema) as (watched, task):
                await watched.until(lambda: watched.of(HalfRetried))
                await watched.until(lambda: watched.rows == 776 or task.done())
                ((before,),) = db.execute("SELECT count(*) FROM t WHERE done = 1 AND id < 777")
                assert before == 776
                # Only that one row is waited for now: nothing else is locked meanwhile.
                db.execute("UPDATE t SET id = id WHERE id > 777")
                assert "(editor," in watched.of(HalfRetried)[-1].why
                editor.rollback()
                await task

        async def prepare() -> None:
            async with schema_of(db):
                pass

        asyncio.run(prepare())
        editor.execute("SELECT * FROM t WHERE id = 777 FOR UPDATE")
        asyncio.run(story())
        assert done(db) == [(1, 2000)]


def test_a_batch_that_takes_too_long_is_split_until_it_does_not() -> None:
    with database(rows=500) as db:
        db.execute(
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN PERFORM pg_sleep(0.009); RETURN NEW; END $$",
            "CREATE TRIGGER slow BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION slow()",
        )
        settings = replace(QUIET, batch_rows=20_000, batch_time=0.2)

        async def story() -> None:
            async with schema_of(db, settings) as schema, running(schema) as (watched, task):
                await task
                sizes = [event.batch for event in watched.of(BackfillProgress) if event.batch]
                assert sizes[0] == 125  # a quarter of the first, which was cut off after 4 s
                assert max(sizes[3:]) < 40

        asyncio.run(story())
        assert done(db) == [(1, 500)]


@pytest.mark.parametrize("fillfactor", [100, 40])
def test_by_address_rows_that_move_are_done_once(fillfactor: int) -> None:
    """New versions fall behind the end of the walk, into pages before it, and into the same page."""
    with database(rows=0) as db:
        db.execute(
            "DROP TABLE t",
            f"CREATE TABLE t (id integer, note text) WITH (fillfactor = {fillfactor})",
            "INSERT INTO t SELECT i, repeat('x', i % 200) FROM generate_series(1, 5000) i",
            "DELETE FROM t WHERE id % 3 = 0",
            "VACUUM t",
            "CREATE TABLE log (id integer)",
            "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN INSERT INTO log VALUES (NEW.id); RETURN NULL; END $$",
            "CREATE TRIGGER note AFTER UPDATE ON t FOR EACH ROW EXECUTE FUNCTION note()",
        )
        events: list[object] = []

        async def story() -> None:
            async with schema_of(db) as schema:
                await schema.backfill(FILE, final=False, token=1, emit=events.append)

        asyncio.run(story())
        assert done(db) == [(1, 3334)]
        assert db.execute("SELECT count(*), count(DISTINCT id) FROM log") == [(3334, 3334)]
        assert len(events) < 200


def test_by_address_the_tables_that_inherit_are_walked_to_their_ends() -> None:
    with database(rows=0) as db:
        db.execute(
            "DROP TABLE t",
            "CREATE TABLE t (id integer)",
            "CREATE TABLE child () INHERITS (t)",
            "CREATE TABLE grandchild () INHERITS (child)",
            "INSERT INTO t SELECT generate_series(1, 30)",
            "INSERT INTO grandchild SELECT generate_series(1, 3000)",
        )

        async def story() -> None:
            async with schema_of(db) as schema:
                await schema.backfill(FILE, final=False, token=1, emit=ignore)

        asyncio.run(story())
        assert done(db) == [(1, 3030)]


@pytest.mark.parametrize(
    ("kind", "value"),
    [("integer[]", "ARRAY[i]"), ("jsonb", "to_jsonb('a' || i)"), ("pair", "(i, 'b')::pair")],
)
def test_a_key_that_does_not_read_back_from_its_text_is_not_walked_by(
    kind: str, value: str
) -> None:
    with database(rows=0) as db:
        db.execute(
            "DROP TABLE t",
            "CREATE TYPE pair AS (a integer, b text)",
            f"CREATE TABLE t (id {kind} PRIMARY KEY)",
            f"INSERT INTO t SELECT {value} FROM generate_series(1, 300) i",
        )

        async def story() -> None:
            async with schema_of(db) as schema:
                await schema.backfill(FILE, final=False, token=1, emit=ignore)

        asyncio.run(story())
        assert done(db) == [(1, 300)]


def test_numbers_that_a_server_shows_cut_off_are_walked_by_as_they_are() -> None:
    with database(rows=0) as db:
        db.execute(
            f"ALTER DATABASE {db.name} SET extra_float_digits = 0",
            "DROP TABLE t",
            "CREATE TABLE t (id float8 PRIMARY KEY)",
            "INSERT INTO t VALUES (0), (0.1::float8 + 0.2::float8)",  # which is shown as 0.3, and is more
        )

        async def story() -> None:
            async with schema_of(db) as schema:
                await schema.backfill(FILE, final=False, token=1, emit=ignore)

        asyncio.run(story())
        assert done(db) == [(1, 2)]


def test_a_partitioned_table_without_a_key_is_refused_before_anything_is_changed() -> None:
    with database() as db:
        db.execute(
            "DROP TABLE t",
            "CREATE TABLE t (id integer) PARTITION BY RANGE (id)",
            "CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (100)",
            "INSERT INTO t SELECT generate_series(1, 99)",
        )

        async def story() -> None:
            async with schema_of(db) as schema:
                with pytest.raises(HalfFailed, match="has no key to walk by"):
                    await schema.backfill(FILE, final=False, token=1, emit=ignore)

        asyncio.run(story())
        assert done(db) == [(None, 99)]


@pytest.mark.parametrize(
    "key",
    [
        "ADD PRIMARY KEY (n, id)",
        "ADD COLUMN other uuid PRIMARY KEY DEFAULT gen_random_uuid()",
        "ALTER id TYPE text, ADD PRIMARY KEY (id)",
        "ALTER n TYPE bigint",  # none
    ],
)
def test_a_table_that_got_another_key_is_walked_from_its_beginning(key: str) -> None:
    with database() as db:
        db.execute("ALTER TABLE t ADD COLUMN n integer", "UPDATE t SET n = -id")

        async def story() -> None:
            async with schema_of(db, EVEN) as schema:
                async with running(schema) as (watched, _):
                    await watched.until(lambda: watched.rows >= 300)
                assert 0 < dict(done(db))[1] < 2000
                db.execute("ALTER TABLE t DROP CONSTRAINT t_pkey", f"ALTER TABLE t {key}")
                await schema.backfill(FILE, final=False, token=1, emit=ignore)
            assert done(db) == [(1, 2000)]

        asyncio.run(story())
