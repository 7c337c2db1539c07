"""One look at the schema: one query, in a session of its own, with nothing of an event loop.

The runner looks through `pilotage.migrate.state`, which is asynchronous and asks table by table. An instance
that answers for itself once a second asks everything in one statement, from whatever thread it is in.
"""

from __future__ import annotations

import json
import os
import socket
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pilotage.health.settings import Settings
from pilotage.migrate.dialects import dialect, dialect_name
from pilotage.model import (
    Applied,
    Half,
    HalfRef,
    HalfRow,
    Intent,
    SchemaView,
    Ships,
    announced,
    session_name,
)
from pilotage.secret import Secret

if TYPE_CHECKING:
    import psycopg

CONNECT_SECONDS = 5

_QUERY = """
WITH known AS (
    SELECT coalesce(
        CAST({stream} AS text),
        (SELECT min(stream) FROM pilotage_instances WHERE instance = CAST({instance} AS text)),
        CASE WHEN (SELECT count(*) FROM pilotage_streams) = 1
             THEN (SELECT min(stream) FROM pilotage_streams) END
    ) AS stream
)
SELECT 'stream', k.stream, '', s.stream IS NOT NULL, s.born_empty AND s.first_start_at IS NULL
FROM known k LEFT JOIN pilotage_streams s ON s.stream = k.stream
UNION ALL
SELECT 'half', m.version, m.half, m.finished_at IS NOT NULL, m.opened_at IS NOT NULL
FROM pilotage_migrations m JOIN known k ON m.stream = k.stream
UNION ALL
SELECT 'intent', i.version, i.half, i.revert, i.revert
FROM pilotage_intents i JOIN known k ON i.stream = k.stream
UNION ALL
SELECT 'ships', f.ships, '', f.ships IS NOT NULL, f.ships IS NOT NULL
FROM (
    SELECT CAST(p.ships AS text) AS ships
    FROM pilotage_instances p JOIN known k ON p.stream = k.stream
    WHERE p.ships IS NOT NULL
      AND (p.instance = CAST({instance} AS text) OR p.release = CAST({release} AS text))
    LIMIT 1
) f
"""

_FIRST_START = (
    "UPDATE pilotage_streams SET first_start_at = {now}"
    " WHERE stream = {stream} AND born_empty AND first_start_at IS NULL"
)


@dataclass(frozen=True, slots=True)
class Looked:
    """What the database says of itself, as far as an instance needs it.

    ``stream`` None: nobody said which, and there are several. ``made``: pilotage's tables are there and
    know the stream. ``ships``: what the release, or this very instance, is registered with.
    """

    stream: str | None = None
    made: bool = False
    fresh: bool = False
    applied: Applied = field(default_factory=Applied)
    intents: tuple[Intent, ...] = ()
    ships: Ships | None = None

    @property
    def announced(self) -> Applied:
        """What a start must fit: what is applied *and* what somebody intends to do."""
        return announced(self.applied, self.intents)


class LookError(Exception):
    """The database could not be asked. Its text names no secret, and neither host nor user."""

    def __init__(self, what: str, *, detail: str = "") -> None:
        super().__init__(what)
        self.detail = detail


class Look(Protocol):
    """A session to look with. Every method but `abort` is for one thread at a time."""

    def ask(self) -> Looked:
        """Look once. Connects when it has to. Raises `LookError`."""
        ...

    def mark_first_start(self, stream: str) -> None:
        """Record that instances run from now on, so that contract halves wait for their proof."""
        ...

    def abort(self) -> None:
        """End the session from another thread, so that whoever waits for it is told."""
        ...

    def close(self) -> None:
        """End the session."""
        ...


def look(settings: Settings, *, witness: str) -> Look:
    """A `Look` at the settings' database; ``witness`` of `pilotage.model.WITNESSES` names its session.

    Raises
    ------
    DatabaseUnavailable
        The URL cannot be read.
    """
    if dialect_name(settings.database) == "sqlite":
        return SqliteLook(settings)
    return PostgresLook(settings, witness=witness)


def _read(rows: Sequence[Sequence[Any]]) -> Looked:
    halves: list[HalfRow] = []
    intents: list[Intent] = []
    stream, made, fresh, ships = None, False, False, None
    for kind, name, half, one, other in rows:
        match kind:
            case "stream":
                stream, made, fresh = name, bool(one), bool(other)
            case "half":
                halves.append(
                    HalfRow(
                        HalfRef(name, Half(half)),
                        finished_at=1.0 if one else None,
                        opened_at=1.0 if other else None,
                    )
                )
            case "intent":
                intents.append(Intent(HalfRef(name, Half(half)), revert=bool(one)))
            case "ships":
                ships = Ships.from_json(json.loads(name))
    applied = SchemaView(rows=tuple(halves)).applied
    return Looked(stream, made, fresh, applied, tuple(intents), ships)


def _values(settings: Settings) -> Mapping[str, str | None]:
    return {
        "stream": settings.stream,
        "instance": settings.instance,
        "release": settings.release,
    }


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
        self._query = _QUERY.format(
            stream="%(stream)s", instance="%(instance)s", release="%(release)s"
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
            return _read(self._run(self._query, _values(self._settings)).fetchall())
        except psycopg.errors.UndefinedTable:
            return Looked(self._settings.stream)
        except psycopg.Error as error:
            self.close()
            raise _told(error) from None

    def mark_first_start(self, stream: str) -> None:
        """See `Look.mark_first_start`."""
        import psycopg

        statement = _FIRST_START.format(now="clock_timestamp()", stream="%(stream)s")
        try:
            self._run(statement, {"stream": stream})
        except psycopg.Error as error:
            self.close()
            raise _told(error) from None

    def _run(self, statement: str, values: Mapping[str, str | None]) -> psycopg.Cursor[Any]:
        import psycopg

        if self._connection is None or self._connection.closed:
            self._connection = psycopg.Connection.connect(
                self._conninfo.reveal(), autocommit=True, prepare_threshold=None
            )
        return self._connection.execute(statement.encode(), values)

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
        return LookError(f"the database refused (SQLSTATE {error.sqlstate})", detail=_line(error))
    return LookError("the database does not answer", detail=_line(error))


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


class SqliteLook:
    """A connection for each look: opening a file costs little, and one must not be carried over a fork."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._query = _QUERY.format(stream=":stream", instance=":instance", release=":release")
        self._connection: sqlite3.Connection | None = None

    def ask(self) -> Looked:
        """Look; a file without pilotage's tables has nothing applied."""
        try:
            return _read(self._run(self._query, _values(self._settings)))
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_ERROR and not self._has_tables():
                return Looked(self._settings.stream)
            raise LookError(
                f"the database refused ({error.sqlite_errorname})", detail=_line(error)
            ) from None
        except sqlite3.Error as error:
            raise LookError("the database cannot be read", detail=_line(error)) from None

    def _has_tables(self) -> bool:
        query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'pilotage_meta'"
        return bool(self._run(query, {}))

    def mark_first_start(self, stream: str) -> None:
        """See `Look.mark_first_start`."""
        now = "((julianday('now') - 2440587.5) * 86400.0)"
        try:
            self._run(_FIRST_START.format(now=now, stream=":stream"), {"stream": stream})
        except sqlite3.Error as error:
            raise LookError("the database cannot be written", detail=_line(error)) from None

    def _run(self, statement: str, values: Mapping[str, str | None]) -> list[Any]:
        path = Path(dialect(self._settings.database).where)
        with closing(
            sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=rw",
                uri=True,
                timeout=CONNECT_SECONDS,
                check_same_thread=False,  # for `abort`
            )
        ) as connection:
            self._connection = connection
            try:
                with connection:
                    return connection.execute(statement, values).fetchall()
            finally:
                self._connection = None

    def abort(self) -> None:
        """Interrupt the statement."""
        connection = self._connection
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.interrupt()

    def close(self) -> None:
        """Nothing is kept."""
