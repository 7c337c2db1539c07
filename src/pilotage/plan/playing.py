"""The steps of a plan played through on the schema, without asking each release after each step anew.

A plan may have ten thousand steps, and the schema as many halves. Expanding takes nothing from a release
(`pilotage.model.fits`), so all that has to be asked after a step is whether the contract halves that
begin with it are among those that a release ships.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from pilotage.model import Applied, Half, HalfRef, Ships, expand
from pilotage.steps import Adopt, ApplyHalf, Contract, RunFramework, Step


class Playing:
    """What is applied, as steps change it. ``fresh_contracts``: versions whose contract half the last
    step began."""

    def __init__(self, applied: Applied) -> None:
        self._before = applied
        self._expanded = set(applied.expanded)
        self._contracted = set(applied.contracted)
        self._finished = set(applied.finished)
        self.fresh_contracts: tuple[str, ...] = ()

    @property
    def applied(self) -> Applied:
        """A copy as of now."""
        return replace(
            self._before,
            expanded=frozenset(self._expanded),
            contracted=frozenset(self._contracted),
            finished=frozenset(self._finished),
        )

    def step(self, step: Step) -> None:
        """Play a step."""
        refs = halves_of(step)
        contracts = [ref.version for ref in refs if ref.half is Half.CONTRACT]
        self.fresh_contracts = tuple(v for v in contracts if v not in self._contracted)
        self._contracted.update(contracts)
        self._finished.update(contracts)
        self._expanded.update(ref.version for ref in refs if ref.half is Half.EXPAND)

    def breaks(self, ships: Ships | None) -> bool:
        """Whether the last step took from under a release, which fitted before it, what it may use."""
        return any(ships is None or not ships.ships_contract(v) for v in self.fresh_contracts)


def halves_of(step: Step) -> tuple[HalfRef, ...]:
    """The halves that are applied after a step."""
    match step:
        case Adopt(version=version):
            return (expand(version),)
        case RunFramework(refs=refs):
            return refs
    return run_by((step,))


def run_by(steps: Iterable[Step]) -> tuple[HalfRef, ...]:
    """The halves whose SQL steps run, in their order: not a squash that is only recorded."""
    refs: list[HalfRef] = []
    for step in steps:
        match step:
            case ApplyHalf(ref=ref):
                refs.append(ref)
            case Contract(refs=several):
                refs += several
    return tuple(refs)
