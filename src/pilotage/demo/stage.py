"""Where the scenes play: a folder with the shop's repository, a database, a load, and someone to tell."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pilotage.demo import http1
from pilotage.demo.narrator import Narrator
from pilotage.demo.process import Command, Done, LoadProcess, Pilotage, start_load, typed
from pilotage.demo.repository import Repository
from pilotage.embedded import Postgres

DETAIL = re.compile(r"\s{8}\S|\[ *\d+/\d+\] done in ")
RELEASE_ID = 12  # hexadecimal digits of a revision


@dataclass(frozen=True, slots=True)
class Outcome:
    """Something that was expected to come, and whether it came."""

    scene: str
    expected: str
    ok: bool


@dataclass(slots=True)
class Stage:
    """Everything that a scene needs. A scene says what it expects, and goes on when it does not come."""

    folder: Path
    port: int
    repository: Repository
    postgres: Postgres
    pilotage: Pilotage
    narrator: Narrator
    seeds: int
    rate: float
    load: LoadProcess | None = None
    outcomes: list[Outcome] = field(default_factory=list)
    scene_name: str = ""
    deploys: int = 0
    _scenes: int = 0
    _moved: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        """What the world connects to."""
        return f"http://127.0.0.1:{self.port}"

    def scene(self, name: str, title: str, why: str = "") -> None:
        """A scene begins."""
        self._scenes += 1
        self.scene_name = name
        self.narrator.scene(self._scenes, title, why)

    def expect(self, ok: bool, expected: str, /) -> bool:
        """Note whether what was expected came."""
        self.outcomes.append(Outcome(self.scene_name, expected, ok))
        self.narrator.outcome(expected, good=ok)
        return ok

    # ---- commands --------------------------------------------------------------------------

    async def run(self, *arguments: str, status: int = 0) -> Done:
        """Run a command to its end, and expect its exit status."""
        self.narrator.command(typed(arguments))
        done = await self.pilotage.run(*arguments, on_line=self._tell)
        said = {0: "done", 1: "refused or failed, as it should be"}
        expected = f"exit status {status} after {done.seconds:.1f} s ({said[status]})"
        if done.status != status:
            expected += f", but it was {done.status}"
        self.expect(done.status == status, expected)
        return done

    async def switch(self, label: str, *arguments: str, status: int = 0) -> Done:
        """The same for a command that moves traffic: the load generator measures it as ``label``."""
        async with self.measured(label):
            done = await self.run(*arguments, status=status)
        self.deploys += done.status == 0
        return done

    async def start(self, *arguments: str, quiet: bool = False, merged: bool = True) -> Command:
        """Start a command, and go on."""
        self.narrator.command(typed(arguments))
        on_line = (lambda _: None) if quiet else self._tell
        return await self.pilotage.start(*arguments, on_line=on_line, merged=merged)

    def _tell(self, line: str) -> None:
        """What happens inside a step, and how long it took, is a detail: it is in the log."""
        tell = self.narrator.detail if DETAIL.match(line) else self.narrator.output
        tell(line)

    # ---- load ------------------------------------------------------------------------------

    async def start_load(self) -> None:
        """Let the customers in."""
        self.load = await start_load(
            self.url,
            self.folder / "acknowledged.csv",
            seeds=self.seeds,
            rate=self.rate,
            on_progress=self._progress,
        )

    def _progress(self, progress: dict[str, Any]) -> None:
        self.narrator.load(progress)
        self._moved.set()

    @asynccontextmanager
    async def measured(self, label: str) -> AsyncIterator[None]:
        """The requests in between are measured as ``label``."""
        if self.load is not None:
            await self.load.tell(f"begin {label}")
        try:
            yield
        finally:
            if self.load is not None:
                await self.load.tell("end")

    async def requests(self, number: int, *, limit: float = 60) -> bool:
        """Wait for that many more requests; False when they do not come within ``limit`` seconds."""
        assert self.load is not None
        goal = self.load.progress.get("requests", 0) + number
        try:
            async with asyncio.timeout(limit):
                while self.load.progress.get("requests", 0) < goal:
                    self._moved.clear()
                    await self._moved.wait()
        except TimeoutError:
            return False
        return True

    async def serves(self, tag: str) -> bool:
        """Expect that the edge is answered by the release of this tag."""
        expected = self.repository.revision(tag)[:RELEASE_ID]
        connection = await http1.connect("127.0.0.1", self.port, limit=5)
        try:
            up = http1.request("GET", "/up", host="shop")
            answer = await connection.send(up, limit=5)
        finally:
            connection.close()
        release = answer.headers.get("x-release", "")
        return self.expect(
            answer.status == 200 and release == expected, f"{tag} serves ({expected})"
        )
