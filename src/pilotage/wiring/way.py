"""The way to a database that this machine does not reach: through a host's SSH connection.

Only pilotage's own sessions go this way. What runs on the hosts has the URL as it is written.
"""

from __future__ import annotations

import shlex
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

from pilotage.config import DatabaseConfig
from pilotage.errors import ConfigError, DatabaseUnavailable, HostError, StoreError
from pilotage.secret import Secret
from pilotage.shell.base import Shell

_PORTS = {"postgres": 5432, "postgresql": 5432, "mysql": 3306, "mysql2": 3306, "mariadb": 3306}
_LOOPBACK = "127.0.0.1"

_ANSWER = 10.0
"""Seconds in which a host says that it is there."""


@dataclass(frozen=True, slots=True)
class Urls:
    """The connections to one database, as this machine makes them."""

    url: Secret
    migration_url: Secret | None = None
    replicas: tuple[Secret, ...] = ()


def direct(database: DatabaseConfig) -> Urls:
    """The URLs as they are written.

    Raises
    ------
    SecretMissing
        One of them has no value.
    """
    return Urls(database.url, database.migration_url, database.replicas)


async def through(shell: Shell, database: DatabaseConfig, stack: AsyncExitStack) -> Urls:
    """The URLs with ports of this machine that lead to the database for as long as ``stack`` lasts.

    Raises
    ------
    ConfigError
        A URL that has no host and port to lead to.
    HostError
        The host does not forward.
    """
    way = _Way(shell, database, stack)
    stack.push_async_exit(way.explain)
    written = direct(database)
    return Urls(
        await way.of(written.url, "url"),
        await way.of(written.migration_url, "migration_url") if written.migration_url else None,
        tuple([await way.of(replica, "replicas") for replica in written.replicas]),
    )


@dataclass(slots=True)
class _Way:
    """One port of this machine for each server."""

    shell: Shell
    database: DatabaseConfig
    stack: AsyncExitStack
    _ports: dict[tuple[str, int], int] = field(default_factory=dict)

    async def of(self, url: Secret, key: str) -> Secret:
        """A URL that leads through the host."""
        try:
            parts = urlsplit(url.reveal().strip())
            several = "," in parts.netloc.rpartition("@")[2]
            host, port = unquote(parts.hostname or ""), None if several else parts.port
        except ValueError:
            raise self._refused(key, "cannot be read") from None
        scheme = parts.scheme.partition("+")[0].lower()
        if scheme not in _PORTS:
            raise self._refused(key, "is of no server that is reached over a network")
        if several or not host or host.startswith("/"):
            raise self._refused(key, "does not name one host")
        to = host, port or _PORTS[scheme]
        local = self._ports.get(to) or await self._open(*to)
        self._ports[to] = local
        user, at, _ = parts.netloc.rpartition("@")
        query = parts.query
        name = _LOOPBACK
        if _PORTS[scheme] == 5432:
            # libpq connects to `hostaddr`; `host` stays the name that a certificate is for.
            name = quote(host, safe=":[]")
            query = urlencode([*parse_qsl(query, keep_blank_values=True), ("hostaddr", _LOOPBACK)])
        netloc = f"{user}{at}{name}:{local}"
        return Secret(urlunsplit((parts.scheme, netloc, parts.path, query, parts.fragment)))

    async def explain(self, _kind: object, error: BaseException | None, _at: object) -> None:
        """Say that it is the host that is gone, where the database says that it is not there."""
        if not isinstance(error, (DatabaseUnavailable, StoreError)):
            return
        try:
            await self.shell.run(("true",), limit=_ANSWER)
        except HostError as lost:
            key = f"databases.{self.database.name}.via"
            error.what = f"the way to the database leads through this host (`{key}`): {lost.what}"
            error.where = self.shell.host
            error.state = "what was under way when the link broke may go on there, or end undone"
            error.next = (
                "when the host answers, run the same command again: it goes on from what it finds"
            )

    async def _open(self, host: str, port: int) -> int:
        """A port here for a server there."""
        address = await _container(self.shell, host) or host
        return await self.stack.enter_async_context(self.shell.forward(address, port))

    def _refused(self, key: str, why: str) -> ConfigError:
        return ConfigError(
            f"`databases.{self.database.name}.via` leads to a server by its host and port, and the URL "
            f"{why}",
            where=self.database.where,
            key=f"databases.{self.database.name}.{key}",
            next="take `via` out, or write the URL with one host",
        )


async def _container(shell: Shell, name: str) -> str | None:
    """The address of the container of this name, where the host runs one: an accessory, say."""
    form = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}"
    argv = ("docker", "container", "inspect", "--format", form, name)
    # Names with dots are of machines; asking Docker for them would only cost time.
    if "." in name or ":" in name or name == "localhost":
        return None
    found = await shell.run(("sh", "-c", f"{shlex.join(argv)} 2>/dev/null || true"))
    return next(iter(found.text.split()), None)
