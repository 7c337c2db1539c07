"""The processes that the demo drives: commands of ``pilotage``, and the load generator.

Each gets a session of its own, so that Ctrl-C reaches the demo alone and it decides what ends first.
"""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LINE_LIMIT = 1 << 20  # bytes of one line: a plan is printed as one JSON object
GRACE = 20  # seconds for a command that was interrupted to tidy up

OnLine = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Done:
    """A command that ended. ``lines``: standard output and standard error, in the order they came."""

    argv: tuple[str, ...]
    status: int
    lines: tuple[str, ...]
    seconds: float

    @property
    def text(self) -> str:
        """All lines."""
        return "\n".join(self.lines)


@dataclass(slots=True)
class Command:
    """A command of ``pilotage`` that runs."""

    argv: tuple[str, ...]
    process: asyncio.subprocess.Process
    started: float
    lines: list[str] = field(default_factory=list)
    readers: list[asyncio.Task[None]] = field(default_factory=list)

    async def wait(self) -> Done:
        """Wait for its end, and for the end of its output."""
        try:
            status = await self.process.wait()
            await asyncio.gather(*self.readers)
        except asyncio.CancelledError:
            await self.end()
            raise
        seconds = time.monotonic() - self.started
        return Done(self.argv, status, tuple(self.lines), seconds)

    def kill(self) -> None:
        """SIGKILL: it has no time to do anything."""
        with suppress(ProcessLookupError):
            self.process.kill()

    async def send(self, line: str) -> None:
        """Type a line. Nothing happens when nobody reads any more."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n".encode())
        with suppress(ConnectionError):
            await self.process.stdin.drain()

    def close_input(self) -> None:
        """Type Ctrl-D."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    async def said(self, text: str, *, limit: float) -> bool:
        """Wait until a line contains ``text``; False when it ended, or ``limit`` seconds passed."""
        give_up = time.monotonic() + limit
        while time.monotonic() < give_up:
            if any(text in line for line in self.lines):
                return True
            if all(reader.done() for reader in self.readers):
                return False
            await asyncio.sleep(0.02)
        return False

    async def end(self) -> None:
        """Interrupt it, as Ctrl-C does; kill it when that takes too long."""
        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGINT)
        try:
            async with asyncio.timeout(GRACE):
                await self.process.wait()
        except TimeoutError:
            self.kill()
            await self.process.wait()
        for reader in self.readers:
            reader.cancel()
        await asyncio.gather(*self.readers, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class Pilotage:
    """The command line, in the folder of the application."""

    folder: Path
    environment: Mapping[str, str]
    log: Path

    async def start(self, *arguments: str, on_line: OnLine, merged: bool = True) -> Command:
        """Start ``pilotage ARGUMENTS``. ``merged``: standard error counts as output as well."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "pilotage", *arguments),
            cwd=self.folder,
            env=self.environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT if merged else asyncio.subprocess.PIPE,
            start_new_session=True,
            limit=LINE_LIMIT,
        )
        command = Command(arguments, process, time.monotonic())
        with self.log.open("a") as log:
            log.write(f"$ {typed(arguments)}\n")

        def take(line: str) -> None:
            command.lines.append(line)
            with self.log.open("a") as log:
                log.write(f"{line}\n")
            on_line(line)

        for stream in (process.stdout, process.stderr):
            if stream is not None:
                command.readers.append(asyncio.create_task(_lines(stream, take)))
        return command

    async def run(self, *arguments: str, on_line: OnLine) -> Done:
        """Run ``pilotage ARGUMENTS`` to its end."""
        command = await self.start(*arguments, on_line=on_line)
        command.close_input()
        return await command.wait()


def typed(arguments: tuple[str, ...]) -> str:
    """The command as a person types it."""
    return shlex.join(("pilotage", *arguments))


async def _lines(stream: asyncio.StreamReader, take: OnLine) -> None:
    while line := await stream.readline():
        take(line.decode(errors="replace").rstrip("\r\n"))


@dataclass(slots=True)
class LoadProcess:
    """The load generator, seen from the demo."""

    process: asyncio.subprocess.Process
    acks: Path
    progress: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    _reader: asyncio.Task[None] | None = None

    async def tell(self, command: str) -> None:
        """``begin LABEL``, ``end`` or ``stop``."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{command}\n".encode())
        await self.process.stdin.drain()

    async def stop(self) -> dict[str, Any]:
        """Stop the load; the summary. Empty when the process is broken."""
        with suppress(ConnectionError):
            await self.tell("stop")
        await self.process.wait()
        if self._reader is not None:
            await self._reader
        return self.summary

    async def kill(self) -> None:
        """End it now."""
        with suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()
        if self._reader is not None:
            await self._reader


async def start_load(
    url: str, acks: Path, *, seeds: int, rate: float, on_progress: Callable[[dict[str, Any]], None]
) -> LoadProcess:
    """Start the load generator in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pilotage.demo.load", url, str(acks)),
        *("--seeds", str(seeds), "--rate", str(rate)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
        limit=LINE_LIMIT,
    )
    load = LoadProcess(process, acks)

    def take(line: str) -> None:
        seen = json.loads(line)
        if seen.get("summary"):
            load.summary = seen
        else:
            load.progress = seen
            on_progress(seen)

    assert process.stdout is not None
    load._reader = asyncio.create_task(_lines(process.stdout, take))
    return load


def environment(programs: Path) -> dict[str, str]:
    """The environment of the commands: ``python`` is the interpreter that runs the demo.

    ``programs`` is a folder for it: a virtual environment's interpreter cannot be reached by a link.
    """
    programs.mkdir(exist_ok=True)
    python = programs / "python"
    python.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    python.chmod(0o755)
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PILOTAGE_", "PG")) and name != "DATABASE_URL"
    }
    return {**kept, "PATH": f"{programs}{os.pathsep}{kept.get('PATH', os.defpath)}"}
