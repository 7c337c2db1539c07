"""The edge of a Docker host: Envoy in a container, reached through one `Shell`.

A change that is one command locally is one here as well, so the batches of `pilotage.proxy.envoy.steps`
are what counts: a switch is a reading and two writings. The admin interface is asked through the
connection that is open anyway, by Envoy's Unix socket in the directory that the container mounts.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pilotage.errors import (
    CommandTimeout,
    ForwardingForbidden,
    HostError,
    HostLost,
    HostUnreachable,
    LeaseLost,
    ProxyError,
)
from pilotage.events import CommandRan, Emit
from pilotage.proxy.envoy import scripts
from pilotage.proxy.envoy.admin import ANSWER, Admin, Standing, Streams
from pilotage.proxy.envoy.config import EnvoySettings
from pilotage.proxy.envoy.place import Listing, Unreachable, unreachable
from pilotage.proxy.envoy.process import arguments, last_words
from pilotage.proxy.envoy.scripts import EdgeContainer, Found
from pilotage.shell.base import Shell
from pilotage.shell.fenced import Command, Done, Fence, Ran, run_script

_LIMIT = 60.0
"""Seconds for a command of which only a stuck disk or daemon makes more than one."""
_PULL = 600.0
"""Seconds to start the container, whose image may have to be pulled."""
_PAUSE = 0.05
_RECENT = 2.0
"""Seconds in which an answer of Envoy is one of a moment ago, as long as its connection is open."""

_FORWARDS = (
    "set `AllowTcpForwarding yes` and `AllowStreamLocalForwarding yes` (the defaults) in its sshd_config and "
    "reload sshd, or see why Envoy does not answer there; then run this again"
)
"""sshd says the same of a socket that it may not connect to and of one that is not there."""


@dataclass(slots=True)
class DockerPlace:
    """`pilotage.proxy.envoy.place.Place` on a host with Docker."""

    shell: Shell
    edge: EdgeContainer
    settings: EnvoySettings
    emit: Emit
    _home: str | None = None
    _kept: list[Streams] = field(default_factory=list, init=False, repr=False)
    _seen: HeldDocker | None = field(default=None, init=False, repr=False)
    _leaving: asyncio.Task[None] | None = field(default=None, init=False, repr=False)
    _opened: int = field(default=0, init=False, repr=False)
    """Connections to the admin interface so far. As long as there is no new one, the old ones end at one Envoy."""

    @property
    def host(self) -> str:
        """Its name in the configuration."""
        return self.shell.host

    @property
    def directory(self) -> str:
        """On that host."""
        return f"{self.shell.host}:~/{self.edge.directory}"

    @property
    def log(self) -> str:
        """A command for that host."""
        return f"`{self.edge.program} logs {self.edge.name}` on {self.shell.host}"

    @contextlib.asynccontextmanager
    async def hold(self, token: int) -> AsyncIterator[HeldDocker]:
        """Compare the token and read the files, in one command. What changes them later compares again.

        What this deployer read or wrote itself is not read again: the next change is of that, or of nothing.
        """
        await self.left_to_itself()
        seen, self._seen = self._seen, None
        if seen is None or not seen.known or seen.token != token:
            # Whether it answers is asked beside: who holds it for the first time wants to know.
            found, kept = await asyncio.gather(self._read(token), self._ready())
            seen = HeldDocker(self, token, found, kept=kept)
            if kept is not None:
                seen.answered_at = time.monotonic()
        held = HeldDocker(
            *(self, token, seen.found, seen.read_at), answered_at=seen.answered_at, kept=seen.kept
        )
        yield held
        self._seen = held

    async def _read(self, token: int) -> Found:
        try:
            ran = await self._run((scripts.read(self.edge),), token)
            found = scripts.parse_listing(ran.last.out)
        except OSError as error:
            raise self._out_of_reach(error) from error
        self._home = found.directory.removesuffix(f"/{self.edge.directory}")
        return found

    @contextlib.asynccontextmanager
    async def admin(self) -> AsyncIterator[Admin]:
        """By Envoy's socket on that host, on a connection that is kept for the next time."""
        if self._kept:
            admin = Admin(*self._kept.pop(), reopen=self._connect)
        else:
            admin = Admin(*await self._connect())
        try:
            yield admin
        except BaseException:
            admin.writer.close()
            raise
        self._kept.append((admin.reader, admin.writer))

    async def _connect(self) -> Streams:
        try:
            if self._home is None:
                self._home = (await self.shell.run(("pwd",), limit=_LIMIT)).text
            self._opened += 1
            async with asyncio.timeout(ANSWER):
                return await self.shell.open_unix(f"{self._home}/{self.edge.socket}")
        except ForwardingForbidden:
            raise
        except HostError as error:
            raise Unreachable(error.what) from error

    def leave(self, work: Coroutine[None, None, None]) -> None:
        """Begin what nobody waits for but the next change, and the end."""
        self._leaving = asyncio.create_task(work)

    async def left_to_itself(self) -> None:
        """Wait for what was begun by `leave`. Where it failed, its `HeldDocker` knows nothing any more."""
        if self._leaving is not None:
            await asyncio.wait({self._leaving})
            if not self._leaving.cancelled():
                self._leaving.exception()
            self._leaving = None

    async def close(self) -> None:
        """See what was left to its end, and end the connections that were kept; nobody waits for theirs."""
        await self.left_to_itself()
        while self._kept:
            _, writer = self._kept.pop()
            writer.close()

    @property
    def connected(self) -> bool:
        """Whether a connection to the admin interface is open, as far as one hears."""
        return any(not reader.at_eof() for reader, _ in self._kept)

    async def alive(self) -> bool:
        """Whether it answers, else whether its container runs."""
        return await self.answers() or await self.runs()

    async def runs(self) -> bool:
        """Whether its container does."""
        try:
            ran = await self._run((scripts.states(self.edge),), None)
        except Unreachable:
            raise
        except OSError:
            return False
        return ran.last.out == "running"

    async def answers(self) -> bool:
        """Whether the admin interface says that Envoy is ready."""
        return await self._ready() is not None

    async def _ready(self) -> tuple[Mapping[str, Standing], int] | None:
        """How an Envoy that is ready has its files, for `HeldDocker.kept`."""
        try:
            async with self.admin() as admin:
                return await admin.ready(), self._opened
        except OSError:
            return None

    async def _run(
        self, commands: Sequence[Command], token: int | None, *, limit: float = _LIMIT
    ) -> Ran:
        """Run commands under the fence, or, without a token, beside it.

        Raises
        ------
        OSError
            One failed; `Unreachable` when that is not known.
        LeaseLost
            The host has seen a higher token, or somebody else changed the edge.
        """
        fence = None if token is None else Fence(self.edge.state_dir, token)
        try:
            ran = await run_script(self.shell, commands, fence, limit=limit)
        except (HostUnreachable, HostLost, CommandTimeout) as error:
            raise Unreachable(error.what) from error
        for done in ran.done:
            self._tell(done)
        if not ran.finished:
            if ran.done and ran.last.status == scripts.OVERTAKEN:
                raise LeaseLost(
                    "another command changed the edge at the same time",
                    where=self.directory,
                    state="this one changes nothing more there",
                    next="`pilotage status` shows what is in force; run the command again if need be",
                )
            raise OSError(ran.words.strip())
        return ran

    def _tell(self, done: Done) -> None:
        if done.argv[0] == self.edge.program:
            self.emit(
                CommandRan(host=self.host, argv=done.argv, seconds=done.seconds, status=done.status)
            )

    def _out_of_reach(self, error: OSError) -> ProxyError:
        if isinstance(error, Unreachable):
            return unreachable(self.host, error, state="nothing was changed there")
        return ProxyError(
            f"the edge's files cannot be read: {error.strerror or error}",
            where=self.directory,
            state="nothing was changed there",
            next="see what is wrong with that directory; then run this again",
        )


@dataclass(slots=True)
class HeldDocker:
    """`pilotage.proxy.envoy.place.Held`: what was read, and whose change this is.

    ``read_at``: when, by ``time.monotonic()``. ``known``: what is there now is ``found``, with what was changed here.
    ``answered_at``: when Envoy did, likewise. ``kept``: what `keep` was given, after how many connections.
    """

    place: DockerPlace
    token: int
    found: Found
    read_at: float = field(default_factory=time.monotonic)
    known: bool = True
    answered_at: float = float("-inf")
    kept: tuple[Mapping[str, Standing], int] | None = None
    _mine: str = field(default_factory=lambda: secrets.token_hex(8))

    @property
    def directory(self) -> str:
        """On that host."""
        return self.place.directory

    @property
    def _edge(self) -> EdgeContainer:
        return self.place.edge

    @property
    def answered(self) -> bool:
        """It did, and nothing was heard of its end."""
        return self.place.connected and time.monotonic() - self.answered_at < _RECENT

    async def _change(self, commands: Sequence[Command]) -> None:
        await self.place.left_to_itself()
        await self._carry_out(commands)

    async def _carry_out(self, commands: Sequence[Command]) -> None:
        known, self.known = self.known, False
        swap = scripts.swap(self._edge, was=self.found.generation, mine=self._mine)
        await self.place._run((swap, *commands), self.token)
        self.found = replace(self.found, generation=self._mine)
        self.known = known

    @property
    def standing(self) -> Mapping[str, Standing] | None:
        """What was kept; Envoy may have been started anew behind a new connection."""
        standing, opened = self.kept or (None, 0)
        return standing if opened == self.place._opened else None

    def keep(self, standing: Mapping[str, Standing]) -> None:
        """Until the next connection."""
        self.kept = standing, self.place._opened

    async def read(self) -> Listing:
        """As it was when the fence was asked."""
        return Listing(self.found.contents, self.found.names)

    async def write(self, files: Mapping[str, bytes], *, keep: Mapping[str, str]) -> None:
        """One command."""
        await self._change(tuple(scripts.write(self._edge, files, keep=keep)))
        old, names = self.found.contents, self.found.names
        kept = {second for name, second in keep.items() if name in old}
        self.found = replace(
            self.found,
            contents={**old, **files},
            names=names.difference(keep.values()) | kept | files.keys(),
        )
        if any(name.startswith("lds/") for name in files):
            self.known = False  # Envoy itself makes and removes the sockets of gates

    async def restore(self, kept: Mapping[str, str | None]) -> None:
        """One command."""
        await self._change((scripts.restore(self._edge, kept),))
        self.known = False

    async def delete(self, names: Collection[str]) -> None:
        """One command, which nobody waits for but the next change: Envoy reads none of these files."""
        await self.place.left_to_itself()
        self.place.leave(self._carry_out((scripts.delete(self._edge, names),)))
        left = {name: data for name, data in self.found.contents.items() if name not in names}
        self.found = replace(self.found, contents=left, names=self.found.names.difference(names))

    async def destroy(self) -> None:
        """One command."""
        await self._change((scripts.destroy(self._edge),))
        self.known = False

    async def alive(self) -> bool:
        """Whether it answers, else whether its container runs."""
        if self.answered:
            return True
        if not await self.place.answers():
            return await self.place.runs()
        self.answered_at = time.monotonic()
        return True

    async def clear(self) -> None:
        """Nobody else has the port of a container, and `start` replaces one that died."""

    async def start(self) -> None:
        """As a container that Docker starts again when it ends."""
        envoy = ("-c", "bootstrap.json", *arguments(self.place.settings))
        commands = scripts.start(self._edge, self.found, envoy)
        said = await self.said()
        try:
            await self.place._run(commands, self.token, limit=_PULL)
        except OSError as error:
            raise ProxyError(
                f"the edge's container could not be started: {error}",
                where=self.place.host,
                state="no edge runs there",
                next=f"see `{self._edge.program} ps --all` there; then run this again",
            ) from error
        try:
            await self._ready(said)
        except BaseException:
            await asyncio.shield(self.stop())
            raise

    async def ready(self) -> None:
        """Docker may just be starting it again."""
        if not self.answered:
            await self._ready(await self.said())

    async def _ready(self, said: int) -> None:
        settings = self.place.settings
        deadline = time.monotonic() + settings.start
        while not await self.place.answers():
            late = time.monotonic() >= deadline
            if late or await self._ended():
                words = await self.words(said)
                if late and not words:
                    raise self._no_way_in()
                raise ProxyError(
                    f"Envoy does not answer after {settings.start:g} s: {words}"
                    if late
                    else f"Envoy ended as it started: {words or 'it says nothing'}",
                    where=self.place.log,
                    state="no edge runs there",
                )
            await asyncio.sleep(_PAUSE)

    def _no_way_in(self) -> ProxyError:
        return ProxyError(
            "Envoy's container runs, and its admin socket cannot be reached through SSH",
            where=f"{self.place.host}:~/{self._edge.socket}",
            state="nothing was changed there",
            next=_FORWARDS,
        )

    async def _ended(self) -> bool:
        try:
            ran = await self.place._run((scripts.restarts(self._edge),), None)
        except OSError:
            return False
        return ran.last.out != "0"

    async def stop(self) -> None:
        """Give it time, then remove it."""
        ran = await self.place._run(scripts.stop(self._edge), self.token)
        if ran.last.out:
            raise ProxyError(
                f"the edge's container is still there, and {ran.last.out}",
                where=f"{self._edge.name} on {self.place.host}",
                state="it may still serve",
                next=f"see `{self._edge.program} rm --force {self._edge.name}` there",
            )

    async def said(self) -> int:
        """A moment of the host's clock, in whole seconds."""
        return self.found.clock + int(time.monotonic() - self.read_at)

    async def words(self, since: int) -> str:
        """From Docker's log."""
        try:
            result = await self.place.shell.run(
                scripts.logs(self._edge, since=since), limit=_LIMIT, check=False
            )
        except HostError:
            return ""
        return last_words((result.out + result.err).decode(errors="replace"))
