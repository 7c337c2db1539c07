"""Halves sent together: their limits, whoever they leave the session as, and connections that break."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest
from tests.integration.postgresql.support import Db, until
from tests.migrations import migration, section

from pilotage.events import Event, HalfFinished, HalfRetried
from pilotage.migrate.dialects.base import Call, StatementError, Trouble
from pilotage.migrate.dialects.postgresql import PostgreSQL
from pilotage.migrate.dialects.postgresql.session import PostgresSession
from pilotage.migrate.migration import Migration
from pilotage.migrate.runner import SqlSchema
from pilotage.model import SchemaView
from pilotage.secret import Secret


def tables(first: int, last: int) -> list[Migration]:
    return [
        migration(str(n), expand=f"CREATE TABLE t{n} (i integer); ALTER TABLE t{n} ADD j integer")
        for n in range(first, last + 1)
    ]


def apply(
    schema: SqlSchema, files: Sequence[Migration], *, first: Callable[[], object] = lambda: None
) -> tuple[SchemaView, list[Event]]:
    """Apply them in one go; ``first`` is called when pilotage's tables are there."""
    events: list[Event] = []

    async def story() -> SchemaView:
        async with schema:
            await schema.prepare()
            first()
            done = 0
            while done < len(files):
                done += await schema.apply_some(
                    files[done:], release="r1", token=1, emit=events.append, seconds=60.0
                )
            return await schema.view()

    return asyncio.run(story()), events


def finished(events: Sequence[Event]) -> list[str]:
    return [event.half for event in events if isinstance(event, HalfFinished)]


# ----------------------------------------------------------------------------------------------
# Roles
# ----------------------------------------------------------------------------------------------


@contextmanager
def roles(db: Db) -> Iterator[tuple[str, str]]:
    """A role that owns things, and one that may log in and become it, and by itself may do nothing."""
    owner, login = (f"{kind}_{uuid4().hex[:8]}" for kind in ("owner", "login"))
    db.execute(
        f"CREATE ROLE {owner}",
        f"CREATE ROLE {login} LOGIN NOINHERIT PASSWORD 'secret'",
        f"GRANT {owner} TO {login}",
        f"GRANT ALL ON DATABASE {db.name} TO {owner}",
        f"GRANT ALL ON SCHEMA public TO {owner}",
    )
    try:
        yield owner, login
    finally:
        db.execute(f"DROP OWNED BY {owner}, {login}", f"DROP ROLE {owner}, {login}")


def test_a_role_of_the_urls_options_is_what_the_session_is(db: Db) -> None:
    with roles(db) as (owner, login):
        url = db.server.url(db.name, user=login, password="secret")
        url += f"{'&' if '?' in url else '?'}options=-c%20role%3D{owner}"
        files = [
            *tables(1, 3),
            migration("4", expand=f"SET ROLE {owner}; INSERT INTO t1 VALUES (1)"),  # goes alone
            migration("5", expand="RESET ROLE; SET ROLE NONE; SELECT 1"),  # ends as the login
            *tables(6, 8),
        ]
        view, events = apply(db.schema(url=Secret(url)), files)
        assert view.applied.expanded == {str(n) for n in range(1, 9)}
        assert finished(events) == [f"{n}/expand" for n in range(1, 9)]
        owners = db.execute(
            "SELECT DISTINCT tableowner::text FROM pg_tables WHERE schemaname = 'public'"
        )
        assert owners == [(owner,)]


def test_an_event_trigger_that_changes_the_role_keeps_no_row_from_being_written(db: Db) -> None:
    with roles(db) as (_, nobody):

        def watch() -> None:
            db.execute(
                "CREATE FUNCTION become() RETURNS event_trigger LANGUAGE plpgsql AS"
                f" $$ BEGIN EXECUTE 'SET ROLE {nobody}'; END $$",
                "CREATE EVENT TRIGGER become ON ddl_command_end"
                " WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION become()",
            )

        view, _ = apply(db.schema(), tables(1, 4), first=watch)
        db.execute("DROP EVENT TRIGGER become")
        assert [(row.ref.version, row.statements_done) for row in view.rows] == [
            (str(n), 2) for n in range(1, 5)
        ]
        assert view.applied.expanded == {"1", "2", "3", "4"}
        columns = db.execute(
            "SELECT count(*) FROM information_schema.columns WHERE table_name ~ '^t[1-4]$'"
        )
        assert columns == [(8,)]


# ----------------------------------------------------------------------------------------------
# Limits
# ----------------------------------------------------------------------------------------------

SETTINGS = ("lock_timeout", "statement_timeout", "client_connection_check_interval", "role")
SHOWN = ", ".join(f"current_setting('{name}')" for name in SETTINGS)


def test_each_half_has_its_own_limits(db: Db) -> None:
    def watch() -> None:
        db.execute(
            "CREATE TABLE pilotage_test_limits (lock text, total text)",
            "CREATE FUNCTION note() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN"
            " INSERT INTO pilotage_test_limits VALUES (current_setting('lock_timeout'),"
            " current_setting('statement_timeout')); END $$",
            "CREATE EVENT TRIGGER note ON ddl_command_end EXECUTE FUNCTION note()",
        )

    files = [
        migration("1", expand="CREATE TABLE t1 (i integer)"),
        migration(
            "2", expand=section("CREATE TABLE t2 (i integer)", lock_timeout=0.25, timeout=7.0)
        ),
        migration("3", expand="CREATE TABLE t3 (i integer)"),
    ]
    apply(db.schema(), files, first=watch)
    db.execute("DROP EVENT TRIGGER note")
    noted = db.execute("TABLE pilotage_test_limits")
    assert [lock for lock, _ in noted] == ["100ms", "250ms", "100ms"]
    seconds = [_seconds(total) for _, total in noted]
    # What is left of each limit by then.
    assert [15 < seconds[0] <= 30, 0 < seconds[1] <= 7, 15 < seconds[2] <= 30] == [True] * 3


def _seconds(shown: str) -> float:
    return float(shown[:-2]) / 1000 if shown.endswith("ms") else float(shown[:-1])


def test_a_lock_is_waited_for_no_longer_than_the_half_in_the_middle_says(db: Db) -> None:
    db.execute("CREATE TABLE busy (i integer)")
    files = [
        *tables(1, 2),
        migration("3", expand=section("ALTER TABLE busy ADD j integer", lock_timeout=0.05)),
        *tables(4, 5),
    ]
    events: list[Event] = []

    async def story() -> None:
        async with db.schema() as schema:
            await schema.prepare()
            with db.connection() as other:
                other.execute("LOCK TABLE busy")

                def emit(event: Event) -> None:
                    events.append(event)
                    if isinstance(event, HalfRetried):
                        other.rollback()

                await schema.apply_some(files, release="r1", token=1, emit=emit, seconds=60.0)

    asyncio.run(story())
    retried = [event for event in events if isinstance(event, HalfRetried)]
    assert {event.half for event in retried} == {"3/expand"}
    assert retried[0].wait == pytest.approx(0.05)
    assert finished(events) == [f"{n}/expand" for n in range(1, 6)]


def using(db: Db, story: Callable[[PostgreSQL, PostgresSession], Awaitable[Any]]) -> Any:
    """A session of the dialect's own."""

    async def run() -> Any:
        dialect = PostgreSQL(Secret(db.url))
        session = await dialect.connect()
        try:
            return await story(dialect, session)
        finally:
            await session.close()

    return asyncio.run(run())


def calls_of(dialect: PostgreSQL, session: PostgresSession, *texts: str) -> list[Call]:
    opening = dialect.opening(session, lock=0.2, total=9.0, durable=False)
    return [*opening, *(Call(text) for text in texts), *dialect.closing(Call("SELECT 1"))]


@pytest.mark.parametrize("bad", [False, True], ids=["applied", "failed"])
def test_the_session_is_afterwards_as_it_was(one_db: Db, bad: bool) -> None:
    async def story(dialect: PostgreSQL, session: PostgresSession) -> None:
        asked = f"SELECT {SHOWN}, current_setting('synchronous_commit')"
        before = await session.query(asked)
        done: list[int] = []
        half = calls_of(dialect, session, "CREATE TABLE a (i int)")
        other = calls_of(dialect, session, "ALTER TABLE nowhere ADD i int" if bad else "SELECT 2")
        running = dialect.pipeline(session, [*half, *other, *half[:2]], done.append)
        if bad:
            with pytest.raises(StatementError) as caught:
                await running
            assert caught.value.trouble is Trouble.ABSENT
            assert done == [*range(len(half) + 2)]
        else:
            await running
            assert done == [*range(len(half) + len(other) + 2)]
        assert session.in_transaction
        await session.execute("ROLLBACK")
        assert await session.query(asked) == before
        assert await session.query("SELECT to_regclass('a') IS NOT NULL") == [(True,)]

    using(one_db, story)


# ----------------------------------------------------------------------------------------------
# What is kept prepared
# ----------------------------------------------------------------------------------------------


def test_statements_that_come_often_are_parsed_once(one_db: Db) -> None:
    async def story(dialect: PostgreSQL, session: PostgresSession) -> None:
        calls = [Call("SELECT $1::int", (n,), often=True) for n in range(5)]
        await dialect.pipeline(session, calls, lambda _: None)
        await dialect.pipeline(session, calls, lambda _: None)
        kept = "SELECT name, statement FROM pg_prepared_statements"
        assert [text for _, text in await session.query(kept)] == ["SELECT $1::int"]
        await session.reset()
        assert await session.query(kept) == []
        await dialect.pipeline(session, calls, lambda _: None)

    using(one_db, story)


def test_one_that_could_not_be_prepared_is_not_taken_for_prepared(one_db: Db) -> None:
    async def story(dialect: PostgreSQL, session: PostgresSession) -> None:
        later = Call("SELECT 7", often=True)
        calls = [Call("SELECT * FROM nowhere", often=True), later]
        with pytest.raises(StatementError) as caught:
            await dialect.pipeline(session, calls, lambda _: None)
        assert caught.value.trouble is Trouble.ABSENT
        done: list[int] = []
        await dialect.pipeline(session, [later, later], done.append)
        assert done == [0, 1]

    using(one_db, story)


def test_an_author_who_deallocates_everything_does_no_harm(one_db: Db) -> None:
    gone = section("DEALLOCATE ALL", transaction=False)
    files = [*tables(1, 2), migration("3", expand=gone), *tables(4, 5)]
    view, events = apply(one_db.schema(), files)
    assert view.applied.expanded == {"1", "2", "3", "4", "5"}
    assert finished(events) == [f"{n}/expand" for n in range(1, 6)]


# ----------------------------------------------------------------------------------------------
# The connection
# ----------------------------------------------------------------------------------------------


def test_what_does_not_fit_into_the_sockets_buffer_is_sent(one_db: Db) -> None:
    async def story(dialect: PostgreSQL, session: PostgresSession) -> None:
        long = "x" * 300_000
        done: list[int] = []
        calls = [Call(f"SELECT '{long}'") for _ in range(40)]
        await dialect.pipeline(session, calls, done.append)
        assert done == list(range(40))

    using(one_db, story)


def test_a_session_that_is_ended_in_the_middle_is_lost(db: Db) -> None:
    async def story(dialect: PostgreSQL, session: PostgresSession) -> None:
        done: list[int] = []
        calls = [
            Call("SELECT 1"),
            Call("SELECT pg_terminate_backend(pg_backend_pid()), pg_sleep(60)"),
            *[Call("SELECT 2")] * 5,
        ]
        with pytest.raises(StatementError) as caught:
            await dialect.pipeline(session, calls, done.append)
        assert caught.value.trouble is Trouble.LOST
        assert done in ([], [0])  # its answer may be lost as well
        assert not session.usable

    using(db, story)


def test_an_error_of_whoever_is_told_comes_through(one_db: Db) -> None:
    async def story(dialect: PostgreSQL, session: PostgresSession) -> None:
        def broken(index: int) -> None:
            raise RuntimeError("cannot show it")

        with pytest.raises(RuntimeError, match="cannot show it"):
            await dialect.pipeline(session, [Call("SELECT 1")] * 3, broken)
        assert not session.usable

    using(one_db, story)


def test_cancelled_in_the_middle_the_server_stops_too(one_db: Db) -> None:
    marker = f"cancelled_{uuid4().hex[:8]}"

    async def story(dialect: PostgreSQL, session: PostgresSession) -> None:
        calls = [Call("SELECT 1"), Call(f"SELECT pg_sleep(600) AS {marker}")]
        running = asyncio.ensure_future(dialect.pipeline(session, calls, lambda _: None))
        there = f"SELECT 1 FROM pg_stat_activity WHERE query ~ '{marker}$' AND pid = {session.pid}"
        await asyncio.to_thread(until, one_db, there)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        gone = f"SELECT 1 WHERE NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = {session.pid})"
        await asyncio.to_thread(until, one_db, gone)
        assert not session.usable

    using(one_db, story)
