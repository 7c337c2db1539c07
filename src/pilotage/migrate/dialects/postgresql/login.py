"""Why a PostgreSQL server did not let us in, found out by asking and never by reading its words.

libpq gives no SQLSTATE for a connection that failed. So the question is put in steps: does the address
answer at all; does the server let the same role into its maintenance database; is ours listed there.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

import psycopg

from pilotage.errors import DatabaseUnavailable
from pilotage.migrate.dialects.base import StatementError
from pilotage.migrate.dialects.postgresql.address import Address
from pilotage.migrate.dialects.postgresql.session import PostgresSession

MAINTENANCE = ("postgres", "template1")
_PATIENCE = 5.0


def cause(error: psycopg.Error) -> psycopg.Error:
    """The same error without its connection object, whose `repr` holds the password."""
    return type(error)(*error.args)


async def maintenance(address: Address) -> PostgresSession | None:
    """A session in the first maintenance database that lets us in, or None."""
    for database in MAINTENANCE:
        with suppress(psycopg.Error, StatementError):
            return await PostgresSession.open(address.to(database))
    return None


async def is_missing(address: Address) -> bool:
    """Whether the server is there, lets us in, and lists no such database."""
    session = await maintenance(address)
    if session is None:
        return False
    try:
        listed = await session.query(
            "SELECT 1 FROM pg_database WHERE datname = $1", address.database
        )
    except StatementError:
        return False
    finally:
        await session.close()
    return not listed


async def explain(error: psycopg.Error, address: Address) -> DatabaseUnavailable:
    """The error of a failed connection, with its reason and what to do about it."""
    said = " ".join(str(error).split())
    where = str(address)
    if not await _answers(address):
        return DatabaseUnavailable(
            f"no PostgreSQL server answers at {address.host} port {address.port}: {said}",
            where=where,
            state="nothing was changed",
            next="start the server, or correct host and port in the database URL",
        )
    session = await maintenance(address)
    if session is None:
        return DatabaseUnavailable(
            "the server refuses the login (wrong password, unknown role, or no pg_hba.conf line "
            f"for it): {said}",
            where=where,
            state="nothing was changed",
            next=f'check user and password: psql "{address}"',
        )
    try:
        listed = await session.query(
            "SELECT has_database_privilege(oid, 'CONNECT') FROM pg_database WHERE datname = $1",
            address.database,
        )
    except StatementError:
        listed = [(True,)]
    finally:
        await session.close()
    if not listed:
        return DatabaseUnavailable(
            f"there is no database {address.database}",
            where=where,
            state="nothing was changed",
            next=f"create it (createdb {address.database}), or deploy: a deploy creates it",
        )
    if not listed[0][0]:
        return DatabaseUnavailable(
            f"the role {address.user} may not connect to the database {address.database}",
            where=where,
            state="nothing was changed",
            next=f'GRANT CONNECT ON DATABASE "{address.database}" TO "{address.user}";',
        )
    return DatabaseUnavailable(
        f"the database cannot be connected to: {said}", where=where, state="nothing was changed"
    )


async def _answers(address: Address) -> bool:
    """Whether something listens where the URL points; True where that cannot be asked."""
    if "," in address.host or "," in address.port:
        return True
    target: str | None = None
    if address.host.startswith(("/", "@")):
        target = f"{address.host}/.s.PGSQL.{address.port}"
    opening = (
        asyncio.open_unix_connection(target)
        if target
        else asyncio.open_connection(address.host, int(address.port or 5432))
    )
    try:
        _, writer = await asyncio.wait_for(opening, _PATIENCE)
    except (OSError, TimeoutError):
        return False
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return True
