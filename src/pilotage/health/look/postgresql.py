"""A look at a PostgreSQL database."""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pilotage.health.look.base import (
    CONNECT_SECONDS,
    FIRST_START,
    QUERY,
    Looked,
    LookError,
    looked,
    one_line,
    values,
)
from pilotage.health.settings import Settings
from pilotage.model import session_name
from pilotage.secret import Secret

if TYPE_CHECKING:
    import psycopg


class PostgresLook:
    """Through psycopg, in autocommit. The session is kept from one `ask` to the next."""

    def __init__(self, settings: Settings, *, witness: str) -> None:
        from pilotage.migrate.dialects.postgresql.address import parse

        name = (
            session_name(settings.release, witness) if settings.release else f"pilotage:{witness}"
        )
        self._conninfo = Secret(
            parse(settings.database, application_name=name).conninfo.reveal()
            + f" connect_timeout={CONNECT_SECONDS}"
        )
        self._settings = settings
        self._query = QUERY.format(
            stream="%(stream)s", instance="%(instance)s", release="%(release)s", text="text"
        )
        self._connection: psycopg.Connection[Any] | None = None

    @property
    def connection(self) -> psycopg.Connection[Any] | None:
        """The session, where there is one."""
        return self._connection

    def ask(self) -> Looked:
        """Look; where pilotage's tables are missing, nothing is applied, which is an answer."""
        import psycopg

        try:
            return looked(self._run(self._query, values(self._settings)).fetchall())
        except psycopg.errors.UndefinedTable:
            return Looked(self._settings.stream)
        except psycopg.Error as error:
            self.close()
            raise _told(error) from None

    def recorded(self, service: str, release: str) -> Any:
        """See `Look.recorded`."""
        return self._value(
            "SELECT r -> 'ships' FROM pilotage_state, jsonb_array_elements(body -> 'releases') r"
            " WHERE service = %(service)s AND r ->> 'id' = %(release)s",
            {"service": service, "release": release},
        )

    def try_lock(self, name: str) -> bool:
        """An advisory lock."""
        key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)
        return bool(self._value("SELECT pg_try_advisory_lock(%(key)s)", {"key": key}))

    def unlock(self) -> None:
        """Release them; without a session there are none."""
        if self._connection is not None and not self._connection.closed:
            self._value("SELECT pg_advisory_unlock_all()", {})

    def _value(self, query: str, given: Mapping[str, str | int | None]) -> Any:
        import psycopg

        try:
            row = self._run(query, given).fetchone()
        except psycopg.Error as error:
            raise _told(error) from None
        return row[0] if row else None

    def mark_first_start(self, stream: str) -> None:
        """See `Look.mark_first_start`."""
        import psycopg

        statement = FIRST_START.format(now="clock_timestamp()", stream="%(stream)s")
        try:
            self._run(statement, {"stream": stream})
        except psycopg.Error as error:
            self.close()
            raise _told(error) from None

    def _run(self, statement: str, given: Mapping[str, str | int | None]) -> psycopg.Cursor[Any]:
        import psycopg

        if self._connection is None or self._connection.closed:
            self._connection = psycopg.Connection.connect(
                self._conninfo.reveal(), autocommit=True, prepare_threshold=None
            )
        return self._connection.execute(statement.encode(), given)

    def abort(self) -> None:
        """Shut the socket down: a server that hangs would else hold its reader for ever."""
        import psycopg

        connection = self._connection
        if connection is None:
            return  # it is still connecting, which has a limit of its own
        with (
            suppress(OSError, psycopg.Error),
            socket.socket(fileno=os.dup(connection.fileno())) as end,
        ):
            end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End the session."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _told(error: psycopg.Error) -> LookError:
    if error.sqlstate:
        return LookError(
            f"the database refused (SQLSTATE {error.sqlstate})", detail=one_line(error)
        )
    return LookError("the database does not answer", detail=one_line(error))
