"""What a person does to the edges: close them with a page, hold requests for a moment, open them again.

Each verb takes the deploy lock: a switch and a person never write the same route at once. What a person
closed stays closed, through every deploy and rollback, until a person opens it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from pilotage.edges import require_served, show
from pilotage.errors import PilotageError, Refused
from pilotage.events import EdgesClosed, EdgesOpened, Emit, Ended
from pilotage.model import Closure, DeployState, Front, HistoryEntry, Observed, Route
from pilotage.observe import World, observe
from pilotage.plan import Layout, current
from pilotage.plan.rule import way_back
from pilotage.proxy.checks import require_sound
from pilotage.record import HISTORY_LENGTH
from pilotage.store import Claim, Lease, hold


@dataclass(frozen=True, slots=True)
class Changed:
    """What the edges did before and do now (None: pass requests on), and on which hosts.

    ``changed``: whether anything had to be done at all.
    """

    before: Closure | None
    after: Closure | None
    hosts: tuple[str, ...] = ()
    changed: bool = True


async def close(
    world: World, layout: Layout, front: Front, claim: Claim, emit: Emit, *, message: str = ""
) -> Changed:
    """Close the edge of every host: ``front`` is what it does with new requests.

    What was on before, a page or a pause, is replaced. A deploy with downtime that has closed the edges
    and is unfinished no longer opens them at its end: from now on they are this person's.

    Raises
    ------
    LeaseHeld
        Somebody deploys; nothing was touched.
    Refused
        A pause while a deploy with downtime is unfinished: nobody would answer what it holds.
    ProxyError
        No edge can do what ``front`` asks, and nothing was changed; or a host did not confirm it: run
        it again.
    """
    verb = "pause" if front.mode == "pause" else "maintenance"
    require_sound("the edge", Route(front=front))  # the state must not want what no edge can do
    async with hold(world.store, claim, emit) as lease:
        await world.target.observe(token=lease.token)  # whatever an earlier deployer began is over
        state, now = await world.store.read(), await world.store.now()
        before = state.closure
        if front.mode == "pause" and before is not None and before.by == "deploy":
            raise Refused(
                f"{before.describe()}, which is unfinished: nobody would answer the held requests",
                state="nothing was changed",
                next="finish the deploy, or go back; see `pilotage status`",
            )
        await world.proxy.ensure(token=lease.token)
        after = Closure(front, "person", claim.owner, now, message)
        if before is not None and before.front.mode == front.mode and before.by == "person":
            after = replace(after, since=before.since)
        async with _entered(world, lease, verb, emit, after):
            hosts = await show(world, token=lease.token, hosts=_hosts(layout))
        emit(EdgesClosed(mode=front.mode, by="person", hosts=hosts))
    return Changed(before, after, hosts)


async def reopen(
    world: World, layout: Layout, claim: Claim, emit: Emit, *, only_pause: bool = False
) -> Changed:
    """Open the edges: requests reach the instances again. Nothing to do when they are open.

    ``only_pause``: end a pause, and leave maintenance alone.

    Raises
    ------
    LeaseHeld
        Somebody deploys; nothing was touched.
    Refused, Unhealthy
        Nobody would answer: nothing is deployed, nothing runs, or what runs is not healthy or does
        not fit the schema. The edges stay closed.
    ProxyError
        A host did not confirm it; run it again.
    """
    async with hold(world.store, claim, emit) as lease:
        observed = await observe(world, token=lease.token)
        before = observed.state.closure
        if before is None and not observed.astray:
            return Changed(None, None, changed=False)
        if only_pause and before is not None and before.front.mode != "pause":
            raise Refused(
                f"{before.describe()}: that is no pause",
                state="it stays on",
                next=f"`{before.ended_by}` ends it",
            )
        await world.proxy.ensure(token=lease.token)
        observed = await observe(world)
        served = tuple(host for host in _hosts(layout) if host in observed.state.hosts)
        try:
            _deployed(served)
            await require_served(observed, world, emit, served, patient=True)
        except PilotageError as error:
            error.next = _way_out(observed) or error.next
            raise
        verb = "resume" if only_pause else "live"
        async with _entered(world, lease, verb, emit, None):
            hosts = await show(world, token=lease.token, hosts=served)
        emit(EdgesOpened(hosts=hosts))
    return Changed(before, None, hosts)


def _hosts(layout: Layout) -> tuple[str, ...]:
    """The hosts that have an edge."""
    return tuple(dict.fromkeys(h for role in layout.roles if role.traffic for h in role.hosts))


def _deployed(hosts: tuple[str, ...]) -> None:
    if not hosts:
        raise Refused(
            "nothing is deployed yet, so nobody would answer",
            state="the edges stay closed",
            next="pilotage deploy, then pilotage live",
        )


def _way_out(observed: Observed) -> str:
    """What to do instead, when a deploy with downtime was left unfinished."""
    spec = observed.state.spec
    if spec is None or not (observed.closed_by_deploy or spec.finished_at is None):
        return ""
    verb = "rollback" if spec.direction == "rollback" else "deploy --version"
    forth = spec.from_ == spec.to or spec.direction == "rollback"
    back = None if forth else way_back(observed, spec.from_)
    or_back = f", `pilotage rollback {back}` goes back" if back else ""
    return f"`pilotage {verb} {spec.to}` goes on with the {spec.direction}{or_back}"


@asynccontextmanager
async def _entered(
    world: World, lease: Lease, verb: str, emit: Emit, closure: Closure | None
) -> AsyncIterator[None]:
    """Write down what the edges are to do, with a line of history; at the end, how it went."""
    loop = asyncio.get_running_loop()
    began, now = loop.time(), await world.store.now()
    serving, detail = current(await observe(world)) or "", closure.message if closure else ""

    def begin(state: DeployState) -> DeployState:
        last = state.history[-1].id if state.history else 0
        entry = HistoryEntry(last + 1, verb, lease.owner, None, serving, now, detail=detail)
        return replace(state, closure=closure, history=(*state.history, entry)[-HISTORY_LENGTH:])

    entry = (await world.store.update(begin, token=lease.token)).history[-1]
    outcome = "interrupted"
    try:
        yield
        outcome = "done"
    except PilotageError as error:
        outcome, detail = "failed", error.what
        raise
    finally:
        ended = replace(entry, outcome=outcome, detail=detail)
        await asyncio.shield(_end(world, lease, ended))
        emit(Ended(verb=verb, outcome=outcome, seconds=loop.time() - began, detail=detail))


async def _end(world: World, lease: Lease, entry: HistoryEntry) -> None:
    entry = replace(entry, ended_at=await world.store.now())

    def end(state: DeployState) -> DeployState:
        rows = (entry if row.id == entry.id else row for row in state.history)
        return replace(state, history=tuple(rows))

    with contextlib.suppress(
        PilotageError
    ):  # what failed is told; the next deployer closes the line
        await world.store.update(end, token=lease.token)
