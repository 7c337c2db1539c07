"""A look at a MySQL or MariaDB database."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
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

if TYPE_CHECKING:
    import pymysql

    from pilotage.migrate.dialects.mysql.address import Line

_NO_TABLE = 1146


class MysqlLook:
    """Through PyMySQL, in autocommit. The session is kept from one `ask` to the next."""

    def __init__(self, settings: Settings, *, witness: str) -> None:
        from pilotage.migrate.dialects.mysql.address import parse

        name = (
            session_name(settings.release, witness) if settings.release else f"pilotage:{witness}"
        )
        self._address = parse(settings.database).named(name)
        self._settings = settings
        self._query = QUERY.format(
            stream="%(stream)s", instance="%(instance)s", release="%(release)s", text="char"
        )
        self._line: Line | None = None

    def ask(self) -> Looked:
        """Look; where pilotage's tables are missing, nothing is applied, which is an answer."""
        import pymysql

        try:
            return looked(self._run(self._query, values(self._settings)))
        except pymysql.MySQLError as error:
            if error.args[:1] == (_NO_TABLE,):
                return Looked(self._settings.stream)
            self.close()
            raise _told(error) from None

    def recorded(self, service: str, release: str) -> Any:
        """See `Look.recorded`."""
        found = self._asked(
            "SELECT body FROM pilotage_state WHERE service = %(service)s", {"service": service}
        )
        releases = json.loads(found[0][0]).get("releases", []) if found else []
        return next((each["ships"] for each in releases if each["id"] == release), None)

    def try_lock(self, name: str) -> bool:
        """A lock of the server, by a name that no other database has."""
        return bool(self._asked("SELECT GET_LOCK(%(name)s, 0)", {"name": self._lock(name)})[0][0])

    def _lock(self, name: str) -> str:
        text = f"{self._address.database}\0{name}"
        return f"pilotage:{hashlib.sha256(text.encode()).hexdigest()[:48]}"

    def unlock(self) -> None:
        """They end with the session, which begins anew with the next look."""
        self.close()

    def mark_first_start(self, stream: str) -> None:
        """See `Look.mark_first_start`."""
        self._asked(
            FIRST_START.format(now="UTC_TIMESTAMP(6)", stream="%(stream)s"), {"stream": stream}
        )

    def _asked(self, statement: str, given: Mapping[str, str | None]) -> list[Any]:
        import pymysql

        try:
            return self._run(statement, given)
        except pymysql.MySQLError as error:
            self.close()
            raise _told(error) from None

    def _run(self, statement: str, given: Mapping[str, str | None]) -> list[Any]:
        if self._line is None or not self._line.connection.open:
            self.close()
            self._line = self._address.connect(seconds=CONNECT_SECONDS)
        with self._line.connection.cursor() as cursor:
            cursor.execute(statement, dict(given))
            return list(cursor.fetchall())

    def abort(self) -> None:
        """Shut the socket down: a server that hangs would else hold its reader for ever."""
        line = self._line
        if line is not None:
            line.cut()

    def close(self) -> None:
        """End the session."""
        line, self._line = self._line, None
        if line is not None:
            line.close()


def _told(error: pymysql.MySQLError) -> LookError:
    code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    if 1000 <= code < 2000 or code >= 3000:
        return LookError(f"the database refused (error {code})", detail=one_line(error))
    return LookError("the database does not answer", detail=one_line(error))
