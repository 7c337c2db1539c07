"""One migration file, as frozen values. Read from disk by `pilotage.migrate.loader`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pilotage.model import Half, HalfRef, Ships, version_key


@dataclass(frozen=True, slots=True)
class Directives:
    """What ``-- pilotage: …`` lines of a section (or of the whole file) say. Times in seconds.

    ``online``: statements that lock run in steps that do not (`pilotage.migrate.sql.online`), each on its
    own, so there is no transaction around all of them. ``lines`` is where each stands in the file: key (``allow=<hazard id>`` for an allow) → line.
    """

    out_of_band: bool = False
    transaction: bool = True
    online: bool = False
    lock_timeout: float | None = None
    timeout: float | None = None
    batch_time: float | None = None
    batch_rows: int | None = None
    duty: float | None = None
    requires: frozenset[HalfRef] = frozenset()
    replaces: tuple[tuple[str, str], ...] = ()
    breaks_old: bool = False
    allow: Mapping[str, str] = field(default_factory=dict)  # hazard id → because
    lines: Mapping[str, int] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Section:
    """One section's own text, exactly as written, and the line (from 1) on which it begins."""

    text: str
    line: int
    directives: Directives = Directives()

    @property
    def checksum(self) -> str:
        """SHA-256 of the text without trailing space and blank lines at its ends, 64 hex digits."""
        body = "\n".join(line.rstrip() for line in self.text.strip().splitlines())
        return hashlib.sha256(body.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Migration:
    """A migration: a version, a name, and the sections that its file has.

    ``after``: the versions that a framework applies before this one, whoever asks for this one; always
    empty for our own files.
    """

    version: str
    name: str
    path: Path
    expand: Section | None = None
    backfill: Section | None = None
    verify: Section | None = None
    contract: Section | None = None
    down: Section | None = None
    after: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.version}_{self.name}" if self.name else self.version

    def section(self, half: Half) -> Section | None:
        """The section of a half."""
        return self.expand if half is Half.EXPAND else self.contract

    def halves(self) -> Iterator[HalfRef]:
        """The halves that the file has, expand first."""
        for half in Half:
            if self.section(half) is not None:
                yield HalfRef(self.version, half)

    def checksum(self, half: Half) -> str:
        """What an applied half is compared with. The backfill belongs to the expand half."""
        section = self.section(half)
        parts = [section.checksum if section else ""]
        if half is Half.EXPAND and self.backfill:
            parts.append(self.backfill.checksum)
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def out_of_band(self, half: Half) -> bool:
        """Whether a person runs this half apart from a deploy."""
        section = self.section(half)
        return section is not None and section.directives.out_of_band

    @property
    def replaces(self) -> tuple[tuple[str, str], ...]:
        """The ranges of versions that this squash stands for."""
        return self.expand.directives.replaces if self.expand else ()

    @property
    def requires(self) -> frozenset[HalfRef]:
        """The halves that must be applied before a release that ships this may start."""
        sections = (self.expand, self.contract)
        return frozenset(ref for s in sections if s for ref in s.directives.requires)

    @property
    def breaks_old(self) -> bool:
        """Whether old code cannot read what new code writes."""
        return any(s.directives.breaks_old for s in (self.expand, self.contract) if s)


@dataclass(frozen=True, slots=True)
class Framework:
    """Whose migrations they are, when they are not ours: a framework's, run by its own command.

    ``known``: something says what it has applied. ``always``: its command runs for every new release,
    whether a file of it is pending or not. ``at_once``: on an empty database one run applies all,
    expand and contract halves alike. ``command``: the line for ``sh``, as people read it in a plan.
    """

    name: str
    command: str
    known: bool = True
    always: bool = False
    at_once: bool = False


@dataclass(frozen=True, slots=True)
class Migrations:
    """All migrations that a release ships, by version, in file order.

    Those of a ``framework`` are in the order in which it would apply them: no migration stands before
    one that it comes ``after``.
    """

    by_version: Mapping[str, Migration] = field(default_factory=dict)
    framework: Framework | None = None

    def __iter__(self) -> Iterator[Migration]:
        if self.framework is not None:
            return iter(self.by_version.values())
        return iter(sorted(self.by_version.values(), key=lambda m: version_key(m.version)))

    def __len__(self) -> int:
        return len(self.by_version)

    def get(self, version: str) -> Migration | None:
        """The migration with this version, or None."""
        return self.by_version.get(version)

    def ancestors(self, version: str) -> frozenset[str]:
        """Everything that a framework applies before this version, as far as its files are here."""
        found: set[str] = set()
        left = list(self.by_version[version].after) if version in self.by_version else []
        while left:
            one = left.pop()
            migration = self.by_version.get(one)
            if one not in found and migration is not None:
                found.add(one)
                left += migration.after
        return frozenset(found)

    def in_order(self, versions: Iterable[str]) -> tuple[str, ...]:
        """These versions in file order; of a framework's, those without a file come first."""
        if self.framework is None:
            return tuple(sorted(versions, key=version_key))
        place = {migration.version: index for index, migration in enumerate(self)}
        return tuple(sorted(versions, key=lambda v: (place.get(v, -1), version_key(v))))

    def ships(self) -> Ships:
        """What a release with these files ships.

        A squash counts as shipping a contract half of its own: applied from scratch, it leaves a
        schema on which no release that does not ship it can run.
        """
        return Ships(
            expands=frozenset(m.version for m in self if m.expand),
            contracts=frozenset(m.version for m in self if m.contract or m.replaces),
            requires=frozenset(ref for m in self for ref in m.requires),
            replaces=tuple(pair for m in self for pair in m.replaces),
            breaks_old=frozenset(m.version for m in self if m.breaks_old),
        )
