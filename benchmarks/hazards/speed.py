"""How long squawk and ``pilotage hazards`` take for many files, as commands, from start to end."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measure import Contestant, against, environment, in_turn
from benchmarks.peers import program

PEER = "squawk"


def write_files(folder: Path, count: int) -> list[str]:
    """``count`` files of four statements each: two with a hazard, two without."""
    names = []
    for n in range(count):
        t = f"table_{n % 50}"
        path = folder / f"{20260101000000 + n}_change_{n}.sql"
        path.write_text(
            f"ALTER TABLE {t} ADD COLUMN c{n} text;\n"
            f"CREATE INDEX i{n} ON {t} (c{n});\n"
            f"ALTER TABLE {t} ADD CONSTRAINT k{n} CHECK (c{n} <> '');\n"
            f"CREATE TABLE new_{n} (id bigint PRIMARY KEY, a text NOT NULL, b timestamptz DEFAULT now());\n"
        )
        names.append(path.name)
    return names


def command(argv: Sequence[str | Path], folder: Path) -> Contestant:
    """It, run once before. Both end with a status that says that they found something."""

    def run() -> float:
        began = time.perf_counter()
        done = subprocess.run(argv, cwd=folder, capture_output=True, check=False, env=environment())
        seconds = time.perf_counter() - began
        if not done.stdout or b"Traceback" in done.stderr:
            raise RuntimeError(f"{argv[0]} failed: {done.stderr[-2000:]!r}")
        return seconds

    run()
    return run


def measure(count: int, rounds: int) -> str:
    """A table of both, with what they print for people and for programs, and of a single file."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = write_files(folder, count)
        ours = [program("pilotage"), "hazards", "--dialect", "postgresql"]
        contestants = {
            PEER: command([program("squawk"), *files], folder),
            "pilotage hazards": command([*ours, "."], folder),
            "squawk --reporter json": command(
                [program("squawk"), "--reporter", "json", *files], folder
            ),
            "pilotage hazards --json": command([*ours, "--json", "."], folder),
            "pilotage hazards, one file": command([*ours, "--json", files[0]], folder),
        }
        return against(in_turn(contestants, rounds), PEER)
