"""Whether an instance is ready, and the JSON that says why not. Pure.

An instance that is *not ready yet* is judged as a start: it must fit what is applied **and** what somebody
intends to do, and must be able to read the data that is there. One that *was* ready is judged by what is
applied: an intent may be taken back, and while this instance runs it stands in its way; turning it away for
an intent would take a whole serving release out for the seconds that a refused contract half takes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from pilotage.health.look import Looked
from pilotage.model import (
    Applied,
    Fit,
    HalfRef,
    Ships,
    cannot_return,
    contract,
    expand,
    fits,
    version_key,
)

_SHOWN = 20
"""Halves named in one list of the JSON: a probe's answer is read by people, in a terminal."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one look came to. ``why`` is in words, ``"fits"`` when nothing is wrong.

    ``permanent``: waiting mends nothing, because a contract half that the release does not ship has begun.
    ``announced``: what is intended, and would keep a new instance of this release from starting.
    """

    ready: bool = False
    why: str = "the database was not asked yet"
    fit: Fit = field(default_factory=lambda: Fit(known=False))
    permanent: bool = False
    announced: tuple[HalfRef, ...] = ()
    stream: str | None = None
    applied: Applied = field(default_factory=Applied)
    ships: Ships | None = None


def judge(
    looked: Looked, ships: Ships | None, *, was_ready: bool = False, works: bool = False
) -> Verdict:
    """The verdict on a release that ships ``ships``.

    ``works``: it works as soon as it runs, without waiting for requests, so it must not start before
    new data that older code cannot read may be written (as `pilotage.run.judge` has it).
    """
    running = fits(ships, looked.applied)
    starting = fits(ships, looked.announced)
    stuck = cannot_return(ships, looked.applied) if ships else ()
    announced = tuple(sorted(_broken(starting) - _broken(running)))
    shut = sorted(ships.breaks_old - looked.applied.opened, key=version_key) if ships else []
    may_start = bool(starting) and not stuck and not (works and shut)
    ready = bool(running) and (was_ready or may_start)
    if ready:
        why = "fits"
    elif looked.stream is None and looked.applied == Applied() and ships is None:
        why = (
            "unknown: several services keep their migrations in this database; set PILOTAGE_STREAM"
        )
    elif not running.known:
        why = running.describe()
    elif not looked.made and not running:
        why = f"the database has not been prepared: the release {running.describe()}"
    elif not running:
        why = f"the release {running.describe()}"
    elif stuck:
        why = f"the release cannot read the data that {', '.join(stuck)} allowed to be written"
    elif works and shut:
        why = f"it could write what older code cannot read ({', '.join(shut)}), which nobody opened yet"
    else:
        why = f"about to be applied, so that this release may not start: {_list(announced)}"
    return Verdict(
        ready=ready,
        why=why,
        fit=running,
        permanent=bool(running.foreign_contracts or stuck),
        announced=announced,
        stream=looked.stream,
        applied=looked.applied,
        ships=ships,
    )


def _broken(fit: Fit) -> set[HalfRef]:
    return {*map(expand, fit.missing_expands), *map(contract, fit.foreign_contracts)}


def _list(refs: Iterable[HalfRef]) -> str:
    return ", ".join(str(ref) for ref in refs)


def body(
    verdict: Verdict, *, release: str | None, age: float | None, error: str | None
) -> dict[str, Any]:
    """The JSON of a readiness answer; see ``docs/reference/json.md``.

    ``age``: seconds since the database last answered, None when it never did. ``error``: why it did
    not answer the last time, or None.
    """
    fit, ships = verdict.fit, verdict.ships
    return {
        "ready": verdict.ready,
        "why": verdict.why,
        "release": release,
        "stream": verdict.stream,
        "missing": _shown(map(expand, fit.missing_expands)),
        "foreign": _shown(map(contract, fit.foreign_contracts)),
        "requires": _shown(fit.missing_requires),
        "announced": _shown(verdict.announced),
        "shipped": _summary(ships.expands, ships.contracts) if ships else None,
        "applied": _summary(verdict.applied.expanded, verdict.applied.contracted),
        "age": round(age, 3) if age is not None else None,
        "error": error,
    }


def _shown(refs: Iterable[HalfRef]) -> list[str]:
    every = [str(ref) for ref in refs]
    rest = len(every) - _SHOWN
    return [*every[:_SHOWN], f"and {rest} more"] if rest > 0 else every


def _summary(expands: frozenset[str], contracts: frozenset[str]) -> dict[str, Any]:
    every = [*map(expand, expands), *map(contract, contracts)]
    last = max(every, default=None)
    return {
        "expands": len(expands),
        "contracts": len(contracts),
        "last": str(last) if last else None,
    }
