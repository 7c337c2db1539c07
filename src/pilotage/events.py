"""What happens, as frozen values that turn into JSON; the command line and the dashboard render them.

Nothing in the core prints. Whoever calls the core passes an `Emit`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """The root of all events. ``at``: Unix seconds."""

    at: float = field(default_factory=time.time)

    def to_json(self) -> dict[str, Any]:
        """``{"event": "ClassName", "at": …, …}``."""
        values = {f.name: _plain(getattr(self, f.name)) for f in fields(self)}
        return {"event": type(self).__name__, **values}


def _plain(value: Any) -> Any:
    if hasattr(value, "to_json"):
        return value.to_json()
    if isinstance(value, (str, int, float, bool)) or value is None:
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list, set, frozenset)):
        return [_plain(item) for item in value]
    return str(value)


Emit = Callable[[Event], None]


def ignore(event: Event) -> None:
    """The `Emit` of a caller that does not care."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseTaken(Event):
    """The deploy lock is ours. ``took_over`` names the owner whose lease had expired."""

    owner: str
    token: int
    took_over: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseWaiting(Event):
    """Somebody else holds the deploy lock; we wait."""

    owner: str
    reason: str
    doing: str
    since: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned(Event):
    """The plan that is about to run (the same object that ``pilotage plan --json`` prints)."""

    plan: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStarted(Event):
    """Step ``index`` (from 0) of ``total`` began."""

    index: int
    total: int
    step: str
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFinished(Event):
    """The step is done. ``seconds``: how long it took."""

    index: int
    total: int
    step: str
    kind: str
    seconds: float
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFailed(Event):
    """The step failed, with the error as it will be told."""

    index: int
    total: int
    step: str
    kind: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HalfStarted(Event):
    """A migration half began. ``statements``: how many it has in all, ``done`` from an earlier run."""

    half: str
    name: str
    statements: int
    done: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class HalfStatement(Event):
    """Statement ``number`` (from 1) of a half was run."""

    half: str
    number: int
    statements: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementProgress(Event):
    """How far the database says that statement ``number`` (from 1) of a half is: the ``phase`` in its
    own words, and ``fraction`` 0…1 of that phase where it is known."""

    half: str
    number: int
    statements: int
    phase: str
    fraction: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HalfRetried(Event):
    """A lock was not granted within ``lock_timeout``; the whole transaction is tried again."""

    half: str
    attempt: int
    wait: float
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HalfFinished(Event):
    """A migration half is applied."""

    half: str
    name: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillProgress(Event):
    """A batch was committed. ``rows``: changed so far; ``rate``: rows changed a second, lately.

    ``number``: of the pass, from 1; those after the first look for what was written meanwhile.
    ``fraction`` 0…1 and ``eta`` s of this pass, where known; only at the end of all ``fraction`` is 1.
    ``batch``: rows of the table that this batch spanned, in ``seconds``.
    """

    version: str
    rows: int
    rate: float
    number: int = 1
    fraction: float | None = None
    eta: float | None = None
    batch: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillHeld(Event):
    """A backfill pauses, between two batches, holding no lock of a table; and why, in words.

    ``paused_by``: who paused it, or None where it does by itself. It goes on by itself, too.
    """

    version: str
    why: tuple[str, ...]
    paused_by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillResumed(Event):
    """It goes on after ``seconds``."""

    version: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceStarted(Event):
    """An instance was started."""

    instance: str
    role: str
    host: str
    release: str
    address: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceHealthy(Event):
    """An instance passed its check after ``seconds``."""

    instance: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceStopped(Event):
    """An instance has ended. ``killed``: it did not end within its grace."""

    instance: str
    seconds: float
    killed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Switched(Event):
    """Each of ``hosts`` confirmed the new route. ``skew_ms``: first to last confirmation among them.

    ``rest``: hosts that have not switched yet.
    """

    release: str
    hosts: tuple[str, ...]
    skew_ms: float
    rest: tuple[str, ...] = ()


def skew_ms(switches: Sequence[Switched]) -> float | None:
    """How long two releases got new requests, by the switches of a run; None where they still do.

    A switch back counts for itself.
    """
    if not switches or switches[-1].rest:
        return None
    last = switches[-1]
    turns = [last]
    for one in reversed(switches[:-1]):
        if one.release != last.release or not one.rest:
            break
        turns.append(one)
    return round((last.at - turns[-1].at) * 1000 + turns[-1].skew_ms, 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgesClosed(Event):
    """The edges answer (``maintenance``) or hold (``pause``) new requests; each host confirmed it."""

    mode: str
    by: str
    hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgesOpened(Event):
    """The edges pass new requests on again; each host confirmed it."""

    hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched(Event):
    """How a release that is being watched has answered since it got its requests.

    ``share``: of the new requests, 0…1. ``elapsed`` of ``seconds``. ``new`` and ``old`` (the release
    before it, or None): ``{requests, errors, error_rate, p50_ms, p99_ms}``, samples.
    """

    release: str
    share: float
    elapsed: float
    seconds: float
    new: Any
    old: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged(Event):
    """A watch is over. ``finding``: good, unverified or worse; ``why``: in words, with the numbers."""

    release: str
    share: float
    finding: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Drained(Event):
    """No request is in flight at the old instances, or the limit was reached (``left`` > 0)."""

    host: str
    seconds: float
    left: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractHeld(Event):
    """Contract halves stay pending, and why."""

    halves: tuple[str, ...]
    why: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRan(Event):
    """A command ran on a host; secrets in ``argv`` are masked. A person can run it by hand."""

    host: str
    argv: tuple[str, ...]
    seconds: float
    status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HookStarted(Event):
    """A hook of the project runs; one that is a step of a plan is told as a step."""

    hook: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HookEnded(Event):
    """It has ended. ``status``: its exit status, or minus the number of the signal that ended it."""

    hook: str
    seconds: float
    status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Output(Event):
    """A line of a command's, or an instance's, own output."""

    source: str
    line: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Note(Event):
    """Something worth a line. ``level``: ``info`` or ``warning``."""

    text: str
    level: str = "info"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended(Event):
    """The command is over. ``outcome``: done, failed, aborted, interrupted."""

    verb: str
    outcome: str
    seconds: float
    detail: str = ""
