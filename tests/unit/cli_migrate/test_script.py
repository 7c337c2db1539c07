"""What running a half would run, as text."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from tests.migrations import migration, section

from pilotage.migrate.dialects.base import Window
from pilotage.migrate.script import script
from pilotage.migrate.settings import RunnerSettings
from pilotage.model import Half

SETTINGS = RunnerSettings(lock_timeout=0.5, timeout=60.0)


def test_a_half_in_a_transaction():
    one = migration("7", "note", expand="ALTER TABLE t ADD COLUMN a int;\nSELECT 1;\n")
    assert (
        script(one, Half.EXPAND, dialect="postgresql", settings=SETTINGS)
        == """\
-- 7_note: the expand half, as pilotage runs it on postgresql
-- under the migration lock, in one session

-- 7/expand: one transaction, retried as a whole
BEGIN;
SET LOCAL lock_timeout = '500ms';
SET LOCAL statement_timeout = '60000ms';
ALTER TABLE t ADD COLUMN a int;
SELECT 1;
-- (recorded: 7/expand)
COMMIT;

-- whoever ran this by hand says so: pilotage migrate mark 7 --verify
"""
    )


def test_directives_are_obeyed():
    half = section("SELECT 1", lock_timeout=2.0, timeout=600.0)
    text = script(migration("7", expand=half), Half.EXPAND, dialect="postgresql", settings=SETTINGS)
    assert "SET LOCAL lock_timeout = '2000ms';" in text
    assert "SET LOCAL statement_timeout = '600000ms';" in text


def test_statement_by_statement():
    half = section("CREATE INDEX CONCURRENTLY i ON t (a);\nANALYZE t;\n", transaction=False)
    text = script(migration("7", expand=half), Half.EXPAND, dialect="postgresql", settings=SETTINGS)
    lines = text.splitlines()[3:]
    assert lines == [
        "-- 7/expand: statement by statement; a run that breaks off resumes",
        "",
        "-- statement 1 of 2",
        "SET lock_timeout = '0ms';",  # nobody queues behind a concurrent build
        "SET statement_timeout = '60000ms';",
        "CREATE INDEX CONCURRENTLY i ON t (a);",
        "-- (where it broke off it left an INVALID index: DROP INDEX CONCURRENTLY i;)",
        "",
        "-- statement 2 of 2",
        "BEGIN;",
        "SET LOCAL lock_timeout = '500ms';",
        "SET LOCAL statement_timeout = '60000ms';",
        "ANALYZE t;",
        "-- (recorded: 7/expand)",
        "COMMIT;",
        "",
        "-- whoever ran this by hand says so: pilotage migrate mark 7 --verify",
    ]


def test_what_may_commit_by_itself_runs_alone_and_waits_briefly():
    half = section("CALL refresh_totals();\n", transaction=False)
    text = script(migration("7", expand=half), Half.EXPAND, dialect="postgresql", settings=SETTINGS)
    assert "SET lock_timeout = '500ms';" in text
    assert "BEGIN" not in text


def test_batches_of_a_backfill():
    fill = "UPDATE t SET b = a WHERE b IS NULL"
    one = migration("7", expand="ALTER TABLE t ADD COLUMN b int", backfill=f"{fill};")
    blind = script(one, Half.EXPAND, dialect="postgresql", settings=SETTINGS)
    assert f"{fill.replace('b IS NULL', '(b IS NULL)')} AND (t.<key> > :after" in blind

    windows = {fill: Window("t.id <= 5000", ["5000"], 5000)}
    seen = script(one, Half.EXPAND, dialect="postgresql", settings=SETTINGS, windows=windows)
    assert "UPDATE t SET b = a WHERE (b IS NULL) AND (t.id <= 5000);" in seen
    assert ":after" not in seen


def test_a_backfill_that_limits_itself_is_repeated():
    fill = "DELETE FROM t WHERE id IN (SELECT id FROM t WHERE a IS NULL LIMIT 100)"
    one = migration("7", expand="SELECT 1", backfill=fill)
    text = script(one, Half.EXPAND, dialect="postgresql", settings=SETTINGS)
    assert "-- repeated until it changes no row\nBEGIN;" in text
    assert f"{fill};" in text


def test_a_contract_half_comes_after_its_backfill_and_its_queries():
    one = migration(
        "7",
        expand="SELECT 'expand'",
        backfill="UPDATE t SET b = a WHERE b IS NULL",
        verify="SELECT id FROM t WHERE b IS NULL",
        contract="ALTER TABLE t DROP COLUMN a",
    )
    text = script(one, Half.CONTRACT, dialect="postgresql", settings=SETTINGS)
    places = [text.index(part) for part in ("UPDATE t", "SELECT id", "DROP COLUMN")]
    assert places == sorted(places)
    assert "SELECT 'expand'" not in text
    assert text.endswith("mark 7/contract --verify\n")
    assert "proven that nothing older runs" in text


def test_sqlite_waits_where_it_begins():
    text = script(
        migration("7", expand="SELECT 1"), Half.EXPAND, dialect="sqlite", settings=SETTINGS
    )
    assert "PRAGMA busy_timeout = 500;\nBEGIN IMMEDIATE;\nSELECT 1;" in text


def test_a_sqlite_table_that_is_made_anew_takes_no_rows_with_it_whoever_runs_the_text():
    one = migration(
        "7",
        expand="CREATE TABLE new (id integer PRIMARY KEY, note text);\n"
        "INSERT INTO new (id) SELECT id FROM t;\nDROP TABLE t;\nALTER TABLE new RENAME TO t",
        backfill="DELETE FROM t WHERE id = 1",
    )
    text = script(one, Half.EXPAND, dialect="sqlite", settings=SETTINGS)
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as database:
        database.executescript(
            "PRAGMA foreign_keys = ON; CREATE TABLE t (id integer PRIMARY KEY);"
            "CREATE TABLE child (t integer REFERENCES t ON DELETE CASCADE);"
            "INSERT INTO t VALUES (1), (2); INSERT INTO child VALUES (1), (2);"
        )
        at = text.index("-- backfill")
        database.executescript(text[:at])
        assert database.execute("SELECT t FROM child").fetchall() == [(1,), (2,)]
        batch = text[at:].replace("t.<key> > :after AND t.<key> <= :until", "true")
        database.executescript(batch)
        assert database.execute("SELECT t FROM child").fetchall() == [(2,)]
