"""Where a PostgreSQL database is: the URL as other tools write it, made into what libpq reads."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, urlencode

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.pq import Conninfo

from pilotage.errors import DatabaseUnavailable
from pilotage.secret import Secret

# A tunnel that died silently must not hold a migration for hours: the kernel gives up after this.
_KEEPALIVE = {
    "keepalives_idle": "15",
    "keepalives_interval": "5",
    "keepalives_count": "4",
    "tcp_user_timeout": "35000",
}


@dataclass(frozen=True, slots=True)
class Address:
    """A database, and the connection string that reaches it. Prints without its password."""

    conninfo: Secret
    user: str
    host: str
    port: str
    database: str

    def __str__(self) -> str:
        user = f"{self.user}@" if self.user else ""
        port = f":{self.port}" if self.port else ""
        return f"postgresql://{user}{self.host}{port}/{self.database}"

    def to(self, database: str) -> Address:
        """The same server, another database."""
        conninfo = make_conninfo(self.conninfo.reveal(), dbname=database)
        return Address(Secret(conninfo), self.user, self.host, self.port, database)


def parse(url: Secret, *, application_name: str) -> Address:
    """Read a URL: ``postgres://``, ``postgresql://``, and either with SQLAlchemy's ``+driver``.

    Query parameters that libpq knows are kept; the others (``pool=5``) are for the application's
    own driver and are left out.

    Raises
    ------
    DatabaseUnavailable
        It is not a URL that libpq can read. The text is not repeated: it holds a password.
    """
    scheme, _, rest = url.reveal().strip().partition("://")
    base, _, query = rest.partition("?")
    known = {option.keyword.decode() for option in Conninfo.get_defaults()}
    kept = [(k, v) for k, v in parse_qsl(query, keep_blank_values=True) if k in known]
    if scheme.partition("+")[0] not in ("postgres", "postgresql") or not rest:
        raise DatabaseUnavailable(
            "the database URL is not a PostgreSQL URL",
            next="write it as postgresql://user:password@host:5432/database",
        )
    plain = f"postgresql://{base}" + (f"?{urlencode(kept, quote_via=quote)}" if kept else "")
    try:
        given = {
            option.keyword.decode(): option.val.decode()
            for option in Conninfo.parse(plain.encode())
            if option.val is not None
        }
    except psycopg.Error:
        raise _unreadable() from None  # libpq repeats parts of the URL
    # A password with a bare @, / or ? in it is read as part of the host, the port or the database,
    # and would be shown as such.
    ports = given.get("port", "").split(",")
    if (
        not all(port.isdecimal() or not port for port in ports)
        or "@" in given.get("host", "") + given.get("dbname", "")
        or "@" in query.partition("=")[0]
    ):
        raise _unreadable()
    defaults = {
        option.keyword.decode(): option.val.decode()
        for option in Conninfo.get_defaults()
        if option.val is not None
    }
    user = given.get("user") or defaults.get("user", "")
    database = given.get("dbname") or defaults.get("dbname") or user
    given["dbname"] = database
    values = {"connect_timeout": "10", **_KEEPALIVE, **given, "application_name": application_name}
    return Address(
        conninfo=Secret(make_conninfo(**values)),
        user=given.get("user", ""),
        host=given.get("host") or defaults.get("host") or "localhost",
        port=given.get("port") or defaults.get("port", ""),
        database=database,
    )


def _unreadable() -> DatabaseUnavailable:
    return DatabaseUnavailable(
        "the database URL cannot be read (its text is not shown, it may hold a password)",
        next="percent-encode special characters of the password, e.g. %40 for @ and %2F for /",
    )
