"""What a trace needs of a database besides the runner: somebody who looks at the runner's session.

A dialect that is to be traced brings one of these (`pilotage.trace.postgresql`). What it reports is what
the server says, never what a statement's text suggests.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from pilotage.migrate.dialects.base import Session
from pilotage.trace.report import Relation, Scan, Stops


@dataclass(frozen=True, slots=True)
class Held:
    """A lock as the server lists it."""

    relation: Relation
    mode: str
    stops: Stops


@dataclass(frozen=True, slots=True)
class Measured:
    """One run of one statement. ``locks``: those that it took, each with the seconds for which it was
    seen where it is gone again, and None where it is held on."""

    seconds: float
    wal: int
    rows: int
    locks: dict[Held, float | None] = field(default_factory=dict)
    rewrites: tuple[Relation, ...] = ()
    scans: tuple[Scan, ...] | None = ()


class Observer(Protocol):
    """Looks at one session from others. What existed at `begin` is what locks are reported of."""

    async def begin(self) -> None:
        """A half begins: note which relations there are."""
        ...

    async def measure(
        self, session: Session, text: str, run: Callable[[], Awaitable[int]]
    ) -> Measured:
        """Await ``run()``, which runs ``text`` in ``session``. What it raises is let through."""
        ...

    async def close(self) -> None:
        """End the sessions. Never raises."""
        ...
