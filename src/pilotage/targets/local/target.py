"""The target itself: `pilotage.targets.base.Target` over records, shims, ports and logs.

The order of a launch is the point of this module: record (under the fence), gate, then compare again
and launch (under the fence). Whoever looks in between sees the instance before it can be alive.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pilotage.errors import StartFailed, TargetError, Unhealthy
from pilotage.events import CommandRan, Emit, Output
from pilotage.host import logs
from pilotage.host.fence import Fence, unwritable
from pilotage.host.files import ensure_state_dir, write_atomic
from pilotage.host.launch import Program, Status, attach, launch
from pilotage.host.process import ProcessId
from pilotage.model import Host, Instance, Kind, Life
from pilotage.secret import Secret, mask
from pilotage.source import GitSource
from pilotage.targets.base import Gate, Job, OnOutput, TargetView
from pilotage.targets.local import stopping
from pilotage.targets.local.document import LocalDocument
from pilotage.targets.local.environment import (
    instance_environment,
    prepare_environment,
    shell_argv,
)
from pilotage.targets.local.health import probe_command, probe_http
from pilotage.targets.local.ports import free_port
from pilotage.targets.local.records import Record, Records
from pilotage.targets.local.spec import AliveHealth, HttpHealth, LocalRole, LocalService

QUOTED = 10
"""How many of its last lines are quoted when an instance fails."""

_KEPT_LOGS = 50
_KEPT_JOBS = 100
_PAUSE = 0.02


def default_host(state_dir: Path) -> str:
    """This machine's name in the inventory: its host name and an id made with ``.pilotage/``.

    Whoever deletes ``.pilotage/`` no longer knows what he started: what is made in its place is
    another host, and the old one stays in the inventory, unreachable, until a person forgets it.

    Raises
    ------
    TargetError
        It cannot be read or written.
    """
    path = state_dir / "host"
    try:
        ensure_state_dir(state_dir)
        with contextlib.suppress(FileNotFoundError):
            return path.read_text().strip()
        name = f"{socket.gethostname()}-{secrets.token_hex(3)}"
        fresh = path.with_name(f".host.{name}.tmp")
        write_atomic(fresh, f"{name}\n".encode())
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(fresh)  # of two that come at once, one wins, whole
        fresh.unlink()
        return path.read_text().strip()
    except OSError as error:
        raise unwritable(path, error) from error


@dataclass(frozen=True, slots=True)
class LocalTarget:
    """Processes on this machine. ``source``: where releases come from."""

    service: LocalService
    source: GitSource
    emit: Emit

    # -- what is -----------------------------------------------------------------------------

    @property
    def state(self) -> LocalDocument:
        """``.pilotage/state.json``."""
        return LocalDocument(self.service.state_dir)

    @property
    def _records(self) -> Records:
        return Records(self.service.state_dir)

    @property
    def _fence(self) -> Fence:
        return Fence(self.service.state_dir)

    async def observe(self) -> TargetView:
        """Read every record, and look whether its process lives."""
        name = self.service.host
        records = self._records
        try:
            instances = tuple(records.view(record) for record in records.all())
        except (TargetError, OSError) as error:
            # What cannot be read may be running: that is not 'nothing runs', it is 'unknown'.
            return TargetView(hosts=(Host(name, reachable=False, detail=str(error)),), instances=())
        return TargetView(hosts=(Host(name),), instances=instances)

    def last_lines(self, id: str, *, lines: int = QUOTED) -> tuple[str, ...]:
        """The last lines that an instance printed, also after it was stopped; secrets are masked."""
        found = logs.tail(self._records.log_path(id), lines)
        return tuple(mask(line, self._secrets()) for line in found)

    async def follow(self, id: str, output: OnOutput, *, lines: int | None = None) -> None:
        """Give the lines of an instance to ``output`` until it ends; the last ``lines`` of those that
        are there already, None for all. Secrets are masked."""
        records = self._records
        record = records.read(id)
        path = records.log_path(id)
        await logs.follow(
            path,
            lambda line: output(mask(line, self._secrets())),
            running=lambda: record is not None and records.alive(record),
            start=0 if lines is None else logs.tail_start(path, lines),
        )

    # -- releases ----------------------------------------------------------------------------

    async def fetch(self, revision: str) -> None:
        """Check the revision out, and prepare the checkout."""
        await self.source.checkout(revision)
        if prepare := self.service.prepare:
            env = prepare_environment(prepare.env, environ=os.environ)
            started = time.monotonic()
            ran = await self.source.prepare(
                revision,
                prepare.cmd,
                env,
                output=lambda line: self.emit(
                    Output(source="prepare", line=mask(line, self._secrets()))
                ),
            )
            if ran:
                self._ran(shell_argv(prepare.cmd), time.monotonic() - started, 0)

    # -- instances ---------------------------------------------------------------------------

    async def start(self, instance: Instance, revision: str, *, token: int, gate: Gate) -> Instance:
        """Record, gate, launch."""
        role = self._role(instance)
        record = await self._begin(instance, revision, role, token=token, again=True)
        if record.shim is None:
            program = self._program(record, role, shell_argv(role.cmd))
            record = await self._gated_launch(record, program, token=token, gate=gate)
            self._ran(program.argv, 0.0, 0)
        return self._records.view(record)

    async def check(self, instance: Instance, *, limit: float | None = None) -> float:
        """Ask until it is healthy, dead, or the limit is reached."""
        role = self._role(instance)
        record = self._known(instance)
        health = role.health
        began = time.monotonic()
        if isinstance(health, AliveHealth):
            wanted, interval = health.delay if limit is None else min(health.delay, limit), 0.05
        else:
            wanted, interval = health.limit if limit is None else limit, health.interval
        deadline = began + wanted
        while True:
            why = await self._ask(record, role)
            now = time.monotonic()
            if not why:
                return now - began
            view = self._records.view(record)
            if not view.alive:
                raise self._unhealthy(instance, view.detail)
            if now >= deadline:
                after = f"not healthy after {wanted:g} s: " if wanted else ""
                raise self._unhealthy(instance, f"{after}{why}")
            await asyncio.sleep(min(interval, max(deadline - now, 0)))

    async def _ask(self, record: Record, role: LocalRole) -> str:
        if not self._records.alive(record):
            return "it does not run"
        health = role.health
        if isinstance(health, HttpHealth):
            if record.instance.address is None:
                return "it has no address to ask"
            return await probe_http(health, record.instance.address)
        if isinstance(health, AliveHealth):
            assert record.shim is not None
            left = health.delay - record.shim.age
            return f"alive for {record.shim.age:.1f} of {health.delay:g} s" if left > 0 else ""
        env = instance_environment(record.instance, role.env, environ=os.environ, port=record.port)
        return await probe_command(health, cwd=record.cwd, env=env)

    async def stop(self, instance: Instance, *, token: int) -> bool:
        """SIGTERM to its process group, grace, SIGKILL; forget it once nothing of it is left."""
        records, fence = self._records, self._fence
        async with fence.hold(token):
            record = records.read(instance.id)
            if record is None:
                return False
            if record.shim is None:
                records.forget(instance.id)  # whoever is at its gate finds the record gone
                return False
            stopping.signal_all(records, record, signal.SIGTERM)
        killed = not await stopping.wait_ended(records, record, limit=record.stop_timeout)
        if killed:
            async with fence.hold(token):
                stopping.signal_all(records, record, signal.SIGKILL)
            if not await stopping.wait_ended(records, record, limit=stopping.AFTER_KILL):
                raise TargetError(
                    f"still alive {stopping.AFTER_KILL:g} s after SIGKILL",
                    where=f"{instance.id} on {self.service.host}",
                    state="it stays on record, and counts as running",
                    next=f"see what holds it: `ps -o pid,stat,wchan,args -s {record.shim.pid}`",
                )
        async with fence.hold(token):
            current = records.read(instance.id)
            if current is not None and current.claim == record.claim:
                records.forget(instance.id)
        return killed

    async def run_once(self, job: Job, *, token: int | None, gate: Gate, output: OnOutput) -> int:
        """Run, join or remember one command; see `pilotage.targets.base.Target.run_once`."""
        role = self._role(job.instance)
        record = await self._begin(job.instance, job.revision, role, token=token, again=False)
        program = self._program(record, role, job.argv, timeout=job.timeout)
        if job.interactive:
            return await self._run_interactive(record, program, token=token, gate=gate)
        started = time.monotonic()
        if record.shim is None:
            record = await self._gated_launch(record, program, token=token, gate=gate)
        records = self._records
        await logs.follow(
            records.log_path(job.instance.id),
            lambda line: output(mask(line, self._secrets())),
            running=lambda: records.alive(record),
        )
        status = records.status(job.instance.id)
        code = self._exit_code(job, status)
        self._ran(job.argv, time.monotonic() - started, code)
        if job.instance.kind is Kind.CONSOLE:
            await self._take_back(record)
        return code

    async def _run_interactive(
        self, record: Record, program: Program, *, token: int | None, gate: Gate
    ) -> int:
        if record.shim is not None:
            raise TargetError(
                "it runs already, on somebody's terminal",
                where=f"{record.instance.id} on {self.service.host}",
                next="wait for its end",
            )
        try:
            await gate()
            async with self._fence.hold(token):
                if self._still_ours(record) is not None:
                    raise self._start_failed(record.instance, OSError("somebody else runs it"))
            with _terminal_signals_ignored():
                status = await attach(
                    replace(program, log=None),
                    record=lambda shim: self._records.write(replace(record, shim=shim)),
                )
        except OSError as error:
            raise self._start_failed(record.instance, error) from error
        finally:
            await self._take_back(record)
        return status.code or 0

    def _exit_code(self, job: Job, status: Status | None) -> int:
        where = f"{job.instance.id} on {self.service.host}"
        if status is None or status.code is None:
            raise TargetError(
                "the command ended, and its exit status is not known",
                where=where,
                state="it may have done all of its work, some of it, or none",
                next=f"`pilotage logs {job.instance.id}` shows what it printed",
            )
        if status.timed_out:
            raise TargetError(
                f"`{' '.join(job.argv)}` ran longer than its limit and was stopped",
                where=where,
                state="what it did before is done",
                next=f"`pilotage logs {job.instance.id}` shows what it printed",
            )
        return status.code

    # -- launching ---------------------------------------------------------------------------

    async def _begin(
        self, instance: Instance, revision: str, role: LocalRole, *, token: int | None, again: bool
    ) -> Record:
        """Put the instance on record, or find it there: a record with a shim is not to be launched.

        ``again``: one that has ended is launched anew.
        """
        await self.fetch(revision)
        checkout = await self.source.checkout(revision)
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
                cwd=str(checkout),
            )
            records.status_path(instance.id).unlink(missing_ok=True)
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
            if record.instance.kind is Kind.ONCE
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

    async def _gated_launch(
        self, record: Record, program: Program, *, token: int | None, gate: Gate
    ) -> Record:
        records = self._records
        launched = record

        def write(shim: ProcessId) -> None:
            nonlocal launched
            launched = replace(record, shim=shim)
            records.write(launched)

        try:
            await gate()
            async with self._fence.hold(token):
                if (other := self._still_ours(record)) is None:
                    await launch(program, record=write)
                    return launched
            return await self._join(other)
        except OSError as error:
            await self._take_back(record)
            raise self._start_failed(record.instance, error) from error
        except BaseException:
            await asyncio.shield(self._take_back(record))
            raise

    def _still_ours(self, record: Record) -> Record | None:
        """None when the record is the one we wrote; else what somebody else made of it."""
        current = self._records.read(record.instance.id)
        if current is None:
            raise StartFailed(
                "its record was taken back while it was being started",
                where=f"{record.instance.id} on {self.service.host}",
                state="it was not launched",
            )
        return None if current.claim == record.claim else current

    async def _join(self, other: Record) -> Record:
        """Wait until somebody else, who took our claim over, has launched the instance."""
        while other.shim is None and other.claimer.alive:
            await asyncio.sleep(_PAUSE)
            current = self._records.read(other.instance.id)
            if current is None:
                break
            other = current
        if other.shim is None:
            raise StartFailed(
                "somebody else was about to launch it, and did not",
                where=f"{other.instance.id} on {self.service.host}",
            )
        return other

    async def _take_back(self, record: Record) -> None:
        """Forget a record of ours when nothing runs of it; leave it to be seen otherwise."""
        records = self._records
        async with self._fence.hold(None):
            current = records.read(record.instance.id)
            if current and current.claim == record.claim and not records.alive(current):
                records.forget(record.instance.id)

    def _program(
        self,
        record: Record,
        role: LocalRole,
        argv: tuple[str, ...],
        *,
        timeout: float | None = None,
    ) -> Program:
        instance = record.instance
        return Program(
            argv=argv,
            env=instance_environment(instance, role.env, environ=os.environ, port=record.port),
            cwd=Path(record.cwd),
            status=self._records.status_path(instance.id),
            log=self._records.log_path(instance.id),
            title=f"pilotage {instance.service} {instance.role} {instance.id}",
            grace=role.stop_timeout,
            timeout=timeout,
        )

    # -- small things ------------------------------------------------------------------------

    def _role(self, instance: Instance) -> LocalRole:
        try:
            return self.service.roles[instance.role]
        except KeyError:
            raise TargetError(
                f"the configuration has no role {instance.role!r}",
                where=f"{instance.id} on {self.service.host}",
                next=f"roles: {', '.join(self.service.roles) or 'none'}",
            ) from None

    def _known(self, instance: Instance) -> Record:
        record = self._records.read(instance.id)
        if record is None:
            raise Unhealthy(
                "it is not on record: it was stopped, or never started",
                where=f"{instance.id} on {self.service.host}",
            )
        return record

    def _unhealthy(self, instance: Instance, why: str) -> Unhealthy:
        lines = self.last_lines(instance.id)
        quoted = "\n    ".join(("", *lines)) if lines else " (it printed nothing)"
        return Unhealthy(
            f"{why}; its last output:{quoted}",
            where=f"{instance.id} on {self.service.host}",
            next=f"`pilotage logs {instance.id}` shows all of it",
        )

    def _start_failed(self, instance: Instance, error: OSError) -> StartFailed:
        return StartFailed(
            f"it could not be launched: {error.strerror or error}"
            + (f" ({error.filename})" if error.filename else ""),
            where=f"{instance.id} on {self.service.host}",
            state="its record was taken back; nothing of it runs"
            if self._records.read(instance.id) is None
            else "it may be running: it stays on record",
        )

    def _secrets(self) -> tuple[Secret, ...]:
        environments: list[Mapping[str, str | Secret]] = [
            r.env for r in self.service.roles.values()
        ]
        if self.service.prepare:
            environments.append(self.service.prepare.env)
        return tuple(
            {value for env in environments for value in env.values() if isinstance(value, Secret)}
        )

    def _ran(self, argv: tuple[str, ...], seconds: float, status: int) -> None:
        self.emit(CommandRan(host=self.service.host, argv=argv, seconds=seconds, status=status))


@contextlib.contextmanager
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
