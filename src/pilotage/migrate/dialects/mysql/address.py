"""Where a MySQL or MariaDB database is: the URL as other tools write it, and the way to its server."""

from __future__ import annotations

import getpass
import os
import socket
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pymysql

from pilotage.errors import DatabaseUnavailable
from pilotage.secret import Secret

SCHEMES = ("mysql", "mariadb", "mysql2", "trilogy")
CONNECT_SECONDS = 10.0

# A tunnel that died silently must not hold a migration for hours: the kernel gives up after this.
_KEEPALIVE = (
    ("TCP_KEEPIDLE", 15),
    ("TCP_KEEPINTVL", 5),
    ("TCP_KEEPCNT", 4),
    ("TCP_USER_TIMEOUT", 35000),
)

_MODES = ("DISABLED", "PREFERRED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY")


@dataclass(frozen=True, slots=True)
class Tls:
    """How the connection is encrypted. ``mode`` is one of the ``mysql`` client's ``--ssl-mode``."""

    mode: str = "PREFERRED"
    ca: str | None = None
    cert: str | None = None
    key: str | None = None

    def options(self) -> dict[str, Any]:
        """What PyMySQL is told."""
        if self.mode == "DISABLED":
            return {"ssl_disabled": True}
        if self.mode == "PREFERRED" and not (self.ca or self.cert):
            return {}
        verified = self.mode.startswith("VERIFY") or self.ca is not None
        ssl: dict[str, Any] = {
            "ca": self.ca,
            "check_hostname": self.mode == "VERIFY_IDENTITY",
            "verify_mode": "required" if verified else "none",
        }
        if self.cert is not None:
            ssl |= {"cert": self.cert, "key": self.key}
        return {"ssl": ssl}


@dataclass(frozen=True, slots=True)
class Address:
    """A database and how to reach it. Prints without its password. ``name``: what our sessions are called."""

    user: str
    password: Secret
    host: str
    port: int
    database: str
    unix: str = ""
    tls: Tls = Tls()
    name: str = "pilotage"
    sql_mode: str | None = None

    def __str__(self) -> str:
        user = f"{self.user}@" if self.user else ""
        place = self.unix or f"{self.host}:{self.port}"
        return f"mysql://{user}{place}/{self.database}"

    def named(self, name: str) -> Address:
        """The same, for sessions of another name."""
        return replace(self, name=name)

    def connect(self, *, database: bool = True, seconds: float = CONNECT_SECONDS) -> Line:
        """Connect and log in; raises `pymysql.MySQLError`. ``database`` false: to the server alone."""
        try:
            end = self._open(seconds)
        except OSError as error:
            raise pymysql.err.OperationalError(2003, error.strerror or str(error)) from error
        connection = pymysql.Connection(
            host=self.host,
            port=self.port,
            unix_socket=self.unix or None,
            user=self.user,
            password=self.password.reveal().encode(),
            database=self.database if database else None,
            charset="utf8mb4",
            autocommit=True,
            program_name=self.name,
            max_allowed_packet=1 << 30,
            defer_connect=True,
            **self.tls.options(),
        )
        twin = end.dup()  # TLS takes the socket over
        try:
            end.settimeout(seconds)
            connection.connect(end)
        except BaseException:
            end.close()
            twin.close()
            raise
        return Line(connection, twin)

    def _open(self, seconds: float) -> socket.socket:
        if self.unix:
            end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            end.settimeout(seconds)
            try:
                end.connect(self.unix)
            except OSError:
                end.close()
                raise
            return end
        end = socket.create_connection((self.host, self.port), seconds)
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEPALIVE:
            if hasattr(socket, option):
                end.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
        return end


@dataclass(frozen=True, slots=True)
class Line:
    """A connection, and a second handle of its socket."""

    connection: pymysql.Connection[Any]
    twin: socket.socket

    def cut(self) -> None:
        """Shut the socket down, from any thread: whoever reads from it is told at once."""
        with suppress(OSError):
            self.twin.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End the session. Never raises."""
        with suppress(pymysql.MySQLError, OSError):
            self.connection.close()
        self.twin.close()


def parse(url: Secret) -> Address:
    """Read a URL: ``mysql://`` or ``mariadb://`` (also with SQLAlchemy's ``+driver``, and Rails' ``mysql2://``).

    Of the query's parameters those are read that say how to connect (``socket``, ``ssl-mode``, ``ssl-ca``,
    ``ssl-cert``, ``ssl-key``, ``sql_mode``); the others are for the application's own driver.

    Raises
    ------
    DatabaseUnavailable
        It cannot be read. The text is not repeated: it holds a password.
    """
    text = url.reveal().strip()
    try:
        parts = urlsplit(text)
        port = parts.port or 3306
        host = unquote(parts.hostname or "")
    except ValueError:
        raise _unreadable() from None
    if parts.scheme.partition("+")[0].lower() not in SCHEMES or not text.partition("://")[2]:
        raise DatabaseUnavailable(
            "the database URL is not a MySQL URL",
            next="write it as mysql://user:password@host:3306/database",
        )
    database = unquote(parts.path.removeprefix("/"))
    given = {key.replace("-", "_").lower(): value for key, value in parse_qsl(parts.query)}
    # A password with a bare @, / or ? in it is read as part of the host or the database.
    if "@" in host + database + parts.query.partition("=")[0] or "/" in database or parts.fragment:
        raise _unreadable()
    if not database:
        raise DatabaseUnavailable(
            "the database URL names no database",
            next="write it as mysql://user:password@host:3306/database",
        )
    path = given.get("socket") or given.get("unix_socket") or (host if host.startswith("/") else "")
    return Address(
        user=unquote(parts.username or "") or _os_user(),
        password=Secret(unquote(parts.password or "")),
        host="localhost" if path or not host else host,
        port=port,
        database=database,
        unix=path,
        tls=_tls(given),
        sql_mode=given.get("sql_mode"),
    )


def _tls(given: dict[str, str]) -> Tls:
    mode = given.get("ssl_mode", "").upper().replace("-", "_")
    if given.get("ssl_disabled", "").lower() in ("1", "true"):
        mode = "DISABLED"
    elif given.get("ssl_verify_identity", "").lower() in ("1", "true"):
        mode = "VERIFY_IDENTITY"
    if mode and mode not in _MODES:
        raise DatabaseUnavailable(
            "the ssl-mode of the database URL is not known",
            next=f"use one of {', '.join(_MODES)}",
        )
    ca = given.get("ssl_ca")
    return Tls(
        mode or ("VERIFY_CA" if ca else "PREFERRED"),
        ca,
        given.get("ssl_cert"),
        given.get("ssl_key"),
    )


def _os_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _unreadable() -> DatabaseUnavailable:
    return DatabaseUnavailable(
        "the database URL cannot be read (its text is not shown, it may hold a password)",
        next="percent-encode special characters of the password, e.g. %40 for @ and %2F for /",
    )
