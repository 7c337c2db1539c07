"""SSH connections: made once for each host, made again when one broke, hosts in between shared.

The only module that connects.
"""

from __future__ import annotations

import asyncio
import time
from copy import copy
from dataclasses import replace

import asyncssh

from pilotage.errors import HostUnreachable
from pilotage.shell.address import Address, SshSettings, resolve, resolve_jump
from pilotage.shell.attempt import Attempt, Said, Transient, Witness
from pilotage.shell.keys import Keyring
from pilotage.shell.known_hosts import look_up

_PAUSE = 0.3

_SILENCE = 3.0
"""A host that let us wait so many seconds for nothing is not asked again for as long: who cleans up after a
link that broke asks it several times."""


class Link:
    """The connection to one host."""

    def __init__(self, network: Network, address: Address) -> None:
        self._network = network
        self._lock = asyncio.Lock()
        self._connection: asyncssh.SSHClientConnection | None = None
        self._silent: HostUnreachable | None = None
        self._silent_until = 0.0
        self.address = address

    @property
    def open(self) -> bool:
        """Whether it is, as far as is known."""
        return self._connection is not None and not self._connection.is_closed()

    async def connection(self) -> asyncssh.SSHClientConnection:
        """The connection, made now when there is none or the last one broke.

        Raises
        ------
        HostUnreachable
            It cannot be made. `HostDenied`, `HostKeyUnknown` and `HostKeyChanged` say more.
        """
        async with self._lock:
            if self._connection is None or self._connection.is_closed():
                self._connection = await self._made()
            return self._connection

    async def _made(self) -> asyncssh.SSHClientConnection:
        began = time.monotonic()
        if self._silent is not None and began < self._silent_until:
            raise copy(self._silent)
        try:
            return await self._network.connect(self.address)
        except HostUnreachable as error:
            now, cause = time.monotonic(), error.__cause__
            answered = not isinstance(cause, OSError) or isinstance(cause, ConnectionRefusedError)
            if not answered and now - began >= _SILENCE:
                self._silent, self._silent_until = error, now + _SILENCE
            raise

    def abandon(self, connection: asyncssh.SSHClientConnection) -> None:
        """This connection is of no use any more."""
        if self._connection is connection:
            self._connection = None
        connection.abort()

    async def close(self) -> None:
        """End it. Idempotent."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        connection.close()
        try:
            async with asyncio.timeout(2):
                await connection.wait_closed()
        except (TimeoutError, OSError, asyncssh.Error):
            connection.abort()


class Network:
    """All links of one project: their settings, their keys, and the hosts that others are reached through."""

    def __init__(self, settings: SshSettings) -> None:
        self._settings = settings
        self._keyring = Keyring(settings)
        self._jumps: dict[tuple[str, ...], Link] = {}

    def link(self, name: str) -> Link:
        """The link to a host of the project; nothing is connected yet.

        Raises
        ------
        ConfigError
            The name, or OpenSSH's configuration, cannot be read.
        """
        return Link(self, resolve(name, self._settings))

    async def close(self) -> None:
        """End what is shared. The links to hosts end by themselves before."""
        for link in reversed(self._jumps.values()):
            await link.close()
        await self._keyring.close()

    async def connect(self, address: Address) -> asyncssh.SSHClientConnection:
        """A new connection; see `Link.connection`."""
        attempt = 0
        while True:
            try:
                return await self._connect(address)
            except Transient as error:
                if attempt == self._settings.dns_retries:
                    raise error.told from error.__cause__
            await asyncio.sleep(_PAUSE * 2**attempt)
            attempt += 1

    async def _connect(self, address: Address) -> asyncssh.SSHClientConnection:
        known = await asyncio.to_thread(look_up, address)
        offer = await self._keyring.offer(address)
        said = Said() if address.proxy_command else None
        attempt = Attempt(address, known, offer, Witness(), said, self._settings.limit)
        try:
            return await attempt.connect(await self._through(address))
        except (OSError, asyncssh.Error, ValueError) as error:
            raise attempt.told(error) from error
        finally:
            if said is not None:
                said.close()

    async def _through(self, address: Address) -> asyncssh.SSHClientConnection | None:
        """The connection to the last host in between, shared by all that are behind it."""
        link: Link | None = None
        for at in range(len(address.jumps)):
            hops = address.jumps[: at + 1]
            if hops not in self._jumps:
                hop = resolve_jump(hops[-1], self._settings)
                # As in OpenSSH: of a list, each is reached through the one before; and `Host *` with a
                # ProxyJump does not send the host in between through itself.
                if at:
                    hop = replace(hop, jumps=hops[:-1], proxy_command=None)
                elif hop.jumps and resolve_jump(hop.jumps[-1], self._settings).place == hop.place:
                    hop = replace(hop, jumps=())
                self._jumps[hops] = Link(self, hop)
            link = self._jumps[hops]
        if link is None:
            return None
        try:
            async with asyncio.timeout(self._settings.limit * (len(address.jumps) + 1)):
                return await link.connection()
        except HostUnreachable as error:
            raise HostUnreachable(
                f"{link.address.name}, which it is reached through: {error.what}",
                where=address.name,
                state=error.state,
                next=error.next,
            ) from error
