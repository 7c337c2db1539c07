"""What those who use a table wait for while it is backfilled, and what their load does to the backfill.

The load begins while the backfill is at work: each transaction changes one row of the same table, two
hundred are due a second, and what counts is the time from when one was due.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from benchmarks.measure import table
from benchmarks.online.pgbench import load
from benchmarks.online.stalls import quantile

RATE, CLIENTS = 200, 16
LEAD = 0.5
"""Seconds that the backfill has for itself before the load begins."""
ALONE = 5.0
"""Seconds that the load runs where nothing is backfilled."""
SHORTEST = 1.5
"""Seconds that it runs at least, also beside a backfill that is over before."""

SCRIPT = "\\set id random(1, {rows})\nUPDATE item SET note = note WHERE id = :id;\n"


@dataclass(slots=True)
class Felt:
    """All rounds of a contestant: rows a second, the longest batch of each, and what others waited, in ms."""

    rates: list[float] = field(default_factory=list)
    batches: list[float] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    failed: int = 0


Fill = Callable[[str, int], tuple[float, float]]
"""Fills the database of this URL, of so many rows; its seconds, and those of its longest batch."""


def measure_load(
    contestants: Mapping[str, Fill | None], new_database: Callable[[], str], rows: int, rounds: int
) -> dict[str, Felt]:
    """Every contestant once, and again, each on a database of its own; None: nothing is backfilled."""
    found = {name: Felt() for name in contestants}
    for number in range(rounds):
        for name, fill in contestants.items():
            felt = found[name]
            _one(new_database(), rows, fill, felt)
            print(
                f"  under load, round {number + 1}, {name}: worst wait {max(felt.waits):,.0f} ms"
                + (f", {felt.rates[-1]:,.0f} rows/s" if felt.rates else ""),
                flush=True,
            )
    return found


def _one(url: str, rows: int, fill: Fill | None, felt: Felt) -> None:
    took: list[tuple[float, float]] = []

    def work() -> None:
        if fill is not None:
            took.append(fill(url, rows))

    worker = threading.Thread(target=work)
    worker.start()
    time.sleep(LEAD)
    with load(
        url,
        rate=RATE,
        clients=CLIENTS,
        protocol="prepared",
        script=SCRIPT.format(rows=rows),
    ) as others:
        began = time.monotonic()
        worker.join()
        least = SHORTEST if fill is not None else ALONE
        time.sleep(max(began + least - time.monotonic(), 0))
        over = time.time()
    if fill is not None:
        if not took:
            raise RuntimeError("the backfill failed under load; what it said stands above")
        seconds, longest = took[0]
        felt.rates.append(rows / seconds)
        felt.batches.append(longest)
    felt.waits += [one.ms for one in others.transactions if one.due <= over]
    felt.failed += len(others.failures) + len(others.gave_up)


def page(found: Mapping[str, Felt], base: str) -> str:
    """The table."""
    rows = [
        [
            name,
            f"{statistics.median(felt.rates):,.0f}" if felt.rates else "",
            f"**{statistics.median(felt.rates) / statistics.median(found[base].rates):.2f}**"
            if felt.rates
            else "",
            f"{max(felt.batches) * 1000:,.0f} ms" if felt.batches else "",
            f"{quantile(felt.waits, 0.5):,.1f} ms",
            f"{quantile(felt.waits, 0.99):,.0f} ms",
            f"{max(felt.waits):,.0f} ms",
            f"{felt.failed}",
        ]
        for name, felt in found.items()
    ]
    head = [
        "", "rows/s", "of one UPDATE", "longest batch of all", "others wait, median", "p99", "worst",
        "failed",
    ]  # fmt: skip
    return table(head, rows)
