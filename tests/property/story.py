"""One example from beginning to end: a repository, what people do with it, and what goes wrong.

The operations run one after the other, each as a process of its own; faults may start more of them
beside. At the end nothing goes wrong any more, the same commands are run again, and what is then must be
what the spec row wants.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from typing import Any

from pilotage.cli.standing import standing
from pilotage.deploy import boot, console, contract, deploy, forget_host, rollback
from pilotage.errors import (
    HalfFailed,
    LeaseLost,
    PilotageError,
    ProxyError,
    Refused,
    TargetError,
    VerifyFailed,
    Worse,
)
from pilotage.events import Event, Judged
from pilotage.execute import start_gate
from pilotage.maintenance import close, reopen
from pilotage.manual import down, run_half
from pilotage.migrate.migration import Migration, Migrations
from pilotage.model import (
    DeployState,
    Front,
    Half,
    HalfRef,
    Instance,
    Kind,
    Life,
    Role,
    Session,
    Spec,
    expand,
    session_name,
)
from pilotage.observe import observe
from pilotage.plan import Goal, Layout, Policy, Rolling
from pilotage.plan.halves import in_band
from pilotage.store import Claim
from pilotage.targets.base import Job, OnOutput
from pilotage.targets.memory import MemoryDocument, MemoryTarget

from .changes import AddColumn, Move
from .chaos import Chaos, Crash, Fault, Process
from .database import SqlError
from .loop import VirtualLoop, run
from .oracle import Oracle, Violation, serving
from .repository import Repository, Version, Writing
from .schema import Server
from .traffic import CountingProxy

TTL = 30.0
SERVICE = "shop"
TRIES = 12


@dataclass(frozen=True, slots=True)
class Op:
    """What a person does. ``arg`` chooses of what."""

    kind: str
    arg: int = 0


OPS = (
    "next",
    "downtime",
    "deploy",
    "again",
    "rollback",
    "contract",
    "maintenance",
    "pause",
    "live",
    "resume",
    "half",
    "down",
    "forget_host",
    "hosts",
    "part",
    "redeploy",
    "boot",
)
DEPLOYS = ("next", "downtime", "deploy", "again")


@dataclass(frozen=True, slots=True)
class Example:
    """Everything that an example drew."""

    writings: tuple[Writing, ...] = ()
    releases: tuple[tuple[int, ...], ...] = ((1, 1),)
    ops: tuple[Op, ...] = (Op("next"),)
    faults: tuple[Fault, ...] = ()
    paces: tuple[int, ...] = ()
    hosts: int = 2
    instances: int = 1
    overlap: bool = True
    contract: str = "next"
    sessions: str = "named"  # named | nameless | none
    verify: float = 0.0
    canary: tuple[float, ...] = ()
    rate: int = 1000
    limit: str = ""  # hosts that take turns at once; none: all of them
    first: bool = False  # one instance starts alone, as where images prepare their database


@dataclass
class Story:
    """An example as it is being told."""

    example: Example
    loop: VirtualLoop
    events: list[Event] = field(default_factory=list)
    outcomes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        example = self.example
        self.repository = Repository(example.writings)
        for positions in example.releases:
            self.repository.cut(positions)
        names = [f"h{n}" for n in range(example.hosts)]
        document = MemoryDocument(now=lambda: 1_700_000_000.0 + self.loop.now)
        self.target = MemoryTarget(names, state=document, run=self._hold_the_line)
        self.proxy = CountingProxy(
            names, reachable=self.target.answers, admit=self.target.admit, rate=example.rate
        )
        self.server = Server(
            change=self.repository.change,
            now=lambda: 1_700_000_000.0 + self.loop.now,
            sessions=self._sessions,
        )
        self.oracle = Oracle(self.repository, self.target, self.proxy, self.server)
        self.oracle.core = frozenset(names[:1])
        self.chaos = Chaos(example.faults, example.paces, self.oracle, self._happen)
        self.names = names
        self.cursor = -1
        self.ghosts: list[str] = []
        self.lines: list[asyncio.Event] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.failure: BaseException | None = None
        self.ending = ""
        self.points_told = 0
        self.hosts_were_away = False
        self.condemned_at = -1
        self.config = 0
        self.undone = 0
        self._number = 0

    # -- the service ----------------------------------------------------------------------------

    def layout(self) -> Layout:
        """A web role with traffic on every host, and a worker on the last."""
        hosts, example = tuple(self.names), self.example
        return Layout(
            SERVICE,
            (
                Role("web", hosts, instances=example.instances, traffic=True),
                Role("job", hosts[-1:], overlap=example.overlap),
            ),
            {"web": f"c{self.config}", "job": f"c{self.config}"},
        )

    def goal(self, version: Version, state: DeployState) -> Goal:
        """What the command line makes of a checkout: the files of the release that serves, too."""
        serving = state.spec.wanted if state.spec else None
        before = self.repository.by_id(serving).migrations if serving else Migrations()
        policy = Policy(
            contract=self.example.contract,
            soak=20.0,
            patience=0.0,
            verify=self.example.verify,
            canary=self.example.canary,
            step=1.0,
            rolling=Rolling(self.example.limit, wait=1.0) if self.example.limit else None,
            first=60.0 if self.example.first else None,
        )
        return Goal(version.release, self.layout(), policy, version.migrations, before)

    def applied(self) -> list[Migration]:
        """The files whose expand half is applied to its end."""
        done = self.server.done
        return [c.migration() for c in self.repository.change.values() if expand(c.version) in done]

    async def state(self) -> DeployState:
        """The deploy state as it truly is."""
        _, body = await self.target.state.read()
        return DeployState.from_json(body)

    def _sessions(self) -> tuple[Session, ...] | None:
        if self.example.sessions == "none":
            return None
        releases = [i.release for i in self.target.everything() if i.life is Life.RUNNING]
        if self.example.sessions == "nameless":
            return tuple(Session(n, "app") for n, _ in enumerate(releases))
        return tuple(
            Session(n, session_name(release)) for n, release in enumerate(releases + self.ghosts)
        )

    async def _hold_the_line(self, job: Job, output: OnOutput) -> int:
        """A person at a console, until somebody hangs up."""
        line = asyncio.Event()
        self.lines.append(line)
        await line.wait()
        return 0

    # -- processes ------------------------------------------------------------------------------

    def process(self, kind: str) -> Process:
        """Somebody new."""
        self._number += 1
        process = Process(f"{kind}{self._number}", self.chaos)
        roles = {role.name: role.overlap for role in self.layout().roles}
        process.overlap = lambda role: roles.get(role, False)
        return process

    async def act(
        self, process: Process, action: Coroutine[Any, Any, object]
    ) -> PilotageError | None:
        """Let a process act to its end. Only errors of pilotage's own are fair; that is returned."""
        self.chaos.processes.append(process)
        process.task = asyncio.current_task()
        failed: PilotageError | None = None
        outcome = "done"
        try:
            await action
        except Crash:
            outcome = "crashed"
        except PilotageError as error:
            failed, outcome = error, f"{type(error).__name__}: {error.what}"
            if isinstance(error, Worse) and not self.proxy.ever_worse:
                raise Violation(f"taken back, and nothing was wrong: {error}") from error
        except asyncio.CancelledError:
            outcome = "interrupted"
        finally:
            process.dead = True
            self.chaos.processes.remove(process)
        process.outcome = outcome
        self.outcomes.append(f"{process.name}: {outcome}")
        self.oracle.look()
        return failed

    def beside(self, process: Process, action: Coroutine[Any, Any, object]) -> None:
        """Let a process act beside the others; what it finds out is told at the end."""

        async def guarded() -> None:
            try:
                await self.act(process, action)
            except Exception as error:
                self.failure = self.failure or error

        self.tasks.append(asyncio.create_task(guarded()))

    async def do(self, op: Op) -> Process:
        """One operation, as a process."""
        process = self.process(op.kind)
        before, moods = (await self.state()).spec, self.proxy.moods
        mixed = len(self._serving()) > 1
        ran = {i.id for i in self.target.everything() if i.alive}
        error = await self.act(process, self._operate(process, op))
        after = (await self.state()).spec
        if self.proxy.moods == moods:
            self._kept(before, after)
        if isinstance(error, Worse) and after is not None:
            self._taken_back(after)
        if error and error.state.startswith("what ran before is as it was"):
            self._undone(ran, op)
        await self._mixed(error, meant=mixed or op.kind == "part")
        return process

    def _undone(self, ran: set[str], op: Op) -> None:
        """What a deploy of the same release, or a boot, began is gone where it says so."""
        more = {i.id for i in self.target.everything() if i.alive} - ran
        if more and len(self.example.faults) < 2:
            raise Violation(f"{op.kind} says that all is as before, and these run: {sorted(more)}")
        self.undone += 1

    def _serving(self) -> set[str]:
        routes = self.proxy.routes
        return {e.release for host in self.names if host in routes for e in routes[host].active}

    async def _mixed(self, error: PilotageError | None, *, meant: bool) -> None:
        """A fleet with two releases is said to be one, and no failure of a host or an edge leaves it so.

        ``meant``: it was one before the operation, or the operation is to make it one.
        """
        releases = self._serving()
        if len(releases) < 2 or self.hosts_were_away or self.chaos.database_down:
            return
        onlooker = Process("status", Chaos((), (), self.oracle, self._happen))
        stands = standing(await observe(onlooker.world(self.oracle)))
        if stands.settled or "MIXED" not in stands.state or not stands.next:
            raise Violation(f"{sorted(releases)} serve, and the status is: {stands}")
        if error is None or meant or len(self.example.faults) > 1:
            return
        if isinstance(error, (Refused, LeaseLost)):
            return
        if isinstance(error, (TargetError, ProxyError, Worse)):
            raise Violation(f"{sorted(releases)} serve after: {error}; state: {error.state}")
        if "MIXED" not in error.state:
            raise Violation(f"{sorted(releases)} serve, and {error!r} says: {error.state}")

    def _emit(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, Judged) and event.finding == "worse":
            self.condemned_at = len(self.chaos.log)

    def _taken_back(self, spec: Spec) -> None:
        """A release that was found worse has no requests any more, if nothing else went wrong since.

        There must be a way back: another release, whose code can run on the schema as it is.
        """
        quiet = self.condemned_at == len(self.chaos.log) and not self.chaos.database_down
        if not quiet or self.target.unfit or self.hosts_were_away or spec.from_ == spec.to:
            return
        if spec.from_ is None or self.oracle.barred(self.repository.by_id(spec.from_)):
            return
        opened = {row.ref.version for row in self.server.rows.values() if row.opened_at}
        if not all(self.repository.knows(spec.from_, version) for version in opened):
            return
        for host, route in self.proxy.routes.items():
            if any(e.release == spec.to for e in serving(route)):
                raise Violation(f"{spec.to} was found worse, and still has requests on {host}")

    def _kept(self, before: Spec | None, after: Spec | None) -> None:
        """A release that was verified just now did not answer worse all the while.

        Where the one before it never did, its hosts were there to be asked, and many requests came: no
        edge was ever closed.
        """
        if any(op.kind in ("downtime", "maintenance", "pause") for op in self.example.ops):
            return
        if after is None or after.verified_at is None or after.aborted_reason:
            return
        if before is not None and before.verified_at == after.verified_at:
            return
        if not self.example.verify or self.example.rate < 1000 or self.hosts_were_away:
            return
        again = before is not None and before.to == after.to and before.verified_at is not None
        if again or after.from_ == after.to or after.from_ in self.proxy.ever_worse:
            return
        if after.to in self.proxy.worse:
            raise Violation(f"{after.to} answers worse, and was kept")

    async def _operate(self, process: Process, op: Op) -> None:
        world, state = process.world(self.oracle), await self.state()
        process.verb = op.kind
        claim = Claim(process.name, ttl=TTL)
        versions = self.repository.versions
        emit = self._emit
        last = versions[max(self.cursor, 0)]
        match op.kind:
            case "next":
                self.cursor = min(self.cursor + 1, len(versions) - 1)
                await deploy(world, self.goal(versions[self.cursor], state), claim, emit)
            case "downtime":
                self.cursor = min(self.cursor + 1, len(versions) - 1)
                goal = self.goal(versions[self.cursor], state)
                back = op.arg % 2 == 1
                await deploy(world, goal, claim, emit, downtime=True, live_on_failure=back)
            case "part":
                self.cursor = min(self.cursor + 1, len(versions) - 1)
                goal = self.goal(versions[self.cursor], state)
                await deploy(world, self._part_of(goal, op.arg), claim, emit)
            case "redeploy":
                self.config += 1
                await deploy(world, self.goal(last, state), claim, emit)
            case "boot":
                serving = state.spec.wanted if state.spec else None
                version = self.repository.by_id(serving) if serving else last
                where = {(host, r.name) for r in self.layout().roles for host in r.hosts}
                renew = process.name if op.arg % 2 else None
                await boot(world, self.goal(version, state), where, claim, emit, renew=renew)
            case "maintenance":
                front = Front("maintenance", body=f"by {process.name}")
                await close(world, self.layout(), front, claim, emit)
            case "pause":
                await close(world, self.layout(), Front("pause"), claim, emit)
            case "live" | "resume":
                only_pause = op.kind == "resume"
                await reopen(world, self.layout(), claim, emit, only_pause=only_pause)
            case "deploy":
                self.cursor = op.arg % len(versions)
                await deploy(world, self.goal(versions[self.cursor], state), claim, emit)
            case "again":
                await deploy(world, self.goal(last, state), claim, emit, again=True)
            case "rollback":
                spec = state.spec
                older = spec.from_ if spec and spec.from_ else None
                version = versions[op.arg % len(versions)]
                if op.arg % 2 == 0 and older:
                    version = self.repository.by_id(older)
                await rollback(world, self.goal(version, state), claim, emit)
            case "contract":
                serving = state.spec.wanted if state.spec else None
                version = self.repository.by_id(serving) if serving else last
                await contract(world, self.goal(version, state), claim, emit)
            case "half":
                refs = [ref for m in last.migrations for ref in m.halves()]
                oob = [
                    ref
                    for ref in refs
                    if last.migrations.by_version[ref.version].out_of_band(ref.half)
                ]
                ref = (oob or refs)[op.arg % len(oob or refs)]
                await run_half(world, self.goal(last, state), ref, claim, emit)
            case "down":
                ref = self._newest_expand(op.arg)
                if ref is not None:
                    await down(world, self._goal_with(ref, state), ref.version, claim, emit)
            case "forget_host":
                await self._forget(world, claim, emit)
            case "hosts":
                self._change_hosts(op.arg)
            case _:
                raise AssertionError(op)

    def _part_of(self, goal: Goal, arg: int) -> Goal:
        """The goal for one host alone, and on it perhaps for one role alone."""
        host = self.names[arg % len(self.names)]
        roles = [role.name for role in goal.layout.roles if host in role.hosts]
        chosen = roles if arg < 3 else roles[arg % len(roles) :][:1]
        only = frozenset((host, role) for role in chosen)
        return replace(goal, layout=replace(goal.layout, only=only))

    def _newest_expand(self, arg: int) -> HalfRef | None:
        """The newest expand half of a lane that is applied: what a person may take back."""
        lane = arg % len(self.repository.lanes)
        refs = [
            ref
            for ref in self.server.rows
            if ref.half is Half.EXPAND and self.repository.place[ref.version][0] == lane
        ]
        return max(refs, default=None, key=lambda ref: ref.sort_key)

    def _goal_with(self, ref: HalfRef, state: DeployState) -> Goal:
        with_it = [v for v in self.repository.versions if v.migrations.get(ref.version)]
        return self.goal(with_it[-1], state)

    # -- hosts ----------------------------------------------------------------------------------

    def _change_hosts(self, arg: int) -> None:
        """The configuration names one host more, or one less; the first one always stays."""
        if arg % 2 and len(self.names) > 1:
            gone = self.names.pop()
            self.proxy.hosts.remove(gone)
            self.target.remove_host(gone)
        elif len(self.names) < 3:
            name = next(n for n in ("h0", "h1", "h2") if n not in self.names)
            self.names.append(name)
            self.proxy.hosts.append(name)
            self.target.add_host(name)

    async def _forget(self, world: Any, claim: Claim, emit: Any) -> None:
        """A host that is out of the configuration is gone for good: it is burnt, and forgotten."""
        gone = await self._gone()
        if gone:
            self._burn(gone[0])
            await forget_host(world, gone[0], claim, emit)
            self.oracle.forget(gone[0])

    async def _gone(self) -> list[str]:
        """Hosts out of the configuration that the state knows, or a registration.

        A registration alone: somebody started an instance there, and no deploy ever went there.
        """
        known = [*(await self.state()).hosts, *(r.host for r in self.server.registered.values())]
        return [host for host in dict.fromkeys(known) if host not in self.names]

    def _burn(self, host: str) -> None:
        for instance in self.target.everything():
            if instance.host == host:
                self.target.kill(instance.id)

    # -- what happens to the world --------------------------------------------------------------

    async def _happen(self, fault: Fault, process: Process) -> None:
        arg = fault.arg
        match fault.kind:
            case "take_over" | "rival":
                if len(self.chaos.processes) < 3:
                    self._later(fault)
            case "foreign":
                self._foreign(arg)
            case "console":
                self._console(arg)
            case "hang_up":
                for line in self.lines:
                    line.set()
            case "kill":
                running = [
                    i
                    for i in self.target.everything()
                    if i.life is Life.RUNNING and i.kind is not Kind.CONSOLE
                ]
                if running:
                    self.target.kill(running[arg % len(running)].id)
            case "sicken":
                version = self.repository.versions[arg % len(self.repository.versions)]
                self.target.unfit ^= {version.id}
            case "worsen":
                # An even one concerns what is being deployed: that is when it matters.
                at = arg if arg % 2 else max(self.cursor, 0)
                version = self.repository.versions[at % len(self.repository.versions)]
                self.proxy.change_mood(version.id)
            case "host_away":
                self.hosts_were_away = True
                self.target.take_away(self.names[arg % len(self.names)])
            case "host_back":
                for host in self.target.hosts:
                    self.target.bring_back(host)
            case "session":
                if self.ghosts:
                    self.ghosts.clear()
                else:
                    self.ghosts.append(
                        self.repository.versions[arg % len(self.repository.versions)].id
                    )
            case _:
                raise AssertionError(fault)

    def _later(self, fault: Fault) -> None:
        """A second deployer; with ``take_over`` it waits until the lease of the first has expired."""
        op = self.example.ops[fault.arg % len(self.example.ops)]
        process = self.process("rival")

        async def come() -> None:
            if fault.kind == "take_over":
                await asyncio.sleep(TTL + 1)
            await self._operate(process, op)

        self.beside(process, come())

    def _foreign(self, arg: int) -> None:
        """Somebody else starts an instance, through the gate."""
        version = self.repository.versions[arg % len(self.repository.versions)]
        host = self.names[arg % len(self.names)]
        process = self.process("foreign")
        world = process.world(self.oracle)
        instance = Instance(
            id=f"{process.name}-{version.id}",
            service=SERVICE,
            role="job",
            host=host,
            release=version.id,
            kind=Kind.WORKER,
            life=Life.STARTING,
            index=9,
        )

        async def begin() -> None:
            gate = start_gate(world, instance, version.release)
            self.target.fetched.add(version.revision)

            async def passed() -> None:
                self.oracle.recorded(instance)
                await gate()
                await process.point("target.gate", after=True)

            token = self.target.hosts[host].token if host in self.target.hosts else 0
            await self.target.start(instance, version.revision, token=token, gate=passed)

        self.beside(process, begin())

    def _console(self, arg: int) -> None:
        """A person opens a console, through the gate."""
        version = self.repository.versions[arg % len(self.repository.versions)]
        process = self.process("console")
        instance = Instance(
            id=f"{process.name}-{version.id}",
            service=SERVICE,
            role="console",
            host=self.names[arg % len(self.names)],
            release=version.id,
            kind=Kind.CONSOLE,
            life=Life.STARTING,
        )
        self.target.fetched.add(version.revision)
        job = Job(instance, version.revision, ("sh",), interactive=True)
        world = process.world(self.oracle)
        self.beside(process, console(world, version.release, job, lambda line: None))

    # -- the end --------------------------------------------------------------------------------

    async def tell(self) -> None:
        """Everything, in order."""
        for op in self.example.ops:
            if op.arg % 3:
                await asyncio.sleep(2 * TTL)  # the lease of whoever crashed expires
            process = await self.do(op)
            if op.kind in DEPLOYS and process.outcome == "done":
                self.oracle.served = True
            if self.failure:
                raise self.failure
        self.points_told = self.chaos.points
        await self._calm()
        await self._again()
        self.oracle.look()
        self.oracle.audit("at the end")

    async def _calm(self) -> None:
        """Nothing goes wrong any more: hosts answer, people hang up, everybody who acts ends."""
        self.chaos.end()
        self.target.unfit.clear()
        self.proxy.calm()
        self.ghosts.clear()
        for host in self.target.hosts:
            self.target.bring_back(host)
        for process in self.chaos.processes:
            process.wake()
        while self.tasks:
            for line in self.lines:
                line.set()
            task = self.tasks[0]
            await asyncio.wait([task], timeout=5.0)
            if task.done():
                self.tasks.pop(0)
        await asyncio.sleep(10 * TTL)
        if self.failure:
            raise self.failure
        for _ in await self._gone():
            await self.do(Op("forget_host"))

    async def _again(self) -> None:
        """Run the command of the spec row again until it ends; what is then is what the row wants."""
        began = (await self.state()).spec
        for _ in range(TRIES):
            state = await self.state()
            if began is None or state.spec is None:
                return
            error = await self._rerun(state.spec, state)
            spec = (await self.state()).spec
            assert spec is not None
            unasked = began.aborted_reason and not spec.aborted_reason
            if unasked and spec.direction == "deploy":  # a rollback is asked for each time
                raise Violation(f"{spec.to} was aborted, and is taken up again unasked")
            if spec.direction == "rollback" and isinstance(error, Refused):
                # A rollback applies nothing, and one that was given up is asked for each time: a
                # deploy of what the row wants is what a person is told to do.
                error = await self._rerun(Spec(to=spec.wanted or spec.to), state)
                spec = (await self.state()).spec or spec
            if error is None or (spec.aborted_reason and type(error) is Refused):
                self.ending = "aborted" if spec.aborted_reason else "settled"
                await self._settled(spec)
                return
            if not await self._follow(error, spec):
                self._really_stuck(error, spec)
                self.ending = "stuck"
                return
        raise Violation(f"re-running does not end: {self.outcomes[-3:]}")

    async def _rerun(self, spec: Spec, state: DeployState) -> PilotageError | None:
        verb = rollback if spec.direction == "rollback" else deploy
        process = self.process(f"re-{spec.direction}")
        goal = self.goal(self.repository.by_id(spec.to), state)
        claim = Claim(process.name, ttl=TTL)
        return await self.act(process, verb(process.world(self.oracle), goal, claim, self._emit))

    async def _follow(self, error: PilotageError, spec: Spec) -> bool:
        """Do what the error says is next: whether there was anything to do that is not done yet."""
        version = self.repository.by_id(spec.to)
        before = len(self.server.done)
        state = await self.state()
        process = self.process("person")
        world, claim = process.world(self.oracle), Claim(process.name, ttl=TTL)
        if isinstance(error, (HalfFailed, VerifyFailed)):
            return self._mend() > 0
        if error.next.startswith("pilotage migrate run"):
            goal = self.goal(version, state)
            oob = max(int(m.version) for m in version.migrations if m.out_of_band(Half.EXPAND))
            for migration in version.migrations:  # what stands before it in the files comes first
                ref = expand(migration.version)
                if migration.expand and ref not in self.server.done and int(ref.version) <= oob:
                    person = self.process("person")
                    world, claim = person.world(self.oracle), Claim(person.name, ttl=TTL)
                    await self.act(person, run_half(world, goal, ref, claim, self._emit))
        elif error.next.startswith("pilotage contract") and state.spec and state.spec.wanted:
            serving = self.goal(self.repository.by_id(state.spec.wanted), state)
            await self.act(process, contract(world, serving, claim, self._emit))
        return len(self.server.done) > before

    def _mend(self) -> int:
        """A person fills in by hand what a file without a backfill left out."""
        mended = 0
        for change in self.repository.change.values():
            by_hand = isinstance(change, Move) or (
                isinstance(change, AddColumn) and change.required
            )
            if by_hand and not change.has_backfill():
                with contextlib.suppress(SqlError):
                    while changed := change.backfill(self.server.db):
                        mended += changed
        return mended

    def _really_stuck(self, error: PilotageError, spec: Spec) -> None:
        """A refusal at the end is fair only when the release truly cannot run on this schema."""
        wanted = spec.wanted
        version = self.repository.by_id(wanted or spec.to)
        if not isinstance(error, Refused) or not self.oracle.barred(version):
            raise Violation(f"{version.id} cannot be had: {error}")

    async def _settled(self, spec: Spec) -> None:
        """Exactly what the row wants runs, and has the requests."""
        if spec.finished_at is None:
            raise Violation(f"the command ended, and the row is open: {spec}")
        alive = [i for i in self.target.everything() if i.alive]
        if spec.wanted is None:
            if any(i.release == spec.to for i in alive):
                raise Violation(f"{spec.to} was aborted and runs")
            return
        version = self.repository.by_id(spec.wanted)
        # What was booted anew has another id, and on a way back every configuration will do.
        any_config = bool(spec.aborted_reason)
        wanted = sorted(_filled(i, any_config) for i in self.layout().wanted(version.release))
        there = sorted(_filled(i, any_config) for i in alive)
        if there != wanted:
            raise Violation(f"wanted: {wanted}; runs: {there}")
        for host in self.names:
            route = self.proxy.routes[host]
            web = {i.id for i in alive if i.host == host and i.kind is Kind.TRAFFIC}
            if {e.instance for e in route.active} != web or route.draining or route.trial:
                raise Violation(f"{host} has {route}, wanted: {web}")
        self.oracle.served = True
        await self._opened()
        if set(self.server.registered) != {i.id for i in alive}:
            raise Violation(f"registered: {sorted(self.server.registered)}")
        if self.server.intents:
            raise Violation(f"intents are left: {self.server.intents}")
        await self._contracts(version)

    async def _opened(self) -> None:
        """The edges do what the state wants; what a person closed, a person can open now."""
        closure = (await self.state()).closure
        front = closure.front if closure else None
        astray = {
            host: r.front for host in self.names if (r := self.proxy.routes[host]).front != front
        }
        if astray or (closure and closure.by == "deploy"):
            raise Violation(f"wanted of the edges: {closure}; astray: {astray}")
        process = await self.do(Op("live"))
        fronts = [self.proxy.routes[host].front for host in self.names]
        if process.outcome != "done" or any(fronts):
            raise Violation(f"live: {process.outcome}; the edges have {fronts}")

    async def _contracts(self, version: Version) -> None:
        """What the release may contract is contracted by the next deploy, or by a person.

        Where a file has no backfill a person has to help, perhaps once for each such file.
        """
        refs = [r for m in version.migrations for r in m.halves() if r.half is Half.CONTRACT]
        for _ in range(1 + len(refs)):
            self._mend()
            if self.example.contract == "manual":
                process = await self.do(Op("contract"))
            else:
                self.repository.cut(version.positions)
                self.cursor = len(self.repository.versions) - 2
                process = await self.do(Op("next"))
            held = [ref for ref in in_band(refs, version.migrations) if ref not in self.server.done]
            if process.outcome == "done" and not held:
                return
        raise Violation(f"{process.outcome}; still held: {held}")


def _filled(instance: Instance, any_config: bool) -> tuple[str, str, int, str, str]:
    """The place that an instance fills."""
    config = "" if any_config else instance.config
    return instance.role, instance.host, instance.index, instance.release, config


def tell(example: Example) -> Story:
    """Run an example; raises what it finds."""
    loop = VirtualLoop()
    story = Story(example, loop)
    run(story.tell(), loop)
    for stray in loop.stray:
        if isinstance(stray, Exception) and not isinstance(stray, PilotageError):
            raise stray
    return story
