"""The target itself: `pilotage.targets.base.Target` over records, shims and logs of this machine.

What an instance is, is said by its record and its process; how it comes to be, by
`pilotage.targets.local.launcher`; how it ends, by `pilotage.targets.local.stopping`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from pilotage.errors import TargetError, Unhealthy, UsageError
from pilotage.events import CommandRan, Emit, Output
from pilotage.host import logs
from pilotage.host.fence import Fence
from pilotage.host.launch import Status
from pilotage.model import Host, Instance, Kind
from pilotage.secret import Secret, mask
from pilotage.source import GitSource
from pilotage.targets.base import SOON, Gate, Job, OnOutput, TargetView
from pilotage.targets.local import stopping
from pilotage.targets.local.document import LocalDocument
from pilotage.targets.local.environment import (
    instance_environment,
    prepare_environment,
    shell_argv,
)
from pilotage.targets.local.health import probe_command
from pilotage.targets.local.launcher import Launcher
from pilotage.targets.local.records import Record, Records
from pilotage.targets.local.spec import LocalRole, LocalService
from pilotage.targets.shared.health import AliveHealth, HttpHealth, Patience, probe_http

QUOTED = 10
"""How many of its last lines are quoted when an instance fails."""


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

    @property
    def _launcher(self) -> Launcher:
        return Launcher(self.service)

    async def highest(self) -> int:
        """What this machine's fence says."""
        return self._fence.highest()

    async def observe(self, *, token: int | None = None) -> TargetView:
        """Read every record, and look whether its process lives."""
        name = self.service.host
        records = self._records
        try:
            if token is not None:
                async with self._fence.hold(token):
                    pass  # from here on a lower one is refused
            instances = tuple(records.view(record) for record in records.all())
        except (TargetError, OSError) as error:
            # What cannot be read may be running: that is not 'nothing runs', it is 'unknown'.
            return TargetView(hosts=(Host(name, reachable=False, detail=str(error)),), instances=())
        return TargetView(hosts=(Host(name),), instances=instances)

    async def last_lines(
        self, id: str, *, lines: int | None = QUOTED, since: str | None = None
    ) -> tuple[str, ...]:
        """The last lines that an instance printed, also after it was stopped; secrets are masked."""
        _require_no_times(since)
        return self._printed(id, lines)

    def _printed(self, id: str, lines: int | None = QUOTED) -> tuple[str, ...]:
        found = logs.tail(self._records.log_path(id), lines)
        return tuple(mask(line, self._secrets()) for line in found)

    async def follow(
        self, id: str, output: OnOutput, *, lines: int | None = None, since: str | None = None
    ) -> None:
        """Give the lines of an instance to ``output`` until it ends; the last ``lines`` of those that
        are there already, None for all. Secrets are masked."""
        _require_no_times(since)
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
            program = self._launcher.program(record, role, shell_argv(role.cmd))
            record = await self._launcher.launch(record, program, token=token, gate=gate)
            self._ran(program.argv, 0.0, 0)
        return self._records.view(record)

    async def _begin(
        self, instance: Instance, revision: str, role: LocalRole, *, token: int | None, again: bool
    ) -> Record:
        await self.fetch(revision)
        cwd = await self.source.checkout(revision)
        return await self._launcher.begin(
            instance, revision, role, cwd=cwd, token=token, again=again
        )

    async def check(self, instance: Instance, *, limit: float | None = None) -> float:
        """Ask until it is healthy, dead, or the limit is reached."""
        health = self._role(instance).health
        if isinstance(health, AliveHealth):
            wanted = health.delay if limit is None else min(health.delay, limit)
        else:
            wanted = health.limit if limit is None else limit
        return await self._wait(instance, Patience(wanted))

    async def _wait(self, instance: Instance, patience: Patience) -> float:
        role, record = self._role(instance), self._known(instance)
        interval = 0.05 if isinstance(role.health, AliveHealth) else role.health.interval
        while True:
            why = await self._ask(record, role, patience)
            if not why:
                return patience.passed
            view = self._records.view(record)
            if not view.alive:
                raise self._unhealthy(instance, view.detail)
            if patience.left <= 0:
                after = f"not healthy after {patience.given:g} s: " if patience.given else ""
                raise self._unhealthy(instance, f"{after}{why}")
            await asyncio.sleep(min(interval, max(patience.left, 0)))

    async def _ask(self, record: Record, role: LocalRole, patience: Patience) -> str:
        if not self._records.alive(record):
            return "it does not run"
        health = role.health
        if isinstance(health, HttpHealth):
            if record.instance.address is None:
                return "it has no address to ask"
            connect = patience.hearing(asyncio.open_connection)
            return await probe_http(health, record.instance.address, connect)
        if isinstance(health, AliveHealth):
            assert record.shim is not None
            left = health.delay - record.shim.age
            return f"alive for {record.shim.age:.1f} of {health.delay:g} s" if left > 0 else ""
        env = instance_environment(record.instance, role.env, environ=os.environ, port=record.port)
        return await probe_command(health, cwd=record.cwd, env=env)

    async def boot(
        self,
        instance: Instance,
        revision: str,
        *,
        limit: float,
        token: int,
        gate: Gate,
        output: OnOutput,
    ) -> Instance:
        """Start and wait. A process is never started again by itself."""
        started = await self.start(instance, revision, token=token, gate=gate)
        health = self._role(instance).health
        printed = asyncio.create_task(self._tell(started, output))
        try:
            await self._wait(started, Patience(health.limit, quiet=limit))
        finally:
            printed.cancel()
            await asyncio.gather(printed, return_exceptions=True)
        return started

    async def _tell(self, instance: Instance, output: OnOutput) -> None:
        """What it prints, once it takes longer than usual."""
        await asyncio.sleep(SOON)
        await self.follow(instance.id, output)

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
        role = replace(role, env={**role.env, **job.env})
        secrets = (*self._secrets(), *_secrets_in(job.env))
        launcher, records = self._launcher, self._records
        started = time.monotonic()
        known = records.read(job.instance.id) if token is None else None
        if known is not None and known.shim is not None:
            record = known  # to be joined or remembered: nothing is fetched or changed for that
        else:
            record = await self._begin(job.instance, job.revision, role, token=token, again=False)
        program = launcher.program(record, role, job.argv, timeout=job.timeout)
        if job.interactive:
            status = await launcher.attach(
                record, program, token=token, gate=gate, written=job.written
            )
            return self._exit_code(job, status)
        if record.shim is None:
            record = await launcher.launch(record, program, token=token, gate=gate)
        if job.detached:
            return 0
        await logs.follow(
            records.log_path(job.instance.id),
            lambda line: output(mask(line, secrets)),
            running=lambda: records.alive(record),
        )
        code = self._exit_code(job, records.status(job.instance.id))
        self._ran(job.argv, time.monotonic() - started, code)
        if job.instance.kind is Kind.CONSOLE:
            await launcher.take_back(record)
        return code

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
        lines = self._printed(instance.id)
        quoted = "\n    ".join(("", *lines)) if lines else " (it printed nothing)"
        return Unhealthy(
            f"{why}; its last output:{quoted}",
            where=f"{instance.id} on {self.service.host}",
            next=f"`pilotage logs {instance.id}` shows all of it",
        )

    def _secrets(self) -> tuple[Secret, ...]:
        environments: list[Mapping[str, str | Secret]] = [
            r.env for r in self.service.roles.values()
        ]
        if self.service.prepare:
            environments.append(self.service.prepare.env)
        return tuple({value for env in environments for value in _secrets_in(env)})

    def _ran(self, argv: tuple[str, ...], seconds: float, status: int) -> None:
        shown = tuple(mask(word, self._secrets()) for word in argv)
        self.emit(CommandRan(host=self.service.host, argv=shown, seconds=seconds, status=status))


def _secrets_in(env: Mapping[str, str | Secret]) -> tuple[Secret, ...]:
    return tuple(value for value in env.values() if isinstance(value, Secret))


def _require_no_times(since: str | None) -> None:
    if since is not None:
        raise UsageError(
            "--since: what processes of this machine print has no times",
            next="--lines N shows the last ones",
        )
