"""The command that makes a checkout ready, run so that a killed deployer does not leave two of it.

It runs detached, on record before it exists, as an instance does: whoever comes next finds it running,
follows it to its end, and takes its result. Whoever leaves on purpose (Ctrl-C) ends it.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pilotage.errors import TargetError
from pilotage.host.fence import unwritable
from pilotage.host.files import dump_json, read_json, write_atomic
from pilotage.host.launch import Program, Status, launch, read_status, still_alive
from pilotage.host.logs import follow
from pilotage.host.process import ProcessId, signal_group, wait_gone

_GRACE = 5.0
_LOOK = 0.02


@dataclass(frozen=True, slots=True)
class Preparation:
    """The preparation of one checkout, ``name``. Run by a caller who holds the checkout's lock."""

    state_dir: Path
    name: str

    @property
    def log(self) -> Path:
        """What it printed."""
        return self.state_dir / "logs" / f"prepare-{self.name}.log"

    @property
    def _record(self) -> Path:
        return self.state_dir / "releases" / f"{self.name}.preparing"

    @property
    def _status(self) -> Path:
        return self.state_dir / "releases" / f"{self.name}.status"

    async def run(
        self,
        command: str,
        digest: str,
        *,
        cwd: Path,
        env: Mapping[str, str],
        output: Callable[[str], None],
    ) -> int:
        """Run the command, or join the one with this ``digest`` that runs; its exit status.

        Raises
        ------
        TargetError
            It could not be started, or nobody knows how it ended.
        """
        shims: list[ProcessId] = []
        try:
            running = self._running()
            if running is not None:
                shim, what = running
                shims.append(shim)
                await self._follow(shim, output)
                if what == digest and (status := self._ended()) is not None:
                    return status.code or 0
            program = self._program(command, cwd=cwd, env=env)
            await self._launch(program, digest, shims)
            await self._follow(shims[-1], output)
        except asyncio.CancelledError:
            await asyncio.shield(self._end(shims))
            raise
        status = self._ended()
        if status is None:
            raise TargetError(
                f"`{command}` ended, and nobody was there to see how",
                where=str(cwd),
                state="nothing was started",
                next="run this again: it is prepared anew",
            )
        return status.code or 0

    def _running(self) -> tuple[ProcessId, str] | None:
        """What an earlier caller left running: its shim, and the digest of its command."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            record = read_json(self._record)
            if record is not None:
                shim = ProcessId.from_json(record["shim"])
                if still_alive(shim, self._read_status()):
                    return shim, str(record["digest"])
        return None

    def _program(self, command: str, *, cwd: Path, env: Mapping[str, str]) -> Program:
        return Program(
            argv=("/bin/sh", "-c", command),
            env=env,
            cwd=cwd,
            status=self._status,
            log=self.log,
            title=f"pilotage prepare {self.name}",
            grace=_GRACE,
        )

    async def _launch(self, program: Program, digest: str, shims: list[ProcessId]) -> None:
        """Launch it; its shim is in ``shims`` before it exists, so that a cancelled caller can end it."""

        def record(shim: ProcessId) -> None:
            write_atomic(self._record, dump_json({"shim": shim.to_json(), "digest": digest}))
            shims.append(shim)

        try:
            self.log.parent.mkdir(mode=0o700, exist_ok=True)
            for path in (self._status, self.log):
                path.unlink(missing_ok=True)
            await launch(program, record=record)
        except OSError as error:
            raise unwritable(self._record, error) from error

    async def _follow(self, shim: ProcessId, output: Callable[[str], None]) -> None:
        await follow(self.log, output, running=lambda: still_alive(shim, self._read_status()))

    async def _end(self, shims: list[ProcessId]) -> None:
        """SIGTERM, grace, SIGKILL; it may be so young that its shim has not said yet who it is."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            deadline = time.monotonic() + _GRACE
            signalled = False
            while time.monotonic() < deadline:
                status = self._read_status()
                if status is not None and not signalled:
                    signal_group(status.main, number)
                    signalled = True
                if await wait_gone(shims, limit=_LOOK):
                    return

    def _ended(self) -> Status | None:
        status = self._read_status()
        return status if status is not None and status.code is not None else None

    def _read_status(self) -> Status | None:
        try:
            return read_status(self._status)
        except (OSError, ValueError, KeyError, TypeError):
            return None
