"""Everything that goes wrong, at the moments that an example drew.

A `Process` is a deployer, a person at a console, or somebody who starts an instance. It sees the world
through ports of its own, and each call passes two points, one before the call and one between its
effect and its return; the model schema has more of them inside a half. At a point the process may be
killed, interrupted or put to sleep, its call may fail, and anything may happen to the world around it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pilotage.errors import (
    DatabaseUnavailable,
    HalfFailed,
    PilotageError,
    ProxyError,
    StartFailed,
    StoreError,
    TargetError,
    Unhealthy,
)
from pilotage.model import DeployState, Instance, Life, Route
from pilotage.observe import World
from pilotage.proxy.base import Ready
from pilotage.store import Store
from pilotage.targets.base import Gate, Job, OnOutput, TargetView

from .oracle import Evidence, Oracle
from .schema import ModelSchema

FAULTS = (
    "fail",
    "crash",
    "sleep",
    "take_over",
    "rival",
    "foreign",
    "console",
    "hang_up",
    "kill",
    "sicken",
    "worsen",
    "host_away",
    "host_back",
    "session",
    "database_down",
    "interrupt",
)

NAP, LONG = 7.0, 60.0


class Crash(BaseException):
    """The process is gone: nothing of it runs any more, not even its clean-up."""


@dataclass(frozen=True, slots=True)
class Fault:
    """After ``gap`` more points, this happens. ``arg`` chooses to what.

    ``at``: count only points of this name.
    """

    gap: int
    kind: str
    arg: int = 0
    at: str = ""


ERRORS: dict[str, type[PilotageError]] = {
    "document.read": StoreError,
    "document.write": StoreError,
    "proxy.apply": ProxyError,
    "proxy.ensure": ProxyError,
    "schema.apply": DatabaseUnavailable,
    "schema.backfill": DatabaseUnavailable,
    "schema.batch": HalfFailed,
    "schema.claim": DatabaseUnavailable,
    "schema.deregister": DatabaseUnavailable,
    "schema.intend": DatabaseUnavailable,
    "schema.open": DatabaseUnavailable,
    "schema.register": DatabaseUnavailable,
    "schema.revert": DatabaseUnavailable,
    "schema.statement": HalfFailed,
    "schema.verify": DatabaseUnavailable,
    "schema.view": DatabaseUnavailable,
    "schema.withdraw": DatabaseUnavailable,
    "target.check": Unhealthy,
    "target.fetch": TargetError,
    "target.start": StartFailed,
    "target.stop": TargetError,
}
"""How a call fails when it fails before its effect."""

LATE: dict[str, type[PilotageError]] = {
    "proxy.apply": ProxyError,
    "proxy.ensure": ProxyError,
    "schema.apply": DatabaseUnavailable,
    "schema.backfill": DatabaseUnavailable,
    "schema.claim": DatabaseUnavailable,
    "schema.deregister": DatabaseUnavailable,
    "schema.intend": DatabaseUnavailable,
    "schema.open": DatabaseUnavailable,
    "schema.withdraw": DatabaseUnavailable,
}
"""How it fails when its effect was had and only the answer is lost."""


class Chaos:
    """The faults of an example, in their order, and how often a process passes a point.

    ``happen`` does what concerns the world rather than the process (`story`).
    """

    def __init__(
        self,
        faults: tuple[Fault, ...],
        paces: tuple[int, ...],
        oracle: Oracle,
        happen: Callable[[Fault, Process], Awaitable[None]],
    ) -> None:
        self.oracle = oracle
        self.processes: list[Process] = []
        self.points = 0
        self.log: list[str] = []
        self.database_down = 0
        self._happen = happen
        self._paces = paces
        self._faults: Iterator[Fault] = iter(faults)
        self._next: Fault | None = next(self._faults, None)
        self._left = self._next.gap if self._next else 0

    def end(self) -> None:
        """Nothing goes wrong from now on."""
        self._next = None
        self.database_down = 0

    def due(self, label: str, *, after: bool) -> Fault | None:
        """The fault that happens at this point; a failure waits for a call that can fail."""
        self.points += 1
        fault = self._next
        if fault is None:
            return None
        if fault.at in ("", label):
            self._left -= 1
        if self._left > 0:
            return None
        if fault.kind == "fail" and label not in (LATE if after else ERRORS):
            return None
        self._next = next(self._faults, None)
        self._left = self._next.gap if self._next else 0
        return fault

    async def meet(self, fault: Fault, process: Process, label: str, *, after: bool) -> None:
        """Let a fault happen."""
        self.log.append(
            f"{process.name} at {label}{'+' if after else ''}: {fault.kind} {fault.arg}"
        )
        match fault.kind:
            case "crash":
                process.dead = True
                raise Crash
            case "fail":
                error = (LATE if after else ERRORS)[label]
                raise error(f"{label} failed", state="as drawn")
            case "interrupt":
                if process.task is not None:
                    process.task.cancel()
                    await asyncio.sleep(0)
            case "sleep":
                process.sleep(NAP if fault.arg % 2 else LONG)
            case "take_over":
                process.sleep(LONG)
                await self._happen(fault, process)
            case "database_down":
                self.database_down = 1 + fault.arg % 4
            case _:
                await self._happen(fault, process)

    def pace(self) -> float:
        """How long the next point takes, so that processes overtake each other."""
        return self._paces[self.points % len(self._paces)] * 0.001 if self._paces else 0.0


class Process:
    """Somebody who acts through ports of their own, and can be killed at any of them."""

    def __init__(self, name: str, chaos: Chaos) -> None:
        self.name = name
        self.dead = False
        self.outcome = ""
        self.token = 0
        self.verb = ""
        self.task: asyncio.Task[Any] | None = None
        self.evidence = Evidence()
        self.overlap: Callable[[str], bool] = lambda role: True
        self.chaos = chaos
        self._until = 0.0

    def sleep(self, seconds: float) -> None:
        """The whole process stands still (SIGSTOP), its heartbeat too."""
        self._until = asyncio.get_running_loop().time() + seconds

    def wake(self) -> None:
        """It goes on."""
        self._until = 0.0

    async def point(self, label: str, *, after: bool = False) -> None:
        """A moment at which anything may happen."""
        if self.dead:
            raise Crash
        chaos = self.chaos
        chaos.oracle.look()
        fault = chaos.due(label, after=after)
        if fault is not None:
            await chaos.meet(fault, self, label, after=after)
        if chaos.database_down and label.startswith("schema.") and not after:
            chaos.database_down -= 1
            raise DatabaseUnavailable("no server", state="nothing was changed")
        if len(chaos.processes) > 1:
            await asyncio.sleep(chaos.pace())
        loop = asyncio.get_running_loop()
        while self._until > loop.time():
            await asyncio.sleep(self._until - loop.time())
        if self.dead:
            raise Crash

    def world(self, oracle: Oracle) -> World:
        """The ports of this process."""
        schema = ModelSchema(
            oracle.server, self.point, lambda change: oracle.contracting(change, self.evidence)
        )
        return World(
            target=TargetPort(self, oracle),  # type: ignore[arg-type]
            proxy=ProxyPort(self, oracle),  # type: ignore[arg-type]
            schema=SchemaPort(self, schema),  # type: ignore[arg-type]
            store=Store(DocumentPort(self, oracle)),  # type: ignore[arg-type]
        )


async def true_state(oracle: Oracle) -> DeployState:
    """The deploy state as it is; asking for it is not a point."""
    _, body = await oracle.target.state.read()
    return DeployState.from_json(body)


class Port:
    """A port of a process: every method of ``inner`` passes a point before and one after."""

    name = "port"

    def __init__(self, process: Process, inner: Any) -> None:
        self._process = process
        self._inner = inner

    def __getattr__(self, method: str) -> Callable[..., Awaitable[Any]]:
        inner = getattr(self._inner, method)
        label = f"{self.name}.{method}"
        point = self._process.point

        async def call(*args: Any, **named: Any) -> Any:
            await point(label)
            result = await inner(*args, **named)
            await point(label, after=True)
            return result

        setattr(self, method, call)
        return call


class DocumentPort(Port):
    """The document of the Store. Reading the clock is not a point."""

    name = "document"

    def __init__(self, process: Process, oracle: Oracle) -> None:
        super().__init__(process, oracle.target.state)
        self._oracle = oracle

    async def write(self, body: dict[str, Any], *, expected: int) -> bool:
        """Swap; the oracle sees what was changed."""
        await self._process.point("document.write")
        before = await true_state(self._oracle)
        done: bool = await self._inner.write(body, expected=expected)
        if done:
            self._oracle.written(before, DeployState.from_json(body), verb=self._process.verb)
        await self._process.point("document.write", after=True)
        return done

    async def now(self) -> float:
        """The document's clock."""
        now: float = await self._inner.now()
        return now


class SchemaPort(Port):
    """The schema; remembers what its process intended and saw."""

    name = "schema"

    async def intend(self, intents: Any, *, token: int) -> None:
        """Intents: whatever was seen before them proves nothing."""
        intents = tuple(intents)
        await self._process.point("schema.intend")
        await self._inner.intend(intents, token=token)
        evidence = self._process.evidence
        evidence.intended = {intent.ref for intent in intents}
        evidence.hosts = evidence.sessions = evidence.shown = None
        await self._process.point("schema.intend", after=True)

    async def claim(self, *, token: int) -> None:
        """From here on the process acts with this token."""
        await self._process.point("schema.claim")
        await self._inner.claim(token=token)
        self._process.token = token
        await self._process.point("schema.claim", after=True)

    async def apply_some(self, migrations: Any, **named: Any) -> Any:
        """As so many calls of `apply`."""
        await self._process.point("schema.apply")
        done = await self._inner.apply_some(migrations, **named)
        await self._process.point("schema.apply", after=True)
        return done

    async def view(self) -> Any:
        """Sessions, as they were seen."""
        await self._process.point("schema.view")
        view = await self._inner.view()
        self._process.evidence.shown = view.sessions
        await self._process.point("schema.view", after=True)
        return view


class ProxyPort(Port):
    """The proxy; the oracle sees every route that comes into force."""

    name = "proxy"

    def __init__(self, process: Process, oracle: Oracle) -> None:
        super().__init__(process, oracle.proxy)
        self._oracle = oracle

    async def apply(
        self, host: str, route: Route, *, token: int, ready: Ready | None = None
    ) -> float:
        """Put a route in force."""
        await self._process.point("proxy.apply")
        before = self._oracle.proxy.routes.get(host, Route())

        async def everyone() -> None:
            nonlocal before
            assert ready is not None
            await ready()
            before = self._oracle.proxy.routes.get(host, Route())

        moment: float = await self._inner.apply(
            host, route, token=token, ready=everyone if ready else None
        )
        self._oracle.acted(host, token, "a route changed")
        state = await true_state(self._oracle)
        if token >= state.token:  # else a host could not be told yet that the lease was taken over
            wanted = state.closure.front if state.closure else None
            healthy = self._process.evidence.healthy
            self._oracle.routed(host, before, route, wanted=wanted, healthy=healthy)
        await self._process.point("proxy.apply", after=True)
        return moment


class TargetPort(Port):
    """The target; a start has another point between its gate and its launch."""

    name = "target"

    def __init__(self, process: Process, oracle: Oracle) -> None:
        super().__init__(process, oracle.target)
        self._oracle = oracle

    async def observe(self, *, token: int | None = None) -> TargetView:
        """Hosts, as they were seen."""
        await self._process.point("target.observe")
        view: TargetView = await self._inner.observe(token=token)
        evidence = self._process.evidence
        evidence.hosts = frozenset(h.name for h in view.hosts if h.reachable)
        evidence.sessions = evidence.shown
        self._oracle.looked(evidence.hosts, self._process.token)
        await self._process.point("target.observe", after=True)
        return view

    async def start(self, instance: Instance, revision: str, *, token: int, gate: Gate) -> Instance:
        """Start through the gate."""
        await self._process.point("target.start")
        launched = False

        async def passed() -> None:
            nonlocal launched
            self._oracle.acted(instance.host, token, f"{instance.id} was recorded")
            self._oracle.recorded(instance)
            self._oracle.inventory.add(instance.host)
            await gate()
            await self._process.point("target.gate", after=True)
            launched = True

        started: Instance = await self._inner.start(instance, revision, token=token, gate=passed)
        if launched and self._process.verb != "part":  # there a person said what comes first
            self._oracle.launched(started)
        await self._process.point("target.start", after=True)
        return started

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

    async def run_once(self, job: Job, *, token: int | None, gate: Gate, output: OnOutput) -> int:
        """Run a command through the gate."""
        await self._process.point("target.run_once")

        async def passed() -> None:
            self._oracle.recorded(job.instance)
            await gate()
            await self._process.point("target.gate", after=True)

        status: int = await self._inner.run_once(job, token=token, gate=passed, output=output)
        await self._process.point("target.run_once", after=True)
        return status

    async def check(self, instance: Instance, *, limit: float | None = None) -> float:
        """Check health."""
        await self._process.point("target.check")
        seconds: float = await self._inner.check(instance, limit=limit)
        self._oracle.checked(instance)
        self._process.evidence.healthy.add(instance.id)
        await self._process.point("target.check", after=True)
        return seconds

    async def stop(self, instance: Instance, *, token: int) -> bool:
        """Stop an instance."""
        await self._process.point("target.stop")
        truth = self._oracle.target.find(instance.id)
        killed: bool = await self._inner.stop(instance, token=token)
        self._oracle.acted(instance.host, token, f"{instance.id} was stopped")
        if truth is not None and truth.life is Life.RUNNING:
            overlap = self._process.overlap(instance.role)
            self._oracle.stopped(instance, await true_state(self._oracle), overlap=overlap)
        await self._process.point("target.stop", after=True)
        return killed
