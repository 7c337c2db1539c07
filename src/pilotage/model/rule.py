"""The one rule: a release *fits* a schema. Change it with more care than anything else here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Self


class Half(StrEnum):
    """The two halves of a migration."""

    EXPAND = "expand"
    CONTRACT = "contract"


def version_key(version: str) -> tuple[int, str]:
    """An order of versions: numeric where they are digits, as ours are; by name before that.

    A framework whose versions are no numbers (``shop.0003_add_note``, ``ae1027a6acf``) says itself what
    comes before what: see `pilotage.migrate.migration.Migrations`.
    """
    digits = version.isascii() and version.isdecimal()
    return (int(version) if digits else -1, version)


@dataclass(frozen=True, slots=True)
class HalfRef:
    """One half of one migration, written ``VERSION/expand`` or ``VERSION/contract``."""

    version: str
    half: Half

    def __str__(self) -> str:
        return f"{self.version}/{self.half}"

    def __lt__(self, other: HalfRef) -> bool:
        return self.sort_key < other.sort_key

    @property
    def sort_key(self) -> tuple[int, str, bool]:
        """File order; within a file expand comes before contract."""
        return (*version_key(self.version), self.half is Half.CONTRACT)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``VERSION/half``; a bare ``VERSION`` means its expand half.

        Raises
        ------
        ValueError
            The text is neither.
        """
        version, slash, half = text.partition("/")
        if not version.isdecimal():
            raise ValueError(f"{text!r} is not VERSION/expand or VERSION/contract")
        return cls(version, Half(half) if slash else Half.EXPAND)


def expand(version: str) -> HalfRef:
    """The expand half of ``version``."""
    return HalfRef(version, Half.EXPAND)


def contract(version: str) -> HalfRef:
    """The contract half of ``version``."""
    return HalfRef(version, Half.CONTRACT)


@dataclass(frozen=True, slots=True)
class Ships:
    """What one release ships of one stream: the versions of its halves and what they declare.

    ``replaces`` holds the ranges (first, last; inclusive) that its squash migrations stand for.
    ``breaks_old`` holds the versions that say ``new-data=breaks-old``: once a release that ships
    them took traffic, a release that does not ship them may not start again.
    """

    expands: frozenset[str] = frozenset()
    contracts: frozenset[str] = frozenset()
    requires: frozenset[HalfRef] = frozenset()
    replaces: tuple[tuple[str, str], ...] = ()
    breaks_old: frozenset[str] = frozenset()

    def covers(self, version: str) -> bool:
        """Whether a squash migration of this release stands for ``version``."""
        key = version_key(version)
        return any(version_key(lo) <= key <= version_key(hi) for lo, hi in self.replaces)

    def ships_contract(self, version: str) -> bool:
        """Whether this release was written for a schema without what ``version`` removes."""
        return version in self.contracts or self.covers(version)

    def ships_expand(self, version: str) -> bool:
        """Whether this release knows what ``version`` added."""
        return version in self.expands or self.covers(version)

    def to_json(self) -> dict[str, Any]:
        """An object of sorted lists."""
        return {
            "expands": sorted(self.expands, key=version_key),
            "contracts": sorted(self.contracts, key=version_key),
            "requires": [str(ref) for ref in sorted(self.requires)],
            "replaces": [list(pair) for pair in self.replaces],
            "breaks_old": sorted(self.breaks_old, key=version_key),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        return cls(
            expands=frozenset(data["expands"]),
            contracts=frozenset(data["contracts"]),
            requires=frozenset(HalfRef.parse(text) for text in data.get("requires", ())),
            replaces=tuple((lo, hi) for lo, hi in data.get("replaces", ())),
            breaks_old=frozenset(data.get("breaks_old", ())),
        )


@dataclass(frozen=True, slots=True)
class Applied:
    """What is applied to the schema of one stream, as the rule counts it.

    ``expanded``: expand halves that have *finished* (their first backfill included).
    ``contracted``: contract halves from the moment they have *started*.
    ``finished``: contract halves that have finished (what ``requires`` asks for).
    ``opened``: versions with ``new-data=breaks-old`` whose release has taken traffic.
    ``loose``: versions that a framework says are applied and of which nobody recorded which half they
    are, since somebody ran them by hand. Each is what a release knows it as; to a release that does not
    know it, it may be a contract half.
    """

    expanded: frozenset[str] = frozenset()
    contracted: frozenset[str] = frozenset()
    finished: frozenset[str] = frozenset()
    opened: frozenset[str] = frozenset()
    loose: frozenset[str] = frozenset()

    def has(self, ref: HalfRef) -> bool:
        """Whether the half is applied to its end."""
        done = self.expanded if ref.half is Half.EXPAND else self.finished
        return ref.version in done or ref.version in self.loose

    def plus(self, *refs: HalfRef) -> Applied:
        """The schema once these halves are applied as well."""
        expands = frozenset(ref.version for ref in refs if ref.half is Half.EXPAND)
        contracts = frozenset(ref.version for ref in refs if ref.half is Half.CONTRACT)
        return replace(
            self,
            expanded=self.expanded | expands,
            contracted=self.contracted | contracts,
            finished=self.finished | contracts,
        )

    def minus(self, *refs: HalfRef) -> Applied:
        """The schema once these halves are taken back (``-- down``)."""
        expands = frozenset(ref.version for ref in refs if ref.half is Half.EXPAND)
        contracts = frozenset(ref.version for ref in refs if ref.half is Half.CONTRACT)
        return replace(
            self,
            expanded=self.expanded - expands,
            contracted=self.contracted - contracts,
            finished=self.finished - contracts,
        )


@dataclass(frozen=True, slots=True)
class Fit:
    """The answer of `fits`: true when the release fits, else what is wrong."""

    known: bool = True
    missing_expands: tuple[str, ...] = ()
    foreign_contracts: tuple[str, ...] = ()
    missing_requires: tuple[HalfRef, ...] = ()
    strangers: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.known and not (
            self.missing_expands
            or self.foreign_contracts
            or self.missing_requires
            or self.strangers
        )

    def describe(self) -> str:
        """Why not, in words; ``"fits"`` when it does."""
        if not self.known:
            return "unknown: nobody recorded which migrations it ships"
        reasons = []
        if self.missing_expands:
            reasons.append(f"needs {_refs(map(expand, self.missing_expands))}, not applied yet")
        if self.foreign_contracts:
            reasons.append(
                f"was written before {_refs(map(contract, self.foreign_contracts))}, which "
                "removed what it may still use"
            )
        if self.missing_requires:
            reasons.append(f"requires {_refs(self.missing_requires)}, not applied yet")
        if self.strangers:
            reasons.append(
                f"does not know {', '.join(self.strangers)}, which somebody ran by hand and which may "
                "have removed what it uses"
            )
        return "; ".join(reasons) or "fits"


def _refs(refs: Iterable[HalfRef]) -> str:
    return ", ".join(str(ref) for ref in refs)


def fits(ships: Ships | None, applied: Applied) -> Fit:
    """Whether a release that ships ``ships`` can run on a schema with ``applied``.

    1. Every expand half that it ships is applied,
    2. every contract half that is applied is one that it ships, and
    3. every half that one of its migrations requires is applied.

    ``ships`` is None when nobody knows what the release ships: the answer is then *unknown*, which
    is false.
    """
    if ships is None:
        return Fit(known=False)
    return Fit(
        missing_expands=tuple(
            sorted(ships.expands - applied.expanded - applied.loose, key=version_key)
        ),
        foreign_contracts=tuple(
            sorted((v for v in applied.contracted if not ships.ships_contract(v)), key=version_key)
        ),
        missing_requires=tuple(sorted(ref for ref in ships.requires if not applied.has(ref))),
        strangers=tuple(
            sorted(
                (
                    v
                    for v in applied.loose
                    if v not in ships.expands and not ships.ships_contract(v)
                ),
                key=version_key,
            )
        ),
    )


def cannot_return(ships: Ships | None, applied: Applied) -> tuple[str, ...]:
    """The versions whose new data this release would not understand, if it were started again.

    Old instances that still drain after a switch are not judged by this; starts and rollbacks are.
    """
    if ships is None:
        return tuple(sorted(applied.opened, key=version_key))
    return tuple(sorted((v for v in applied.opened if not ships.ships_expand(v)), key=version_key))
