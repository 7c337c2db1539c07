"""A repository: lanes of changes, and releases that each ship a prefix of every lane.

A lane is a table (and what is created beside it) with a linear history. Versions are given in the order
of writing, across lanes; a release takes so many changes of one lane and so many of another. Branches
that are merged out of order, skipped versions and releases beside each other are then all the same
thing: vectors of positions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from pilotage.migrate.migration import Migrations
from pilotage.model import Release, contract

from .changes import (
    CODECS,
    PLAIN,
    AddColumn,
    Change,
    Code,
    Codec,
    CreateTable,
    DropColumn,
    DropTable,
    Flags,
    Move,
    NewValue,
    Rename,
    Squash,
    Use,
)

T = TypeVar("T")

KINDS = (
    "add",
    "rename",
    "move",
    "require",
    "drop",
    "retype",
    "readd",
    "new_table",
    "drop_table",
    "new_value",
    "squash",
)

HABITS = (
    Flags(),
    Flags(verify=False),
    Flags(transaction=False),
    Flags(backfill=False),
    Flags(oob_contract=True),
    Flags(oob_expand=True),
    Flags(transaction=False, oob_contract=True),
)


@dataclass(frozen=True, slots=True)
class Writing:
    """One change as it is drawn: numbers that choose among what is possible at that moment."""

    lane: int
    kind: str
    pick: int = 0
    flags: Flags = HABITS[0]


@dataclass(slots=True)
class Lane:
    """A linear history of changes, and the code after each (``codes[n]``: after n changes)."""

    name: str
    changes: list[Change] = field(default_factory=list)
    codes: list[Code] = field(default_factory=lambda: [{}])
    required: dict[tuple[str, str], list[tuple[str, Codec]]] = field(default_factory=dict)
    dropped: list[tuple[str, str, str]] = field(default_factory=list)  # version, table, column
    settled: set[tuple[str, str]] = field(default_factory=set)  # attributes nobody changes again

    @property
    def code(self) -> Code:
        """The newest code."""
        return self.codes[-1]

    def write(self, change: Change) -> None:
        """Commit a change."""
        self.changes.append(change)
        self.codes.append(change.code(self.code))

    def attrs(self, *, once: bool | None = None) -> list[tuple[str, str, Use]]:
        """The attributes that a change may touch: (table, attribute, use)."""
        return [
            (table, attr, use)
            for table, uses in self.code.items()
            for attr, use in uses.items()
            if (table, attr) not in self.settled and (once is None or use.once == once)
        ]


@dataclass(frozen=True)
class Version:
    """A release: how many changes of each lane it has, and what follows from that."""

    index: int
    positions: tuple[int, ...]
    changes: tuple[Change, ...]
    code: Code
    migrations: Migrations

    @property
    def revision(self) -> str:
        """Forty digits, as of git."""
        return f"{self.index + 1:012x}".ljust(40, "0")

    @property
    def id(self) -> str:
        """The release id."""
        return self.revision[:12]

    @property
    def release(self) -> Release:
        """As pilotage is told of it."""
        return Release(id=self.id, revision=self.revision, ships=self.migrations.ships())


class Repository:
    """Lanes, releases, and where each version of a migration stands."""

    def __init__(self, writings: Iterable[Writing], lanes: int = 2) -> None:
        self.lanes = [Lane(f"t{n}") for n in range(lanes)]
        self.place: dict[str, tuple[int, int]] = {}
        self.change: dict[str, Change] = {}
        self._version = 0
        for number, lane in enumerate(self.lanes):
            self._base(number, lane)
        for writing in writings:
            self._write(writing)
        self.versions: list[Version] = []

    # -- writing --------------------------------------------------------------------------------

    def _next(self) -> str:
        self._version += 10
        return str(self._version)

    def _commit(self, lane: int, change: Change) -> None:
        self.place[change.version] = (lane, len(self.lanes[lane].changes))
        self.change[change.version] = change
        self.lanes[lane].write(change)

    def _base(self, number: int, lane: Lane) -> None:
        version = self._next()
        lane.required[lane.name, "a"] = [("a", PLAIN)]
        self._commit(
            number,
            CreateTable(
                version=version,
                table=lane.name,
                columns=(("a", Use("a"), True), ("o", Use("o", once=True), False)),
            ),
        )

    def _write(self, writing: Writing) -> None:
        number = writing.lane % len(self.lanes)
        lane = self.lanes[number]
        version = self._next()
        change = _author(lane, version, writing)
        if writing.flags.oob_contract and isinstance(change, (Rename, Move, DropColumn, AddColumn)):
            lane.settled.add((change.table, change.attr))
        self._commit(number, change)

    # -- releases -------------------------------------------------------------------------------

    def cut(self, positions: Sequence[int]) -> Version:
        """Make a release of so many changes of each lane (at least its first)."""
        clipped = tuple(
            min(max(1, wanted), len(lane.changes))
            for wanted, lane in zip(positions, self.lanes, strict=True)
        )
        changes: list[Change] = []
        code: dict[str, object] = {}
        for position, lane in zip(clipped, self.lanes, strict=True):
            files = lane.changes[:position]
            squashes = [n for n, change in enumerate(files) if isinstance(change, Squash)]
            changes += files[squashes[-1] :] if squashes else files
            code |= lane.codes[position]
        version = Version(
            index=len(self.versions),
            positions=clipped,
            changes=tuple(changes),
            code=code,  # type: ignore[arg-type]
            migrations=Migrations({c.version: c.migration() for c in changes}),
        )
        self.versions.append(version)
        return version

    def by_id(self, release: str) -> Version:
        """The release with this id."""
        return self.versions[int(release, 16) - 1]

    def knows(self, release: str, version: str) -> bool:
        """Whether the code of a release was written with (or after) this change."""
        lane, index = self.place[version]
        return self.by_id(release).positions[lane] > index


def _author(lane: Lane, version: str, writing: Writing) -> Change:
    """The change that a developer writes; where the kind makes no sense here, a plain new column."""
    kind, pick, flags = writing.kind, writing.pick, writing.flags
    synced, once = lane.attrs(once=False), lane.attrs(once=True)
    if kind in ("rename", "retype") and lane.attrs():
        table, attr, use = _pick(lane.attrs(), pick)
        codec = use.codec if kind == "rename" else CODECS[(CODECS.index(use.codec) + 1) % 3]
        new = Use(f"{attr}_{version}", codec, use.level, use.once)
        return Rename(version=version, table=table, flags=flags, attr=attr, old=use, new=new)
    if kind == "move" and once:
        table, attr, use = _pick(once, pick)
        new = Use(f"{attr}_{version}", CODECS[pick % 3], use.level, once=True)
        return Move(version=version, table=table, flags=flags, attr=attr, old=use, new=new)
    if kind == "drop" and len(lane.attrs()) > 1:
        table, attr, use = _pick(lane.attrs(), pick)
        if len(lane.code[table]) > 1:
            lane.dropped.append((version, table, use.column))
            return DropColumn(
                version=version,
                table=table,
                flags=flags,
                attr=attr,
                use=use,
                defaults=tuple(lane.required.get((table, attr), ())),
            )
    if kind == "drop_table" and len(lane.code) > 1:
        table = _pick(sorted(set(lane.code) - {lane.name}), pick)
        if not any(t == table for t, _ in lane.settled):
            return DropTable(version=version, table=table, flags=flags)
    if kind == "new_table":
        table = f"{lane.name}_{version}"
        lane.required[table, "k"] = [("k", PLAIN)]
        columns = (("k", Use("k"), True), ("w", Use("w", once=True), False))
        return CreateTable(version=version, table=table, flags=flags, columns=columns)
    if kind == "new_value" and synced:
        table, attr, use = _pick(synced, pick)
        return NewValue(version=version, table=table, flags=flags, attr=attr, level=use.level + 1)
    if kind == "squash" and len(lane.changes) > 1:
        return _squash(lane, version)
    if kind == "readd" and lane.dropped:
        dropped, table, column = lane.dropped.pop()
        if table in lane.code:
            return AddColumn(
                version=version,
                table=table,
                flags=flags,
                attr=f"n{version}",
                use=Use(column),
                requires=frozenset({contract(dropped)}),
            )
    table = _pick(sorted(lane.code), pick)
    attr, required = f"n{version}", kind == "require"
    use = Use(attr, once=not required and pick % 2 == 1)
    if required:
        lane.required[table, attr] = [(use.column, use.codec)]
    return AddColumn(
        version=version, table=table, flags=flags, attr=attr, use=use, required=required
    )


def _squash(lane: Lane, version: str) -> Squash:
    live = {(table, use.column) for table, uses in lane.code.items() for use in uses.values()}
    return Squash(
        version=version,
        table=lane.name,
        replaces=tuple((c.version, c.version) for c in lane.changes),
        code_then=lane.code,
        required=frozenset(
            (table, column)
            for (table, _), columns in lane.required.items()
            for column, _ in columns
            if (table, column) in live
        ),
    )


def _pick(items: Sequence[T], pick: int) -> T:
    return items[pick % len(items)]
