"""A target in memory: hosts and instances as plain objects, with everything that can happen to them.

For tests, and for whoever extends pilotage: it is the shortest complete reading of the protocol in
`pilotage.targets.base`. Hosts can stop answering, instances can die, be unhealthy, or fail to start;
each of these is a method, so that a test can make it happen at any moment. Nothing here waits, and
nothing here touches the world.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from pilotage.errors import LeaseLost, StartFailed, StoreError, TargetError, Unhealthy
from pilotage.model import Host, Instance, Life
from pilotage.targets.base import Gate, Job, OnOutput, TargetView

Run = Callable[[Job, OnOutput], Awaitable[int]]
"""What the command of a job does: it prints lines, and returns its exit status."""

EPOCH = 1_700_000_000.0


class MemoryDocument:
    """`pilotage.targets.base.Document` in memory, with a clock that only moves when it is told to.

    Parameters
    ----------
    now:
        Gives the Unix time; by default a clock that stands still until `advance`.

    ``broken``: set it, and reads and writes fail until it is taken back.
    """

    def __init__(self, *, now: Callable[[], float] | None = None) -> None:
        self._version = 0
        self._body = "{}"
        self._skipped = 0.0
        self._now = now or (lambda: EPOCH)
        self.broken = False

    async def read(self) -> tuple[int, dict[str, Any]]:
        """The version and the body, which the caller may change freely."""
        self._refuse_when_broken("read")
        return self._version, json.loads(self._body)

    async def write(self, body: dict[str, Any], *, expected: int) -> bool:
        """Swap the body, when the version is still the one expected."""
        self._refuse_when_broken("written")
        if expected != self._version:
            return False
        self._version += 1
        self._body = json.dumps(body)
        return True

    async def now(self) -> float:
        """The Unix time of this document's clock."""
        return self._skipped + self._now()

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._skipped += seconds

    def _refuse_when_broken(self, verb: str) -> None:
        if self.broken:
            raise StoreError(
                f"the deploy state cannot be {verb}: the document is out of reach",
                state="it holds what it held before",
                next="run the command again once it answers",
            )


@dataclass(slots=True)
class MemoryHost:
    """One host: whether it answers, the highest token that it has seen, and what is recorded on it.

    ``started``: how many instances were launched here, ever; gives each an address of its own.
    ``jobs``: the commands of `run_once` that are running, ``ended``: exit statuses of those that are not.
    """

    name: str
    reachable: bool = True
    token: int = 0
    started: int = 0
    instances: dict[str, Instance] = field(default_factory=dict)
    jobs: dict[str, asyncio.Task[int]] = field(default_factory=dict)
    ended: dict[str, int] = field(default_factory=dict)


async def succeed(job: Job, output: OnOutput) -> int:
    """The `Run` of a target that was given none: every command ends well, without a word."""
    return 0


class MemoryTarget:
    """`pilotage.targets.base.Target` in memory.

    Parameters
    ----------
    hosts:
        The names of the hosts, in the order in which `observe` lists them.
    state:
        The document for the Store of a service without a database.
    run:
        What the command of a `Job` does.

    What a test decides is held in sets that it may change at any time: ``unfit`` (instance ids or
    release ids that never become healthy), ``unstartable`` (instance or release ids that cannot be
    launched), ``unfetchable`` (revisions that cannot be had).
    """

    def __init__(
        self,
        hosts: Iterable[str] = ("localhost",),
        *,
        state: MemoryDocument | None = None,
        run: Run = succeed,
    ) -> None:
        self.hosts = {name: MemoryHost(name) for name in hosts}
        self._removed: dict[str, MemoryHost] = {}
        self.unfit: set[str] = set()
        self.unstartable: set[str] = set()
        self.unfetchable: set[str] = set()
        self.fetched: set[str] = set()
        self._state = state or MemoryDocument()
        self._run = run

    # -- what happens to hosts and instances ----------------------------------------------------

    def add_host(self, name: str) -> None:
        """Put a host into the configuration; one that was there before has kept what it had."""
        if name not in self.hosts:
            self.hosts[name] = (
                self._removed.pop(name) if name in self._removed else MemoryHost(name)
            )

    def remove_host(self, name: str) -> None:
        """Take a host out of the configuration; what runs on it goes on running, unseen."""
        self._removed[name] = self.hosts.pop(name)

    def take_away(self, host: str) -> None:
        """The host stops answering; what runs on it goes on running."""
        self.hosts[host].reachable = False

    def bring_back(self, host: str) -> None:
        """The host answers again."""
        self.hosts[host].reachable = True

    def answers(self, host: str) -> bool:
        """Whether the host exists and answers."""
        return host in self.hosts and self.hosts[host].reachable

    def kill(self, instance: str) -> None:
        """The instance dies. Its record stays, as `Life.DEAD`, until it is stopped."""
        for host in self._all_hosts():
            if instance in host.instances:
                record = host.instances[instance]
                host.instances[instance] = replace(record, life=Life.DEAD, detail="killed")

    def find(self, instance: str) -> Instance | None:
        """The record of an instance as it truly is, whether or not anybody can see it."""
        return next((i for i in self.everything() if i.id == instance), None)

    def everything(self) -> tuple[Instance, ...]:
        """Every record as it truly is, whether or not anybody can see it."""
        return tuple(i for host in self._all_hosts() for i in host.instances.values())

    def healthy(self, instance: str) -> bool:
        """Whether the instance runs and would pass its check."""
        record = self.find(instance)
        return (
            record is not None
            and record.life is Life.RUNNING
            and not self.unfit & {record.id, record.release}
        )

    def admit(self, host: str, token: int) -> None:
        """The fence of a host: remember the highest token, refuse a lower one.

        Public because the host's proxy shares it (`pilotage.proxy.memory`).

        Raises
        ------
        LeaseLost
            The host has seen a higher token.
        """
        known = self.hosts[host] if host in self.hosts else self._removed[host]
        if token < known.token:
            raise LeaseLost(
                f"another deployer holds the lease: the host has seen token {known.token}, "
                f"this one has {token}",
                where=host,
                state="nothing was changed there",
                next="see `pilotage status`, then run the command again",
            )
        known.token = token

    # -- the protocol ---------------------------------------------------------------------------

    @property
    def state(self) -> MemoryDocument:
        """The document for the Store."""
        return self._state

    async def highest(self) -> int:
        """The highest token of the hosts that answer."""
        return max((host.token for host in self.hosts.values() if host.reachable), default=0)

    async def observe(self, *, token: int | None = None) -> TargetView:
        """Every host; the records of those that answer."""
        if token is not None:
            for host in filter(self.answers, self.hosts):
                self.admit(host, token)
        return TargetView(
            hosts=tuple(
                Host(h.name, h.reachable, "" if h.reachable else "does not answer")
                for h in self.hosts.values()
            ),
            instances=tuple(
                i for h in self.hosts.values() if h.reachable for i in h.instances.values()
            ),
        )

    async def fetch(self, revision: str) -> None:
        """Remember that the revision is here."""
        if revision in self.unfetchable:
            raise TargetError(
                f"revision {revision} cannot be had",
                state="nothing was changed",
                next="check that the revision exists",
            )
        self.fetched.add(revision)

    async def start(self, instance: Instance, revision: str, *, token: int, gate: Gate) -> Instance:
        """Record, await the gate, launch."""
        host = self._reach(instance.host, StartFailed)
        self.admit(host.name, token)
        known = host.instances.get(instance.id)
        if known is not None and known.alive:
            return known
        self._fetched(revision)
        record = await self._pass(host, instance, token=token, gate=gate)
        if host.instances.get(instance.id) is not record:
            raise self._taken_away(host, instance)
        if self.unstartable & {instance.id, instance.release}:
            host.instances.pop(instance.id, None)
            raise StartFailed(
                f"{instance.id} did not start",
                where=host.name,
                state="its record was taken back",
                next="look at its output",
            )
        return self._launch(host, instance)

    async def check(self, instance: Instance, *, limit: float | None = None) -> float:
        """Healthy at once, or never."""
        self._reach(instance.host, Unhealthy)
        if not self.healthy(instance.id):
            record = self.find(instance.id)
            raise Unhealthy(
                f"{instance.id} is {record.life if record else 'not there'}, and not healthy",
                where=instance.host,
                state="it gets no new request",
                next=f"pilotage logs {instance.id}",
            )
        return 0.0

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
        """Start and check."""
        started = await self.start(instance, revision, token=token, gate=gate)
        await self.check(started)
        return started

    async def stop(self, instance: Instance, *, token: int) -> bool:
        """End the instance and forget its record."""
        host = self._reach(instance.host, TargetError)
        self.admit(host.name, token)
        host.instances.pop(instance.id, None)
        host.ended.pop(instance.id, None)
        return False

    async def run_once(self, job: Job, *, token: int | None, gate: Gate, output: OnOutput) -> int:
        """Record, await the gate, run; join a job that runs, and never run one again that ended."""
        instance = job.instance
        host = self._reach(instance.host, StartFailed)
        if token is not None:
            self.admit(host.name, token)
        if instance.id in host.ended and not job.interactive:
            return host.ended[instance.id]
        if instance.id not in host.jobs:
            self._fetched(job.revision)
            await self._pass(host, instance, token=token, gate=gate)
        if instance.id in host.ended and not job.interactive:  # another caller was faster
            return host.ended[instance.id]
        if instance.id not in host.jobs:
            if instance.id not in host.instances:
                raise self._taken_away(host, instance)
            self._launch(host, instance)
            host.jobs[instance.id] = asyncio.create_task(self._work(host, job, output))
        if job.detached:
            return 0
        task = host.jobs[instance.id]
        try:
            return await asyncio.shield(task)
        except BaseException:
            if job.interactive:
                task.cancel()
            raise

    async def _work(self, host: MemoryHost, job: Job, output: OnOutput) -> int:
        """The job itself: a task of its own, because it outlives the caller that is cut off."""
        try:
            status = await self._run(job, output)
            host.ended[job.instance.id] = status
            return status
        finally:
            host.jobs.pop(job.instance.id, None)
            host.instances.pop(job.instance.id, None)

    # -- in common ------------------------------------------------------------------------------

    def _all_hosts(self) -> tuple[MemoryHost, ...]:
        return (*self.hosts.values(), *self._removed.values())

    def _reach(self, name: str, error: type[TargetError]) -> MemoryHost:
        if not self.answers(name):
            raise error(
                "the host does not answer",
                where=name,
                state="nothing was changed there",
                next="run the command again once it answers",
            )
        return self.hosts[name]

    def _fetched(self, revision: str) -> None:
        if revision not in self.fetched:
            raise StartFailed(
                f"revision {revision} was not fetched", state="nothing was started", next="fetch it"
            )

    async def _pass(
        self, host: MemoryHost, instance: Instance, *, token: int | None, gate: Gate
    ) -> Instance:
        """Record the instance, await the gate, compare once more; else the record goes. Returns it.

        A launcher that is killed while it waits here can take nothing back: what it leaves is a
        record with no process behind it, which is a dead one. And one that slept may find that
        another deployer has been here: then the record is no longer its own.
        """
        record = replace(instance, life=Life.STARTING)
        host.instances[instance.id] = record
        try:
            await gate()
            if token is not None:
                self.admit(host.name, token)
        except (Exception, asyncio.CancelledError):
            if host.instances.get(instance.id) is record:
                del host.instances[instance.id]
            raise
        except BaseException:
            if host.instances.get(instance.id) is record:
                self.kill(instance.id)
            raise
        return record

    @staticmethod
    def _taken_away(host: MemoryHost, instance: Instance) -> StartFailed:
        return StartFailed(
            f"the record of {instance.id} was taken away while its gate was asked",
            where=host.name,
            state="it was not launched",
            next="run the command again",
        )

    def _launch(self, host: MemoryHost, instance: Instance) -> Instance:
        host.started += 1
        running = replace(
            instance, life=Life.RUNNING, address=instance.address or f"{host.name}:{host.started}"
        )
        host.instances[instance.id] = running
        return running
