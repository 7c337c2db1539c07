"""Row-level security hides rows from a role without a word: what does not see them must not say "done"."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from uuid import uuid4

import pytest
from tests.integration.postgresql.support import QUICK, Db
from tests.migrations import migration, section

from pilotage.errors import HalfFailed
from pilotage.events import ignore
from pilotage.migrate.runner import SqlSchema
from pilotage.model import Half
from pilotage.secret import Secret

pytestmark = pytest.mark.integration

FILE = migration(
    "1",
    expand="ALTER TABLE t ADD COLUMN done integer",
    backfill="UPDATE t SET done = n WHERE done IS NULL",
    verify="SELECT n FROM t WHERE done IS NULL",
    contract="ALTER TABLE t DROP COLUMN n",
)


@contextmanager
def migrator(db: Db, rights: str = "") -> Iterator[Secret]:
    """The URL of a role that owns the table ``t``, half of whose rows a policy hides from it."""
    role = f"migrator_{uuid4().hex[:12]}"
    db.execute(
        f"CREATE ROLE {role} LOGIN PASSWORD 'word' {rights}",
        f"GRANT CREATE, USAGE ON SCHEMA public TO {role}",
        f"GRANT CREATE ON DATABASE {db.name} TO {role}",
        "CREATE TABLE t AS SELECT i AS id, i % 2 AS n FROM generate_series(1, 500) i",
        "ALTER TABLE t ADD PRIMARY KEY (id)",
        f"ALTER TABLE t OWNER TO {role}",
        "ALTER TABLE t ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE t FORCE ROW LEVEL SECURITY",
        "CREATE POLICY odd ON t USING (n = 1)",
    )
    try:
        yield Secret(db.server.url(db.name, user=role, password="word"))
    finally:
        db.execute(f"DROP OWNED BY {role} CASCADE", f"DROP ROLE {role}")


def run(db: Db, story: Callable[[SqlSchema], Awaitable[None]], *, rights: str = "") -> None:
    async def whole(url: Secret) -> None:
        async with db.schema(url=url, settings=QUICK) as schema:
            await schema.prepare()
            await story(schema)

    with migrator(db, rights) as url:
        asyncio.run(whole(url))


def test_a_backfill_says_that_it_does_not_see_every_row(db: Db) -> None:
    async def story(schema: SqlSchema) -> None:
        await schema.apply(FILE, Half.EXPAND, release=None, token=1, emit=ignore)
        with pytest.raises(HalfFailed, match="row-level security") as caught:
            await schema.backfill(FILE, final=False, token=1, emit=ignore)
        assert "BYPASSRLS" in caught.value.next
        assert [row.finished_at for row in (await schema.view()).rows] == [None]

    run(db, story)


def test_so_does_a_verify_query(one_db: Db) -> None:
    async def story(schema: SqlSchema) -> None:
        one_db.execute("ALTER TABLE t ADD COLUMN done integer", "UPDATE t SET done = n WHERE n = 1")
        with pytest.raises(HalfFailed, match="row-level security"):
            await schema.verify(FILE)

    run(one_db, story)


@pytest.mark.parametrize(
    ("text", "transaction"),
    [
        ("UPDATE t SET n = n + 1", True),
        ("DELETE FROM t", False),
        ("DO $$ BEGIN COMMIT; DELETE FROM t; END $$", False),
    ],
    ids=["in a transaction", "in one of its own", "in none"],
)
def test_so_does_a_half(one_db: Db, text: str, transaction: bool) -> None:
    half = migration("2", expand=section(text, transaction=transaction))

    async def story(schema: SqlSchema) -> None:
        with pytest.raises(HalfFailed, match="row-level security"):
            await schema.apply(half, Half.EXPAND, release=None, token=1, emit=ignore)

    run(one_db, story)


def test_so_does_one_of_a_series(one_db: Db) -> None:
    halves = [migration(str(n), expand=f"UPDATE t SET n = n + {n}") for n in (2, 3)]

    async def story(schema: SqlSchema) -> None:
        with pytest.raises(HalfFailed, match="row-level security"):
            await schema.apply_some(halves, release=None, token=1, emit=ignore, seconds=60.0)

    run(one_db, story)


def test_a_half_may_ask_for_the_rows_that_its_role_sees(one_db: Db) -> None:
    half = migration("2", expand="SET LOCAL row_security = on; DELETE FROM t")

    async def story(schema: SqlSchema) -> None:
        await schema.apply(half, Half.EXPAND, release=None, token=1, emit=ignore)
        assert one_db.execute("SELECT n, count(*) FROM t GROUP BY n") == [(0, 250)]

    run(one_db, story)


def test_a_role_that_passes_policies_sees_them_all(one_db: Db) -> None:
    async def story(schema: SqlSchema) -> None:
        await schema.apply(FILE, Half.EXPAND, release=None, token=1, emit=ignore)
        await schema.backfill(FILE, final=True, token=1, emit=ignore)
        await schema.verify(FILE)
        assert one_db.execute("SELECT count(*) FROM t WHERE done IS NULL") == [(0,)]

    run(one_db, story, rights="BYPASSRLS")
