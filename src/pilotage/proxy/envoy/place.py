"""Where one Envoy runs: the few things that differ between this machine and a host over SSH.

The proxy (`pilotage.proxy.envoy.proxy`) is the same everywhere. It names files relative to the edge's
directory (``rds/rds.json``), and everything that it does there goes through a `Place`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

from pilotage.errors import EdgeUnreachable
from pilotage.proxy.envoy.admin import Admin, Standing


@dataclass(frozen=True, slots=True)
class Listing:
    """What is in the directory. ``contents``: of what Envoy reads; ``names``: of that, and of the rest
    that a change leaves behind (what it keeps for the way back, sockets)."""

    contents: Mapping[str, bytes] = field(default_factory=dict)
    names: frozenset[str] = frozenset()


class Unreachable(ConnectionError):
    """The host itself does not answer: nothing is known of its Envoy."""


class Place(Protocol):
    """One Envoy's directory and process.

    What goes wrong with a file or with the admin interface is an `OSError`; `Unreachable` where the host
    itself was lost.
    """

    @property
    def host(self) -> str:
        """The host's name in the inventory."""
        ...

    @property
    def directory(self) -> str:
        """The directory, as an error names it."""
        ...

    async def alive(self) -> bool:
        """Whether Envoy runs. Raises `Unreachable`."""
        ...

    @property
    def log(self) -> str:
        """Where Envoy's own words are, or how they are read."""
        ...

    def hold(self, token: int) -> AbstractAsyncContextManager[Held]:
        """Begin a change of the edge, and refuse a token lower than one seen before.

        Raises
        ------
        LeaseLost
            A higher token was seen; any change of what is held may raise it, too.
        ProxyError, TargetError
            The host does not answer, or its lock cannot be had.
        """
        ...

    def admin(self) -> AbstractAsyncContextManager[Admin]:
        """The admin interface. Raises `OSError` when nothing answers."""
        ...


class Held(Protocol):
    """A place on which nobody else changes anything, or where it would be noticed (`LeaseLost`)."""

    @property
    def directory(self) -> str:
        """As an error names it."""
        ...

    # -- what is in force --------------------------------------------------------------------

    @property
    def answered(self) -> bool:
        """Whether Envoy said a moment ago, to whoever holds the place, that it is ready."""
        ...

    @property
    def standing(self) -> Mapping[str, Standing] | None:
        """How Envoy had its files at the end of this deployer's last change, or as they were read; None where it has to
        be asked. What is in force is certain only where these are the versions of all files."""
        ...

    def keep(self, standing: Mapping[str, Standing]) -> None:
        """Remember how Envoy has the files, all of which are in force."""
        ...

    # -- files -------------------------------------------------------------------------------

    async def read(self) -> Listing:
        """The files; nothing before the first were written."""
        ...

    async def write(self, files: Mapping[str, bytes], *, keep: Mapping[str, str]) -> None:
        """Write files in the order given, each beside and renamed into place.

        ``keep``: by the name of a file, under which second name the old one is kept first. Where there
        is no old one, nothing is under that name afterwards.

        Raises
        ------
        OSError
            One cannot be written: that one and those after it are what they were.
        """
        ...

    async def restore(self, kept: Mapping[str, str | None]) -> None:
        """Put files back, in the order given: from its second name, unless nothing has that name; with
        None the file is deleted, since there was none before."""
        ...

    async def delete(self, names: Collection[str]) -> None:
        """Delete files, and the directories of those below ``eds`` that are empty then."""
        ...

    async def destroy(self) -> None:
        """Delete the directory. Idempotent."""
        ...

    # -- process -----------------------------------------------------------------------------

    async def alive(self) -> bool:
        """Whether Envoy runs."""
        ...

    async def clear(self) -> None:
        """Make sure that an Envoy can be started: one that died is gone, and its port is free.

        Raises
        ------
        ProxyError
            Somebody else has the port.
        """
        ...

    async def start(self) -> None:
        """Start Envoy in its directory; returns once its admin interface answers.

        Raises
        ------
        ProxyError
            It could not be started, or ended, or was not ready in time: it is then gone.
        """
        ...

    async def ready(self) -> None:
        """Wait until the Envoy that runs answers. Raises `ProxyError`."""
        ...

    async def stop(self) -> None:
        """End it, and be sure. Idempotent. Raises `ProxyError` when it is still alive."""
        ...

    async def said(self) -> int:
        """A mark in what Envoy has said so far."""
        ...

    async def words(self, since: int) -> str:
        """Envoy's last words after a mark; empty when there are none."""
        ...


def unreachable(
    where: str, error: Unreachable, *, state: str = "it is not certain which route is in force"
) -> EdgeUnreachable:
    """The error of an edge whose host does not answer."""
    return EdgeUnreachable(
        f"the host does not answer any more: {error}",
        where=where,
        state=state,
        next="run the same command again once the host answers: it goes on from what is there",
    )
