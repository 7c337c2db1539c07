"""Measure, and write the sections: ``python -m benchmarks.hazards``."""

from __future__ import annotations

import argparse

from benchmarks.hazards import found, speed
from benchmarks.measure import write


def main() -> None:
    """Both parts, or one of them."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--files", type=int, default=1000)
    arguments.add_argument("--rounds", type=int, default=9)
    arguments.add_argument("--only", choices=("speed", "found"))
    given = arguments.parse_args()
    parts = []
    head = (
        f"{given.files:,} files with {given.files * 4:,} statements, half of them with a hazard, as commands from "
        f"start to end; squawk is the one of the PyPI package `squawk-cli` (Rust). {given.rounds} rounds in turn."
    )
    if given.only != "found":
        parts.append(f"{head}\n\n{speed.measure(given.files, given.rounds)}")
    if given.only != "speed":
        parts.append(f"### What is found\n\n{found.measure()}")
    write("hazards", "Hazards", "\n\n".join(parts))


if __name__ == "__main__":
    main()
