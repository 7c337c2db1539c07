"""A transaction pooler makes every lock meaningless, so it is found out and refused."""

from __future__ import annotations

import asyncio

import psycopg
import pytest
from tests.integration.postgresql.support import QUICK, Db
from tests.servers import pgbouncer

from pilotage.errors import PoolerUnsafe
from pilotage.migrate.runner import SqlSchema
from pilotage.secret import Secret

pytestmark = pytest.mark.integration


def through(db: Db, port: int, migration_url: str | None = None) -> SqlSchema:
    return db.schema(
        url=Secret(db.url.replace(f":{db.server.port}/", f":{port}/")),
        migration_url=Secret(migration_url) if migration_url else None,
        settings=QUICK,
    )


@pytest.mark.parametrize("round_robin", [0, 1])
@pytest.mark.parametrize("mode", ["transaction", "statement"])
def test_a_transaction_pooler_is_refused(one_db: Db, mode: str, round_robin: int) -> None:
    async def story() -> None:
        with pgbouncer(
            one_db.server, mode, server_round_robin=round_robin, min_pool_size=4
        ) as port:
            async with through(one_db, port) as schema:
                for refusal in (schema.prepare(), schema.claim(token=1)):
                    with pytest.raises(PoolerUnsafe) as caught:
                        await refusal
                    assert "migration_url" in caught.value.next

    asyncio.run(story())
    assert one_db.execute("SELECT to_regclass('pilotage_meta')") == [(None,)]


@pytest.mark.parametrize("looks", [True, False], ids=["who looks", "who is refused"])
def test_nothing_is_left_in_the_sessions_of_a_pool(one_db: Db, looks: bool) -> None:
    """They are the app's: a limit of ours would end its statements, and `row_security` refuse them."""
    ours = "SELECT name, setting FROM pg_settings WHERE source = 'session' ORDER BY name"

    async def story() -> None:
        async with one_db.schema() as schema:
            await schema.prepare()
        with pgbouncer(one_db.server, "transaction", default_pool_size=1) as port:
            url = (
                one_db.url.replace(f":{one_db.server.port}/", f":{port}/") + "?application_name=app"
            )
            with psycopg.connect(url, autocommit=True, prepare_threshold=None) as app:
                before = app.execute(ours).fetchall()
            async with through(one_db, port) as schema:
                if looks:
                    assert (await schema.view()).exists
                else:
                    with pytest.raises(PoolerUnsafe):
                        await schema.claim(token=1)
            with psycopg.connect(url, autocommit=True, prepare_threshold=None) as app:
                assert app.execute(ours).fetchall() == before

    asyncio.run(story())


def test_a_session_pooler_passes(one_db: Db) -> None:
    async def story() -> None:
        with pgbouncer(one_db.server, "session") as port:
            async with through(one_db, port) as schema:
                await schema.prepare()
                await schema.claim(token=1)
                assert (await schema.view()).exists
                async with schema._connections.use("look") as session:
                    assert await session.query("SHOW lock_timeout") == [("10s",)]

    asyncio.run(story())


def test_the_migrator_may_go_past_the_pooler(one_db: Db) -> None:
    async def story() -> None:
        with pgbouncer(one_db.server, "transaction") as port:
            async with through(one_db, port, one_db.url) as schema:
                await schema.prepare()
                await schema.claim(token=1)

    asyncio.run(story())
