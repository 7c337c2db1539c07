"""What the application's database says of itself: halves, intents, registrations, sessions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Self

from pilotage.model.parts import (
    WITNESSES,
    Instance,
    Kind,
    Release,
    session_name,
    session_release,
)
from pilotage.model.rule import Applied, Half, HalfRef, Ships

FOUND = "found"
REVERTING = "reverting"


@dataclass(frozen=True, slots=True)
class HalfRow:
    """One row of ``pilotage_migrations``. Times are Unix seconds.

    ``how``: ``applied``, ``marked`` (a person ran it), ``adopted`` (a squash found it there) or ``found``
    (a framework had applied it when pilotage first looked: it is older than every release that pilotage
    knows, so it is in nobody's way). ``reverting``: it is being taken back, and does not count as applied;
    ``statements_done`` are those of its ``-- down`` section.
    """

    ref: HalfRef
    name: str = ""
    checksum: str = ""
    release: str | None = None
    started_at: float | None = None
    finished_at: float | None = None
    statements_done: int = 0
    how: str = "applied"
    opened_at: float | None = None


@dataclass(frozen=True, slots=True)
class Intent:
    """A half that somebody is about to apply (or to ``revert``): the door is closed to what it breaks.

    ``token`` is the lease token of whoever wrote it, None for a manual verb.
    """

    ref: HalfRef
    token: int | None = None
    revert: bool = False


@dataclass(frozen=True, slots=True)
class Registration:
    """One row of ``pilotage_instances``: an instance announced itself *before* it read the intents."""

    instance: str
    service: str
    host: str
    release: str
    ships: Ships | None
    kind: Kind = Kind.WORKER
    registered_at: float | None = None

    @classmethod
    def of(cls, instance: Instance, release: Release) -> Self:
        """What an instance of a release says of itself."""
        return cls(
            instance=instance.id,
            service=instance.service,
            host=instance.host,
            release=release.id,
            ships=release.ships,
            kind=instance.kind,
        )


@dataclass(frozen=True, slots=True)
class Session:
    """A session of the application's database, by its ``application_name``."""

    pid: int
    application_name: str
    client: str = ""

    @property
    def release(self) -> str | None:
        """The release id that the name carries, if it does."""
        return session_release(self.application_name)

    @property
    def witness(self) -> bool:
        """Whether it is pilotage's own session in an instance, not one of the application's."""
        name = self.application_name
        return any(name == session_name(self.release or "", w) for w in WITNESSES)


@dataclass(frozen=True, slots=True)
class SchemaView:
    """What the application's database says of itself.

    ``sessions`` is None where the database has no such evidence (SQLite, MySQL without its performance schema, no permission).
    ``fresh``: the database was empty when pilotage first saw it, and no instance was ever
    registered: expand and contract halves then run together, in file order. ``loose``: see `Applied`.
    ``known`` false: a framework's own command or an image migrates it, and nothing says what is applied.
    """

    exists: bool = True
    fresh: bool = False
    rows: tuple[HalfRow, ...] = ()
    intents: tuple[Intent, ...] = ()
    registered: tuple[Registration, ...] = ()
    sessions: tuple[Session, ...] | None = None
    dialect: str = "none"
    loose: frozenset[str] = frozenset()
    known: bool = True
    applied: Applied = field(init=False, compare=False, repr=False)
    """The rows as the rule counts them, without intents. Counted once: planners ask for each half."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "applied", self._count())  # it is frozen for everybody else

    def _count(self) -> Applied:
        return Applied(
            expanded=frozenset(
                r.ref.version for r in self.rows if r.ref.half is Half.EXPAND and r.finished_at
            ),
            contracted=frozenset(
                r.ref.version for r in self.rows if r.ref.half is Half.CONTRACT and r.how != FOUND
            ),
            finished=frozenset(
                r.ref.version for r in self.rows if r.ref.half is Half.CONTRACT and r.finished_at
            ),
            opened=frozenset(r.ref.version for r in self.rows if r.opened_at),
            loose=self.loose,
        )

    @property
    def announced(self) -> Applied:
        """What a start must fit: what is applied *and* what somebody intends to do."""
        return announced(self.applied, self.intents)

    def row(self, ref: HalfRef) -> HalfRow | None:
        """The row of a half, or None."""
        return next((row for row in self.rows if row.ref == ref), None)


def announced(applied: Applied, intents: Iterable[Intent]) -> Applied:
    """``applied`` as a start must see it: contract intents count as started, reverts as done."""
    refs = tuple(intents)
    contracts = frozenset(
        i.ref.version for i in refs if not i.revert and i.ref.half is Half.CONTRACT
    )
    after = applied.minus(*(i.ref for i in refs if i.revert and i.ref.half is Half.EXPAND))
    return replace(after, contracted=after.contracted | contracts)
