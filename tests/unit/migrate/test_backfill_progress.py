"""When a backfill says that it will be done, by a clock that the tests set."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import pytest

from pilotage.cli.render import words
from pilotage.events import BackfillProgress, Event
from pilotage.migrate.backfill_progress import Progress
from pilotage.migrate.state import Cursor

START = Cursor("digest", False, number=1, statement=0, position=None, pass_rows=0, total_rows=0)


@dataclass(slots=True)
class Run:
    """A backfill over tables of so many rows, which are thought to have ``thought``."""

    clock: list[float]
    tables: Sequence[int]
    thought: Sequence[int | None]
    cursor: Cursor = START
    told: list[Event] = field(default_factory=list)
    _progress: Progress = field(init=False)

    def __post_init__(self) -> None:
        self._progress = Progress("1", self.told.append)

    def batch(self, rows: int, seconds: float, *, changes: bool = True) -> BackfillProgress:
        """One more batch: what is told of it."""
        self.clock[0] += seconds
        changed = rows if changes else 0
        self.cursor = replace(
            self.cursor,
            scanned=self.cursor.scanned + rows,
            total_rows=self.cursor.total_rows + changed,
        )
        self._progress.batch(
            self.cursor, self.thought, spanned=rows, changed=changed, seconds=seconds
        )
        return self.last

    def walk(self, *, rows: int, seconds: float, jitter: float = 0.0) -> Iterator[BackfillProgress]:
        """Batches to the end of the table that it is at; each takes its time, more or less."""
        noise = random.Random(7)
        while left := self.tables[self.cursor.statement] - self.cursor.scanned:
            yield self.batch(min(rows, left), seconds * (1 + noise.uniform(-jitter, jitter)))

    def pause(self, seconds: float) -> None:
        """A person, or the site, had it wait."""
        self.clock[0] += seconds
        self._progress.paused(seconds)

    def end(self) -> BackfillProgress:
        """All is done."""
        self._progress.ended(self.cursor)
        return self.last

    @property
    def last(self) -> BackfillProgress:
        """What was told last."""
        event = self.told[-1]
        assert isinstance(event, BackfillProgress)
        return event


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def one(clock: list[float], rows: int, thought: int | None) -> Run:
    return Run(clock, [rows], [thought])


def test_at_a_steady_speed_it_is_right_from_the_second_batch(clock: list[float]) -> None:
    run = one(clock, 100_000, 100_000)
    first = run.batch(1000, 0.5)
    assert (first.eta, first.rate) == (None, pytest.approx(2000))
    for event in run.walk(rows=1000, seconds=0.5):
        left = 100_000 - run.cursor.scanned
        assert event.eta == pytest.approx(left / 2000)
        assert event.fraction == pytest.approx(min(1 - left / 100_000, 0.99))
        assert event.rate == pytest.approx(2000)
    assert run.last.eta == 0.0


def test_where_times_scatter_it_comes_to_the_truth(clock: list[float]) -> None:
    run = one(clock, 1_000_000, 1_000_000)
    told = [(event.eta, clock[0]) for event in run.walk(rows=1000, seconds=0.25, jitter=0.9)]
    late = clock[0]
    for eta, at in told[100:-200]:
        assert eta == pytest.approx(late - at, rel=0.15)
    for eta, at in told[-200:]:
        assert eta == pytest.approx(late - at, abs=6.0)


@pytest.mark.parametrize("factor", [10.0, 0.1])
def test_a_minute_after_it_became_slower_or_faster_it_knows(
    clock: list[float], factor: float
) -> None:
    run = one(clock, 10_000_000, 10_000_000)
    for _ in run.walk(rows=1000, seconds=0.5):
        if run.cursor.scanned == 500_000:
            break
    changed_at = clock[0]
    while clock[0] - changed_at < 61:
        run.batch(1000, 0.5 * factor)
    left = (10_000_000 - run.cursor.scanned) / 1000 * 0.5 * factor
    assert run.last.eta == pytest.approx(left, rel=0.05)


def test_a_rest_after_each_batch_is_part_of_it(clock: list[float]) -> None:
    """Throttled so far that the pauses are longer than what the estimate is taken over."""
    run = one(clock, 50_000, 50_000)
    run.batch(1000, 0.5)
    for number in range(2, 6):
        clock[0] += 99.5
        event = run.batch(1000, 0.5)
        assert event.eta == pytest.approx((50 - number) * 100)
        assert event.rate == pytest.approx(10)


def test_a_pause_takes_nothing_away_and_adds_nothing(clock: list[float]) -> None:
    run = one(clock, 100_000, 100_000)
    for _ in range(20):
        run.batch(1000, 0.5)
    run.pause(7200.0)
    event = run.batch(1000, 0.5)
    assert event.eta == pytest.approx(79 * 0.5)
    assert event.rate == pytest.approx(2000)


def test_a_run_that_goes_on_where_another_was_does_not_claim_its_rows(clock: list[float]) -> None:
    begun = replace(START, scanned=900_000, total_rows=900_000)
    run = Run(clock, [1_000_000], [1_000_000], begun)
    clock[0] += 30.0  # it looked at the table, and waited for a lock
    assert run.batch(1000, 0.5).rate == pytest.approx(2000)
    event = run.batch(1000, 0.5)
    assert event.eta == pytest.approx(98 * 0.5)
    assert event.fraction == pytest.approx(0.902)
    assert event.rate == pytest.approx(2000)


def test_rows_that_are_done_already_are_walked_over_all_the_same(clock: list[float]) -> None:
    run = one(clock, 10_000, 10_000)
    for _ in range(5):
        event = run.batch(1000, 0.5, changes=False)
    assert event.rate == 0.0
    assert event.eta == pytest.approx(2.5)


def test_of_a_table_that_nobody_has_counted_nothing_is_claimed(clock: list[float]) -> None:
    run = one(clock, 10_000, None)
    told = [(event.fraction, event.eta, event.rate) for event in run.walk(rows=1000, seconds=0.5)]
    assert told == [(None, None, pytest.approx(2000))] * 10
    assert words.backfill(run.last) == f"1: {words.count(10_000)} rows, {words.count(2000)}/s"
    assert (run.end().fraction, run.last.eta) == (1.0, 0.0)


@pytest.mark.parametrize("thought", [0, None])
def test_of_an_empty_table_only_the_end_is_told(clock: list[float], thought: int | None) -> None:
    run = one(clock, 0, thought)
    event = run.end()
    assert (event.fraction, event.eta, event.rows, event.rate) == (1.0, 0.0, 0, 0.0)
    assert words.backfill(event) == "1: 0 rows changed"


def test_a_table_that_was_thought_smaller_is_not_called_done(clock: list[float]) -> None:
    run = one(clock, 10_000, 4_000)
    told = [(event.fraction, event.eta) for event in run.walk(rows=1000, seconds=0.5)]
    assert told[:4] == [(0.25, None), (0.5, 1.0), (0.75, 0.5), (0.99, 0.0)]
    assert told[4:] == [(0.99, None)] * 6


def test_tables_count_by_their_size(clock: list[float]) -> None:
    run = Run(clock, [90_000, 10_000], [90_000, 10_000])
    assert list(run.walk(rows=1000, seconds=0.5))
    assert run.last.fraction == pytest.approx(0.9)
    assert run.last.eta == pytest.approx(5.0)
    run.cursor = replace(run.cursor, statement=1, scanned=0)
    event = run.batch(1000, 0.5)
    assert event.fraction == pytest.approx(0.91)
    assert event.eta == pytest.approx(4.5)


def test_a_later_table_of_unknown_size_makes_the_end_unknown(clock: list[float]) -> None:
    run = Run(clock, [5000, 5000], [5000, None])
    assert (run.batch(1000, 0.5).fraction, run.last.eta) == (None, None)


def test_a_later_pass_is_told_as_one_and_not_as_the_end(clock: list[float]) -> None:
    run = one(clock, 10_000, 10_000)
    assert list(run.walk(rows=1000, seconds=0.5))
    run.cursor = replace(run.cursor, number=2, scanned=0)
    event = run.batch(4000, 0.1, changes=False)
    assert event.fraction == pytest.approx(0.4)
    assert event.eta is not None
    assert words.backfill(event).startswith(f"1: pass 2, 40%, {words.count(10_000)} rows, ")
    assert words.backfill(run.end()) == f"1: {words.count(10_000)} rows changed"
