"""What transactions waited while a table was changed: what is kept of each change, and the tables of it.

Pure but for `Kept`, which has the results so far in a file, so that an interrupted run goes on where it was.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.measure import table

SLOW_MS = 100.0
NOTHING = "nothing"
"""What the load alone is called, beside the changes."""
PLAIN, OURS = "plain", "pilotage"
KEPT = Path(__file__).with_name(".kept")
KEPT_FOR = 24 * 3600.0
"""Seconds for which the results of an interrupted run are taken up."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """Unix seconds at which it was due and at which it was over; the difference is what was waited."""

    due: float
    over: float

    @property
    def ms(self) -> float:
        """Milliseconds from when it was due."""
        return (self.over - self.due) * 1000


@dataclass(frozen=True, slots=True)
class Measured:
    """One change under load: its seconds, and what the transactions waited, in ms, that were under way.

    ``failed``: transactions, and clients that gave up. ``error``: of the change itself. ``whole``: it was
    measured to its end.
    """

    case: str
    round: int
    change: str
    way: str
    seconds: float
    worst: float
    p99: float
    slow: int
    failed: int
    error: str = ""
    whole: bool = True

    @property
    def key(self) -> tuple[str, int, str, str]:
        """What it is a measurement of."""
        return self.case, self.round, self.change, self.way

    def __str__(self) -> str:
        """A line for whoever waits."""
        return (
            f"{self.case}: {self.change}, {self.way}: {self.seconds:.1f} s, worst {self.worst:.0f} ms,"
            f" {self.slow} slow, {self.failed} failed {self.error}"
        ).rstrip()


def quantile(values: Iterable[float], share: float) -> float:
    """The value below which ``share`` of them lie."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else 0.0


class Kept:
    """The results so far of a run, a line of JSON each, in a file that is gone once they are written up.

    ``about``: what they were measured with; results of other settings, or of yesterday, are not taken.
    """

    def __init__(self, path: Path, about: Mapping[str, object], *, again: bool = False) -> None:
        """Take up what ``path`` has, unless it is to be measured again."""
        self._path = path
        self.measured: list[Measured] = []
        head = json.dumps(dict(about), sort_keys=True)
        if not again and path.exists() and time.time() - path.stat().st_mtime < KEPT_FOR:
            first, *rest = path.read_text().splitlines()
            if first == head:
                self.measured = [Measured(**json.loads(line)) for line in rest if line[-1:] == "}"]
        path.parent.mkdir(exist_ok=True)
        lines = [head, *(json.dumps(asdict(one)) for one in self.measured)]
        path.write_text("".join(f"{line}\n" for line in lines))

    def __contains__(self, key: object) -> bool:
        """Whether there is a result for a `Measured.key`."""
        return any(one.key == key for one in self.measured)

    def add(self, one: Measured) -> None:
        """Keep a result."""
        self.measured.append(one)
        with self._path.open("a") as file:
            file.write(json.dumps(asdict(one)) + "\n")

    def forget(self) -> None:
        """Remove the file."""
        self._path.unlink(missing_ok=True)


def page(measured: Sequence[Measured], *, lock_timeout: float) -> str:
    """A table for each case: the load alone, then each change both ways. ``lock_timeout``: seconds."""
    cases = list(dict.fromkeys(one.case for one in measured))
    return "\n\n".join(
        _case(case, [one for one in measured if one.case == case], lock_timeout) for case in cases
    )


def _case(case: str, measured: Sequence[Measured], lock_timeout: float) -> str:
    base = statistics.median(one.p99 for one in measured if one.change == NOTHING)
    goal = lock_timeout * 1000 + base
    names = dict.fromkeys(one.change for one in measured)
    rows = []
    for name in names:
        ways = ("",) if name == NOTHING else (PLAIN, OURS)
        for way in ways:
            several = [
                one for one in measured if one.change == name and (not way or one.way == way)
            ]
            if several:
                rows.append(_row(f"{name}, {way}" if way else name, several, goal))
    head = ["", "s", "worst stall ms", "the largest", "p99 ms", "> 100 ms", "failed", "goal met"]
    said = f"Goal: a worst stall of at most {goal:.0f} ms, none failed."
    errors = sorted({f"{one.change}, {one.way}: {one.error}" for one in measured if one.error})
    notes = [said, *(f"\\* {error}" for error in errors)]
    return "\n\n".join([f"### {case}", table(head, rows), *notes])


def _row(name: str, several: Sequence[Measured], goal: float) -> list[str]:
    worst = statistics.median(one.worst for one in several)
    failed = sum(one.failed for one in several)
    broken = any(one.error for one in several)
    marks = ("\\*" if broken else "") + ("" if all(one.whole for one in several) else "†")
    met = ""
    if several[0].way == OURS and several[0].change != NOTHING:
        met = "yes" if worst <= goal and not failed and not broken else "no"
    return [
        name,
        f"{statistics.median(one.seconds for one in several):.1f}" + marks,
        f"**{worst:.0f}**",
        f"{max(one.worst for one in several):.0f}",
        f"{statistics.median(one.p99 for one in several):.0f}",
        f"{statistics.median(one.slow for one in several):.0f}",
        str(failed),
        met,
    ]
