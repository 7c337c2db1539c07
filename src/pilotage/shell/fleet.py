"""All hosts of a project: connected at once, each kept for as long as the fleet is.

A host that cannot be reached is named before anything is begun anywhere, and with it every other one
that cannot.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self

from pilotage.errors import HostError, HostKeyUnknown, HostUnreachable
from pilotage.shell.address import SshSettings
from pilotage.shell.base import Shell
from pilotage.shell.everywhere import reasons
from pilotage.shell.local import LocalShell
from pilotage.shell.traced import Trace, TracedShell

if TYPE_CHECKING:
    from pilotage.shell.link import Network

LOCAL = "localhost"
"""The name that stands for this machine, without SSH. ``127.0.0.1`` is a host as any other."""


class Fleet:
    """The shells of hosts, by name. Made with no connection; `connect` makes them."""

    def __init__(self, hosts: Iterable[str], settings: SshSettings) -> None:
        """
        Raises
        ------
        ConfigError
            A name, a key, or OpenSSH's configuration cannot be read.
        """
        names = tuple(dict.fromkeys(hosts))
        self._settings = settings
        self._shells: dict[str, Shell] = {}
        self._network: Network | None = None
        trace = Trace(settings.trace) if settings.trace else None
        for name in names:
            shell = self._open(name)
            self._shells[name] = shell if trace is None else TracedShell(shell, trace)

    def _open(self, name: str) -> Shell:
        if name == LOCAL:
            return LocalShell(name)
        # asyncssh takes a third of a second to import: only who has remote hosts pays for it.
        from pilotage.shell.link import Network
        from pilotage.shell.ssh import SshShell

        self._network = self._network or Network(self._settings)
        return SshShell(name, self._network)

    def __getitem__(self, host: str) -> Shell:
        return self._shells[host]

    @property
    def shells(self) -> Mapping[str, Shell]:
        """All of them, in the order of the configuration."""
        return self._shells

    async def failures(self) -> dict[str, HostError]:
        """Connect to all; the error of each host that could not be."""
        starts = asyncio.Semaphore(max(1, self._settings.starts))

        async def one(shell: Shell) -> HostError | None:
            async with starts:
                try:
                    await shell.connect()
                except HostError as error:
                    return error
            return None

        tasks = [asyncio.ensure_future(one(shell)) for shell in self._shells.values()]
        try:
            told = await asyncio.gather(*tasks)
        finally:
            # A wrong key in the configuration ends it for all: no connection is made after that.
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return {host: error for host, error in zip(self._shells, told, strict=True) if error}

    async def connect(self) -> None:
        """Connect to all.

        Raises
        ------
        HostUnreachable
            Some cannot be reached; names every one. With a single one, its own error.
        """
        require(await self.failures(), of=len(self._shells))

    async def close(self) -> None:
        """End all connections. Idempotent."""
        await asyncio.gather(*(shell.close() for shell in self._shells.values()))
        if self._network is not None:
            await self._network.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()


def require(failures: Mapping[str, HostError], *, of: int) -> None:
    """Raise what is wrong with hosts that must answer, if anything is; they are so many altogether.

    Raises
    ------
    HostUnreachable
        As `Fleet.connect`.
    """
    if len(failures) == 1:
        raise next(iter(failures.values()))
    if failures:
        raise _together(failures, of=of)


def _together(failures: Mapping[str, HostError], *, of: int) -> HostUnreachable:
    unknown = [host for host, error in failures.items() if isinstance(error, HostKeyUnknown)]
    steps = {error.next for error in failures.values() if not isinstance(error, HostKeyUnknown)}
    if unknown:
        steps.add(
            "compare each fingerprint with what the host itself says, "
            f"then `pilotage server trust {' '.join(unknown)}`"
        )
    return HostUnreachable(
        f"{len(failures)} of {of} hosts cannot be reached:{reasons(failures)}",
        where=", ".join(failures),
        state="nothing was begun on any host",
        next="; ".join(sorted(steps)),
    )
