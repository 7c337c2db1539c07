"""Backfills: in batches, to an end, resumable, by whatever key the table has."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from tests.contract.schema.conftest import PATIENT, Kit
from tests.migrations import migration

from pilotage.errors import HalfFailed, NotConverging
from pilotage.events import BackfillProgress, Event, Note, ignore
from pilotage.migrate.runner import RunnerSettings, SqlSchema
from pilotage.migrate.settings import BackfillSettings
from pilotage.model import Half, expand

SMALL = RunnerSettings(
    lock_timeout=0.1, timeout=20.0, backfill=BackfillSettings(batch_rows=100, duty=1.0)
)
NUMBERS = (
    "INSERT INTO t {1} WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
    " WHERE i < {0}) SELECT {2} FROM n"
)

# table definition, columns of INSERT, values of row i
TABLES = {
    "integer": ("id integer PRIMARY KEY", "(id)", "i"),
    "negative": ("id integer PRIMARY KEY", "(id)", "i - 600"),
    "text": ("id varchar(99) PRIMARY KEY", "(id)", "'O''Br\\ien ' || i"),
    "composite": ("a varchar(99), b integer, PRIMARY KEY (b, a)", "(a, b)", "'x' || i, i / 7"),
    "unique": ("a integer NOT NULL UNIQUE, n integer UNIQUE", "(a)", "i"),
    "no key": ("a integer", "(a)", "i / 3"),
    "quoted": ('"Group Id" integer PRIMARY KEY', '("Group Id")', "i"),
    "real": ("id double precision PRIMARY KEY", "(id)", "i / 3.0"),
}


def backfilled(statement: str, rows: str = "") -> Any:
    return migration(
        "1", "fill", expand=rows or "ALTER TABLE t ADD COLUMN done integer", backfill=statement
    )


async def expanded(schema: SqlSchema, file: Any) -> None:
    await schema.prepare()
    await schema.apply(file, Half.EXPAND, release="r", token=1, emit=ignore)


async def fill(schema: SqlSchema, file: Any, *, final: bool = False) -> list[Event]:
    events: list[Event] = []
    await schema.backfill(file, final=final, token=1, emit=events.append)
    return events


@pytest.mark.parametrize("table", TABLES)
def test_every_row_is_changed_once_whatever_the_key(kit: Kit, table: str) -> None:
    if table == "no key" and kit.dialect == "mysql":
        return  # it has no row addresses: see test_a_table_without_a_key
    columns, names, values = TABLES[table]
    kit.execute(f"CREATE TABLE t ({columns})", NUMBERS.format(1234, names, values))
    file = backfilled("UPDATE t SET done = coalesce(done, 0) + 1 WHERE done IS NULL")

    async def story() -> list[Event]:
        async with kit.schema(settings=SMALL) as schema:
            await expanded(schema, file)
            assert (await schema.view()).applied.expanded == frozenset()
            events = await fill(schema, file)
            assert (await schema.view()).applied.expanded == {"1"}
            return events

    events = asyncio.run(story())
    assert kit.execute("SELECT done, count(*) FROM t GROUP BY done") == [(1, 1234)]
    progress = [event for event in events if isinstance(event, BackfillProgress)]
    steps = [b.rows - a.rows for a, b in pairwise(progress)]
    if table != "no key" or kit.dialect == "sqlite":
        assert max(steps) <= 100  # by its address, PostgreSQL walks in whole pages
    assert len(progress) >= 13
    assert progress[-1].rows == 1234
    far = [(event.number, event.fraction) for event in progress if event.fraction is not None]
    assert far == sorted(far)
    assert [event.fraction == 1.0 for event in progress[-2:]] == [False, True]


SQLITE_KEYS = {
    "a column called rowid": ("(rowid text)", "CASE WHEN i % 2 THEN 'x' || i END"),
    "text with a NUL": ("(id text PRIMARY KEY) WITHOUT ROWID", "'a' || char(0) || i"),
    "values of every type": (
        "(id PRIMARY KEY) WITHOUT ROWID",
        "CASE i % 4 WHEN 0 THEN i WHEN 1 THEN i / 3.0 WHEN 2 THEN i || char(39) ELSE randomblob(9) END",
    ),
    "rowids far apart": ("(id integer PRIMARY KEY)", "(i - 250) * 36000000000000000"),
}


@pytest.mark.parametrize("key", SQLITE_KEYS)
def test_every_row_of_a_sqlite_table_is_changed_once(tmp_path: Path, key: str) -> None:
    path = tmp_path / "shop.db"
    path.touch()
    kit = Kit("sqlite", f"sqlite:///{path}", path=path)
    definition, values = SQLITE_KEYS[key]
    kit.execute(f"CREATE TABLE t {definition}", NUMBERS.format(500, "", values))
    file = backfilled("UPDATE t SET done = coalesce(done, 0) + 1 WHERE done IS NULL")

    async def story() -> None:
        async with kit.schema(settings=SMALL) as schema:
            await expanded(schema, file)
            await fill(schema, file)

    asyncio.run(story())
    assert kit.execute("SELECT done, count(*) FROM t GROUP BY done") == [(1, 500)]


def test_a_view_has_no_key(kit: Kit) -> None:
    kit.execute(
        "CREATE TABLE rows_of_t (id integer PRIMARY KEY, done integer)",
        "INSERT INTO rows_of_t (id) VALUES (1)",
        "CREATE VIEW t AS SELECT * FROM rows_of_t",
    )
    file = backfilled("UPDATE t SET done = 1 WHERE done IS NULL", rows="SELECT 1")

    async def story() -> None:
        async with kit.schema(settings=SMALL) as schema:
            await expanded(schema, file)
            with pytest.raises(HalfFailed, match="has no key to walk by"):
                await fill(schema, file)

    asyncio.run(story())


def test_a_table_without_a_key(kit: Kit) -> None:
    """Where rows have no address of their own either, it is refused before anything is changed."""
    kit.execute("CREATE TABLE t (n integer UNIQUE, m integer)")
    file = backfilled("UPDATE t SET done = 1 WHERE done IS NULL")

    async def story() -> None:
        async with kit.schema(settings=SMALL) as schema:
            await expanded(schema, file)
            if kit.dialect == "mysql":
                with pytest.raises(HalfFailed, match="has no key to walk by"):
                    await fill(schema, file)
            else:
                await fill(schema, file)

    asyncio.run(story())


def test_a_key_with_nulls_is_not_walked_by(kit: Kit) -> None:
    if kit.dialect == "mysql":
        return  # see test_a_table_without_a_key
    kit.execute(
        "CREATE TABLE t (n integer UNIQUE, m integer)",
        NUMBERS.format(500, "(n)", "CASE WHEN i % 2 = 0 THEN i END"),
    )
    file = backfilled("UPDATE t SET done = 1 WHERE done IS NULL")

    async def story() -> None:
        async with kit.schema(settings=SMALL) as schema:
            await expanded(schema, file)
            await fill(schema, file)

    asyncio.run(story())
    assert kit.execute("SELECT count(*) FROM t WHERE done = 1") == [(500,)]


def test_an_alias_a_join_and_a_delete(kit: Kit) -> None:
    kit.execute(
        "CREATE TABLE t (id integer PRIMARY KEY, a integer)",
        NUMBERS.format(300, "(id, a)", "i, i"),
        "CREATE TABLE names (id integer PRIMARY KEY, name text)",
        "INSERT INTO names SELECT id, 'n' || id FROM t",
    )
    joined = "UPDATE t AS x SET name = n.name FROM names AS n\nWHERE n.id = x.id AND"
    deleted = "DELETE FROM names WHERE id % 2 = 0"
    if kit.dialect == "mysql":
        joined = "UPDATE t AS x JOIN names AS n ON n.id = x.id SET x.name = n.name WHERE"
        deleted = "DELETE n FROM names AS n JOIN t ON t.id = n.id WHERE t.id % 2 = 0"
    file = migration(
        "1",
        expand="ALTER TABLE t ADD COLUMN name text",
        backfill=f"{joined} (x.name IS NULL OR x.name <> n.name);\n{deleted}",
    )

    async def story() -> None:
        async with kit.schema(settings=SMALL) as schema:
            await expanded(schema, file)
            await fill(schema, file)

    asyncio.run(story())
    assert kit.execute("SELECT count(*) FROM t WHERE name = 'n' || id") == [(300,)]
    assert kit.execute("SELECT count(*) FROM names") == [(150,)]


def test_a_statement_with_a_limit_is_repeated(kit: Kit) -> None:
    kit.execute(
        "CREATE TABLE t (id integer PRIMARY KEY)",
        NUMBERS.format(1000, "(id)", "i"),
        "CREATE TABLE copy (id integer PRIMARY KEY)",
    )
    file = backfilled(
        "INSERT INTO copy SELECT id FROM t WHERE NOT EXISTS"
        " (SELECT 1 FROM copy c WHERE c.id = t.id) LIMIT 300"
    )

    async def story() -> list[Event]:
        async with kit.schema() as schema:
            await expanded(schema, file)
            return await fill(schema, file)

    events = asyncio.run(story())
    assert kit.execute("SELECT count(*) FROM copy") == [(1000,)]
    assert events[-1].rows == 1000  # type: ignore[attr-defined]


def test_a_backfill_without_end_is_found_out(kit: Kit) -> None:
    kit.execute("CREATE TABLE t (id integer PRIMARY KEY)", NUMBERS.format(250, "(id)", "i"))
    file = backfilled("UPDATE t SET done = coalesce(done, 0) + 1 WHERE id > 0")

    async def story() -> None:
        async with kit.schema(settings=SMALL) as schema:
            await expanded(schema, file)
            for final in (False, True):
                with pytest.raises(NotConverging, match="run again, it changes"):
                    await fill(schema, file, final=final)
            assert (await schema.view()).applied.expanded == frozenset()

    asyncio.run(story())
    assert kit.execute("SELECT count(*) FROM t WHERE done IS NOT NULL") == [(0,)]


def test_a_limited_statement_without_end_is_found_out(kit: Kit) -> None:
    kit.execute("CREATE TABLE t (id integer PRIMARY KEY)", NUMBERS.format(5000, "(id)", "i"))
    kit.execute("CREATE TABLE log (id integer)")
    file = backfilled("INSERT INTO log SELECT id FROM t LIMIT 5000")

    async def story() -> None:
        async with kit.schema() as schema:
            await expanded(schema, file)
            with pytest.raises(NotConverging, match="and goes on"):
                await fill(schema, file)

    asyncio.run(story())


def test_the_final_run_takes_what_was_written_since(kit: Kit) -> None:
    kit.execute("CREATE TABLE t (id integer PRIMARY KEY)", NUMBERS.format(300, "(id)", "i"))
    file = backfilled("UPDATE t SET done = 1 WHERE done IS NULL")

    async def story() -> None:
        async with kit.schema(settings=SMALL) as schema:
            await expanded(schema, file)
            await fill(schema, file)
            kit.execute("UPDATE t SET done = NULL WHERE id IN (1, 150, 299)")
            assert await fill(schema, file) == []  # the expand half is finished
            before = (await schema.view()).row(expand("1"))
            for _ in range(2):
                await fill(schema, file, final=True)
                assert kit.execute("SELECT count(*) FROM t WHERE done IS NULL") == [(0,)]
                kit.execute("UPDATE t SET done = NULL WHERE id = 2")
            assert (await schema.view()).row(expand("1")) == before

    asyncio.run(story())


def test_old_code_that_writes_on_does_not_hold_up_the_first_run(kit: Kit) -> None:
    kit.execute("CREATE TABLE t (id integer PRIMARY KEY)", NUMBERS.format(300, "(id)", "i"))
    file = backfilled("UPDATE t SET done = 1 WHERE done IS NULL")

    def old_code(event: Event) -> None:
        """Writes as each pass ends, so that every pass finds something."""
        if isinstance(event, BackfillProgress):
            kit.execute("UPDATE t SET done = NULL WHERE id <= 3")

    async def story() -> list[Event]:
        events: list[Event] = []

        def emit(event: Event) -> None:
            events.append(event)
            old_code(event)

        async with kit.schema(settings=SMALL) as schema:
            await expanded(schema, file)
            await schema.backfill(file, final=False, token=1, emit=emit)
            assert (await schema.view()).applied.expanded == {"1"}
            with pytest.raises(NotConverging, match="something still writes"):
                await schema.backfill(file, final=True, token=1, emit=emit)
        return events

    events = asyncio.run(story())
    assert any(isinstance(event, Note) for event in events)


def test_a_failure_keeps_the_cursor_and_an_edit_begins_anew(kit: Kit) -> None:
    kit.execute(
        "CREATE TABLE t (id integer PRIMARY KEY, a integer)",
        NUMBERS.format(500, "(id, a)", "i, i"),
        "CREATE TABLE forbidden (id integer)",
    )
    expand_text = "ALTER TABLE t ADD COLUMN done integer CHECK (done <> 333)"
    bad = backfilled("UPDATE t SET done = a\nWHERE done IS NULL", expand_text)
    good = backfilled("UPDATE t SET done = a + 1000 WHERE done IS NULL", expand_text)

    async def story() -> None:
        async with kit.schema(settings=SMALL) as schema:
            await expanded(schema, bad)
            for _ in range(2):
                with pytest.raises(HalfFailed) as caught:
                    await fill(schema, bad)
                assert "300 rows were changed" in caught.value.state
                assert kit.execute("SELECT count(*) FROM t WHERE done > 0") == [(300,)]
            await expanded(schema, good)  # the expand half itself is as it was
            await fill(schema, good)
            row = (await schema.view()).row(expand("1"))
            assert row is not None
            assert row.finished_at is not None
            assert row.checksum == good.checksum(Half.EXPAND)

    asyncio.run(story())
    assert kit.execute("SELECT count(*) FROM t WHERE done < 1000") == [(300,)]


def test_no_backfill_before_its_expand_half(kit: Kit) -> None:
    file = backfilled("UPDATE t SET done = 1 WHERE done IS NULL")

    async def story() -> None:
        async with kit.schema() as schema:
            await schema.prepare()
            with pytest.raises(HalfFailed, match="before its expand half"):
                await fill(schema, file)
            kit.execute("CREATE TABLE t (id integer PRIMARY KEY)")
            await expanded(schema, file)
            await fill(schema, file)  # an empty table
            assert (await schema.view()).applied.expanded == {"1"}

    asyncio.run(story())
    assert PATIENT.backfill.batch_rows == 20_000


def test_rows_that_running_code_goes_on_writing_do_not_hold_up_the_first_run(kit: Kit) -> None:
    """Now more, now fewer rows of the old kind come in during a pass: that alone has no end."""
    kit.execute("CREATE TABLE t (id integer PRIMARY KEY)", NUMBERS.format(90, "(id)", "i"))
    file = backfilled("UPDATE t SET done = 1 WHERE done IS NULL")
    coming = iter([3, 2, 1] * 20)  # one batch a pass, so one number a pass

    async def story() -> list[Event]:
        async with kit.schema(settings=SMALL) as schema:
            await expanded(schema, file)
            events: list[Event] = []

            def write(event: Event) -> None:
                """A batch was committed: old code writes behind the cursor."""
                events.append(event)
                if isinstance(event, BackfillProgress) and event.fraction is not None:
                    rows = next(coming)
                    kit.execute(f"UPDATE t SET done = NULL WHERE id <= {rows}")

            await schema.backfill(file, final=False, token=1, emit=write)
            assert expand("1").version in (await schema.view()).applied.expanded
            return events

    told = [event.text for event in asyncio.run(story()) if isinstance(event, Note)]
    assert any("the run before the contract half takes them" in text for text in told)
