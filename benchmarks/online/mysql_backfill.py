"""Backfills of a million rows on MariaDB: how many rows a second, and how long the worst batch.

As `benchmarks.online.backfill`, beside one UPDATE of everything. ``make bench-backfill-mariadb``.
"""

from __future__ import annotations

import argparse
import os
import shutil
import time
from contextlib import closing
from pathlib import Path

from tests.mariadb import MariaDB, start_mariadb

from benchmarks import measure
from benchmarks.online.backfill import Contestant, Run, ours, page
from benchmarks.online.mysql_locks import DURABLE, DURABLE_LOG

DATABASE = "bench"
STATEMENT = "UPDATE item SET label = concat('item ', code) WHERE label IS NULL"
FILLED = (
    f"DROP DATABASE IF EXISTS {DATABASE}",
    f"CREATE DATABASE {DATABASE}",
    f"USE {DATABASE}",
    "CREATE TABLE item (id bigint PRIMARY KEY, code integer NOT NULL, note text NOT NULL)",
    "INSERT INTO item SELECT seq, seq * 7, concat('a note of some words, number ', seq)"
    " FROM seq_1_to_{rows}",
    "ANALYZE TABLE item",
)


def one_update(server: MariaDB) -> Contestant:
    """The whole table in one statement."""

    def fill(url: str, rows: int, run: Run) -> float:
        with closing(server.connect(DATABASE)) as connection, connection.cursor() as cursor:
            cursor.execute("ALTER TABLE item ADD COLUMN label text")
            began = time.perf_counter()
            changed = cursor.execute(STATEMENT)
            connection.commit()
            seconds = time.perf_counter() - began
        assert changed == rows
        run.worst.append(seconds)
        return seconds

    return fill


def check(server: MariaDB) -> None:
    """Nothing was left out."""
    left = server.execute("SELECT count(*) FROM item WHERE label IS NULL", database=DATABASE)
    if [tuple(row) for row in left] != [(0,)]:
        raise RuntimeError(f"{left} rows were left out")


def measure_rates(server: MariaDB, rows: int, rounds: int) -> dict[str, Run]:
    """Every contestant once, and again, each on a table that was filled anew."""
    contestants: dict[str, Contestant] = {
        "one UPDATE": one_update(server),
        "pilotage, no rest": ours(STATEMENT, duty=1.0),
        "pilotage, as configured by default": ours(STATEMENT),
    }
    runs = {name: Run() for name in contestants}
    for number in range(rounds):
        for name, contestant in contestants.items():
            server.execute(*(statement.format(rows=rows) for statement in FILLED))
            run = runs[name]
            seconds = contestant(server.url(DATABASE), rows, run)
            check(server)
            run.rates.append(rows / seconds)
            print(
                f"  round {number + 1}, {name}: {rows / seconds:,.0f} rows/s,"
                f" worst {run.worst[-1] * 1000:.0f} ms, load {os.getloadavg()[0]:.1f}",
                flush=True,
            )
    return runs


def main() -> None:
    """Measure, and write the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--only-print", action="store_true", help="leave RESULTS.md as it is")
    given = parser.parse_args()
    if not (shutil.which("mariadbd") or Path("/usr/sbin/mariadbd").exists()):
        raise SystemExit("bench: MariaDB is not installed (Debian: mariadb-server)")
    server = start_mariadb(*DURABLE, DURABLE_LOG)
    try:
        ((version,),) = server.execute("SELECT version()")
        runs = measure_rates(server, given.rows, given.rounds)
    finally:
        server.stop()
    pauses = sum(run.pauses for run in runs.values())
    text = (
        f"{given.rows:,} rows on MariaDB {version} that flushes its log at each commit, {given.rounds} rounds in "
        f"turn; medians. Columns as above; ours paused {pauses} times.\n\n{page(runs)}"
    )
    if given.only_print:
        print(text)
    else:
        measure.write("backfill-mariadb", "Backfills, MariaDB", text)


if __name__ == "__main__":
    main()
