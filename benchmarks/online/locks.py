"""What those who use a table wait for while it is changed: the plain statement, and pilotage's way.

An open load of pgbench goes on all the while, so a transaction that is due while the table is locked
counts with the whole of its wait. Each change runs on a database of its own, cloned from one
template.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import psycopg

from benchmarks.measure import table, write
from benchmarks.migrations import server
from benchmarks.online.pgbench import SLOW_MS, fill, load, program, quantile, reader, settle
from pilotage.embedded import Postgres
from pilotage.events import ignore
from pilotage.migrate.loader import parse_migration
from pilotage.migrate.runner import RunnerSettings, SqlSchema
from pilotage.model import Half
from pilotage.secret import Secret

LOCK_TIMEOUT = 0.2
LEAD = 3.0
"""Seconds of load before the change, and after it."""
READER_SECONDS = 6.0

TEMPLATE = "bench_template"


@dataclass(frozen=True, slots=True)
class Change:
    """One change, as a plain statement and as a migration file. ``long``: it may take minutes."""

    name: str
    naive: str
    ours: str
    long: bool = False


CHANGES = (
    Change(
        "CREATE INDEX",
        "CREATE INDEX ON pgbench_accounts (abalance)",
        "-- pilotage: online\n\n-- expand\nCREATE INDEX ON pgbench_accounts (abalance);\n",
    ),
    Change(
        "ADD COLUMN",
        "ALTER TABLE pgbench_accounts ADD COLUMN note text",
        "-- expand\nALTER TABLE pgbench_accounts ADD COLUMN note text;\n",
    ),
    Change(
        "ADD COLUMN DEFAULT gen_random_uuid()",
        "ALTER TABLE pgbench_accounts ADD COLUMN tag uuid DEFAULT gen_random_uuid()",
        "-- expand\n"
        "ALTER TABLE pgbench_accounts ADD COLUMN tag uuid;\n"
        "ALTER TABLE pgbench_accounts ALTER tag SET DEFAULT gen_random_uuid();\n\n"
        "-- backfill\n"
        "UPDATE pgbench_accounts SET tag = gen_random_uuid() WHERE tag IS NULL;\n",
        long=True,
    ),
    Change(
        "int → bigint",
        "ALTER TABLE pgbench_accounts ALTER abalance TYPE bigint",
        "-- expand\n"
        "ALTER TABLE pgbench_accounts ADD COLUMN balance bigint;\n"
        "CREATE FUNCTION sync() RETURNS trigger LANGUAGE plpgsql AS $$\n"
        "BEGIN NEW.balance := NEW.abalance; RETURN NEW; END $$;\n"
        "CREATE TRIGGER sync BEFORE INSERT OR UPDATE ON pgbench_accounts\n"
        "    FOR EACH ROW EXECUTE FUNCTION sync();\n\n"
        "-- backfill\n"
        "UPDATE pgbench_accounts SET balance = abalance WHERE balance IS DISTINCT FROM abalance;\n",
        long=True,
    ),
    Change(
        "SET NOT NULL",
        "ALTER TABLE pgbench_accounts ALTER abalance SET NOT NULL",
        "-- pilotage: online\n\n"
        "-- expand\nALTER TABLE pgbench_accounts ALTER abalance SET NOT NULL;\n",
    ),
    Change(
        "FOREIGN KEY",
        "ALTER TABLE pgbench_accounts ADD FOREIGN KEY (bid) REFERENCES pgbench_branches",
        "-- pilotage: online\n\n-- expand\n"
        "ALTER TABLE pgbench_accounts ADD FOREIGN KEY (bid) REFERENCES pgbench_branches;\n",
    ),
    Change(
        "UNIQUE",
        "ALTER TABLE pgbench_accounts ADD UNIQUE (bid, aid)",
        "-- pilotage: online\n\n-- expand\nALTER TABLE pgbench_accounts ADD UNIQUE (bid, aid);\n",
    ),
)
"""The rows of the table that was measured before there was a way of ours, and UNIQUE."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One change under load: its seconds (None: none was made), and what transactions waited, in ms.

    ``outlasted``: the load was over before the change was.
    """

    seconds: float | None
    worst: float
    p99: float
    slow: int
    failed: int
    outlasted: bool = False


@dataclass(frozen=True, slots=True)
class Rig:
    """The server with its template, and the load."""

    running: Postgres
    rate: int
    clients: int
    seconds: float
    long_seconds: float

    @contextmanager
    def database(self) -> Iterator[str]:
        """A clone of the template; its URL."""
        name = f"bench_{uuid4().hex[:8]}"
        with psycopg.connect(self.running.url("postgres"), autocommit=True) as session:
            session.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")  # type: ignore[arg-type]
            try:
                yield self.running.url(name)
            finally:
                session.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]

    def measure(
        self,
        change: Callable[[str], None] | None,
        *,
        protocol: str,
        read: bool,
        long: bool = False,
    ) -> Measured:
        """The load, and in it the change; without one, the load alone."""
        seconds = self.long_seconds if long else self.seconds
        began = ended = 0.0
        with self.database() as url:
            settle(url)
            with load(
                url, rate=self.rate, clients=self.clients, protocol=protocol, seconds=seconds
            ) as met:
                time.sleep(LEAD)
                with reader(url, READER_SECONDS) if read else nullcontext():
                    began = time.time()
                    if change is not None:
                        change(url)
                        ended = time.time()
                    else:
                        time.sleep(max(seconds - 2 * LEAD, 1.0))
        over = ended or time.time()
        waited = [t.ms for t in met.between(began, over)]
        return Measured(
            ended - began if ended else None,
            max(waited, default=0.0),
            quantile(waited, 0.99),
            sum(ms > SLOW_MS for ms in waited),
            met.failed,
            outlasted=bool(ended) and ended - began > seconds - LEAD,
        )


def naively(change: Change) -> Callable[[str], None]:
    """The statement, as a person types it."""

    def run(url: str) -> None:
        with psycopg.connect(url, autocommit=True) as session:
            session.execute(change.naive)  # type: ignore[arg-type]

    return run


def by_us(change: Change) -> Callable[[str], None]:
    """The migration, by the runner: its expand half and its backfill."""
    path = Path("db/migrations/20260101000000_change.sql")
    migration = parse_migration(change.ours, path=path, dialect="postgresql")

    async def story(url: str) -> None:
        settings = RunnerSettings(lock_timeout=LOCK_TIMEOUT)
        options = {"stream": "bench", "service": "bench", "settings": settings}
        async with SqlSchema(url=Secret(url), **options) as schema:  # type: ignore[arg-type]
            await schema.prepare()
            await schema.claim(token=1)
            await schema.apply(migration, Half.EXPAND, release=None, token=1, emit=ignore)
            await schema.backfill(migration, final=False, token=1, emit=ignore)

    return lambda url: asyncio.run(story(url))


def measure(rig: Rig, names: Sequence[str], *, protocol: str, read: bool, rounds: int) -> str:
    """A table: each change both ways, beside the load alone."""
    found: dict[tuple[str, str], list[Measured]] = {}

    def keep(name: str, way: str, one: Measured) -> None:
        found.setdefault((name, way), []).append(one)
        took = "–" if one.seconds is None else f"{one.seconds:.1f} s"
        print(
            f"  {protocol}{', reader' if read else ''}: {name}, {way}: {took},"
            f" worst {one.worst:.0f} ms, {one.slow} slow, {one.failed} failed",
            flush=True,
        )

    for _ in range(rounds):
        keep("nothing", "", rig.measure(None, protocol=protocol, read=read))
        for change in CHANGES:
            if change.name not in names:
                continue
            for way, run in (("plain", naively(change)), ("pilotage", by_us(change))):
                one = rig.measure(run, protocol=protocol, read=read, long=change.long)
                keep(change.name, way, one)
    base = statistics.median(one.p99 for one in found["nothing", ""])
    goal = LOCK_TIMEOUT * 1000 + base
    rows = []
    for (name, way), several in found.items():
        worst = statistics.median(one.worst for one in several)
        took = [one.seconds for one in several if one.seconds is not None]
        met = "" if way != "pilotage" else "yes" if worst <= goal and not _failed(several) else "no"
        rows.append(
            [
                f"{name}, {way}" if way else name,
                (f"{statistics.median(took):.1f}" if took else "–")
                + ("*" if any(one.outlasted for one in several) else ""),
                f"**{worst:.0f}**",
                f"{max(one.worst for one in several):.0f}",
                f"{statistics.median(one.p99 for one in several):.0f}",
                f"{statistics.median(one.slow for one in several):.0f}",
                str(_failed(several)),
                met,
            ]
        )
    head = ["", "s", "worst stall ms", "the largest", "p99 ms", "> 100 ms", "failed", "goal met"]
    title = f"### {protocol}, {'with a 6 s reader' if read else 'without a reader'}"
    return f"{title}\n\n{table(head, rows)}\n\nGoal: a worst stall of at most {goal:.0f} ms, none failed."


def _failed(several: Sequence[Measured]) -> int:
    return sum(one.failed for one in several)


@contextmanager
def rig(
    *, scale: int, rate: int, clients: int, seconds: float, long_seconds: float
) -> Iterator[Rig]:
    """A server with a template in it."""
    with server() as running:
        with psycopg.connect(running.url("postgres"), autocommit=True) as session:
            session.execute(f"CREATE DATABASE {TEMPLATE}")
        fill(running.url(TEMPLATE), scale)
        settle(running.url(TEMPLATE))
        yield Rig(running, rate, clients, seconds, long_seconds)


def main() -> None:
    """Measure, and write the section."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--scale", type=int, default=30, help="100,000 rows each")
    arguments.add_argument("--rate", type=int, default=200)
    arguments.add_argument("--clients", type=int, default=16)
    arguments.add_argument("--seconds", type=float, default=25.0, help="of load for a change")
    arguments.add_argument(
        "--long-seconds", type=float, default=240.0, help="for one that rewrites"
    )
    arguments.add_argument("--rounds", type=int, default=1)
    arguments.add_argument("--protocol", choices=("simple", "prepared", "both"), default="both")
    arguments.add_argument("--reader", choices=("no", "yes", "both"), default="both")
    arguments.add_argument("--only", nargs="*", default=[change.name for change in CHANGES])
    given = arguments.parse_args()
    if program() is None:
        raise SystemExit("bench: pgbench is not installed (Debian: postgresql-15)")
    protocols = ("simple", "prepared") if given.protocol == "both" else (given.protocol,)
    readers = {"no": (False,), "yes": (True,), "both": (False, True)}[given.reader]
    with rig(
        scale=given.scale, rate=given.rate, clients=given.clients,
        seconds=given.seconds, long_seconds=given.long_seconds,
    ) as made:  # fmt: skip
        parts = [
            measure(made, given.only, protocol=protocol, read=read, rounds=given.rounds)
            for protocol in protocols
            for read in readers
        ]
        version = made.running.version
    head = (
        f"pgbench on PostgreSQL {version} with {given.scale * 100_000:,} accounts: {given.rate} transactions a "
        f"second are due, {given.clients} clients; {given.rounds} round(s), medians. What a transaction waits "
        "counts from when it was due, for those under way while the change is. *plain*: the statement as one "
        "types it. *pilotage*: the same by the runner, under `online`, or as a new column with a backfill "
        f"where the plain statement rewrites the table; lock_timeout {LOCK_TIMEOUT * 1000:.0f} ms. *goal*: the "
        "worst stall is at most lock_timeout and the p99 of the load alone. \\*: the load ended before the change."
    )
    write("locks", "Changes under load", "\n\n".join((head, *parts)))


if __name__ == "__main__":
    main()
