"""Whether a session is one session: what a pooler or a proxy that shares sessions would give away."""

from __future__ import annotations

from typing import Protocol

from pilotage.migrate.dialects.base import Session

_PROBES = 2


class Numbered(Session, Protocol):
    """A session that was told its number on the server when it was opened."""

    @property
    def pid(self) -> int:
        """The number."""
        ...


async def are_apart(first: Numbered, second: Numbered, question: str) -> bool:
    """Whether two sessions each reach one server session, and not the same; asked a few times.

    Behind what shares sessions both are given the same one in turn, or one of them is moved to another.
    Each is asked twice running: a pooler that goes round two server sessions would seem to keep those
    apart that ask by turns. ``question``: what the server answers with the number of its session.
    """
    mine, others = {first.pid}, {second.pid}
    for _ in range(_PROBES):
        for session, seen in ((first, mine), (first, mine), (second, others), (second, others)):
            seen.add(int((await session.query(question))[0][0]))
    return len(mine) == len(others) == 1 and not mine & others
