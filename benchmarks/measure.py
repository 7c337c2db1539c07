"""Measuring contestants in turn, and writing what came out into ``RESULTS.md``.

A time alone says little: machines differ, and this one may be busy. So every result is a ratio of two
contestants that ran in turn, of the medians of their rounds; the smallest times stand beside them.
"""

from __future__ import annotations

import os
import platform
import re
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

RESULTS = Path(__file__).with_name("RESULTS.md")

Contestant = Callable[[], float]
"""Does the work once; the seconds that counted."""


@dataclass(frozen=True, slots=True)
class Times:
    """The seconds of all rounds of a contestant."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.seconds)

    @property
    def least(self) -> float:
        """The smallest."""
        return min(self.seconds)


def in_turn(contestants: Mapping[str, Contestant], rounds: int) -> dict[str, Times]:
    """Every contestant once, and again, so that whatever else the machine does hits all of them."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, run in contestants.items():
            seconds[name].append(run())
            print(f"  {name}: {seconds[name][-1]:.3f} s", flush=True)
    return {name: Times(tuple(times)) for name, times in seconds.items()}


def environment(**more: str) -> dict[str, str]:
    """Ours for a command; compiled modules are kept, as they are where something is installed."""
    kept = {
        k: v for k, v in os.environ.items() if k not in ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH")
    }
    return {**kept, **more}


def timed(argv: Sequence[str | Path], **options: object) -> float:
    """The seconds that a command takes from start to end.

    Raises
    ------
    RuntimeError
        It failed; has the end of what it said.
    """
    began = time.perf_counter()
    done = subprocess.run(argv, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
    seconds = time.perf_counter() - began
    if done.returncode:
        said = (done.stdout + done.stderr)[-2000:]
        raise RuntimeError(f"{' '.join(map(str, argv))} failed: {said}")
    return seconds


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown; every column but the first is right-aligned."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, rule, *rows))


def against(results: Mapping[str, Times], peer: str, *, digits: int = 2) -> str:
    """A table of all contestants: the ratio of medians to ``peer``, of minimums, and the seconds."""
    base = results[peer]
    rows = [
        [
            name,
            f"**{times.median / base.median:.{digits}f}**",
            f"{times.least / base.least:.{digits}f}",
            f"{times.median:.3f}",
            f"{times.least:.3f}",
        ]
        for name, times in results.items()
    ]
    return table(["", "ratio of medians", "of minimums", "median s", "minimum s"], rows)


def machine() -> str:
    """What it ran on, and how busy that was, in one sentence."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    load = os.getloadavg()[0]
    return (
        f"{platform.system()}, {os.cpu_count()} cores, {memory / 2**30:.0f} GB; "
        f"Python {platform.python_version()}; load average {load:.1f} at the end"
    )


def write(section: str, title: str, text: str, *, results: Path = RESULTS) -> None:
    """Put a section into the results, in place of the one that an earlier run left."""
    day = datetime.now(UTC).strftime("%Y-%m-%d")
    body = f"## {title}\n\n*{machine()}; {day}; `make bench-{section}`.*\n\n{text.strip()}\n"
    marked = f"<!-- {section} -->\n{body}<!-- end {section} -->"
    old = results.read_text() if results.exists() else "# Results\n"
    pattern = re.compile(f"<!-- {section} -->.*?<!-- end {section} -->", re.DOTALL)
    if pattern.search(old):
        new = pattern.sub(lambda _: marked, old)
    else:
        new = f"{old.rstrip()}\n\n{marked}\n"
    results.write_text(new)
    print(f"\n{body}", flush=True)
