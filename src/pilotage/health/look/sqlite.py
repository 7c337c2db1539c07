"""A look at a SQLite file."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

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
from pilotage.migrate.dialects import dialect


class SqliteLook:
    """A connection for each look: opening a file costs little, and one must not be carried over a fork."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._query = QUERY.format(
            stream=":stream", instance=":instance", release=":release", text="text"
        )
        self._connection: sqlite3.Connection | None = None

    def ask(self) -> Looked:
        """Look; a file without pilotage's tables has nothing applied."""
        try:
            return looked(self._run(self._query, values(self._settings)))
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_ERROR and not self._has_tables():
                return Looked(self._settings.stream)
            raise LookError(
                f"the database refused ({error.sqlite_errorname})", detail=one_line(error)
            ) from None
        except sqlite3.Error as error:
            raise LookError("the database cannot be read", detail=one_line(error)) from None

    def _has_tables(self) -> bool:
        query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'pilotage_meta'"
        return bool(self._run(query, {}))

    def mark_first_start(self, stream: str) -> None:
        """See `Look.mark_first_start`."""
        now = "((julianday('now') - 2440587.5) * 86400.0)"
        try:
            self._run(FIRST_START.format(now=now, stream=":stream"), {"stream": stream})
        except sqlite3.Error as error:
            raise LookError("the database cannot be written", detail=one_line(error)) from None

    def recorded(self, service: str, release: str) -> Any:
        """See `Look.recorded`."""
        query = (
            "SELECT json_extract(r.value, '$.ships') FROM pilotage_state,"
            " json_each(body, '$.releases') r"
            " WHERE service = :service AND json_extract(r.value, '$.id') = :release"
        )
        try:
            rows = self._run(query, {"service": service, "release": release})
        except sqlite3.Error as error:
            raise LookError("the database cannot be read", detail=one_line(error)) from None
        return json.loads(rows[0][0]) if rows and rows[0][0] else None

    def try_lock(self, name: str) -> bool:
        """There are none: one writer at a time is all that a file has."""
        return True

    def unlock(self) -> None:
        """There are none."""

    def _run(self, statement: str, given: Mapping[str, str | None]) -> list[Any]:
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
                    return connection.execute(statement, given).fetchall()
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
