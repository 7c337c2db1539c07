"""Where a service runs: what one target puts into a `World`, and what only it can say of itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from pilotage.audit import HostLog
from pilotage.config import Config
from pilotage.events import Emit
from pilotage.model import Instance
from pilotage.plan import Layout
from pilotage.proxy.base import Proxy
from pilotage.secret import Secret
from pilotage.shell.base import Shell
from pilotage.source import GitSource
from pilotage.targets.base import Logs, OnWritten, Target, TargetView
from pilotage.wiring.use import Use

if TYPE_CHECKING:
    from pilotage.proxy.door import Door


class Tidy(Protocol):
    """Removes what is kept of revisions that are not named, under a lease's token; says in lines what that was.

    ``retain``: how many containers that ended stay, of each role. ``hosts``: on these alone.
    """

    async def __call__(
        self,
        keep: Collection[str],
        token: int,
        *,
        retain: int,
        hosts: Collection[str] | None = None,
    ) -> tuple[str, ...]: ...


class Enter(Protocol):
    """Runs a command in an instance that runs; its exit status. See `DockerTarget.enter`."""

    async def __call__(
        self,
        instance: Instance,
        argv: tuple[str, ...],
        *,
        env: Mapping[str, str],
        terminal: bool,
        written: OnWritten | None,
    ) -> int: ...


class Show(Protocol):
    """What hosts have of the service, as a person reads it."""

    async def containers(self) -> Mapping[str, str]:
        """Every container, those that have ended too; by host."""
        ...

    async def images_there(self) -> Mapping[str, str]:
        """Every image of it; by host."""
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command wrote, and how it ended. ``where``: for people."""

    status: int
    out: str
    err: str
    where: str


class Ask(Protocol):
    """Runs a line for ``sh`` with the environment of the primary role, and ``env`` over it.

    Raises
    ------
    TargetError
        It could not be run, or took longer than ``limit`` seconds.
    """

    async def __call__(
        self, line: str, env: Mapping[str, str | Secret], *, limit: float
    ) -> Answer: ...


class Build(Protocol):
    """Makes what hosts need of a revision. ``fresh``: without a cache of what was made before.

    Raises
    ------
    TargetError
        It could not be made, or brought to where hosts find it; nothing else was touched.
    """

    async def __call__(self, revision: str, *, fresh: bool = False) -> None: ...


class FetchAhead(Protocol):
    """Has the hosts begin to fetch a revision. ``kept``: what one still has of it is taken as it is."""

    def __call__(self, revision: str, *, kept: bool = False) -> None: ...


def _nothing(revision: str, *, kept: bool = False) -> None:
    """Where there is nothing to fetch."""


@dataclass(frozen=True, slots=True)
class Place:
    """A target with its edge.

    ``host``: where release commands and consoles run; the first host of the primary role. ``wipe``
    deletes what is left of the service there once nothing of it runs, and says so in lines. ``build``
    makes what the hosts need of a revision, where that is not the revision itself: its image; ``fetch_ahead`` lets
    them begin to fetch it, while other things are done. ``tidy``
    removes what nothing needs any more. ``shells``: its hosts, where they are reached over SSH; ``edges``: the way in on each of them, which ``proxy`` is
    together; ``doors``: what all services on each of them share. ``notes``: what a person should know who reads a plan.
    ``audit``: where its hosts keep who did what. ``enter``: runs a command in an instance that runs, where
    one can be entered. ``show``: what its hosts have, in their own words, where they have any. ``ask``: runs a short
    command where the service runs, to see what it prints. ``seen``: what the target saw last, where that is quicker than
    to look again.
    """

    target: Target
    logs: Logs
    proxy: Proxy
    layout: Layout
    host: str
    wipe: Callable[[], Awaitable[tuple[str, ...]]]
    ask: Ask
    build: Build
    tidy: Tidy
    fetch_ahead: FetchAhead = _nothing
    notes: tuple[str, ...] = ()
    shells: Mapping[str, Shell] = field(default_factory=dict)
    edges: Mapping[str, Proxy] = field(default_factory=dict)
    doors: Mapping[str, Door] = field(default_factory=dict)
    audit: HostLog | None = None
    enter: Enter | None = None
    show: Show | None = None
    seen: Callable[[], Awaitable[TargetView]] | None = None


class Opening(Protocol):
    """What opens a place, with whatever it is connected to, for as long as a block lasts."""

    def __call__(
        self, config: Config, source: GitSource, *, emit: Emit, use: Use
    ) -> AbstractAsyncContextManager[Place]:
        """
        Raises
        ------
        ConfigError
            It asks for what the target cannot do, or lacks a secret.
        """
        ...
