"""Statements that are sent without waiting for one before the next: libpq's pipeline mode.

Called by `PostgresSession.pipeline`. psycopg has a pipeline of its own; it registers with the event loop
anew for each answer, which for statements of a third of a millisecond is as much work as running
them. Here the loop is told once, for all answers, and statements that are sent often are parsed once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container, Sequence

import psycopg
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn, PGresult

from pilotage.migrate.dialects.base import Call

_PASSED = (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK)


class Pipeline:
    """Calls on a connection that is idle and that nobody else uses meanwhile; for one `run`.

    ``done`` is told of each that passed, with its answer.

    ``prepared``: the statements that the session has been told to keep, and their names; those
    `Call.often` that are not among them are added.
    """

    def __init__(
        self,
        pgconn: PGconn,
        encoding: str,
        prepared: dict[str, bytes],
        done: Callable[[int, PGresult], None],
    ) -> None:
        self._pgconn = pgconn
        self._encoding = encoding
        self._prepared = prepared
        self._done = done
        # Of each answer the call's number, or the statement that was prepared and its name.
        self._expected: list[tuple[str, bytes] | int] = []
        self._answers = 0
        self._within = False  # one of them, whose end is still to come
        self._failed: psycopg.Error | None = None
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self, calls: Sequence[Call], flush: Container[int]) -> psycopg.Error | None:
        """Run them; the error of the first that failed, after which the server has run none.

        ``flush``: the indexes of those whose answers the server does not keep back.

        Raises
        ------
        psycopg.Error
            The connection broke, and is somewhere in the middle of the answers.
        """
        pgconn, loop = self._pgconn, asyncio.get_running_loop()
        pgconn.enter_pipeline_mode()
        loop.add_reader(pgconn.socket, self._read)
        try:
            self._send(calls, flush)
            self._write()
            await self._over
        except psycopg.Error as error:
            raise self._failed or error from error
        finally:
            loop.remove_reader(pgconn.socket)
            loop.remove_writer(pgconn.socket)
        pgconn.exit_pipeline_mode()
        return self._failed

    def _send(self, calls: Sequence[Call], flush: Container[int]) -> None:
        """Hand all of them to libpq."""
        pgconn, encoding = self._pgconn, self._encoding
        names = dict(self._prepared)
        begun = False
        for index, (sql, values, often) in enumerate(calls):
            text, parameters = sql.encode(encoding), [_text(value, encoding) for value in values]
            if often:
                name = names.get(sql)
                if name is None:
                    name = names[sql] = b"pilotage_%d" % len(names)
                    pgconn.send_prepare(name, text)
                    self._expected.append((sql, name))
                pgconn.send_query_prepared(name, parameters)
            else:
                pgconn.send_query_params(text, parameters)
            self._expected.append(index)
            if index in flush:
                pgconn.send_flush_request()
                if not begun:
                    pgconn.flush()  # the server may begin
                    begun = True
        pgconn.pipeline_sync()

    def _write(self) -> None:
        """Give the socket what it takes, and the rest when it is ready for more."""
        loop, socket = asyncio.get_running_loop(), self._pgconn.socket
        try:
            if self._pgconn.flush():
                loop.add_writer(socket, self._write)
            else:
                loop.remove_writer(socket)
        except psycopg.Error as error:
            self._end(error)

    def _read(self) -> None:
        """Take the answers that are there."""
        pgconn = self._pgconn
        try:
            pgconn.consume_input()
            while not (self._over.done() or pgconn.is_busy()):
                self._take(pgconn.get_result())
        except Exception as error:  # noqa: BLE001  (of the connection, or of whoever is told)
            self._end(error)

    def _take(self, result: PGresult | None) -> None:
        if result is None:  # the end of one call's answer
            if not self._within:
                raise psycopg.OperationalError("the connection broke off between two answers")
            self._within = False
            return
        if result.status == ExecStatus.PIPELINE_SYNC:
            self._end()
            return
        self._within = True
        expected = self._expected[self._answers]
        self._answers += 1
        if result.status == ExecStatus.FATAL_ERROR:
            self._failed = error_from_result(result, encoding=self._encoding)
        elif result.status in _PASSED:
            if isinstance(expected, int):
                self._done(expected, result)
            else:
                sql, name = expected
                self._prepared[sql] = name

    def _end(self, error: Exception | None = None) -> None:
        if self._over.done():
            return
        if error is None:
            self._over.set_result(None)
        else:
            self._over.set_exception(error)


def _text(value: object, encoding: str) -> bytes | None:
    """A value of one of our own statements as PostgreSQL reads it."""
    match value:
        case None:
            return None
        case bool():
            return b"t" if value else b"f"
        case _:
            return str(value).encode(encoding)
