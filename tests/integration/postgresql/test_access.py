"""What ends in one clear error, with nothing touched and no password shown."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from uuid import uuid4

import pytest
from tests.integration.postgresql.support import Db
from tests.migrations import migration
from tests.servers import free_port

from pilotage.errors import DatabaseError, DatabaseUnavailable, StoreError
from pilotage.events import ignore
from pilotage.migrate.dialects.postgresql import login
from pilotage.migrate.dialects.postgresql.address import Address
from pilotage.migrate.runner import SqlSchema
from pilotage.model import Half, Kind, Registration, SchemaView, Ships, session_name
from pilotage.secret import Secret

pytestmark = pytest.mark.integration

WORD = "p%40ss-w0rd"
REGISTRATION = Registration("i", "shop", "h", "r", Ships(), Kind.TRAFFIC)


def refused(
    url: str, kind: type[DatabaseError] = DatabaseUnavailable, migration_url: str | None = None
) -> DatabaseError:
    """The error of `prepare`, which must not show the password, however it is printed."""

    async def story() -> None:
        async with SqlSchema(
            url=Secret(url),
            migration_url=Secret(migration_url) if migration_url else None,
            stream="shop",
            service="shop",
        ) as schema:
            await schema.prepare()

    with pytest.raises(kind) as caught:
        asyncio.run(story())
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value.to_json())
    chain: BaseException | None = caught.value
    while chain is not None:
        shown += repr(chain) + repr(vars(chain))
        chain = chain.__cause__
    assert WORD not in shown
    assert "sup3r" not in shown
    return caught.value


@contextmanager
def role(db: Db, *grants: str, options: str = "LOGIN") -> Iterator[tuple[str, str]]:
    """A role's name, and the URL of the database for it."""
    name = f"role_{uuid4().hex[:8]}"
    db.execute(f"CREATE ROLE {name} {options} PASSWORD 'p@ss-w0rd'")
    db.execute(*(grant.format(name) for grant in grants))
    try:
        yield name, db.server.url(db.name, user=name, password=WORD)
    finally:
        db.execute(f"DROP OWNED BY {name}", f"DROP ROLE {name}")


def test_no_server(one_db: Db) -> None:
    port = free_port()
    error = refused(f"postgresql://shop:{WORD}@127.0.0.1:{port}/shop")
    assert f"no PostgreSQL server answers at 127.0.0.1 port {port}" in error.what
    assert error.where == f"postgresql://shop@127.0.0.1:{port}/shop"
    assert error.next


def test_a_host_that_has_no_address() -> None:
    error = refused(f"postgresql://shop:{WORD}@no-such-host.invalid/shop")
    assert "no PostgreSQL server answers" in error.what


def test_a_wrong_password(db: Db) -> None:
    error = refused(db.server.url(db.name, password=WORD))
    assert "the server refuses the login" in error.what
    assert error.state == "nothing was changed"


def test_an_unknown_role(one_db: Db) -> None:
    error = refused(one_db.server.url(one_db.name, user="nobody_of_this_name", password=WORD))
    assert "the server refuses the login" in error.what


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://shop:{WORD}@[::1/shop",
        f"postgresql://shop:{WORD}@host:port/shop",
        f"postgresql://shop:{WORD}/x@host/shop",
        f"postgresql://shop:x@{WORD}@host/shop",
        f"postgresql://shop:{WORD}?x@host/shop",
        f"postgresql://shop:1/{WORD}@host/shop",
        f"postgresql://shop:1?{WORD}@host/shop",
        f"oracle://shop:{WORD}@host/shop",
        f"mysql://shop:{WORD}@host:port/shop",
        f"mysql://shop:{WORD}/x@host/shop",
        f"mysql://shop:{WORD}@[::1/shop",
        f"{WORD}",
        "postgresql://",
    ],
)
def test_a_url_that_cannot_be_read_is_not_repeated(url: str) -> None:
    with pytest.raises(DatabaseUnavailable) as caught:
        SqlSchema(url=Secret(url), stream="shop", service="shop")
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value.to_json())
    assert WORD not in shown
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("scheme", ["postgres", "postgresql+psycopg", "postgresql+asyncpg"])
def test_urls_of_other_tools_are_read(one_db: Db, scheme: str) -> None:
    url = one_db.url.replace("postgresql", scheme, 1)

    async def story() -> SchemaView:
        options = "?pool=5&application_name=theirs&options=-c%20search_path%3Dapp"
        async with one_db.schema(url=Secret(url + options)) as schema:
            await schema.prepare()
            return await schema.view()

    one_db.execute("CREATE SCHEMA app")
    assert asyncio.run(story()).exists
    assert one_db.execute("SELECT to_regclass('app.pilotage_meta') IS NOT NULL") == [(True,)]


def test_a_missing_database_is_made_once_by_many(one_db: Db) -> None:
    name = f'new_{uuid4().hex[:8]} with-odd "name'
    url = Secret(one_db.server.url(name.replace(" ", "%20").replace('"', "%22")))

    async def story() -> None:
        schemas = [one_db.schema(url=url) for _ in range(4)]
        try:
            view = await schemas[0].view()
            assert (view.exists, view.fresh) == (False, True)
            document = schemas[0].document()
            assert await document.read() == (0, {})
            assert await document.now() > 1e9
            assert await schemas[1].document().write({"first": True}, expected=0)
            await asyncio.gather(*(schema.prepare() for schema in schemas))
            assert await document.read() == (1, {"first": True})
            assert (await schemas[2].view()).fresh
        finally:
            await asyncio.gather(*(schema.close() for schema in schemas))
            quoted = '"' + name.replace('"', '""') + '"'
            one_db.execute(f"DROP DATABASE IF EXISTS {quoted} WITH (FORCE)")

    asyncio.run(story())


def test_a_role_that_may_not_create_the_database(one_db: Db) -> None:
    with role(one_db) as (name, url):
        error = refused(url.rpartition("/")[0] + "/missing")
        assert "could not be created" in error.what
        assert error.next == f'as a role that may: CREATE DATABASE "missing" OWNER "{name}";'


def test_a_role_that_may_not_connect(one_db: Db) -> None:
    one_db.execute(f"REVOKE CONNECT ON DATABASE {one_db.name} FROM PUBLIC")
    with role(one_db) as (name, url):
        error = refused(url)
        assert error.next == f'GRANT CONNECT ON DATABASE "{one_db.name}" TO "{name}";'


def test_a_migrator_that_may_not_create_tables(one_db: Db) -> None:
    one_db.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    with role(one_db) as (_, url):
        error = refused(url)
        assert "lacks a privilege" in error.what
        assert "CREATE on the schema" in error.next


def test_the_application_role_is_told_what_it_must_be_granted(db: Db) -> None:
    async def story(url: str, check: Callable[[SqlSchema], Awaitable[None]]) -> None:
        async with db.schema(url=Secret(url), migration_url=Secret(db.url)) as schema:
            await check(schema)

    async def refuses(schema: SqlSchema) -> None:
        with pytest.raises(DatabaseError) as caught:
            await schema.prepare()
        assert f"role {name} may not use pilotage's tables" in caught.value.what
        grants = await schema.grants()
        assert caught.value.next == "as the migrator: " + " ".join(grants)
        assert any(
            grant.startswith('GRANT SELECT, INSERT, DELETE ON "app".pilotage_instances')
            for grant in grants
        )
        db.execute(*grants)

    async def passes(schema: SqlSchema) -> None:
        await schema.prepare()
        assert await schema.grants() == []

    async def instance(url: str) -> None:
        """With the grants, and no more, an instance can do what it must."""
        async with db.schema(url=Secret(url)) as schema:
            assert (await schema.register(REGISTRATION)).expanded == {"1"}
            await schema.register(REGISTRATION)
            view = await schema.view()
            assert [r.instance for r in view.registered] == ["i"]
            assert not view.fresh
            await schema.deregister(["i"])
            with pytest.raises(DatabaseUnavailable, match="lacks a privilege"):
                await schema.claim(token=9)

    async def half(schema: SqlSchema) -> None:
        await schema.apply(
            migration("1", expand="SELECT 1"), Half.EXPAND, release="r", token=1, emit=ignore
        )

    db.execute("CREATE SCHEMA app", f"ALTER DATABASE {db.name} SET search_path = app")
    with role(db) as (name, url):
        asyncio.run(story(url, refuses))
        asyncio.run(story(url, passes))
        asyncio.run(story(url, half))
        asyncio.run(instance(url))
        db.execute(f"REVOKE INSERT ON app.pilotage_instances FROM {name}")
        error = refused(url, DatabaseError, migration_url=db.url)
        assert error.next == (
            f'as the migrator: GRANT INSERT ON "app".pilotage_instances TO "{name}";'
        )


def test_an_application_role_that_does_not_exist(one_db: Db) -> None:
    url = one_db.server.url(one_db.name, user="ghost", password=WORD)
    error = refused(url, DatabaseError, migration_url=one_db.url)
    assert 'CREATE ROLE "ghost"' in error.next


def test_a_document_that_cannot_be_read_is_a_store_error(one_db: Db) -> None:
    async def story() -> None:
        async with one_db.schema(url=Secret(one_db.server.url(password=WORD))) as schema:
            document = schema.document()
            for refusal in (document.read(), document.now(), document.write({}, expected=0)):
                with pytest.raises(StoreError, match="refuses the login"):
                    await refusal

    asyncio.run(story())


def test_connections_that_were_lost_while_idle_are_made_again(db: Db) -> None:
    async def story() -> None:
        async with db.schema() as schema:
            await schema.prepare()
            document = schema.document()
            assert await document.write({"n": 1}, expected=0)
            for number in (1, 2):
                db.execute(
                    "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity"
                    " WHERE application_name = 'pilotage' AND datname = current_database()"
                )
                assert (await document.read())[0] == number
                assert await document.write({"n": 2}, expected=number)
                assert await document.now() > 0
                assert (await schema.view()).exists
                await schema.claim(token=number)

    asyncio.run(story())


def test_sessions_are_seen_by_name_and_ours_are_not(db: Db) -> None:
    async def story() -> SchemaView:
        async with db.schema() as schema:
            await schema.prepare()
            await schema.document().read()
            return await schema.view()

    name = session_name("0123456789ab")
    with (
        db.connection(application_name=name) as one,
        db.connection(application_name="x" * 60 + name) as cut,
        role(db) as (_, url),
        Db(db.server, "postgres").connection(application_name=name),
    ):
        limited = Db(db.server, db.name)
        view = asyncio.run(story())
        assert view.sessions is not None
        found = {session.pid: session.release for session in view.sessions}
        assert found == {one.info.backend_pid: "0123456789ab", cut.info.backend_pid: None}
        # Another role sees the names as well.
        db.execute(*_grants(db, url))

        async def look() -> SchemaView:
            async with limited.schema(url=Secret(url)) as schema:
                return await schema.view()

        seen = asyncio.run(look()).sessions
        assert seen is not None
        assert "0123456789ab" in {session.release for session in seen}


def _grants(db: Db, url: str) -> list[str]:
    async def story() -> list[str]:
        async with db.schema(url=Secret(url), migration_url=Secret(db.url)) as schema:
            return await schema.grants()

    return asyncio.run(story())


def test_a_database_that_appears_after_the_refusal(
    one_db: Db, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another deployer creates it between our refused connection and our look at the list."""
    name = f"missing_{uuid4().hex[:8]}"
    look = login.is_missing

    async def created_meanwhile(address: Address) -> bool:
        monkeypatch.setattr(login, "is_missing", look)
        await asyncio.to_thread(one_db.server.execute, f"CREATE DATABASE {name}")
        return await look(address)

    async def story() -> None:
        url = Secret(one_db.server.url(name))
        async with SqlSchema(url=url, stream="shop", service="shop") as schema:
            await schema.prepare()

    monkeypatch.setattr(login, "is_missing", created_meanwhile)
    try:
        asyncio.run(story())
    finally:
        one_db.server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
