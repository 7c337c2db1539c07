"""One PostgreSQL session: psycopg, with its errors classified by SQLSTATE."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Container, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

import psycopg
from psycopg.pq import ConnStatus, TransactionStatus
from psycopg.pq.abc import PGresult

from pilotage.migrate.dialects.base import OWN_PATIENCE, Answer, Call, Row, StatementError, Trouble
from pilotage.migrate.dialects.postgresql.address import Address
from pilotage.migrate.dialects.postgresql.pipeline import Pipeline

_TROUBLES = {
    "55P03": Trouble.LOCK,  # lock_not_available
    "40P01": Trouble.DEADLOCK,
    "40001": Trouble.DEADLOCK,  # serialization_failure
    "57014": Trouble.TIMEOUT,  # query_canceled: statement_timeout
    "25P04": Trouble.TIMEOUT,  # transaction_timeout
    "42501": Trouble.DENIED,
    "42P01": Trouble.ABSENT,
    "3F000": Trouble.ABSENT,
    "42P07": Trouble.TAKEN,  # an index, as any other relation
    "42710": Trouble.TAKEN,  # a constraint
    "23505": Trouble.DUPLICATE,
    "23502": Trouble.VIOLATED,  # not_null_violation
    "23503": Trouble.VIOLATED,  # foreign_key_violation
    "23514": Trouble.VIOLATED,  # check_violation
    "53100": Trouble.FULL,  # disk_full
}
_LOST = ("08", "57P")  # connection exceptions; the server is shutting down or crashed

_MOMENT = 0.5
"""Seconds that a cancelled pipeline is given to come to its end."""

_GRACE = 5.0
"""Seconds until a statement that was cancelled is left to the driver."""

BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"

# State that another session acted upon must survive a crash of the server; a number that is a key must read
# back as it was.
_SET_UP = (
    "SELECT set_config('synchronous_commit', 'on', false)"
    " WHERE current_setting('synchronous_commit') = 'off';"
    f" SET lock_timeout = '{OWN_PATIENCE:g}s'; SET extra_float_digits = 3"
)


def translate(error: psycopg.Error, *, lost: bool = False) -> StatementError:
    """psycopg's error as the runner sees it."""
    code = error.sqlstate or ""
    trouble = _TROUBLES.get(code, Trouble.OTHER)
    if lost or code.startswith(_LOST):
        trouble = Trouble.LOST
    diag = error.diag
    position = diag.statement_position
    return StatementError(
        diag.message_primary or str(error).strip() or type(error).__name__,
        trouble=trouble,
        code=code,
        detail=diag.message_detail or "",
        hint=diag.message_hint or "",
        position=int(position) - 1 if position else None,
    )


class PostgresSession:
    """`pilotage.migrate.dialects.base.Session` on an `psycopg.AsyncConnection` in autocommit mode."""

    def __init__(self, connection: psycopg.AsyncConnection[Row], address: Address) -> None:
        self._connection = connection
        self._address = address
        self._prepared: dict[str, bytes] = {}
        self.pid = 0
        self.on_unix = True
        self.is_own = False
        """Whether the server's process is ours as long as we are connected. Else a pooler gives it to
        others, with all that was set in it."""

    @classmethod
    async def open(cls, address: Address) -> PostgresSession:
        """Connect; raises `psycopg.OperationalError` as it is, for the dialect to look into."""
        connection = await psycopg.AsyncConnection.connect(
            address.conninfo.reveal(), autocommit=True, prepare_threshold=None
        )
        connection.cursor_factory = psycopg.AsyncRawCursor
        session = cls(connection, address)
        try:
            session.pid, session.on_unix = (
                await session.query("SELECT pg_backend_pid(), version() !~* 'visual c|msvc|mingw'")
            )[0]
            if session.announced_pid == session.pid:
                await session.set_up()
        except BaseException:
            await session.close()
            raise
        return session

    async def set_up(self) -> None:
        """Set what our own statements count on: this process is ours alone."""
        self.is_own = True
        await self.execute(_SET_UP)

    @property
    def announced_pid(self) -> int:
        """The process that the server named when the session began; a pooler makes one up."""
        return self._connection.info.backend_pid

    @property
    def server_version(self) -> int:
        """E.g. ``150020`` for 15.20."""
        return self._connection.info.server_version

    @property
    def usable(self) -> bool:
        """Whether it is connected and idle."""
        return (
            not self._connection.closed
            and self._connection.info.transaction_status is TransactionStatus.IDLE
        )

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open (failed or not)."""
        status = self._connection.info.transaction_status
        return status in (TransactionStatus.INTRANS, TransactionStatus.INERROR)

    async def query(self, sql: str, *values: object) -> list[Row]:
        """The rows of a query; an empty list for a statement that returns none."""
        try:
            cursor = await self._run(sql, values)
            return await cursor.fetchall() if cursor.description else []
        except psycopg.Error as error:
            raise translate(error, lost=self._connection.broken) from error

    async def query_some(self, sql: str, most: int) -> list[Row]:
        """The first rows, through a server-side cursor; inside a transaction."""
        await self.execute(f"DECLARE pilotage_rows NO SCROLL CURSOR FOR {sql}")
        rows = await self.query(f"FETCH FORWARD {int(most)} FROM pilotage_rows")
        await self.execute("CLOSE pilotage_rows")
        return rows

    async def execute(self, sql: str, *values: object) -> int:
        """Run a statement; without values it reaches the server exactly as it is."""
        try:
            cursor = await self._run(sql, values)
        except psycopg.Error as error:
            raise translate(error, lost=self._connection.broken) from error
        return max(cursor.rowcount, 0)

    async def copy_out(self, sql: str) -> AsyncIterator[bytes]:
        """What COPY … TO STDOUT sends, block by block."""
        try:
            async with self._connection.cursor().copy(cast("Any", sql)) as copy:
                async for block in copy:
                    yield bytes(block)
        except psycopg.Error as error:
            raise translate(error, lost=self._connection.broken) from error

    async def copy_in(self, sql: str, blocks: AsyncIterator[bytes]) -> int:
        """Send blocks to COPY … FROM STDIN; the rows that it wrote."""
        cursor = self._connection.cursor()
        try:
            async with cursor.copy(cast("Any", sql)) as copy:
                async for block in blocks:
                    await copy.write(block)
        except psycopg.Error as error:
            raise translate(error, lost=self._connection.broken) from error
        return max(cursor.rowcount, 0)

    async def pipeline(self, calls: Sequence[Call], done: Callable[[int], None]) -> None:
        """Run statements without waiting for one before the next is sent; see `Dialect.pipeline`.

        COMMIT has its answer sent at once, so that ``done`` is told of it while the next transaction
        runs.
        """
        flush = {index for index, call in enumerate(calls) if call.sql == "COMMIT"}
        await self._to_its_end(self._pipeline(calls, flush, lambda index, _: done(index)))

    async def together(self, calls: Sequence[Call], early: int) -> list[Answer]:
        """Run statements in one round trip; see `Dialect.together`."""
        answers: list[Answer] = []
        encoding = self._connection.info.encoding

        def take(_: int, result: PGresult) -> None:
            rows = tuple(
                tuple(
                    _read(result.get_value(row, column), encoding)
                    for column in range(result.nfields)
                )
                for row in range(result.ntuples)
            )
            answers.append(Answer(rows, result.command_tuples or 0, time.monotonic()))

        try:
            await self._to_its_end(self._pipeline(calls, {early}, take))
        except StatementError:
            if self.in_transaction:
                with suppress(StatementError):
                    await self.execute("ROLLBACK")
            raise
        return answers

    async def _to_its_end(self, pipeline: Coroutine[Any, Any, None]) -> None:
        running = asyncio.ensure_future(pipeline)
        try:
            await asyncio.shield(running)
        except asyncio.CancelledError:
            # What is nearly done may end, so that it can be said to be done.
            await asyncio.wait([running], timeout=_MOMENT)
            await self._terminate(running)
            raise

    async def _pipeline(
        self, calls: Sequence[Call], flush: Container[int], done: Callable[[int, PGresult], None]
    ) -> None:
        """``flush``: those whose answers are sent at once; ``done`` is told of each that passed."""
        connection = self._connection
        pgconn = connection.pgconn
        try:
            async with connection.lock:
                pipeline = Pipeline(pgconn, connection.info.encoding, self._prepared, done)
                failed = await pipeline.run(calls, flush)
        except psycopg.Error as error:
            lost = pgconn.status == ConnStatus.BAD
            await self.close()  # it is somewhere in the middle of the answers
            raise translate(error, lost=lost) from error
        except BaseException:
            await self.close()
            raise
        if failed is not None:
            raise translate(failed) from failed

    async def _run(self, sql: str, values: tuple[object, ...]) -> psycopg.AsyncCursor[Row]:
        running = asyncio.ensure_future(self._connection.execute(cast("Any", sql), values or None))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            await self._terminate(running)
            raise

    async def _terminate(self, running: asyncio.Future[Any]) -> None:
        """End the server's side, so that a cancelled statement does not go on holding its locks.

        A cancel request that arrives before the server has begun the statement is forgotten, and the
        client would wait for the statement's end; ending the session has no such gap.
        """
        if self.pid and not running.done():
            with suppress(psycopg.Error):
                async with await psycopg.AsyncConnection.connect(
                    self._address.conninfo.reveal(), autocommit=True
                ) as other:
                    await other.execute("SELECT pg_terminate_backend(%s)", [self.pid])
        await asyncio.wait([running], timeout=_GRACE)
        if not running.done():
            running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    @asynccontextmanager
    async def transaction(self, *, snapshot: bool = False) -> AsyncIterator[None]:
        """A transaction block; ``snapshot``: REPEATABLE READ, READ ONLY."""
        await self.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY" if snapshot else BEGIN)
        try:
            yield
        except BaseException:
            # A statement that was cancelled leaves the connection busy: then only closing helps.
            with suppress(StatementError):
                await self.execute("ROLLBACK")
            raise
        await self.execute("COMMIT")

    async def reset(self) -> None:
        """Forget what an author's statements have set, without giving up advisory locks."""
        if self.in_transaction:
            await self.execute("ROLLBACK")
        self._prepared.clear()  # of which an author's DEALLOCATE or DISCARD may have left none
        await self.execute(
            "RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL; DEALLOCATE ALL; DISCARD TEMP;"
            " CLOSE ALL; UNLISTEN *;" + _SET_UP
        )

    async def close(self) -> None:
        """End the session."""
        with suppress(psycopg.Error):
            await self._connection.close()


def _read(value: bytes | None, encoding: str) -> str | None:
    return None if value is None else value.decode(encoding)
