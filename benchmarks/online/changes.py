"""Making changes to a table under an open load, one after another, as a person types them or by pilotage.

Copying a table of millions of rows for each change would take most of the time. So changes that can be
undone follow each other on one copy under one load: a change, a wait until nobody waits any more,
its undoing, a wait again. A change that rewrites the table has a copy of its own.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from itertools import product
from typing import Protocol

from benchmarks.online.stalls import (
    NOTHING,
    OURS,
    PLAIN,
    SLOW_MS,
    Kept,
    Measured,
    Transaction,
    quantile,
)

LEAD = 2.0
"""Seconds of load before anything is measured."""
READER_SECONDS = 6.0


@dataclass(frozen=True, slots=True)
class Change:
    """One change, as a plain statement and as a migration file.

    ``undo``: SQL after which the next change finds the table as this one did; ``""``: it rewrites the
    table, and has a copy of its own.
    """

    name: str
    plain: str
    ours: str
    undo: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """How the load asks, and whether somebody reads for six seconds when the change begins."""

    protocol: str
    read: bool

    def __str__(self) -> str:
        """Its title."""
        return f"{self.protocol}, {'with a 6 s reader' if self.read else 'without a reader'}"


@dataclass(slots=True)
class Load:
    """A load that runs; once it has been ended, all that it met.

    ``gave_up``: Unix seconds at which a client ended; ``failures``: at which a transaction failed.
    """

    transactions: list[Transaction] = field(default_factory=list)
    failures: list[float] = field(default_factory=list)
    gave_up: list[float] = field(default_factory=list)

    def wait_until_quiet(self) -> None:
        """Wait until transactions begin when they are due again, or all clients have ended."""
        raise NotImplementedError

    def between(self, begin: float, end: float) -> list[Transaction]:
        """Those that were under way at any moment between two."""
        return [t for t in self.transactions if t.over >= begin and t.due <= end]

    def failed_between(self, begin: float, end: float) -> int:
        """Transactions that failed, and clients that ended."""
        return sum(begin <= at <= end for at in (*self.failures, *self.gave_up))


class Rig(Protocol):
    """A server with a table of millions of rows, and what is done to it."""

    def database(self) -> AbstractContextManager[str]:
        """A copy of the tables as they were made; its URL."""
        ...

    def load(self, url: str, case: Case) -> AbstractContextManager[Load]:
        """The load, from begin to end of the block."""
        ...

    def reader(self, url: str, seconds: float) -> AbstractContextManager[None]:
        """Somebody's report, whose transaction is open for ``seconds`` or to the end of the block."""
        ...

    def make(self, url: str, change: Change, way: str) -> bool:
        """Make a change, as a plain statement or by pilotage; whether it was made to its end."""
        ...

    def undo(self, url: str, change: Change) -> None:
        """Run a change's ``undo``."""
        ...

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """What a change may fail with."""
        ...


@dataclass(frozen=True, slots=True)
class Window:
    """When a change was under way. ``quiet`` is when the load had recovered from it."""

    name: str
    began: float
    ended: float
    quiet: float
    error: str
    whole: bool


@dataclass(frozen=True, slots=True)
class Course:
    """Changes in one case, by one way. ``alone``: seconds of the load alone that are measured."""

    rig: Rig
    case: Case
    round: int
    way: str
    alone: float

    def key(self, name: str) -> tuple[str, int, str, str]:
        """The `Measured.key` of a change."""
        return str(self.case), self.round, name, self.way

    def measure(self, changes: Mapping[str, Change | None]) -> list[Measured]:
        """Make changes on one copy, until all are made or clients gave up: the rest would be measured
        with fewer. None: nothing is changed."""
        windows: list[Window] = []
        with self.rig.database() as url:
            with self.rig.load(url, self.case) as load:
                time.sleep(LEAD)
                load.wait_until_quiet()
                for name, change in changes.items():
                    windows.append(self._window(url, load, name, change))
                    if load.gave_up:
                        break
                    if change is not None and change.undo:
                        self.rig.undo(url, change)
                        load.wait_until_quiet()
            return [self._measured(window, load) for window in windows]

    def _window(self, url: str, load: Load, name: str, change: Change | None) -> Window:
        error, whole = "", True
        read = self.case.read and change is not None
        with self.rig.reader(url, READER_SECONDS) if read else nullcontext():
            began = time.time()
            try:
                if change is None:
                    time.sleep(self.alone)
                else:
                    whole = self.rig.make(url, change, self.way)
            except self.rig.errors as failure:
                error = str(failure).splitlines()[0]
            ended = time.time()
        load.wait_until_quiet()
        return Window(name, began, ended, time.time(), error, whole)

    def _measured(self, window: Window, load: Load) -> Measured:
        waited = [t.ms for t in load.between(window.began, window.ended)]
        return Measured(
            *self.key(window.name), window.ended - window.began,
            max(waited, default=0.0), quantile(waited, 0.99), sum(ms > SLOW_MS for ms in waited),
            load.failed_between(window.began, window.quiet), window.error, window.whole,
        )  # fmt: skip


def measure_all(courses: Iterable[Course], changes: Sequence[Change], kept: Kept) -> None:
    """Every change in every course, as far as that is not kept already."""
    for course in courses:
        for group in _groups(changes):
            left = {name: group[name] for name in group if course.key(name) not in kept}
            while left:
                for one in course.measure(left):
                    kept.add(one)
                    print(f"  {one}", flush=True)
                    del left[one.change]


def courses(rig: Rig, cases: Iterable[Case], *, rounds: int, alone: float) -> Iterator[Course]:
    """Each case by both ways, and again."""
    for number, case, way in product(range(rounds), list(cases), (PLAIN, OURS)):
        yield Course(rig, case, number, way, alone)


def _groups(changes: Sequence[Change]) -> Iterator[Mapping[str, Change | None]]:
    """Changes that share a copy of the tables, beginning with the load alone."""
    yield {NOTHING: None, **{change.name: change for change in changes if change.undo}}
    for change in changes:
        if not change.undo:
            yield {change.name: change}
