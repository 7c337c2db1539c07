"""A transaction pooler makes every lock meaningless, so it is found out and refused."""

from __future__ import annotations

import asyncio

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


def test_a_session_pooler_passes(one_db: Db) -> None:
    async def story() -> None:
        with pgbouncer(one_db.server, "session") as port:
            async with through(one_db, port) as schema:
                await schema.prepare()
                await schema.claim(token=1)
                assert (await schema.view()).exists

    asyncio.run(story())


def test_the_migrator_may_go_past_the_pooler(one_db: Db) -> None:
    async def story() -> None:
        with pgbouncer(one_db.server, "transaction") as port:
            async with through(one_db, port, one_db.url) as schema:
                await schema.prepare()
                await schema.claim(token=1)

    asyncio.run(story())
