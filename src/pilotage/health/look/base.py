"""What a look is, the one statement that it asks, and how its rows are read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from pilotage.health.settings import Settings
from pilotage.model import (
    Applied,
    Half,
    HalfRef,
    HalfRow,
    Intent,
    SchemaView,
    Ships,
    announced,
)

CONNECT_SECONDS = 5

QUERY = """
WITH known AS (
    SELECT coalesce(
        CAST({stream} AS {text}),
        (SELECT min(stream) FROM pilotage_instances WHERE instance = CAST({instance} AS {text})),
        CASE WHEN (SELECT count(*) FROM pilotage_streams) = 1
             THEN (SELECT min(stream) FROM pilotage_streams) END
    ) AS stream
)
SELECT 'stream', k.stream, '', s.stream IS NOT NULL, s.born_empty AND s.first_start_at IS NULL, ''
FROM known k LEFT JOIN pilotage_streams s ON s.stream = k.stream
UNION ALL
SELECT 'half', m.version, m.half, m.finished_at IS NOT NULL, m.opened_at IS NOT NULL, m.how
FROM pilotage_migrations m JOIN known k ON m.stream = k.stream
UNION ALL
SELECT 'intent', i.version, i.half, i.revert, i.revert, ''
FROM pilotage_intents i JOIN known k ON i.stream = k.stream
UNION ALL
SELECT 'ships', f.ships, '', f.ships IS NOT NULL, f.ships IS NOT NULL, ''
FROM (
    SELECT CAST(p.ships AS {text}) AS ships
    FROM pilotage_instances p JOIN known k ON p.stream = k.stream
    WHERE p.ships IS NOT NULL
      AND (p.instance = CAST({instance} AS {text}) OR p.release = CAST({release} AS {text}))
    LIMIT 1
) f
"""

FIRST_START = (
    "UPDATE pilotage_streams SET first_start_at = {now}"
    " WHERE stream = {stream} AND born_empty AND first_start_at IS NULL"
)


@dataclass(frozen=True, slots=True)
class Looked:
    """What the database says of itself, as far as an instance needs it.

    ``stream`` None: nobody said which, and there are several. ``made``: pilotage's tables are there and
    know the stream. ``ships``: what the release, or this very instance, is registered with.
    """

    stream: str | None = None
    made: bool = False
    fresh: bool = False
    applied: Applied = field(default_factory=Applied)
    intents: tuple[Intent, ...] = ()
    ships: Ships | None = None

    @property
    def announced(self) -> Applied:
        """What a start must fit: what is applied *and* what somebody intends to do."""
        return announced(self.applied, self.intents)


class LookError(Exception):
    """The database could not be asked. Its text names no secret, and neither host nor user."""

    def __init__(self, what: str, *, detail: str = "") -> None:
        super().__init__(what)
        self.detail = detail


class Look(Protocol):
    """A session to look with. Every method but `abort` is for one thread at a time."""

    def ask(self) -> Looked:
        """Look once. Connects when it has to. Raises `LookError`."""
        ...

    def mark_first_start(self, stream: str) -> None:
        """Record that instances run from now on, so that contract halves wait for their proof."""
        ...

    def recorded(self, service: str, release: str) -> Any:
        """What the deploy state says that a release ships (`Ships.to_json`), or None."""
        ...

    def try_lock(self, name: str) -> bool:
        """Try to take a lock that the session then holds; True where there are no such locks."""
        ...

    def unlock(self) -> None:
        """Release the locks of the session."""
        ...

    def abort(self) -> None:
        """End the session from another thread, so that whoever waits for it is told."""
        ...

    def close(self) -> None:
        """End the session."""
        ...


def looked(rows: Sequence[Sequence[Any]]) -> Looked:
    """The rows of `QUERY`."""
    halves: list[HalfRow] = []
    intents: list[Intent] = []
    stream, made, fresh, ships = None, False, False, None
    for kind, name, half, one, other, how in rows:
        match kind:
            case "stream":
                stream, made, fresh = name, bool(one), bool(other)
            case "half":
                halves.append(
                    HalfRow(
                        HalfRef(name, Half(half)),
                        finished_at=1.0 if one else None,
                        opened_at=1.0 if other else None,
                        how=how,
                    )
                )
            case "intent":
                intents.append(Intent(HalfRef(name, Half(half)), revert=bool(one)))
            case "ships":
                ships = Ships.from_json(json.loads(name))
    applied = SchemaView(rows=tuple(halves)).applied
    return Looked(stream, made, fresh, applied, tuple(intents), ships)


def values(settings: Settings) -> Mapping[str, str | None]:
    """The values of `QUERY`."""
    return {
        "stream": settings.stream,
        "instance": settings.instance,
        "release": settings.release,
    }


def one_line(error: Exception) -> str:
    """What a driver says, on one line."""
    return " ".join(str(error).split())
