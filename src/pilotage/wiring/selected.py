"""What a person does to a part of what runs: looks at its versions, runs a command for each."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from pilotage.config.select import Place
from pilotage.deploy import console, require_entry
from pilotage.errors import PilotageError, TargetError, UsageError
from pilotage.model import Instance, Kind, Life, Observed, Release
from pilotage.observe import observe
from pilotage.plan import Goal, current
from pilotage.plan.booting import Where
from pilotage.plan.running import own_instances
from pilotage.targets.base import OnWritten
from pilotage.wiring.console import console_job
from pilotage.wiring.goals import rollback_goal
from pilotage.wiring.project import Project, find_release


def versions(
    project: Project, observed: Observed, places: Iterable[Place]
) -> tuple[tuple[Place, tuple[str, ...]], ...]:
    """The revisions of the living instances at each place, each once."""
    local = project.config.target == "local"
    found = []
    for place in places:
        here = [
            i
            for i in observed.alive
            if i.service == project.service
            and i.role == place.role
            and i.kind in (Kind.TRAFFIC, Kind.WORKER)
            and (local or i.host == place.host)
        ]
        revisions = dict.fromkeys(_revision(observed, i.release) for i in here)
        found.append((place, tuple(revisions)))
    return tuple(found)


def selected(project: Project, goal: Goal, places: Iterable[Place]) -> Goal:
    """The goal for some places alone; for all where there are none.

    Raises
    ------
    UsageError
        A host would have one of its roles with traffic switched and another one not: it switches as one.
    """
    local = project.config.target == "local"
    hosts = {role.name: role.hosts for role in project.layout.roles}
    only = frozenset(
        (host, place.role)
        for place in places
        for host in (hosts[place.role] if local else (place.host,))
    )
    if not only:
        return goal
    for host in sorted({host for host, _ in only}):
        on_host = [r.name for r in project.layout.roles if r.traffic and host in r.hosts]
        chosen = [name for name in on_host if (host, name) in only]
        if chosen and chosen != on_host:
            raise UsageError(
                f"{' and '.join(on_host)} take requests on {host}, which switches as a whole",
                state="nothing was touched",
                next=f"select all of them: --roles {','.join(on_host)}",
            )
    return replace(goal, layout=replace(goal.layout, only=only))


def spots(project: Project, places: Iterable[Place]) -> frozenset[tuple[str, str]]:
    """The hosts and roles of places, as instances name them: this machine has one name of its own."""
    local = project.config.target == "local"
    return frozenset((project.host if local else place.host, place.role) for place in places)


async def serving_goal(project: Project, *, judged: bool = True) -> Goal:
    """The release that serves, or that served before it was stopped. ``judged``: with its migrations.

    Raises
    ------
    UsageError
        Nothing was deployed yet.
    """
    observed = await observe(project.world)
    release = observed.state.release(current(observed))
    if release is None:
        raise UsageError(
            "nothing was deployed yet", state="nothing was touched", next="pilotage deploy"
        )
    if judged:
        return await rollback_goal(project, release.revision, observed)
    return Goal(release, project.layout, project.policy)


def stale_instances(project: Project, observed: Observed, where: Where) -> tuple[Instance, ...]:
    """What runs at these places of another release than the one that serves."""
    serving = current(observed)
    return tuple(
        i
        for i in own_instances(observed, project.layout)
        if (i.host, i.role) in where and i.release != serving
    )


def _revision(observed: Observed, release: str) -> str:
    known = observed.state.release(release)
    return known.revision if known else release


def variables(given: Iterable[str]) -> dict[str, str]:
    """``NAME=VALUE`` of a command line, or ``NAME:VALUE``, as Kamal has it.

    Raises
    ------
    UsageError
        One has no ``=``, or nothing before it.
    """
    found = {}
    for text in given:
        parts = re.fullmatch(r"([^=:]+)[=:](.*)", text, re.DOTALL)
        if parts is None:
            # Of what may be a secret only its name is shown.
            raise UsageError(f"--env {re.split('[=:]', text)[0]!r} should be NAME=VALUE")
        found[parts[1]] = parts[2]
    return found


@dataclass(frozen=True, slots=True)
class Wanted:
    """A command that a person wants to have run.

    ``revision``: at which release, by default the one that serves. ``env``: variables more. ``reuse``: in
    an instance that runs, where that can be entered. ``detach``: do not wait for its end. ``interactive``: on
    the caller's own input and output, with ``terminal`` as a terminal.
    """

    argv: tuple[str, ...]
    revision: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    reuse: bool = False
    detach: bool = False
    interactive: bool = False
    terminal: bool = False


class Audience(Protocol):
    """Who is told what becomes of commands."""

    def begin(self, place: Place) -> None:
        """What is written from now on is of this place. Not called where there is only one."""
        ...

    def write(self, error: bool, data: bytes) -> None:
        """What the command wrote, byte for byte; true for its standard error."""
        ...

    def launched(self, place: Place, instance: str) -> None:
        """A command that nobody waits for runs, as this instance."""
        ...


async def execute(
    project: Project, places: Iterable[Place], wanted: Wanted, audience: Audience
) -> int:
    """Run a command at each place, on all of them at once; the status of the first that failed.

    What it writes is told place after place: as it comes of one, and of several each as a whole.

    Raises
    ------
    Misfit
        The release does not fit the schema; nothing was run there.
    TargetError
        To reuse: nothing of the role runs there.
    """
    chosen = tuple(places)
    observed = await observe(project.world)
    if len(chosen) == 1:
        return await _run_at(project, observed, chosen[0], wanted, audience, write=audience.write)
    kept: list[list[tuple[bool, bytes]]] = [[] for _ in chosen]
    tasks = [
        asyncio.create_task(
            _run_at(project, observed, place, wanted, audience, write=_keep(blocks))
        )
        for place, blocks in zip(chosen, kept, strict=True)
    ]
    status, failed = 0, list[PilotageError]()
    try:
        for place, blocks, task in zip(chosen, kept, tasks, strict=True):
            try:
                ended = await task
                status = status or ended
            except PilotageError as error:
                failed.append(error)
            if blocks or not wanted.detach:
                audience.begin(place)
            for error_stream, data in blocks:
                audience.write(error_stream, data)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if failed:
        raise failed[0]
    return status


def _keep(blocks: list[tuple[bool, bytes]]) -> OnWritten:
    return lambda error, data: blocks.append((error, data))


async def _run_at(
    project: Project,
    observed: Observed,
    place: Place,
    wanted: Wanted,
    audience: Audience,
    *,
    write: OnWritten,
) -> int:
    written = None if wanted.interactive else write
    enter = project.place.enter
    if wanted.reuse and enter is not None:
        instance, release = _entered(observed, place, wanted.revision)
        await require_entry(project.world, release)
        return await enter(
            instance, wanted.argv, env=wanted.env, terminal=wanted.terminal, written=written
        )
    host = project.host if project.config.target == "local" else place.host
    release, job = await console_job(
        project,
        observed,
        wanted.revision,
        place.role,
        wanted.argv,
        host=host,
        terminal=wanted.terminal,
        written=written,
        detached=wanted.detach,
    )
    status = await console(project.world, release, replace(job, env=wanted.env), _unheard)
    if wanted.detach:
        audience.launched(place, job.instance.id)
    return status


def _unheard(_line: str) -> None:
    """Lines of a command whose bytes go elsewhere."""


def _entered(observed: Observed, place: Place, revision: str | None) -> tuple[Instance, Release]:
    """The instance to run something in: of the release that is asked for, else of the one that serves."""
    known = find_release(observed.state, revision) if revision else None
    wanted = known.id if known else revision or current(observed)
    here = [
        i
        for i in observed.instances
        if i.life is Life.RUNNING
        and (i.role, i.host) == (place.role, place.host)
        and i.kind in (Kind.TRAFFIC, Kind.WORKER)
    ]
    found = next((i for i in here if i.release == wanted), None)
    if found is None and revision is None and here:
        found = here[0]
    release = observed.state.release(found.release) if found else None
    if found is None or release is None:
        raise TargetError(
            f"no instance of {place.role}{f' at {revision}' if revision else ''} runs there",
            where=place.host,
            state="nothing was run there",
            next="without --reuse the command gets a container of its own",
        )
    return found, release
