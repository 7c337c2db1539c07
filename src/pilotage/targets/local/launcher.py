"""How an instance comes to life: on record, through the gate, and only then launched.

The order is the point. The record is written under the fence; the gate is awaited outside of it, since
it asks a database; then the token and the record are compared once more under the fence, and the
program is launched before the fence is let go. Whoever looks in between sees the instance before it can
be alive, and whoever takes the lease over in between, or the record, is not run over.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from pilotage.errors import StartFailed, TargetError
from pilotage.host import logs
from pilotage.host.fence import Fence
from pilotage.host.launch import Program, Status, attach, launch
from pilotage.host.process import ProcessId
from pilotage.model import Instance, Kind, Life
from pilotage.targets.base import Gate, OnWritten
from pilotage.targets.local.environment import instance_environment
from pilotage.targets.local.ports import free_port
from pilotage.targets.local.records import Record, Records
from pilotage.targets.local.spec import LocalRole, LocalService
from pilotage.targets.local.stopping import marks

_KEPT_LOGS = 50
_KEPT_JOBS = 100
_LOOK = 0.02


@dataclass(frozen=True, slots=True)
class Launcher:
    """Launches the instances of one service on this machine."""

    service: LocalService

    @property
    def _records(self) -> Records:
        return Records(self.service.state_dir)

    @property
    def _fence(self) -> Fence:
        return Fence(self.service.state_dir)

    # -- on record ---------------------------------------------------------------------------

    async def begin(
        self,
        instance: Instance,
        revision: str,
        role: LocalRole,
        *,
        cwd: Path,
        token: int | None,
        again: bool,
    ) -> Record:
        """Put the instance on record, or find it there: a record with a shim is not to be launched.

        ``again``: one that has ended is launched anew.
        """
        records = self._records
        async with self._fence.hold(token):
            old = records.read(instance.id)
            if old is not None and old.shim is not None and (records.alive(old) or not again):
                return old
            port = None
            if instance.kind is Kind.TRAFFIC:
                port = free_port({r.port for r in records.all() if r.port is not None})
            claimer = ProcessId.of(os.getpid())
            assert claimer is not None
            record = Record(
                instance=replace(
                    instance,
                    life=Life.STARTING,
                    address=f"127.0.0.1:{port}" if port else None,
                    started_at=time.time(),
                    detail="",
                ),
                revision=revision,
                claim=secrets.token_hex(8),
                claimer=claimer,
                stop_timeout=role.stop_timeout,
                port=port,
                cwd=str(cwd),
            )
            records.status_path(instance.id).unlink(missing_ok=True)
            if instance.kind is Kind.TOOL:  # whoever follows it wants to read of this run alone
                records.log_path(instance.id).unlink(missing_ok=True)
            records.write(record)
            self._prune()
        return record

    def _prune(self) -> None:
        """Forget the oldest ended jobs (a record of one is its exit status), and old logs of nobody's."""
        records = self._records
        kept = list(records.all())
        ended = [
            record
            for record in kept
            if record.instance.kind in (Kind.ONCE, Kind.TOOL)
            and record.shim is not None
            and not records.alive(record)
        ]
        ended.sort(key=lambda record: record.instance.started_at or 0.0, reverse=True)
        for record in ended[_KEPT_JOBS:]:
            records.forget(record.instance.id)
        logs.prune(
            self.service.state_dir / "logs",
            keep=_KEPT_LOGS,
            used=frozenset(record.instance.id for record in kept),
        )

    async def take_back(self, record: Record) -> None:
        """Forget a record of ours when nothing runs of it; leave it to be seen otherwise."""
        records = self._records
        async with self._fence.hold(None):
            current = records.read(record.instance.id)
            if current and current.claim == record.claim and not records.alive(current):
                records.forget(record.instance.id)

    # -- through the gate --------------------------------------------------------------------

    async def launch(
        self, record: Record, program: Program, *, token: int | None, gate: Gate
    ) -> Record:
        """Await the gate, then launch the program detached; returns its record.

        Somebody else may have launched it meanwhile: then theirs is returned.
        """
        launched = record

        def write(shim: ProcessId) -> None:
            nonlocal launched
            launched = replace(record, shim=shim)
            self._records.write(launched)

        with self._told(record.instance):
            try:
                await gate()
                async with self._fence.hold(token):
                    if (other := self._others(record)) is None:
                        await launch(program, record=write)
                        return launched
                return await self._join(other)
            except BaseException:
                await asyncio.shield(self.take_back(record))
                raise

    async def attach(
        self,
        record: Record,
        program: Program,
        *,
        token: int | None,
        gate: Gate,
        written: OnWritten | None = None,
    ) -> Status:
        """Await the gate, then run the program on our own terminal, to its end; ``written``: without one."""
        with self._told(record.instance):
            try:
                await gate()
                async with self._fence.hold(token):
                    if record.shim is not None or self._others(record) is not None:
                        raise TargetError(
                            "somebody else runs it, on a terminal of theirs",
                            where=self._where(record.instance),
                            next="wait for its end",
                        )
                with contextlib.nullcontext() if written else _terminal_signals_ignored():
                    return await attach(
                        replace(program, log=None),
                        record=lambda shim: self._records.write(replace(record, shim=shim)),
                        written=written,
                    )
            finally:
                await asyncio.shield(self.take_back(record))

    def _others(self, record: Record) -> Record | None:
        """What somebody else made of the record; None while it is the one that we wrote."""
        current = self._records.read(record.instance.id)
        if current is None:
            raise StartFailed(
                "its record was taken back while it was being started",
                where=self._where(record.instance),
                state="it was not launched",
            )
        return None if current.claim == record.claim else current

    async def _join(self, other: Record) -> Record:
        """Wait until somebody else, who took our claim over, has launched the instance."""
        while other.shim is None and other.claimer.alive:
            await asyncio.sleep(_LOOK)
            current = self._records.read(other.instance.id)
            if current is None:
                break
            other = current
        if other.shim is None:
            raise StartFailed(
                "somebody else was about to launch it, and did not",
                where=self._where(other.instance),
            )
        return other

    def program(
        self,
        record: Record,
        role: LocalRole,
        argv: tuple[str, ...],
        *,
        timeout: float | None = None,
    ) -> Program:
        """What is run for an instance."""
        instance = record.instance
        return Program(
            argv=argv,
            env=instance_environment(instance, role.env, environ=os.environ, port=record.port)
            | marks(self._records, instance.id),
            cwd=Path(record.cwd),
            status=self._records.status_path(instance.id),
            log=self._records.log_path(instance.id),
            title=f"pilotage {instance.service} {instance.role} {instance.id}",
            grace=role.stop_timeout,
            timeout=timeout,
        )

    # -- errors ------------------------------------------------------------------------------

    @contextmanager
    def _told(self, instance: Instance) -> Iterator[None]:
        """What the kernel says against a launch, as the error that it means."""
        try:
            yield
        except OSError as error:
            raise StartFailed(
                f"it could not be launched: {error.strerror or error}"
                + (f" ({error.filename})" if error.filename else ""),
                where=self._where(instance),
                state="its record was taken back; nothing of it runs"
                if self._records.read(instance.id) is None
                else "it may be running: it stays on record",
            ) from error

    def _where(self, instance: Instance) -> str:
        return f"{instance.id} on {self.service.host}"


@contextmanager
def _terminal_signals_ignored() -> Iterator[None]:
    """Leave Ctrl-C and Ctrl-\\ to the program on our terminal, as `system(3)` does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGQUIT)
    before = [signal.signal(number, signal.SIG_IGN) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
