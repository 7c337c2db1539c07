"""How far replicas are behind, in seconds of our own clock.

A position in the primary's log is noted together with the moment at which it was reached; the lag is the
age of the oldest position that a replica has not replayed. So no two machines' clocks are compared,
and a primary where nobody writes is never taken for one with a replica behind.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

_MOST = 64  # positions remembered
_SPACING = 1.0  # seconds between two of them


@dataclass(slots=True)
class Lag:
    """The positions that a replica, or a group of them, has not replayed yet. Times: monotonic."""

    _pending: deque[tuple[float, str]] = field(default_factory=deque)

    def note(self, now: float, position: str) -> None:
        """The primary has written up to ``position``, at ``now``."""
        newest = self._pending[-1] if self._pending else None
        if newest is None or (
            len(self._pending) < _MOST and now - newest[0] >= _SPACING and position != newest[1]
        ):
            self._pending.append((now, position))

    async def seconds(self, now: float, has_replayed: Callable[[str], Awaitable[bool]]) -> float:
        """How far behind it is, by asking it for the oldest positions."""
        while self._pending:
            began, position = self._pending[0]
            if not await has_replayed(position):
                return now - began
            self._pending.popleft()
        return 0.0
