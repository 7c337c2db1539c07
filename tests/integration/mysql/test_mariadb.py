"""What is MariaDB's own: definitions that commit, metadata locks, locks by name, users, files of the client."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from tests.mariadb import MariaDB, mariadb
from tests.migrations import migration, section
from tests.runners import closed, finish, start, told

from pilotage.errors import (
    AmbiguousOutcome,
    DatabaseError,
    DatabaseUnavailable,
    HalfFailed,
    LockUnavailable,
)
from pilotage.events import Event, HalfRetried, HalfStatement, Note, ignore
from pilotage.hazards.catalogue import Catalogue
from pilotage.hazards.check import check
from pilotage.hazards.examples import SCHEMA
from pilotage.hazards.rewrites import rewriter
from pilotage.migrate.dialects.base import StatementError, Trouble
from pilotage.migrate.dialects.mysql.address import parse
from pilotage.migrate.dialects.mysql.session import MysqlSession
from pilotage.migrate.loader import parse_migration
from pilotage.migrate.migration import Migration
from pilotage.migrate.runner import RunnerSettings, SqlSchema
from pilotage.migrate.script import script
from pilotage.migrate.sql import changes
from pilotage.model import Half, expand
from pilotage.secret import Secret

pytestmark = pytest.mark.integration

PATIENT = RunnerSettings(lock_timeout=0.2, timeout=30.0, lock_wait=20.0)


@pytest.fixture
def server() -> MariaDB:
    return mariadb()


@pytest.fixture
def database(server: MariaDB) -> Iterator[str]:
    with server.database() as name:
        yield name


def schema(url: str, **more: Any) -> SqlSchema:
    options: dict[str, Any] = {"stream": "shop", "service": "shop", "settings": PATIENT}
    return SqlSchema(url=Secret(url), **(options | more))


async def run(target: SqlSchema, file: Any, half: Half = Half.EXPAND) -> list[Event]:
    events: list[Event] = []
    await target.apply(file, half, release="r", token=1, emit=events.append)
    return events


def columns(server: MariaDB, database: str, table: str) -> set[str]:
    rows = server.execute(f"SHOW COLUMNS FROM {table}", database=database)
    return {row[0] for row in rows}


# -- a run that is killed ----------------------------------------------------------------------------


@pytest.mark.parametrize("after", range(5))
def test_a_half_that_was_killed_goes_on_where_it_was(
    server: MariaDB, database: str, after: int
) -> None:
    story = """
        import os, signal
        await schema.prepare()
        file = migration("1", expand='''
            CREATE TABLE a (id int PRIMARY KEY);
            INSERT INTO a VALUES (1);
            ALTER TABLE a ADD COLUMN b int;
            INSERT INTO a (id) VALUES (2);
            CREATE INDEX a_b ON a (b)''')
        seen = [0]
        def emit(event):
            told(event)
            if event.to_json()["event"] == "HalfStatement":
                seen[0] += 1
                if seen[0] > AFTER:
                    os.kill(os.getpid(), signal.SIGKILL)
        await schema.apply(file, Half.EXPAND, release="r", token=1, emit=emit)
    """
    url = server.url(database)
    with closed(start(url, story.replace("AFTER", str(after)))) as process:
        list(told(process))
        assert process.wait(60) == -9
    with closed(start(url, story.replace("AFTER", "99"))) as process:
        said = finish(process)
    numbers = [event["number"] for event in said if event["event"] == "HalfStatement"]
    assert numbers == list(range(after + 2, 6))
    assert server.execute("SELECT id FROM a ORDER BY id", database=database) == [(1,), (2,)]
    assert columns(server, database, "a") == {"id", "b"}


@pytest.mark.parametrize("after", range(3))
def test_a_down_section_that_was_killed_goes_on_where_it_was(
    server: MariaDB, database: str, after: int
) -> None:
    text = """
        import os, signal
        from pilotage.errors import Refused
        await schema.prepare()
        file = migration("1",
            expand="CREATE TABLE a (id int PRIMARY KEY, b int); CREATE TABLE log (id int)",
            down='''
            INSERT INTO log VALUES (1);
            ALTER TABLE a DROP COLUMN b;
            INSERT INTO log VALUES (2);
            DROP TABLE a''')
    """
    kill = """
        await schema.apply(file, Half.EXPAND, release="r", token=1, emit=lambda event: None)
        seen = [0]
        def emit(event):
            told(event)
            if event.to_json()["event"] == "HalfStatement":
                seen[0] += 1
                if seen[0] > AFTER:
                    os.kill(os.getpid(), signal.SIGKILL)
        await schema.revert(file, token=1, emit=emit)
    """
    go_on = """
        assert (await schema.view()).applied.expanded == frozenset()
        try:
            await schema.apply(file, Half.EXPAND, release="r", token=1, emit=told)
        except Refused as error:
            assert "being taken back" in str(error)
        else:
            raise AssertionError("it was applied again")
        await schema.revert(file, token=1, emit=told)
        assert (await schema.view()).rows == ()
    """
    url = server.url(database)
    with closed(start(url, text + kill.replace("AFTER", str(after)))) as process:
        list(told(process))
        assert process.wait(60) == -9
    with closed(start(url, text + go_on)) as process:
        said = finish(process)
    numbers = [event["number"] for event in said if event["event"] == "HalfStatement"]
    assert numbers == list(range(after + 2, 5))
    assert server.execute("SELECT id FROM log ORDER BY id", database=database) == [(1,), (2,)]
    assert server.execute("SHOW TABLES LIKE 'a'", database=database) == []


@pytest.mark.parametrize("happened", [True, False])
def test_a_definition_in_doubt_is_looked_for(
    server: MariaDB, database: str, happened: bool
) -> None:
    file = migration("1", expand="CREATE TABLE a (id int);\nALTER TABLE a ADD COLUMN b int")

    async def story() -> list[Event]:
        async with schema(server.url(database)) as target:
            await target.prepare()
            await run(target, file)
            server.execute(
                "UPDATE pilotage_migrations SET statements_done = 1, in_statement = 1,"
                f" finished_at = NULL, done_digest = '{_digest(file)}'",
                *([] if happened else ["ALTER TABLE a DROP COLUMN b"]),
                database=database,
            )
            return await run(target, file)

    notes = [event.text for event in asyncio.run(story()) if isinstance(event, Note)]
    assert any("was done before the crash" in note for note in notes) is happened
    assert columns(server, database, "a") == {"id", "b"}


def _digest(file: Any) -> str:
    from pilotage.migrate.work import digest, steps_of

    return digest(steps_of(file.expand, file, "mysql")[:1])


def test_a_procedure_in_doubt_is_asked_about(server: MariaDB, database: str) -> None:
    server.execute("CREATE PROCEDURE p() SELECT 1", database=database)
    file = migration("1", expand="CREATE TABLE a (id int);\nCALL p()")

    async def story() -> None:
        async with schema(server.url(database)) as target:
            await target.prepare()
            await run(target, file)
            server.execute(
                "UPDATE pilotage_migrations SET statements_done = 1, in_statement = 1,"
                f" finished_at = NULL, done_digest = '{_digest(file)}'",
                database=database,
            )
            with pytest.raises(AmbiguousOutcome, match="statement 2 of 2"):
                await run(target, file)

    asyncio.run(story())


def test_rows_alone_are_one_transaction(server: MariaDB, database: str) -> None:
    server.execute("CREATE TABLE a (id int PRIMARY KEY)", database=database)
    file = migration("1", expand="INSERT INTO a VALUES (1);\nINSERT INTO a VALUES (1)")

    async def story() -> None:
        async with schema(server.url(database)) as target:
            await target.prepare()
            with pytest.raises(HalfFailed, match="Duplicate") as caught:
                await run(target, file)
            assert caught.value.state == "nothing of 1/expand is applied"
            assert (await target.view()).rows == ()

    asyncio.run(story())
    assert server.execute("SELECT * FROM a", database=database) == []


# -- locks ------------------------------------------------------------------------------------------


def test_who_is_in_the_way_of_a_metadata_lock_is_named(server: MariaDB, database: str) -> None:
    server.execute("CREATE TABLE busy (id int PRIMARY KEY)", database=database)
    file = migration("1", expand="ALTER TABLE busy ADD COLUMN a int")
    impatient = RunnerSettings(lock_timeout=0.5, timeout=4.0)

    async def story() -> LockUnavailable:
        async with schema(server.url(database), settings=impatient) as target:
            await target.prepare()
            with pytest.raises(LockUnavailable) as caught:
                await run(target, file)
            return caught.value

    with closing(server.connect(database, autocommit=False)) as other:
        with other.cursor() as cursor:
            cursor.execute("SELECT * FROM busy FOR UPDATE")
        error = asyncio.run(story())
        assert f"KILL {other.thread_id()};" in error.what
    assert columns(server, database, "busy") == {"id"}


def test_a_short_wait_for_a_metadata_lock_is_less_than_a_second(
    server: MariaDB, database: str
) -> None:
    """The servers count such waits in whole seconds; every query on the table waits behind ours."""
    server.execute("CREATE TABLE busy (id int PRIMARY KEY)", database=database)
    file = migration("1", expand="ALTER TABLE busy ADD COLUMN a int")
    events: list[Event] = []

    async def story() -> None:
        async with schema(
            server.url(database), settings=RunnerSettings(lock_timeout=0.2)
        ) as target:
            await target.prepare()
            with closing(server.connect(database, autocommit=False)) as other:
                with other.cursor() as cursor:
                    cursor.execute("SELECT * FROM busy FOR UPDATE")

                def emit(event: Event) -> None:
                    events.append(event)
                    if isinstance(event, HalfRetried) and event.attempt >= 2:
                        other.rollback()

                await target.apply(file, Half.EXPAND, release="r", token=1, emit=emit)

    asyncio.run(story())
    assert all("200 ms" in e.why for e in events if isinstance(e, HalfRetried))
    assert columns(server, database, "busy") == {"id", "a"}


def test_a_short_wait_is_ended_by_a_session_that_is_ready_before_it_begins(
    server: MariaDB, database: str
) -> None:
    """To log in takes time in which the site waits; a session that the server has given up is replaced."""
    server.execute("CREATE TABLE busy (id int PRIMARY KEY)", database=database)

    async def connections(session: MysqlSession) -> int:
        return int((await session.query("SHOW GLOBAL STATUS LIKE 'Connections'"))[0][1])

    async def story() -> list[int]:
        session = await MysqlSession.open(parse(Secret(server.url(database))))
        new = []
        try:
            await session.limit(lock=0.2, total=30.0, local=False)
            for killed in (False, True):
                if killed:
                    await session.execute(f"KILL {session.pid + 1}")
                before = await connections(session)
                with pytest.raises(StatementError, match="not granted in time") as caught:
                    await session.execute("ALTER TABLE busy ADD COLUMN a int")
                assert caught.value.trouble is Trouble.LOCK
                new.append(await connections(session) - before)
        finally:
            await session.close()
        return new

    with closing(server.connect(database, autocommit=False)) as other:
        with other.cursor() as cursor:
            cursor.execute("SELECT * FROM busy FOR UPDATE")
        assert asyncio.run(story()) == [0, 1]


@asynccontextmanager
async def patient(url: str) -> AsyncIterator[MysqlSession]:
    """A session that waits for a lock for 0.2 s, which the server would round up to a second, with error 1205."""
    session = await MysqlSession.open(parse(Secret(url)))
    try:
        await session.limit(lock=0.2, total=30.0, local=False)
        yield session
    finally:
        await session.close()


def test_a_short_wait_in_the_midst_of_a_statement_is_ended(server: MariaDB, database: str) -> None:
    """As the one at the end of an online ALTER."""
    server.execute(
        "CREATE TABLE busy (id int PRIMARY KEY)",
        "CREATE PROCEDURE p() BEGIN DO sleep(0.5); ALTER TABLE busy ADD COLUMN a int; END",
        database=database,
    )

    async def story() -> None:
        async with patient(server.url(database)) as session:
            with pytest.raises(StatementError, match="not granted in time") as caught:
                await session.execute("CALL p()")
            assert caught.value.trouble is Trouble.LOCK
            assert await session.query("SELECT 1") == [(1,)]

    with closing(server.connect(database, autocommit=False)) as other:
        with other.cursor() as cursor:
            cursor.execute("SELECT * FROM busy FOR UPDATE")
        asyncio.run(story())


@pytest.mark.parametrize("sees", [True, False])
def test_a_short_wait_for_a_row(server: MariaDB, database: str, sees: bool) -> None:
    """Who may not see transactions (PROCESS) waits for as long as the server counts."""
    server.execute(
        "CREATE TABLE rows_ (id int PRIMARY KEY, a int)",
        "INSERT INTO rows_ VALUES (1, 1), (2, 2)",
        database=database,
    )
    user = f"u{uuid4().hex[:8]}"
    server.execute(
        f"CREATE USER {user} IDENTIFIED BY 's3cret'", f"GRANT ALL ON {database}.* TO {user}"
    )
    url = f"mysql://{user}:s3cret@127.0.0.1:{server.port}/{database}"

    async def story() -> None:
        ours = server.url(database) if sees else url
        async with patient(ours) as session, session.transaction():
            await session.execute("UPDATE rows_ SET a = 3 WHERE id = 1")
            with pytest.raises(StatementError) as caught:
                await session.execute("UPDATE rows_ SET a = 3 WHERE id = 2")
            assert caught.value.trouble is Trouble.LOCK
            assert caught.value.code == ("1317" if sees else "1205")

    try:
        with closing(server.connect(database, autocommit=False)) as other:
            with other.cursor() as cursor:
                cursor.execute("UPDATE rows_ SET a = 4 WHERE id = 2")
            asyncio.run(story())
    finally:
        server.execute(f"DROP USER {user}")


def test_a_silent_copy_is_refused_and_one_that_is_asked_for_runs(
    server: MariaDB, database: str
) -> None:
    server.execute(
        "CREATE TABLE t (id int PRIMARY KEY, a int)",
        "INSERT INTO t VALUES (1, 1)",
        database=database,
    )
    silent = migration("1", expand="ALTER TABLE t MODIFY a bigint")
    said = migration("1", expand="ALTER TABLE t MODIFY a bigint, ALGORITHM=COPY, LOCK=SHARED")
    online = migration("2", expand="ALTER TABLE t ADD COLUMN b int;\nCREATE INDEX i ON t (b)")

    async def story() -> None:
        async with schema(server.url(database)) as target:
            await target.prepare()
            with pytest.raises(HalfFailed, match="LOCK=NONE is not supported"):
                await run(target, silent)
            assert (await target.view()).rows == ()
            await run(target, said)
            await run(target, online)
            server.execute("DELETE FROM t", database=database)
            await run(target, migration("3", expand="ALTER TABLE t MODIFY a int"))  # it is empty

    asyncio.run(story())


COPIES = (
    "ALTER TABLE t MODIFY a bigint",
    "ALTER TABLE t MODIFY a bigint, ALGORITHM=DEFAULT",
    "ALTER TABLE t MODIFY a bigint, LOCK=DEFAULT",
    "ALTER TABLE t CHANGE a c bigint NOT NULL",
    "ALTER TABLE t ADD CHECK (a > 0)",
    "ALTER TABLE t ADD COLUMN g int AS (a + 1) STORED",
    "ALTER TABLE t ADD COLUMN u char(36) DEFAULT (uuid())",
    "ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES p (id)",
    "ALTER TABLE t ADD FULLTEXT INDEX f (b), ALGORITHM=INPLACE",
    "CREATE FULLTEXT INDEX f ON t (b) ALGORITHM=INPLACE",
    "ALTER TABLE t CONVERT TO CHARACTER SET latin1",
    "ALTER TABLE t DROP PRIMARY KEY",
    "DROP INDEX `PRIMARY` ON t",
    "ALTER TABLE t ENGINE=Aria",
    "ALTER TABLE t ORDER BY a",
    "ALTER TABLE t DISABLE KEYS, MODIFY a bigint",
    "ALTER TABLE t ADD SYSTEM VERSIONING",
    "ALTER TABLE t PARTITION BY HASH (id) PARTITIONS 2",
    "ALTER TABLE t ADD COLUMN z int PARTITION BY HASH (id) PARTITIONS 2",
    "ALTER TABLE p REMOVE PARTITIONING",
    "ALTER IGNORE TABLE t ADD UNIQUE (a)",
    "ALTER TABLE IF EXISTS t MODIFY a bigint",
)
"""What MariaDB 10.11 does by a copy, or under a lock against writers, unless it is told not to."""

ONLINE = (
    "ALTER TABLE t ADD COLUMN x int",
    "ALTER TABLE t ADD COLUMN x int FIRST, ALGORITHM=NOCOPY",
    "ALTER TABLE t ADD COLUMN x int, ALGORITHM=DEFAULT, LOCK=DEFAULT",
    "ALTER TABLE t ADD COLUMN x int, ALGORITHM=INSTANT",
    "ALTER TABLE t DROP COLUMN b",
    "ALTER TABLE t MODIFY b varchar(40)",
    "ALTER TABLE t RENAME COLUMN a TO z",
    "ALTER TABLE t RENAME TO t2",
    "ALTER TABLE t FORCE",
    "ALTER TABLE t ENGINE=InnoDB",
    "ALTER TABLE t COMMENT='x'",
    "ALTER TABLE t DROP PRIMARY KEY, ADD PRIMARY KEY (b)",
    "ALTER TABLE t ALTER INDEX ia IGNORED",
    "ALTER TABLE t DISABLE KEYS",
    "CREATE INDEX i ON t (b)",
    "CREATE UNIQUE INDEX i ON t (a) ALGORITHM=INPLACE",
    "DROP INDEX ia ON t",
    "ALTER TABLE p ADD COLUMN x int",
)

FULL = (
    "CREATE TABLE t (id int PRIMARY KEY, a int, b varchar(20) NOT NULL, KEY ia (a))",
    "CREATE TABLE p (id int PRIMARY KEY) PARTITION BY HASH (id) PARTITIONS 3",
    "INSERT INTO t SELECT seq, seq, seq FROM seq_1_to_500",
    "INSERT INTO p SELECT seq FROM seq_1_to_500",
)


def written(server: MariaDB) -> int:
    """Rows that the server wrote one by one, as it does in a copy."""
    return int(server.execute("SHOW GLOBAL STATUS LIKE 'Handler_write'")[0][1])


def halves(statements: Sequence[str], directive: str = "") -> list[Migration]:
    return [
        parse_migration(
            f"{directive}-- expand\n{text};\n", path=Path(f"{number}_alter.sql"), dialect="mysql"
        )
        for number, text in enumerate(statements, 1)
    ]


@pytest.mark.parametrize("directive", ["", "-- pilotage: online\n"])
def test_nothing_is_copied_silently(server: MariaDB, database: str, directive: str) -> None:
    server.execute(*FULL, database=database)

    async def story() -> None:
        async with schema(server.url(database)) as target:
            await target.prepare()
            before = written(server)
            for file in halves(COPIES, directive):
                with pytest.raises(HalfFailed, match="LOCK=NONE is not supported"):
                    await run(target, file)
            assert written(server) - before < 500
            assert (await target.view()).rows == ()

    asyncio.run(story())


def test_what_needs_no_copy_runs_as_it_is_written(server: MariaDB, database: str) -> None:
    async def story() -> None:
        async with schema(server.url(database)) as target:
            await target.prepare()
            for file in halves(ONLINE):
                server.execute("DROP TABLE IF EXISTS t, t2, p", *FULL, database=database)
                before = written(server)
                await run(target, file)
                assert written(server) - before < 500, file

    asyncio.run(story())


PASSED_OVER = (
    "ALTER TABLE IF EXISTS absent ADD COLUMN b int, ADD INDEX i (b)",
    "ALTER TABLE t RENAME COLUMN IF EXISTS absent TO other",
    "ALTER TABLE t CHANGE COLUMN IF EXISTS absent other int NOT NULL",
    "ALTER TABLE t MODIFY COLUMN IF EXISTS absent int NOT NULL DEFAULT 3",
    "RENAME TABLE IF EXISTS absent TO other",
    "CREATE TEMPORARY TABLE own (a int);\nALTER TABLE own ADD COLUMN b int",
    "ALTER TABLE t /*!999999 ADD COLUMN x int, */ ADD COLUMN y int",
)


@pytest.mark.parametrize("statements", PASSED_OVER)
def test_what_the_server_passes_over_is_done(
    server: MariaDB, database: str, statements: str
) -> None:
    server.execute("CREATE TABLE t (id int PRIMARY KEY)", database=database)
    file = migration("1", "idempotent", expand=statements)

    async def story() -> None:
        async with schema(server.url(database)) as target:
            await target.prepare()
            await run(target, file)
            assert (await target.view()).applied.expanded == {"1"}

    asyncio.run(story())


def test_a_copy_that_runs_is_one_that_is_found(server: MariaDB, database: str) -> None:
    statements = (
        "ALTER TABLE t MODIFY a bigint, ALGORITHM=COPY",
        "ALTER TABLE t LOCK=SHARED PARTITION BY HASH (id) PARTITIONS 2",
        "ALTER TABLE p COALESCE PARTITION 1",  # these know no clause
        "ALTER TABLE p ADD PARTITION PARTITIONS 1",
        "ALTER TABLE p REBUILD PARTITION ALL",
        "ALTER TABLE p REORGANIZE PARTITION",
    )

    async def story() -> None:
        async with schema(server.url(database)) as target:
            await target.prepare()
            for file in halves(statements):
                found = {f.rule for f in check(file, dialect="mysql", known=Catalogue())}
                assert found & {"copy-table", "alter-locks"}, file
                server.execute("DROP TABLE IF EXISTS t, p", *FULL, database=database)
                before = written(server)
                await run(target, file)
                assert written(server) - before >= 100, file

    asyncio.run(story())


def test_the_client_reads_what_is_written_out_as_sql(server: MariaDB, database: str) -> None:
    file = migration(
        "1",
        "bodies",
        expand="CREATE TABLE t (id int PRIMARY KEY, note text);\n"
        "CREATE TRIGGER one BEFORE INSERT ON t FOR EACH ROW\n"
        "BEGIN SET NEW.note = 'a;//b'; SET NEW.id = NEW.id; END;\n"
        "CREATE TRIGGER two BEFORE UPDATE ON t FOR EACH ROW BEGIN SET NEW.id = OLD.id; END",
    )
    written_out = script(file, Half.EXPAND, dialect="mysql", settings=PATIENT)
    ran = subprocess.run(
        ["mariadb", "--no-defaults", f"--socket={server.socket}", "-uadmin", database],
        input=written_out, text=True, capture_output=True, timeout=60, check=False,
        env=os.environ | {"MYSQL_PWD": server.password},
    )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (0, "")
    found = server.execute(
        f"SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = '{database}'"
    )
    assert sorted(found) == [("one",), ("two",)]


def test_locks_of_two_databases_are_apart(server: MariaDB) -> None:
    async def story(one: str, two: str) -> None:
        async with schema(server.url(one)) as a, schema(server.url(two)) as b:
            await a.prepare()
            await b.prepare()
            with server.database() as _:
                await asyncio.gather(a.claim(token=1), b.claim(token=1))

    with server.database() as one, server.database() as two:
        asyncio.run(story(one, two))


# -- files ------------------------------------------------------------------------------------------

FILE = """
-- expand
CREATE TABLE t (id int PRIMARY KEY, a int, b int);
DELIMITER //
CREATE TRIGGER t_insert BEFORE INSERT ON t FOR EACH ROW
BEGIN
    IF NEW.b IS NULL THEN SET NEW.b = NEW.a; END IF;
END//
DELIMITER ;
CREATE PROCEDURE fill(n int)
BEGIN
    DECLARE i int DEFAULT 0;
    WHILE i < n DO
        INSERT INTO t (id, a) VALUES (i, i * 2);
        SET i = i + 1;
    END WHILE;
END;
CALL fill(3);
-- contract
DROP PROCEDURE fill;
DROP TRIGGER t_insert;
"""


def test_bodies_with_and_without_a_delimiter_run(server: MariaDB, database: str) -> None:
    file = parse_migration(FILE, path=Path("1_bodies.sql"), dialect="mysql")

    async def story() -> None:
        async with schema(server.url(database)) as target:
            await target.prepare()
            events = await run(target, file)
            assert len([e for e in events if isinstance(e, HalfStatement)]) == 4
            text = await target.dump()
            await run(target, file, Half.CONTRACT)
            assert "fill" in text
            assert "fill" not in await target.dump()

    asyncio.run(story())
    rows = server.execute("SELECT id, a, b FROM t ORDER BY id", database=database)
    assert rows == [(0, 0, 0), (1, 2, 2), (2, 4, 4)]


def test_sessions_are_strict_whatever_the_server_is(server: MariaDB, database: str) -> None:
    file = migration(
        "1", expand="CREATE TABLE t (a varchar(2));\nINSERT INTO t VALUES ('too long')"
    )

    async def story() -> None:
        before = server.execute("SELECT @@GLOBAL.sql_mode")[0][0]
        server.execute("SET GLOBAL sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'")
        try:
            async with schema(server.url(database)) as target:
                await target.prepare()
                with pytest.raises(HalfFailed, match="too long"):
                    await run(target, file)
                await run(target, migration("2", expand='INSERT INTO t VALUES ("\\\\")'))
        finally:
            server.execute(f"SET GLOBAL sql_mode = '{before}'")

    asyncio.run(story())
    assert server.execute("SELECT a FROM t", database=database) == [("\\",)]


def test_a_statement_that_is_stopped_stops_on_the_server(server: MariaDB, database: str) -> None:
    file = migration("1", expand=section("SELECT sleep(300), 'stopped'", timeout=2.0))

    async def story() -> None:
        async with schema(server.url(database)) as target:
            await target.prepare()
            with pytest.raises(HalfFailed, match="not done within its time limit"):
                await run(target, file)
            running = server.execute(
                "SELECT ID FROM information_schema.PROCESSLIST WHERE INFO LIKE '%''stopped''%'"
                " AND ID <> CONNECTION_ID()"
            )
            assert running == []
            await target.claim(token=1)

    asyncio.run(story())


# -- the server -------------------------------------------------------------------------------------


def test_the_database_is_made_where_it_is_missing(server: MariaDB) -> None:
    name = f"test_{uuid4().hex[:12]}"

    async def story() -> None:
        async with schema(server.url(name)) as target:
            assert not (await target.view()).exists
            await target.prepare()
            assert (await target.view()).fresh

    try:
        asyncio.run(story())
        made = server.execute(
            f"SELECT DEFAULT_CHARACTER_SET_NAME FROM information_schema.SCHEMATA"
            f" WHERE SCHEMA_NAME = '{name}'"
        )
        assert made == [("utf8mb4",)]
    finally:
        server.execute(f"DROP DATABASE IF EXISTS {name}")


def test_a_login_through_the_unix_socket(server: MariaDB, database: str) -> None:
    url = f"mysql://admin:{server.password}@localhost/{database}?socket={server.socket}"

    async def story() -> None:
        async with schema(url) as target:
            await target.prepare()
            assert str(server.socket) in target.where

    asyncio.run(story())


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("mysql://admin:wrong-s3cret@127.0.0.1:{port}/x", "refuses the login"),
        ("mysql://admin:wrong-s3cret@127.0.0.1:1/x", "no MySQL server answers"),
    ],
)
def test_why_a_login_failed(server: MariaDB, url: str, what: str) -> None:
    async def story() -> None:
        async with schema(url.format(port=server.port)) as target:
            await target.prepare()

    with pytest.raises(DatabaseUnavailable, match=what) as caught:
        asyncio.run(story())
    assert "wrong-s3cret" not in str(caught.value)


def test_the_application_lacks_what_it_needs(server: MariaDB, database: str) -> None:
    user = f"app_{uuid4().hex[:8]}"
    server.execute(
        f"CREATE USER {user}@'%' IDENTIFIED BY 'app'",
        f"GRANT SHOW VIEW ON {database}.* TO {user}@'%'",
    )
    urls = {
        "url": Secret(server.url(database, user=user, password="app")),
        "migration_url": Secret(server.url(database)),
    }

    async def story() -> list[str]:
        async with SqlSchema(**urls, stream="shop", service="shop", settings=PATIENT) as target:  # type: ignore[arg-type]
            with pytest.raises(DatabaseError, match="may not use pilotage's tables"):
                await target.prepare()
            wanted = await target.grants()
            server.execute(*wanted)
            await target.prepare()
            return wanted

    try:
        assert len(asyncio.run(story())) == 5
    finally:
        server.execute(f"DROP USER {user}@'%'")


# -- what the linter prescribes ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE orders RENAME COLUMN item TO product",
        "ALTER TABLE orders MODIFY amount bigint",
        "ALTER TABLE orders ADD COLUMN token char(36) DEFAULT (uuid())",
        "ALTER TABLE orders ADD FOREIGN KEY (customer_id) REFERENCES customers (id)",
        "ALTER TABLE orders RENAME TO purchases",
        "ALTER TABLE orders ADD COLUMN n int NOT NULL",
    ],
)
def test_what_is_written_instead_runs_beside_writers(
    server: MariaDB, database: str, statement: str
) -> None:
    server.execute(*SCHEMA["mysql"].rstrip(";\n").split(";\n"), database=database)
    server.execute(
        "INSERT INTO customers VALUES (1, 'c')",
        "INSERT INTO orders (id, customer_id, item, amount) VALUES (1, 1, 'a', 1), (2, 1, 'b', 2)",
        database=database,
    )
    change = changes(statement, "mysql")[0]
    writer = rewriter("mysql")
    match type(change).__name__:
        case "RenameColumn":
            text = writer.rename_column(change, "varchar(20)")  # type: ignore[arg-type]
        case "AlterType":
            text = writer.change_type(change, "int")  # type: ignore[arg-type]
        case "AddColumn" if change.column.not_null:  # type: ignore[attr-defined]
            text = writer.add_column_not_null(change)  # type: ignore[arg-type]
        case "AddColumn":
            text = writer.add_column_in_steps(change)  # type: ignore[arg-type]
        case "AddConstraint":
            text = writer.add_constraint(change)  # type: ignore[arg-type]
        case _:
            text = writer.rename_table(change, ())  # type: ignore[arg-type]
    file = parse_migration(text, path=Path("1_safe.sql"), dialect="mysql")

    async def story() -> None:
        async with schema(server.url(database)) as target:
            await target.prepare()
            await run(target, file)
            server.execute(
                "INSERT INTO orders (id, item, amount) VALUES (3, 'A', 3)", database=database
            )
            if file.backfill:
                await target.backfill(file, final=False, token=1, emit=ignore)
                await target.backfill(file, final=True, token=1, emit=ignore)
            await target.verify(file)
            if file.contract:
                await run(target, file, Half.CONTRACT)
            assert expand("1").version in (await target.view()).applied.expanded

    asyncio.run(story())
