"""Planners and executors that are wrong in one way each. The property tests must tell every one of them.

A mutant replaces named functions of pilotage, where they are used. What has two guards, the planner's
and the executor's, takes a mutant of both: alone, each is still safe, which is what they are two for.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

import pilotage.deploy
import pilotage.edges
import pilotage.execute
import pilotage.maintenance
import pilotage.plan.downtime
import pilotage.plan.halves
import pilotage.plan.rule
import pilotage.plan.running
import pilotage.plan.verbs
import pilotage.proof
import pilotage.store
import pilotage.traffic
import pilotage.verdict
import pilotage.watch
import pilotage.way_back
from pilotage.errors import ProxyError
from pilotage.model import (
    Applied,
    Closure,
    Half,
    HalfRef,
    Observed,
    Route,
    Sample,
    SchemaView,
)
from pilotage.page import maintenance
from pilotage.plan import Plan
from pilotage.plan.halves import Halves, contract_step, held_refs, in_band
from pilotage.proof import Proof
from pilotage.run import Run
from pilotage.steps import Canary, Check, CloseEdges, Open, OpenEdges, Start, Step, Stop, Switch
from pilotage.targets.memory import MemoryTarget
from pilotage.verdict import Finding, Limits, Verdict

from .chaos import Fault
from .repository import HABITS, Writing
from .schema import ModelSchema
from .story import Example, Op

Patch = Callable[[contextlib.ExitStack], None]


@dataclass(frozen=True, slots=True)
class Mutant:
    """A name, how to make pilotage this wrong, and a story in which it matters."""

    name: str
    apply: Patch
    witness: Example

    @contextlib.contextmanager
    def alive(self) -> Iterator[None]:
        """For the length of a ``with`` block pilotage is this mutant."""
        with contextlib.ExitStack() as stack:
            self.apply(stack)
            yield


MUTANTS: list[Mutant] = []


def mutant(witness: Example) -> Callable[[Patch], Patch]:
    """Register a mutant under the name of its function."""

    def register(make: Patch) -> Patch:
        MUTANTS.append(Mutant(make.__name__, make, witness))
        return make

    return register


def story(kind: str, *more: Op, fault: Fault | None = None, **other: Any) -> Example:
    """Two releases with one change between them, and what comes then."""
    habits, after = other.pop("habits", HABITS[0]), other.pop("after", None)
    return Example(
        writings=(Writing(0, kind, 0, habits),),
        releases=((1, 1), (2, 1)),
        ops=(NEXT, NEXT, *more),
        faults=tuple(f for f in (fault, after) if f),
        hosts=other.pop("hosts", 1),
        **other,
    )


NEXT, CONTRACT, BACK = Op("next"), Op("contract", 1), Op("rollback", 2)
DOWN = Op("downtime")
RENAME = story("rename")


def change(stack: contextlib.ExitStack, where: object, name: str, new: object) -> None:
    """Replace one name until the end of the stack."""
    stack.enter_context(patch.object(where, name, new))


def nothing(*args: object, **named: object) -> tuple[Any, ...]:
    """For what finds something: it finds nothing."""
    return ()


async def skipped(*args: object, **named: object) -> None:
    """For what does something: it does nothing."""


# -- the planner ---------------------------------------------------------------------------------


def reordered(order: Callable[[tuple[Step, ...]], tuple[Step, ...]]) -> Callable[..., Any]:
    """`reconcile`, with its steps put into another order."""
    right = pilotage.plan.running.reconcile

    def reconcile(*args: Any, **named: Any) -> tuple[Step, ...]:
        return order(right(*args, **named))

    return reconcile


def _all_of(step: Step, kind: str) -> bool:
    return isinstance(step, (Start, Check, Stop)) and all(i.kind == kind for i in step.instances)


@mutant(RENAME)
def contract_before_stop(stack: contextlib.ExitStack) -> None:
    """What the new release contracts is contracted while the old one still runs."""

    def first(observed: Observed, goal: Any, spec: Any) -> Halves:
        refs = in_band(held_refs(observed, goal.release.ships), goal.files)
        applied = observed.schema.applied
        ready = tuple(
            r for r in refs if not goal.files.get(r.version).expand or r.version in applied.expanded
        )
        if observed.schema.fresh or not ready:
            return Halves()
        return Halves((contract_step(ready, goal.files, optional=True),))

    change(stack, pilotage.plan.verbs, "contracts_before", first)
    change(stack, pilotage.plan.verbs, "misfits", nothing)
    change(stack, pilotage.execute, "prove_again", _proven)


async def _proven(*args: object, **named: object) -> Proof:
    return Proof((), ())


@mutant(RENAME)
def expand_after_start(stack: contextlib.ExitStack) -> None:
    """New instances start, and only then does the schema get what they need."""
    right = pilotage.plan.verbs.plan_deploy

    def plan_deploy(*args: Any, **named: Any) -> Plan:
        plan = right(*args, **named)
        last = [s for s in plan.steps if s.kind in ("ApplyHalf", "Backfill")]
        first = [s for s in plan.steps if s not in last]
        at = next((n + 1 for n, s in enumerate(first) if isinstance(s, Start)), len(first))
        return replace(plan, steps=(*first[:at], *last, *first[at:]))

    change(stack, pilotage.deploy, "plan_deploy", plan_deploy)
    change(stack, pilotage.execute, "judge", nothing)


@mutant(story("rename", CONTRACT, BACK))
def rollback_ignores_contract(stack: contextlib.ExitStack) -> None:
    """A rollback asks nobody whether the old code can still read the schema."""
    change(stack, pilotage.plan.verbs, "misfits", nothing)
    change(stack, pilotage.execute, "judge", nothing)
    change(stack, pilotage.traffic, "judge", nothing)


@mutant(RENAME)
def workers_before_switch(stack: contextlib.ExitStack) -> None:
    """New workers consume before anybody knows that the new release serves."""

    def order(steps: tuple[Step, ...]) -> tuple[Step, ...]:
        early = [s for s in steps if isinstance(s, Start) and _all_of(s, "worker")]
        rest = [s for s in steps if s not in early]
        at = next((n for n, s in enumerate(rest) if isinstance(s, Switch)), len(rest))
        return (*rest[:at], *early, *rest[at:])

    change(stack, pilotage.plan.verbs, "reconcile", reordered(order))


@mutant(RENAME)
def old_workers_stopped_before_check(stack: contextlib.ExitStack) -> None:
    """Old workers stop before the new ones have shown that they work."""

    def order(steps: tuple[Step, ...]) -> tuple[Step, ...]:
        early = [s for s in steps if isinstance(s, Stop) and _all_of(s, "worker")]
        rest = [s for s in steps if s not in early]
        at = next(
            (n for n, s in enumerate(rest) if isinstance(s, Start) and _all_of(s, "worker")),
            len(rest),
        )
        return (*rest[:at], *early, *rest[at:])

    change(stack, pilotage.plan.verbs, "reconcile", reordered(order))


@mutant(RENAME)
def old_web_stopped_before_switch(stack: contextlib.ExitStack) -> None:
    """Old web instances stop when the new ones are healthy, and the requests move afterwards."""

    def order(steps: tuple[Step, ...]) -> tuple[Step, ...]:
        early = [s for s in steps if isinstance(s, Stop) and _all_of(s, "traffic")]
        rest = [s for s in steps if s not in early]
        at = next((n for n, s in enumerate(rest) if isinstance(s, Switch)), len(rest))
        return (*rest[:at], *early, *rest[at:])

    change(stack, pilotage.plan.verbs, "reconcile", reordered(order))


@mutant(story("rename", fault=Fault(1, "sicken", 1)))
def aborted_release_taken_up_again(stack: contextlib.ExitStack) -> None:
    """A release that was aborted is deployed once more without anybody asking for it."""
    right = pilotage.plan.verbs.deploy_spec

    def deploy_spec(*args: Any, **named: Any) -> Any:
        return right(*args, **{**named, "again": True})

    change(stack, pilotage.plan.verbs, "deploy_spec", deploy_spec)


@mutant(
    Example(
        writings=(Writing(0, "rename"), Writing(0, "squash")),
        releases=((1, 1), (3, 1)),
        ops=(NEXT, NEXT),
    )
)
def squash_too_early(stack: contextlib.ExitStack) -> None:
    """A squash is adopted although not all that it replaces was applied."""
    change(stack, pilotage.plan.halves, "not_replaced", nothing)


# -- what is observed and proven -----------------------------------------------------------------


@mutant(story("rename", CONTRACT, fault=Fault(1, "console", 0, "target.stop")))
def no_proof(stack: contextlib.ExitStack) -> None:
    """Contract halves run whoever is still there."""
    change(stack, pilotage.execute, "prove_again", _proven)
    for module in (pilotage.plan.halves, pilotage.plan.verbs, pilotage.plan.downtime):
        change(stack, module, "prove", lambda *args, **named: Proof((), ()))


@mutant(story("rename", CONTRACT, fault=Fault(1, "host_away", 1, "schema.intend"), hosts=2))
def unreachable_host_is_empty(stack: contextlib.ExitStack) -> None:
    """A host that does not answer has nothing running."""
    change(stack, pilotage.proof, "_hosts", nothing)


@mutant(story("rename", CONTRACT, fault=Fault(1, "session", 0, "schema.intend")))
def sessions_ignored(stack: contextlib.ExitStack) -> None:
    """A database session of an old release is nobody's business."""
    change(stack, pilotage.proof, "_sessions", nothing)


@mutant(story("rename", CONTRACT, fault=Fault(1, "console", 0, "target.stop")))
def consoles_ignored(stack: contextlib.ExitStack) -> None:
    """Only what a deploy starts counts as running."""
    right = pilotage.proof._instances

    def instances(observed: Observed, refs: tuple[HalfRef, ...]) -> list[str]:
        seen = tuple(i for i in observed.instances if i.kind != "console")
        return right(replace(observed, instances=seen), refs)

    change(stack, pilotage.proof, "_instances", instances)
    change(stack, pilotage.proof, "_sessions", nothing)


def _counted(stack: contextlib.ExitStack, count: Callable[[SchemaView, Applied], Applied]) -> None:
    right = SchemaView._count
    change(stack, SchemaView, "_count", lambda view: count(view, right(view)))


@mutant(
    story(
        "rename", CONTRACT, BACK, fault=Fault(6, "crash", 0, "schema.statement"), habits=HABITS[2]
    )
)
def contract_counts_when_finished(stack: contextlib.ExitStack) -> None:
    """A contract half that has begun does not count until it has ended."""
    _counted(stack, lambda view, applied: replace(applied, contracted=applied.finished))


@mutant(story("rename", Op("deploy", 1), fault=Fault(1, "crash", 0, "schema.batch")))
def expand_counts_when_started(stack: contextlib.ExitStack) -> None:
    """An expand half counts from its beginning, its backfill pending."""

    def started(view: SchemaView, applied: Applied) -> Applied:
        rows = (row.ref for row in view.rows if row.ref.half is Half.EXPAND)
        return replace(applied, expanded=frozenset(ref.version for ref in rows))

    _counted(stack, started)


# -- the executor --------------------------------------------------------------------------------


@mutant(story("rename", CONTRACT))
def intent_after_observation(stack: contextlib.ExitStack) -> None:
    """The door is closed after the look around, and not before."""
    close, prove = pilotage.execute.close_door, pilotage.execute.prove_again

    async def prove_then_close(run: Run, refs: tuple[HalfRef, ...]) -> Proof:
        proof = await prove(run, refs)
        await close(run, refs)
        return proof

    change(stack, pilotage.execute, "close_door", skipped)
    change(stack, pilotage.execute, "prove_again", prove_then_close)


@mutant(story("rename", CONTRACT))
def no_intent(stack: contextlib.ExitStack) -> None:
    """The door is never closed."""
    change(stack, pilotage.execute, "close_door", skipped)


@mutant(story("move", CONTRACT))
def no_second_backfill(stack: contextlib.ExitStack) -> None:
    """What old code wrote while it drained is left behind."""
    change(stack, pilotage.execute, "backfill_again", skipped)


@mutant(
    story(
        "rename",
        CONTRACT,
        CONTRACT,
        fault=Fault(7, "crash", 0, "schema.statement"),
        habits=HABITS[2],
    )
)
def backfill_again_after_contract_began(stack: contextlib.ExitStack) -> None:
    """A contract half that was cut off is prepared once more, with its triggers gone."""

    async def never(run: Run) -> frozenset[str]:
        return frozenset()

    change(stack, pilotage.execute, "begun_before", never)


@mutant(story("move", CONTRACT, habits=HABITS[3]))
def unverified_contract(stack: contextlib.ExitStack) -> None:
    """Nobody asks the file's own check."""
    change(stack, pilotage.execute, "verify", skipped)


@mutant(story("rename", CONTRACT, fault=Fault(2, "foreign", 0, "schema.recorded")))
def gate_judges_nothing(stack: contextlib.ExitStack) -> None:
    """Whatever registers may start."""
    change(stack, pilotage.execute, "judge", nothing)


@mutant(
    story("new_value", fault=Fault(5, "foreign", 1, "target.start"), after=Fault(1, "sicken", 1))
)
def workers_write_new_data_before_the_switch(stack: contextlib.ExitStack) -> None:
    """A worker of the new release writes what old code cannot read, and old code may yet come back."""
    right = pilotage.execute.judge

    def judge(release: Any, announced: Applied, **named: object) -> None:
        right(release, announced)

    change(stack, pilotage.execute, "judge", judge)


@mutant(RENAME)
def gate_skipped(stack: contextlib.ExitStack) -> None:
    """Instances start without a word to the schema."""

    def start_gate(*args: object) -> Callable[[], Awaitable[None]]:
        return skipped

    change(stack, pilotage.execute, "start_gate", start_gate)


@mutant(RENAME)
def unchecked_start(stack: contextlib.ExitStack) -> None:
    """Nobody waits until new instances are healthy."""
    change(stack, pilotage.execute, "check", skipped)
    change(stack, pilotage.traffic, "healthy_now", skipped)


@mutant(story("rename", fault=Fault(3, "fail", 0, "proxy.apply")))
def switch_counted_before_confirmation(stack: contextlib.ExitStack) -> None:
    """A host that does not confirm its route is counted as switched."""

    async def apply_routes(run: Run, routes: dict[str, Any], *_: object) -> list[float]:
        moments = [0.0]
        for host, route in routes.items():
            with contextlib.suppress(ProxyError):
                moments.append(await run.world.proxy.apply(host, route, token=run.token))
        return moments

    change(stack, pilotage.traffic, "apply_routes", apply_routes)


# -- closed edges --------------------------------------------------------------------------------


def down(*ops: Op, fault: Fault | None = None, **other: Any) -> Example:
    """Two releases, the second with downtime, and what comes before or after."""
    return replace(story("rename", fault=fault, **other), ops=(NEXT, *ops))


def _planned(stack: contextlib.ExitStack, order: Callable[[list[Step]], list[Step]]) -> None:
    """A deploy with downtime, with its steps put into another order."""
    right = pilotage.plan.verbs.plan_downtime

    def plan_downtime(*args: Any) -> Plan:
        plan = right(*args)
        return replace(plan, steps=tuple(order(list(plan.steps))))

    change(stack, pilotage.plan.verbs, "plan_downtime", plan_downtime)


@mutant(down(DOWN))
def opened_before_check(stack: contextlib.ExitStack) -> None:
    """The maintenance ends, and then the new release is started."""

    def order(steps: list[Step]) -> list[Step]:
        early = [s for s in steps if isinstance(s, OpenEdges)]
        rest = [s for s in steps if s not in early]
        at = next(n for n, s in enumerate(rest) if isinstance(s, Start))
        return [*rest[:at], *early, *rest[at:]]

    _planned(stack, order)
    change(stack, pilotage.edges, "require_served", skipped)


@mutant(down(DOWN))
def stopped_before_closed(stack: contextlib.ExitStack) -> None:
    """The old release is taken out and stopped, and then clients are told."""

    def order(steps: list[Step]) -> list[Step]:
        late = [s for s in steps if isinstance(s, CloseEdges)]
        rest = [s for s in steps if s not in late]
        at = next((n + 1 for n, s in enumerate(rest) if isinstance(s, Stop)), 0)
        return [*rest[:at], *late, *rest[at:]]

    _planned(stack, order)


@mutant(down(DOWN))
def never_opened(stack: contextlib.ExitStack) -> None:
    """The new release runs, and its clients read that it will be back in a moment."""
    _planned(stack, lambda steps: [s for s in steps if not isinstance(s, OpenEdges)])


@mutant(down(DOWN, fault=Fault(1, "console", 0, "target.fetch")))
def no_proof_in_downtime(stack: contextlib.ExitStack) -> None:
    """Everything is stopped, so whom should one ask: but a person has a console open."""
    change(stack, pilotage.execute, "prove_again", _proven)
    change(stack, pilotage.plan.downtime, "prove", lambda *args, **named: Proof((), ()))


@mutant(down(Op("maintenance"), NEXT))
def switch_forgets_the_front(stack: contextlib.ExitStack) -> None:
    """A switch puts a route in force that knows nothing of a person's maintenance."""
    change(stack, pilotage.traffic, "wanted_front", skipped)


@mutant(down(Op("maintenance"), DOWN))
def a_persons_maintenance_ended(stack: contextlib.ExitStack) -> None:
    """A deploy with downtime takes every closure for its own."""
    right = pilotage.plan.downtime.stopped
    mine = Closure(maintenance(), by="deploy")

    def stopped(*args: Any) -> Observed:
        observed = right(*args)
        return replace(observed, state=replace(observed.state, closure=mine))

    async def open_edges(run: Run, step: OpenEdges) -> None:
        await run.world.store.update(lambda s: replace(s, closure=None), token=run.token)
        await pilotage.edges.show(run.world, token=run.token)

    change(stack, pilotage.plan.downtime, "stopped", stopped)
    change(stack, pilotage.execute, "open_edges", open_edges)


@mutant(down(DOWN, Op("live", 1), fault=Fault(2, "crash", 0, "target.stop")))
def live_asks_nobody(stack: contextlib.ExitStack) -> None:
    """A person opens the edges in the middle of a deploy with downtime, and nothing runs."""
    change(stack, pilotage.maintenance, "require_served", skipped)


@mutant(down(DOWN, Op("downtime", 1), fault=Fault(2, "crash", 0, "target.stop")))
def downtime_forgotten(stack: contextlib.ExitStack) -> None:
    """What is deployed next takes no notice that a deploy with downtime left the edges closed."""
    change(stack, Observed, "closed_by_deploy", False)
    right = pilotage.plan.verbs.needs_downtime

    def needs_downtime(observed: Observed, *args: Any) -> bool:
        return observed.state.closure is None and right(observed, *args)

    change(stack, pilotage.plan.verbs, "needs_downtime", needs_downtime)


# -- watching ------------------------------------------------------------------------------------

WORSE = Fault(1, "worsen", 1, "target.check")
"""The second release answers worse, from before it is deployed."""


@mutant(story("rename", verify=1.0, rate=10))
def judged_by_a_handful_of_requests(stack: contextlib.ExitStack) -> None:
    """One failure of ten requests is 10 %, and nobody asks whether that is chance."""
    right = pilotage.watch.verdict

    def verdict(new: Sample, old: Sample | None, limits: Limits, *, early: bool) -> Verdict:
        return right(new, old, replace(limits, min_requests=1), early=early)

    change(stack, pilotage.watch, "verdict", verdict)
    change(stack, pilotage.verdict, "chance", lambda *args: 0.0)


@mutant(story("rename", verify=1.0, fault=WORSE))
def every_verdict_is_good(stack: contextlib.ExitStack) -> None:
    """Nobody looks at the errors."""

    def verdict(*args: object, **named: object) -> Verdict:
        return Verdict(Finding.GOOD, "as ever")

    change(stack, pilotage.watch, "verdict", verdict)


@mutant(story("rename", verify=1.0, fault=WORSE))
def switch_back_forgotten(stack: contextlib.ExitStack) -> None:
    """A release that is found worse is told, and keeps its requests."""
    change(stack, pilotage.way_back, "_go_back", skipped)


@mutant(story("rename", canary=(0.05,), fault=WORSE))
def trial_left_in_the_route(stack: contextlib.ExitStack) -> None:
    """On the way back from a canary the old release gets the traffic that it has, and no more."""
    right = pilotage.traffic.new_route

    def new_route(step: Switch, host: str, before: Route, addresses: Any) -> Route:
        after = right(step, host, before, addresses)
        return replace(after, trial=before.trial, share=before.share)

    change(stack, pilotage.traffic, "new_route", new_route)


@mutant(
    story(
        "new_value",
        canary=(0.05,),
        fault=Fault(1, "worsen", 1, "proxy.measure"),
        after=Fault(1, "kill", 0),
    )
)
def new_data_opened_after_the_canary(stack: contextlib.ExitStack) -> None:
    """A trial writes what old code cannot read, and old code may yet be started again."""

    def order(steps: tuple[Step, ...]) -> tuple[Step, ...]:
        late = [s for s in steps if isinstance(s, Open)]
        rest = [s for s in steps if s not in late]
        at = max((n + 1 for n, s in enumerate(rest) if isinstance(s, Canary)), default=0)
        return (*rest[:at], *late, *rest[at:])

    change(stack, pilotage.plan.verbs, "reconcile", reordered(order))


@mutant(story("rename", canary=(0.05,)))
def canary_of_the_unchecked(stack: contextlib.ExitStack) -> None:
    """New instances get their share before anybody knows that they are healthy."""
    change(stack, pilotage.execute, "check", skipped)
    change(stack, pilotage.traffic, "healthy_now", skipped)


# -- fences --------------------------------------------------------------------------------------


@mutant(story("rename", BACK, fault=Fault(3, "take_over", 2, "target.stop")))
def host_fence_ignored(stack: contextlib.ExitStack) -> None:
    """A host does what a deployer says that slept through its lease."""
    change(stack, MemoryTarget, "admit", nothing)


@mutant(
    story("rename", BACK, fault=Fault(3, "take_over", 2, "proxy.apply"), after=Fault(20, "sleep"))
)
def hosts_not_fenced_off(stack: contextlib.ExitStack) -> None:
    """Whoever takes over looks at the hosts, and what the one before had in flight there comes after."""
    right = pilotage.deploy.observe

    async def observe(world: Any, *, token: int | None = None) -> Observed:
        return await right(world)

    change(stack, pilotage.deploy, "observe", observe)


@mutant(story("rename", CONTRACT, BACK, fault=Fault(7, "take_over", 3, "schema.apply")))
def schema_fence_ignored(stack: contextlib.ExitStack) -> None:
    """The schema does what a deployer says that slept through its lease."""
    change(stack, ModelSchema, "_compare", nothing)


@mutant(story("rename", CONTRACT, BACK, fault=Fault(7, "take_over", 3, "schema.apply")))
def lease_never_claimed(stack: contextlib.ExitStack) -> None:
    """A deployer looks around without raising the fence of the schema first."""
    change(stack, ModelSchema, "claim", skipped)


@mutant(story("rename", BACK, fault=Fault(8, "take_over", 2, "target.stop"), hosts=2))
def registration_taken_back_without_the_lease(stack: contextlib.ExitStack) -> None:
    """A deployer that slept takes back what its successor has registered since."""
    right = ModelSchema.deregister

    async def deregister(schema: ModelSchema, instances: Any, *, token: int | None = None) -> None:
        await right(schema, instances)

    change(stack, ModelSchema, "deregister", deregister)
