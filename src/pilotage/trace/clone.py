"""Where a trace runs: an embedded server that lives as long as the trace, or a database on a given one."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pilotage import embedded
from pilotage.errors import DatabaseError, UsageError
from pilotage.migrate.dialects import dialect_name
from pilotage.migrate.dialects.base import Session, StatementError, Trouble
from pilotage.migrate.dialects.postgresql import PostgreSQL
from pilotage.migrate.dialects.postgresql.catalogue import quote
from pilotage.secret import Secret

ROLE = "pilotage"

_SETTINGS = {"autovacuum": "off"}  # nothing takes locks or writes the log but what is measured


@dataclass(frozen=True, slots=True)
class Server:
    """A server on which databases can be made. ``own``: nobody else is on it, and the role may do all."""

    url: Secret
    version: int  # e.g. 180004
    own: bool

    @property
    def major(self) -> int:
        """E.g. 18."""
        return self.version // 10000

    def __str__(self) -> str:
        number = f"PostgreSQL {self.major}.{self.version % 10000}"
        return f"{number}, embedded" if self.own else number


@asynccontextmanager
async def own_server(*, at_least: int | None = None) -> AsyncIterator[Server]:
    """An embedded server, the oldest that is not older than the major version ``at_least``.

    Raises
    ------
    UsageError
        Its package is not installed; says the pip command.
    DatabaseError
        It has no version as new as that, or does not start.
    """
    if not embedded.is_installed():
        raise UsageError(
            "a trace needs a PostgreSQL server to run on, and the embedded one is not installed",
            state="nothing was touched",
            next="pip install 'pilotage[demo]'; or name a server that a database may be made on: "
            "--trace-on postgresql://…",
        )
    versions = embedded.versions()
    able = [version for version in versions if at_least is None or version >= at_least]
    if not able:
        raise _too_old(f"the embedded server is PostgreSQL {versions[-1]}", at_least)
    folder = await asyncio.to_thread(_folder)
    starting: asyncio.Future[embedded.Postgres] | None = None
    try:
        starting = asyncio.ensure_future(
            asyncio.to_thread(
                embedded.start,
                folder,
                ROLE,
                rights="SUPERUSER",
                major=able[-1] if at_least is None else able[0],
                settings=_SETTINGS,
            )
        )
        running = await asyncio.shield(starting)
        url = Secret(running.url("postgres"))
        yield Server(url, await _version(url), own=True)
    finally:
        await asyncio.shield(_stop(starting, folder))


def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="pilotage-trace-"))
    folder.chmod(0o711)  # under root the server runs as another user
    return folder


async def _stop(starting: asyncio.Future[embedded.Postgres] | None, folder: Path) -> None:
    if starting is not None:
        # A thread cannot be cancelled: what it starts is waited for, and stopped.
        await asyncio.wait([starting])
        if not starting.cancelled() and starting.exception() is None:
            await asyncio.to_thread(starting.result().stop)
    await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


@asynccontextmanager
async def given_server(url: Secret, *, at_least: int | None = None) -> AsyncIterator[Server]:
    """A server of the user's: a URL of any database of it.

    Raises
    ------
    UsageError
        It is no PostgreSQL.
    DatabaseError
        It cannot be connected to, or is older than ``at_least``.
    """
    if dialect_name(url) != "postgresql":
        raise UsageError(
            f"a trace on {dialect_name(url)} is not possible: what is measured is what PostgreSQL "
            "says of its locks",
            next="--trace-on postgresql://…",
        )
    version = await _version(url)
    if at_least is not None and version // 10000 < at_least:
        raise _too_old(f"{PostgreSQL(url).where} is PostgreSQL {version // 10000}", at_least)
    yield Server(url, version, own=False)


def _too_old(what: str, at_least: int | None) -> DatabaseError:
    return DatabaseError(
        f"{what}, and the source is PostgreSQL {at_least}: an older server cannot load its schema",
        state="nothing was touched",
        next=f"name a server of version {at_least} or later: --trace-on postgresql://…",
    )


async def _version(url: Secret) -> int:
    session = await PostgreSQL(url).connect()
    try:
        return session.server_version
    finally:
        await session.close()


@asynccontextmanager
async def database(server: Server) -> AsyncIterator[Secret]:
    """A new, empty database, dropped at the end; its URL.

    One whose trace was killed stays; the next trace on that server, by the same role, drops it. It says itself
    whose it is: of a session that is open as long as the trace runs.

    Raises
    ------
    DatabaseError
        The role may not make one.
    """
    name = f"{_PREFIX}{secrets.token_hex(6)}"
    admin = PostgreSQL(server.url)
    async with admin.session() as session:
        await _drop_orphans(session)
        try:
            await session.execute(f"CREATE DATABASE {quote(name)}")
        except StatementError as error:
            raise DatabaseError(
                f"no database can be made for the trace: {error}",
                where=admin.where,
                state="nothing was touched",
                next="as a superuser: ALTER ROLE … CREATEDB"
                if error.trouble is Trouble.DENIED
                else "name another server: --trace-on postgresql://…",
            ) from error
        try:
            ((comment,),) = await session.query(f"{_MINE} AND a.pid = pg_backend_pid()")
            await session.execute(f"COMMENT ON DATABASE {quote(name)} IS '{comment}'")
            yield _in(server.url, name)
        finally:
            await asyncio.shield(_drop(admin, name))


_PREFIX = "pilotage_trace_"

_MINE = """
SELECT 'trace of session ' || a.pid || ', begun ' || extract(epoch FROM a.backend_start)
FROM pg_stat_activity a WHERE a.usename = current_user
"""

_ORPHANS = f"""
SELECT d.datname FROM pg_database d
WHERE starts_with(d.datname, '{_PREFIX}') AND pg_get_userbyid(d.datdba) = current_user
AND shobj_description(d.oid, 'pg_database') NOT IN ({_MINE})
"""  # noqa: S608


async def _drop_orphans(session: Session) -> None:
    """Databases of traces that were killed, with nobody in them."""
    for (name,) in await session.query(_ORPHANS):
        with suppress(StatementError):  # somebody is in it, or was faster
            await session.execute(f"DROP DATABASE IF EXISTS {quote(str(name))}")


async def _drop(admin: PostgreSQL, name: str) -> None:
    try:
        async with admin.session() as session:
            await session.execute(f"DROP DATABASE IF EXISTS {quote(name)} WITH (FORCE)")
    except StatementError as error:
        raise DatabaseError(
            f"the database of the trace is left behind: {error}",
            where=admin.where,
            next=f'DROP DATABASE "{name}" WITH (FORCE);',
        ) from error


def _in(url: Secret, name: str) -> Secret:
    """The same server and role, another database."""
    parts = urlsplit(url.reveal().strip())
    query = "&".join(p for p in parts.query.split("&") if p and not p.startswith("dbname="))
    return Secret(parts._replace(path=f"/{name}", query=query).geturl())
