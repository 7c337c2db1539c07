"""Backfills of a million rows: how many rows a second, how long the worst batch, and killed 200 times.

Beside ours run one UPDATE of everything, which is as fast as the server is and holds every row's lock to
its end, and batches of a fixed thousand rows through a trigger and a marker column, as tools do that
rename columns by triggers. Each contestant gets a copy of the same database. Then the first two of them once more,
under a load that begins when they are at work. ``make bench-backfill``.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from benchmarks import measure
from benchmarks.migrations import server
from benchmarks.online import backfill_load, kills, pgbench
from pilotage.embedded import Postgres
from pilotage.events import BackfillHeld, BackfillProgress, Event, ignore
from pilotage.migrate.migration import Migration, Section
from pilotage.migrate.runner import RunnerSettings, SqlSchema
from pilotage.migrate.settings import BackfillSettings
from pilotage.model import Half
from pilotage.secret import Secret

TEMPLATE = "backfill_template"
STATEMENT = "UPDATE item SET label = 'item ' || code WHERE label IS NULL"


@dataclass(slots=True)
class Run:
    """One contestant's rounds: rows a second, the longest batch of each, and pauses."""

    rates: list[float] = field(default_factory=list)
    worst: list[float] = field(default_factory=list)
    middle: list[float] = field(default_factory=list)
    pauses: int = 0

    @property
    def rate(self) -> float:
        """Of the middle round."""
        return statistics.median(self.rates)


Contestant = Callable[[str, int, Run], float]
"""Fills the database of this URL, of so many rows; the seconds that it took."""


def fill_template(running: Postgres, rows: int) -> None:
    """The table as it is before the backfill, analysed and on disk."""
    with psycopg.connect(running.url("postgres"), autocommit=True) as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {TEMPLATE}")
        admin.execute(f"CREATE DATABASE {TEMPLATE}")
    with psycopg.connect(running.url(TEMPLATE), autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE item (id bigint PRIMARY KEY, code integer NOT NULL, note text NOT NULL)"
        )
        connection.execute(
            "INSERT INTO item SELECT i, i * 7, 'a note of some words, number ' || i"
            f" FROM generate_series(1, {rows}) i"
        )
        connection.execute("VACUUM ANALYZE item")


def one_update(url: str, rows: int, run: Run) -> float:
    """The whole table in one statement."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ALTER TABLE item ADD COLUMN label text")
        began = time.perf_counter()
        changed = connection.execute(STATEMENT).rowcount
        seconds = time.perf_counter() - began
    assert changed == rows
    run.worst.append(seconds)
    return seconds


def fixed_batches(url: str, rows: int, run: Run) -> float:
    """A thousand rows a batch, each row touched so that a trigger fills it, a marker column cleared."""
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in (
            "ALTER TABLE item ADD COLUMN label text, ADD COLUMN needs_backfill boolean DEFAULT true",
            "CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " NEW.label := 'item ' || NEW.code; NEW.needs_backfill := false; RETURN NEW; END $$",
            "CREATE TRIGGER fill BEFORE INSERT OR UPDATE ON item FOR EACH ROW EXECUTE FUNCTION fill()",
        ):
            connection.execute(statement)
        began, last, longest = time.perf_counter(), 0, 0.0
        while last is not None:
            begun = time.perf_counter()
            row = connection.execute(
                "WITH batch AS (SELECT id FROM item WHERE id > %s AND needs_backfill ORDER BY id"
                " LIMIT 1000 FOR NO KEY UPDATE), done AS (UPDATE item SET id = item.id FROM batch"
                " WHERE item.id = batch.id RETURNING item.id) SELECT max(id) FROM done",
                [last],
            ).fetchone()
            assert row is not None
            last = row[0]
            longest = max(longest, time.perf_counter() - begun)
        seconds = time.perf_counter() - began
    run.worst.append(longest)
    return seconds


def ours(statement: str = STATEMENT, **changes: float) -> Contestant:
    """Pilotage's backfill, with its look for who suffers and its last pass that finds nothing."""

    def fill(url: str, rows: int, run: Run) -> float:
        batches: list[float] = []
        file = Migration(
            "1",
            "label",
            Path("1_label.sql"),
            expand=Section("ALTER TABLE item ADD COLUMN label text", 1),
            backfill=Section(statement, 3),
        )

        def emit(event: Event) -> None:
            if isinstance(event, BackfillProgress) and event.batch:
                batches.append(event.seconds)
            run.pauses += isinstance(event, BackfillHeld)

        async def story() -> float:
            settings = RunnerSettings(backfill=BackfillSettings(**changes))  # type: ignore[arg-type]
            async with SqlSchema(
                url=Secret(url), stream="shop", service="shop", settings=settings
            ) as schema:
                await schema.prepare()
                await schema.apply(file, Half.EXPAND, release="r", token=1, emit=ignore)
                began = time.perf_counter()
                await schema.backfill(file, final=False, token=1, emit=emit)
                return time.perf_counter() - began

        seconds = asyncio.run(story())
        run.worst.append(max(batches))
        run.middle.append(statistics.median(batches))
        return seconds

    return fill


CONTESTANTS: dict[str, Contestant] = {
    "one UPDATE": one_update,
    "1,000 a batch, trigger and marker": fixed_batches,
    "pilotage, no rest": ours(duty=1.0),
    "pilotage, as configured by default": ours(),
}


def measure_rates(running: Postgres, rows: int, rounds: int) -> dict[str, Run]:
    """Every contestant once, and again, each on a copy of the template."""
    fill_template(running, rows)
    runs = {name: Run() for name in CONTESTANTS}
    for number in range(rounds):
        for name, contestant in CONTESTANTS.items():
            run, url = runs[name], new_round(running)
            seconds = contestant(url, rows, run)
            check(url)
            run.rates.append(rows / seconds)
            print(
                f"  round {number + 1}, {name}: {rows / seconds:,.0f} rows/s,"
                f" worst {run.worst[-1] * 1000:.0f} ms, load {os.getloadavg()[0]:.1f}",
                flush=True,
            )
    return runs


def new_round(running: Postgres) -> str:
    """The URL of a copy of the template, in place of the one before it."""
    with psycopg.connect(running.url("postgres"), autocommit=True) as admin:
        # Not WITH (FORCE), which only a superuser may do to autovacuum; this ends it, and waits for others.
        admin.execute("DROP DATABASE IF EXISTS backfill_round")
        # Copying files checkpoints, before and after: all begin alike.
        admin.execute(f"CREATE DATABASE backfill_round TEMPLATE {TEMPLATE} STRATEGY file_copy")
    return running.url("backfill_round")


def check(url: str) -> None:
    """Nothing was left out."""
    with psycopg.connect(url) as connection:
        left = connection.execute("SELECT count(*) FROM item WHERE label IS NULL").fetchone()
    if left != (0,):
        raise RuntimeError(f"{left} rows were left out")


def measure_load(running: Postgres, rows: int, rounds: int) -> str:
    """The table of what others wait for; says so where pgbench is not installed."""
    if pgbench.program() is None:
        return "*Not measured under load: pgbench is not installed.*"

    def under_load(name: str) -> backfill_load.Fill:
        def fill(url: str, rows: int) -> tuple[float, float]:
            run = Run()
            seconds = CONTESTANTS[name](url, rows, run)
            check(url)
            return seconds, run.worst[-1]

        return fill

    base, default = "one UPDATE", "pilotage, as configured by default"
    found = backfill_load.measure_load(
        {"nothing": None, base: under_load(base), default: under_load(default)},
        lambda: new_round(running),
        rows,
        rounds,
    )
    return backfill_load.page(found, base)


def measure_kills(running: Postgres, times: int, rows: int, seed: int) -> str:
    """Kill it so many times, on as many tables as it takes; one sentence of what was found.

    Raises
    ------
    RuntimeError
        A table is not as it should be.
    """
    chance = random.Random(seed)
    killed = tables = 0
    while killed < times:
        name = f"backfill_kills_{tables}"
        with psycopg.connect(running.url("postgres"), autocommit=True) as admin:
            admin.execute(f"DROP DATABASE IF EXISTS {name}")
            admin.execute(f"CREATE DATABASE {name}")
        with psycopg.connect(running.url(name), autocommit=True) as connection:

            def execute(*statements: str) -> list[tuple[object, ...]]:
                found: list[tuple[object, ...]] = []
                for statement in statements:
                    cursor = connection.execute(statement)  # type: ignore[arg-type]
                    found = cursor.fetchall() if cursor.description else []
                return found

            kills.prepare(execute, "postgresql", rows)
            toll = kills.run_killed(
                running.url(name), kills=times - killed, batch_rows=100, chance=chance
            )
            wrong = kills.differences(execute, rows)
            if wrong:
                raise RuntimeError(f"after {toll.killed} kills: {'; '.join(wrong)}")
        killed += toll.killed
        tables += 1
        print(f"  {killed} of {times} kills", flush=True)
    return (
        f"Killed with SIGKILL at random moments {killed} times, over {tables} tables of {rows:,} rows "
        f"(seed {seed}): **the same rows as without, none done twice, none left out**."
    )


def page(runs: dict[str, Run]) -> str:
    """The table of rates."""
    base = runs["one UPDATE"].rate
    rows = [
        [
            name,
            f"{run.rate:,.0f}",
            f"**{run.rate / base:.2f}**",
            f"{max(run.rates):,.0f}",
            f"{statistics.median(run.middle) * 1000:.0f} ms" if run.middle else "",
            f"{statistics.median(run.worst) * 1000:,.0f} ms",
            f"{max(run.worst) * 1000:,.0f} ms",
        ]
        for name, run in runs.items()
    ]
    head = [
        "", "rows/s", "of one UPDATE", "best round", "batch, median", "longest, median of rounds",
        "longest of all",
    ]  # fmt: skip
    return measure.table(head, rows)


def main() -> None:
    """Measure, and write the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--kill-rows", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--only-print", action="store_true", help="leave RESULTS.md as it is")
    given = parser.parse_args()
    with server() as running:
        runs = measure_rates(running, given.rows, given.rounds)
        text = page(runs)
        print(text, flush=True)
        loaded = measure_load(running, given.rows, given.rounds)
        print(loaded, flush=True)
        killed = measure_kills(running, given.kills, given.kill_rows, given.seed)
    pauses = sum(run.pauses for run in runs.values())
    text = (
        f"{given.rows:,} rows on PostgreSQL with fsync on, {given.rounds} rounds in turn, each on a copy "
        "of one database; medians. Ours includes the pass that finds nothing more, and its looks at who "
        f"suffers; it paused {pauses} times.\n\n{text}\n\n"
        f"Under a load that begins {backfill_load.LEAD:g} s after the backfill: {backfill_load.RATE} "
        f"transactions a second of {backfill_load.CLIENTS} clients, each of which changes one row of the "
        "same table; their waits count from when they were due, those of all rounds together.\n\n"
        f"{loaded}\n\n{killed}"
    )
    if given.only_print:
        print(text)
    else:
        measure.write("backfill", "Backfills", text)


if __name__ == "__main__":
    main()
