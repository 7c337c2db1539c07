"""How large a batch is, by how long the ones before it took; and how long it rests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import pairwise

import pytest

from pilotage.migrate.ends import stands_still
from pilotage.migrate.lag import Lag
from pilotage.migrate.pacing import BatchSize, rest


def batches(
    size: BatchSize, number: int, *, cost: Callable[[int], float], changed: float = 1.0,
    overhead: float = 0.002,
) -> list[tuple[int, float]]:  # fmt: skip
    """So many batches, each of whose rows cost ``cost(batch)`` seconds: their rows and times."""
    told = []
    for index in range(number):
        rows = size.rows
        on_rows = rows * cost(index)
        told.append((rows, on_rows + overhead))
        size.passed(
            spanned=rows, changed=int(rows * changed), seconds=on_rows + overhead, on_rows=on_rows
        )
    return told


@pytest.mark.parametrize("cost", [1e-6, 5e-6, 2e-5, 1e-4, 1e-3, 8e-3, 5e-2])
def test_a_batch_comes_to_take_its_target(cost: float) -> None:
    size = BatchSize(0.1, 20_000)
    told = batches(size, 30, cost=lambda _: cost)
    rows, seconds = told[-1]
    assert seconds <= 0.11
    assert seconds >= 0.05 or rows == 20_000
    grown = [b[0] / a[0] for a, b in pairwise(told)]
    assert max(grown) <= 2.0


def test_what_any_batch_has_is_not_taken_for_the_cost_of_rows() -> None:
    size = BatchSize(0.1, 20_000)
    (*_, (rows, seconds)) = batches(size, 30, cost=lambda _: 2e-5, overhead=0.2)
    assert rows == 2500  # half of the target, since the rest takes more than all of it
    assert seconds == pytest.approx(0.25)


def test_one_slow_commit_says_little() -> None:
    size = BatchSize(0.1, 100_000)
    told = batches(size, 80, cost=lambda n: 1e-4 if n == 40 else 2e-5)
    before, after = told[39][0], told[-1][0]
    assert told[40][0] == before
    assert min(rows for rows, _ in told[41:]) >= before / 4
    assert after > before * 0.9


def test_when_others_begin_to_work_the_next_batch_is_half_at_once() -> None:
    size = BatchSize(0.1, 100_000)
    told = batches(size, 30, cost=lambda n: 6e-5 if n >= 20 else 2e-5)
    assert told[20][1] > 0.25  # it was under way
    assert told[21][0] <= told[20][0] / 2
    assert max(seconds for _, seconds in told[21:]) < 0.15


def test_where_times_scatter_the_longest_is_near_the_target() -> None:
    size = BatchSize(0.1, 100_000)
    told = batches(size, 300, cost=lambda n: 6e-5 if n % 5 == 0 else 2e-5)
    longest = sorted(seconds for _, seconds in told[50:])
    assert longest[-1] < 0.22
    assert longest[len(longest) // 2] > 0.025  # and it goes on


def test_done_rows_do_not_grow_a_batch_that_meets_others() -> None:
    size = BatchSize(0.1, 1_000_000)
    batches(size, 10, cost=lambda _: 2e-5)
    batches(size, 50, cost=lambda _: 2e-7, changed=0.0)
    assert size.rows * 2e-5 <= 0.16
    unseen = BatchSize(0.1, 1_000_000)
    batches(unseen, 50, cost=lambda _: 2e-7, changed=0.0)
    assert unseen.rows == 5000


def test_a_split_ends_at_one_row_and_grows_again() -> None:
    size = BatchSize(0.1, 20_000)
    splits = 0
    while size.split():
        splits += 1
    assert size.rows == 1
    assert splits == 4
    batches(size, 20, cost=lambda _: 1e-4)
    assert 600 <= size.rows <= 1000


def test_the_rest_follows_duty_and_rate() -> None:
    assert rest(0.1, rows=1000, duty=1.0, rate=None) == 0
    assert rest(0.1, rows=1000, duty=0.8, rate=None) == pytest.approx(0.025)
    assert rest(0.1, rows=1000, duty=0.2, rate=None) == pytest.approx(0.4)
    assert rest(0.1, rows=1000, duty=0.8, rate=500) == pytest.approx(1.9)
    assert rest(0.1, rows=0, duty=1.0, rate=500) == 0


def test_passes_that_shrink_do_not_stand_still() -> None:
    assert not stands_still([9, 9, 9, 9], final=False)
    assert stands_still([9, 8, 9, 8, 9], final=False)
    assert not stands_still([9, 7, 5, 3, 1], final=False)
    assert not stands_still([9, 8, 9, 8, 9], final=True)
    assert stands_still([3, 3, 3, 3, 3], final=True)


def test_lag_is_the_age_of_the_oldest_position_that_is_missing() -> None:
    lag, replayed = Lag(), {"a"}

    async def has(position: str) -> bool:
        return position in replayed

    async def story() -> None:
        lag.note(100.0, "a")
        assert await lag.seconds(100.0, has) == 0
        assert await lag.seconds(500.0, has) == 0  # nobody wrote since: nobody is behind
        lag.note(500.0, "b")
        lag.note(500.5, "c")  # too close to the one before
        lag.note(502.0, "d")
        assert await lag.seconds(503.0, has) == 3.0
        replayed.add("b")
        assert await lag.seconds(504.0, has) == 2.0
        replayed.add("d")
        assert await lag.seconds(505.0, has) == 0

    asyncio.run(story())
