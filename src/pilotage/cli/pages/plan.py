"""A plan as one page, and as JSON with the statements of its migrations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from pilotage.cli import text
from pilotage.cli.pages.about import About
from pilotage.hazards import Finding
from pilotage.migrate.migration import Migration, Section
from pilotage.model import Half, HalfRef, Observed, fits
from pilotage.plan import Plan
from pilotage.plan.playing import Playing
from pilotage.source import Revision
from pilotage.steps import (
    Adopt,
    ApplyHalf,
    Backfill,
    Canary,
    Check,
    Confirm,
    Contract,
    RunFramework,
    Soak,
    Start,
    Step,
    Switch,
)

_STATEMENTS = 6


def page(
    about: About,
    revision: Revision,
    plan: Plan,
    hazards: Sequence[Finding] = (),
    barred: Mapping[int, Sequence[str]] = MappingProxyType({}),
) -> Iterator[str]:
    """The plan for a person. ``barred``: what `barred_by` says."""
    yield from _title(about, revision, plan)
    for refusal in plan.refusals:
        yield ""
        yield from text.block("REFUSED", refusal)
    if not plan.steps:
        if not plan.refusals:
            yield ""
            yield f"  {text.good('✓')} nothing to do: what is, is what is wanted"
        return
    yield from _migrations(about, plan)
    yield from _hazards(hazards)
    yield from _steps(plan)
    yield from _failures(plan)
    yield from _no_return(plan, barred)
    yield from _held(plan)
    if plan.notes:
        yield from ("", text.heading("Notes"))
        for note in plan.notes:
            yield from text.wrapped(note, indent=4, first="  ! ")
    yield from ("", text.heading("What a contract can be proven by"))
    for line in plan.evidence:
        yield from text.wrapped(line, indent=4, first="  ")


def _title(about: About, revision: Revision, plan: Plan) -> Iterator[str]:
    origin = plan.spec.from_
    if plan.verb == "return":
        way = f"back to {origin or 'nothing'}"
    elif origin is None:
        way = f"first deploy of {plan.spec.to}"
    elif origin == plan.spec.to:
        way = f"{origin} again"
    else:
        way = f"{origin} → {plan.spec.to}"
    ref = f", {revision.ref}" if revision.ref not in (revision.sha, "HEAD") else ""
    yield f"{text.heading(f'{about.title}   {way}')}{text.dim(ref)}"
    yield text.dim(f"plan {plan.fingerprint}, {text.plural(len(plan.steps), 'step')}")
    if plan.verb == "return":
        yield ""
        why = f"{plan.spec.to} was aborted: {plan.spec.aborted_reason}"
        yield from text.wrapped(why, indent=4, first="  ! ")
        yield f"  `pilotage deploy --version {plan.spec.to} --again` takes it up again"
    if revision.dirty:
        yield ""
        yield text.warn(
            f"  ! {text.plural(len(revision.dirty), 'path')} of the worktree are not committed, and "
            "so not part of this: `pilotage deploy` will refuse"
        )


# ----------------------------------------------------------------------------------------------
# Migrations
# ----------------------------------------------------------------------------------------------


def _migrations(about: About, plan: Plan) -> Iterator[str]:
    runs = _halves(plan.steps)
    if not runs:
        return
    yield from ("", text.heading("Migrations"))
    running = set(runs)
    adopted = {step.version for step in plan.steps if isinstance(step, Adopt)}
    for version in dict.fromkeys(ref.version for ref in runs):
        migration = plan.migrations.get(version)
        if migration is None:
            continue
        yield f"  {version} {migration.name}".rstrip()
        if plan.migrations.framework:
            for ref in migration.halves():
                yield f"    {ref.half!s:<9} {migration.path}"
            continue
        if version in adopted:
            yield "    adopt     all that it replaces is applied; nothing is run"
            continue
        for half in Half:
            section = migration.section(half)
            if section is None:
                continue
            ref = HalfRef(version, half)
            yield from _half(about, plan, migration, section, ref, runs=ref in running)


def _half(
    about: About,
    plan: Plan,
    migration: Migration,
    section: Section,
    ref: HalfRef,
    *,
    runs: bool,
) -> Iterator[str]:
    name = str(ref.half)
    if not runs:
        if ref.half is Half.CONTRACT:
            first, *more = statements(section, about.dialect)
            later = _when(about, migration)
            rest = f" (+{len(more)})" if more else ""
            room = text.page_width() - 16 - len(later) - len(rest)
            yield text.dim(f"    {'contract':<9} {later}: {text.one_line(first, room)}{rest}")
        return
    for line in _summary(section, about.dialect):
        yield f"    {name:<9} {line}"
        name = ""
    for hazard, why in section.directives.allow.items():
        yield text.warn(f"    {'':<9} allows {hazard}, because {why}")
    if section.directives.online:
        yield text.dim(f"    {'':<9} online, in steps: `pilotage migrate sql {migration.version}`")
    elif not section.directives.transaction:
        yield text.dim(f"    {'':<9} each statement on its own, outside a transaction")
    if ref.half is Half.EXPAND and migration.backfill:
        name = "backfill"
        for line in _summary(migration.backfill, about.dialect):
            yield f"    {name:<9} {line}"
            name = ""
    if ref.half is Half.CONTRACT and migration.backfill:
        yield text.dim(f"    {'':<9} the backfill runs once more before it")
    if ref.half is Half.CONTRACT and migration.verify:
        name = "verify"
        for line in _summary(migration.verify, about.dialect):
            yield f"    {name:<9} {line}  {text.dim('must return no row')}"
            name = ""


def _hazards(findings: Sequence[Finding]) -> Iterator[str]:
    if not findings:
        return
    yield from ("", text.heading("Hazards"))
    for finding in findings:
        mark = text.warn("!")
        yield from text.wrapped(finding.message, indent=4, first=f"  {mark} ")
        yield text.dim(f"    {finding.where}, {finding.rule} ({finding.class_})")


def _when(about: About, migration: Migration) -> str:
    if migration.out_of_band(Half.CONTRACT):
        return f"out-of-band, by `pilotage migrate run {migration.version}/contract`"
    return {
        "next": "held for the next deploy",
        "auto": "after the soak",
        "manual": "held for `pilotage contract`",
    }[about.contract]


def _summary(section: Section, dialect: str | None) -> list[str]:
    found = statements(section, dialect)
    width = text.page_width() - 16
    lines = [text.one_line(statement, width) for statement in found[:_STATEMENTS]]
    if len(found) > _STATEMENTS:
        lines.append(f"… and {text.plural(len(found) - _STATEMENTS, 'statement')} more")
    return lines


def statements(section: Section, dialect: str | None) -> list[str]:
    """The statements of a section, as their author wrote them."""
    from pilotage.migrate.sql import split

    return [s.text.strip().rstrip(";") for s in split(section.text, dialect or "postgresql")]


def _halves(steps: tuple[Step, ...]) -> list[HalfRef]:
    """The halves that the steps apply, in order."""
    refs: list[HalfRef] = []
    for step in steps:
        match step:
            case ApplyHalf(ref=ref):
                refs.append(ref)
            case Adopt(version=version):
                refs.append(HalfRef(version, Half.EXPAND))
            case Contract(refs=several) | RunFramework(refs=several):
                refs += several
    return refs


# ----------------------------------------------------------------------------------------------
# Steps
# ----------------------------------------------------------------------------------------------


def _steps(plan: Plan) -> Iterator[str]:
    yield from ("", text.heading("Steps"))
    for index, step in enumerate(plan.steps):
        if index == plan.point_of_no_return:
            yield text.warn("   ┄┄┄ point of no return ┄┄┄")
        line = step.describe()
        number = f"  {index + 1:>2}  "
        lines = text.wrapped(line, indent=6, first=number)
        switches = isinstance(step, (Canary, Switch))
        yield from map(text.heading, lines) if switches else lines


def _failures(plan: Plan) -> Iterator[str]:
    """What happens when a step of each phase fails."""
    if plan.verb not in ("deploy", "rollback"):
        return
    yield from ("", text.heading("If a step fails"))
    origin = plan.spec.from_
    serves = f"{origin} serves as before" if origin else "nothing serves, as before"
    if plan.downtime:
        yield from _failures_in_downtime(plan, serves)
        return
    phases = phases_of(plan.steps)
    changes = (ApplyHalf, Backfill, Contract, RunFramework)
    schema = any(isinstance(step, changes) for step in plan.steps)
    stays = "what the schema has by then stays; " if schema else ""
    rows = {
        "release phase": f"{serves}; {stays}the same command goes on from there",
        "start and switch": f"the traffic goes back, the new instances are stopped, {serves}; the "
        "release counts as aborted, and is taken up again with --again",
        "afterwards": f"{plan.spec.to} serves; the same command finishes what is left",
    }
    if origin == plan.spec.to:
        rows["start and switch"] = f"{origin} serves on; nothing old was stopped"
    barred = plan.point_of_no_return
    first, last = phases.get("start and switch", (0, 0))
    if barred is not None and first <= barred <= last:
        rows["start and switch"] += (
            f"; from step {barred + 1} on it cannot go back: what fails is mended forward"
        )
    for name, (first, last) in phases.items():
        which = f"{first + 1}" if first == last else f"{first + 1}–{last + 1}"
        yield from text.wrapped(rows[name], indent=9, first=f"  {which:<6} ")


def _failures_in_downtime(plan: Plan, serves: str) -> Iterator[str]:
    """The same for a plan whose edges are closed meanwhile."""
    kinds = [step.kind for step in plan.steps]
    first = kinds.index("CloseEdges") + 1 if "CloseEdges" in kinds else 1
    last = kinds.index("OpenEdges") + 1 if "OpenEdges" in kinds else len(kinds)
    if first > 1:
        yield from text.wrapped(
            f"{serves}; run it again", indent=9, first=f"  {_span(1, first - 1)} "
        )
    back = (
        f"; until the point of no return `pilotage rollback {plan.spec.from_}` goes back, and "
        "--live-on-failure does that by itself"
        if plan.verb == "deploy" and plan.spec.from_ not in (None, plan.spec.to)
        else ""
    )
    closed = f"the edges stay closed, and the same command goes on from there{back}"
    yield from text.wrapped(closed, indent=9, first=f"  {_span(first, last)} ")
    if last < len(kinds):
        after = f"{plan.spec.to} serves; the same command finishes what is left"
        yield from text.wrapped(after, indent=9, first=f"  {_span(last + 1, len(kinds))} ")


def _span(first: int, last: int) -> str:
    """The numbers of steps, as wide as their column."""
    return (f"{first}" if first == last else f"{first}–{last}").ljust(6)


def phases_of(steps: tuple[Step, ...]) -> dict[str, tuple[int, int]]:
    """The index of the first and the last step of each phase that there is."""
    phases: dict[str, tuple[int, int]] = {}
    phase = "release phase"
    for index, step in enumerate(steps):
        if isinstance(step, (Start, Check, Switch)) and phase == "release phase":
            phase = "start and switch" if _serves_later(steps[index:]) else "afterwards"
        elif phase == "start and switch" and not _serves_later(steps[index:]):
            phase = "afterwards"
        first = phases.get(phase, (index, index))[0]
        phases[phase] = (first, index)
    return phases


def _serves_later(steps: tuple[Step, ...]) -> bool:
    """Whether the switch, or its verification, is still to come."""
    return any(isinstance(step, (Switch, Confirm)) for step in steps)


def _no_return(plan: Plan, barred: Mapping[int, Sequence[str]]) -> Iterator[str]:
    origin = plan.spec.from_
    if origin is None or origin == plan.spec.to or plan.verb != "deploy":
        return
    yield from ("", text.heading("Point of no return"))
    if plan.point_of_no_return is None:
        until = ", until its contract halves are applied" if plan.held else ""
        yield f"  none: `pilotage rollback` goes back to {origin}{until}"
    else:
        why = (
            f"step {plan.point_of_no_return + 1}: from there on {origin} cannot be started any more, "
            "and what fails after it can only be mended forward"
        )
        yield from text.wrapped(why, indent=4, first="  ")
    for index, releases in barred.items():
        older = ", ".join(release for release in releases if release != origin)
        if older:
            line = f"step {index + 1}: after it {older} cannot be rolled back to"
            yield from text.wrapped(line, indent=4, first="  ")


def barred_by(observed: Observed, steps: tuple[Step, ...]) -> dict[int, list[str]]:
    """Index of a step → the releases that were deployed once, fit until then, and do not after it."""
    applied = observed.schema.applied
    ready = {
        release.id: release.ships
        for release in observed.state.releases
        if release.deployed_at is not None and not fits(release.ships, applied).foreign_contracts
    }
    barred: dict[int, list[str]] = {}
    playing = Playing(applied)
    for index, step in enumerate(steps):
        playing.step(step)
        for release, ships in tuple(ready.items()):
            if ships is not None and playing.breaks(ships):
                del ready[release]
                barred.setdefault(index, []).append(release)
    return barred


def _held(plan: Plan) -> Iterator[str]:
    soaks = [step for step in plan.steps if isinstance(step, Soak)]
    if not plan.held or soaks:
        return
    yield from ("", text.heading("Held contract halves"))
    for ref in plan.held:
        migration = plan.migrations.get(ref.version)
        yield f"  {ref} {migration.name if migration else text.dim('(no file in this release)')}"


# ----------------------------------------------------------------------------------------------
# JSON
# ----------------------------------------------------------------------------------------------


def to_json(
    about: About, revision: Revision, plan: Plan, hazards: Sequence[Finding] = ()
) -> dict[str, Any]:
    """What ``plan --json`` prints."""
    return {
        "service": about.service,
        "destination": about.destination,
        "revision": revision.sha,
        "ref": revision.ref,
        "dirty": list(revision.dirty),
        **plan.to_json(),
        "migrations": [
            {
                "half": str(ref),
                "name": migration.name,
                "path": str(migration.path),
                "statements": []
                if plan.migrations.framework
                else statements(section, about.dialect),
                "backfill": _optional(migration.backfill, about.dialect),
                "verify": _optional(migration.verify, about.dialect),
                "out_of_band": migration.out_of_band(ref.half),
                "transaction": section.directives.transaction,
                "online": section.directives.online,
                "allow": dict(section.directives.allow),
            }
            for ref in _halves(plan.steps)
            if (migration := plan.migrations.get(ref.version)) is not None
            and (section := migration.section(ref.half)) is not None
        ],
        "hazards": [finding.to_json() for finding in hazards],
        "backfills": [s.version for s in plan.steps if isinstance(s, Backfill)],
        "phases": {name: list(ends) for name, ends in phases_of(plan.steps).items()},
    }


def _optional(section: Section | None, dialect: str | None) -> list[str]:
    return statements(section, dialect) if section else []
