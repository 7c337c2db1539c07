"""What those who use a table wait for while it is changed: the plain statement, and pilotage's way.

An open load of pgbench goes on all the while, so a transaction that is due while the table is locked
counts with the whole of its wait. `make bench-locks`; what is measured is kept, and the same command goes on
where it was interrupted.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from uuid import uuid4

import psycopg

from benchmarks.measure import write
from benchmarks.migrations import server
from benchmarks.online import pgbench
from benchmarks.online.changes import Case, Change, courses, measure_all
from benchmarks.online.stalls import KEPT, PLAIN, Kept, page
from pilotage.embedded import Postgres
from pilotage.errors import PilotageError
from pilotage.events import ignore
from pilotage.migrate.loader import parse_migration
from pilotage.migrate.runner import RunnerSettings, SqlSchema
from pilotage.model import Half
from pilotage.secret import Secret

LOCK_TIMEOUT = 0.2
TEMPLATE = "bench_template"


def _online(statement: str) -> str:
    return f"-- pilotage: online\n\n-- expand\n{statement};\n"


def _same(name: str, statement: str, undo: str, *, online: bool = True) -> Change:
    """A change whose plain statement the author writes, too."""
    return Change(
        name, statement, _online(statement) if online else f"-- expand\n{statement};\n", undo
    )


_TABLE = "ALTER TABLE pgbench_accounts"
CHANGES = (
    _same(
        "CREATE INDEX", "CREATE INDEX by_balance ON pgbench_accounts (abalance)", "DROP INDEX by_balance"
    ),
    _same("ADD COLUMN", f"{_TABLE} ADD COLUMN note text", f"{_TABLE} DROP COLUMN note", online=False),
    _same(
        "SET NOT NULL", f"{_TABLE} ALTER abalance SET NOT NULL", f"{_TABLE} ALTER abalance DROP NOT NULL"
    ),
    _same(
        "FOREIGN KEY",
        f"{_TABLE} ADD CONSTRAINT of_branch FOREIGN KEY (bid) REFERENCES pgbench_branches",
        f"{_TABLE} DROP CONSTRAINT of_branch",
    ),
    _same(
        "UNIQUE",
        f"{_TABLE} ADD CONSTRAINT in_branch UNIQUE (bid, aid)",
        f"{_TABLE} DROP CONSTRAINT in_branch",
    ),
    Change(
        "ADD COLUMN DEFAULT gen_random_uuid()",
        f"{_TABLE} ADD COLUMN tag uuid DEFAULT gen_random_uuid()",
        "-- expand\n"
        f"{_TABLE} ADD COLUMN tag uuid;\n"
        f"{_TABLE} ALTER tag SET DEFAULT gen_random_uuid();\n\n"
        "-- backfill\n"
        "UPDATE pgbench_accounts SET tag = gen_random_uuid() WHERE tag IS NULL;\n",
    ),
    Change(
        "int → bigint",
        f"{_TABLE} ALTER abalance TYPE bigint",
        "-- expand\n"
        f"{_TABLE} ADD COLUMN balance bigint;\n"
        "CREATE FUNCTION sync() RETURNS trigger LANGUAGE plpgsql AS $$\n"
        "BEGIN NEW.balance := NEW.abalance; RETURN NEW; END $$;\n"
        "CREATE TRIGGER sync BEFORE INSERT OR UPDATE ON pgbench_accounts\n"
        "    FOR EACH ROW EXECUTE FUNCTION sync();\n\n"
        "-- backfill\n"
        "UPDATE pgbench_accounts SET balance = abalance WHERE balance IS DISTINCT FROM abalance;\n",
    ),
)  # fmt: skip
"""The rows of the table that was measured before there was a way of ours, and UNIQUE."""


@dataclass(frozen=True, slots=True)
class Rig:
    """`benchmarks.online.changes.Rig` of PostgreSQL: a server with a template in it, and pgbench."""

    running: Postgres
    rate: int
    clients: int
    at_most: float

    errors = (psycopg.Error, PilotageError)

    @contextmanager
    def database(self) -> Iterator[str]:
        """A clone of the template; its URL."""
        name = f"bench_{uuid4().hex[:8]}"
        with psycopg.connect(self.running.url("postgres"), autocommit=True) as session:
            session.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY file_copy")  # type: ignore[arg-type]
            try:
                yield self.running.url(name)
            finally:
                session.execute(f"DROP DATABASE {name}")  # type: ignore[arg-type]

    def load(self, url: str, case: Case) -> AbstractContextManager[pgbench.Pgbench]:
        """pgbench's own transactions, at the rate."""
        return pgbench.load(url, rate=self.rate, clients=self.clients, protocol=case.protocol)

    def reader(self, url: str, seconds: float) -> AbstractContextManager[None]:
        """A snapshot of the accounts."""
        return pgbench.reader(url, seconds)

    def make(self, url: str, change: Change, way: str) -> bool:
        """Run the statement, or the migration: its expand half and its backfill."""
        if way == PLAIN:
            self._run(url, change.plain)
            return True
        return asyncio.run(apply(url, change, "postgresql", at_most=self.at_most))

    def undo(self, url: str, change: Change) -> None:
        """By the statement that the change has for it."""
        self._run(url, change.undo)

    def _run(self, url: str, statement: str) -> None:
        with psycopg.connect(url, autocommit=True) as session:
            session.execute(statement)  # type: ignore[arg-type]


async def apply(url: str, change: Change, dialect: str, *, at_most: float) -> bool:
    """A change's migration, by the runner, in a stream of its own; whether its backfill was done within
    ``at_most`` seconds. Its batches are alike: the last ones would show nothing that the first do not."""
    path = Path("db/migrations/20260101000000_change.sql")
    migration = parse_migration(change.ours, path=path, dialect=dialect)
    settings = RunnerSettings(lock_timeout=LOCK_TIMEOUT)
    options = {"stream": change.name, "service": "bench", "settings": settings}
    async with SqlSchema(url=Secret(url), **options) as schema:  # type: ignore[arg-type]
        await schema.prepare()
        await schema.claim(token=1)
        await schema.apply(migration, Half.EXPAND, release=None, token=1, emit=ignore)
        try:
            async with asyncio.timeout(at_most):
                await schema.backfill(migration, final=False, token=1, emit=ignore)
        except TimeoutError:
            return False
    return True


@contextmanager
def rig(*, scale: int, rate: int, clients: int, at_most: float = 60.0) -> Iterator[Rig]:
    """A server with a template in it."""
    with server() as running:
        with psycopg.connect(running.url("postgres"), autocommit=True) as session:
            session.execute(f"CREATE DATABASE {TEMPLATE}")
        pgbench.fill(running.url(TEMPLATE), scale)
        yield Rig(running, rate, clients, at_most)


def main() -> None:
    """Measure, and write the section."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--scale", type=int, default=30, help="100,000 rows each")
    arguments.add_argument("--rate", type=int, default=200)
    arguments.add_argument("--clients", type=int, default=16)
    arguments.add_argument("--rounds", type=int, default=1)
    arguments.add_argument("--protocol", choices=("simple", "prepared", "both"), default="both")
    arguments.add_argument("--reader", choices=("no", "yes", "both"), default="both")
    arguments.add_argument("--only", nargs="*", default=[change.name for change in CHANGES])
    arguments.add_argument(
        "--at-most", type=float, default=60.0, help="seconds of a backfill that are measured"
    )
    arguments.add_argument(
        "--alone", type=float, default=8.0, help="seconds of the load alone, for each case and way"
    )
    arguments.add_argument("--again", action="store_true", help="forget what an earlier run kept")
    arguments.add_argument("--only-print", action="store_true", help="leave RESULTS.md as it is")
    given = arguments.parse_args()
    if pgbench.program() is None:
        raise SystemExit("bench: pgbench is not installed (Debian: postgresql-15)")
    protocols = ("simple", "prepared") if given.protocol == "both" else (given.protocol,)
    readers = {"no": (False,), "yes": (True,), "both": (False, True)}[given.reader]
    kept = Kept(
        KEPT / "locks.jsonl",
        {n: getattr(given, n) for n in ("scale", "rate", "clients", "at_most")},
        again=given.again,
    )
    if kept.measured:
        print(f"  goes on with {len(kept.measured)} results of before; --again forgets them")
    with rig(
        scale=given.scale, rate=given.rate, clients=given.clients, at_most=given.at_most
    ) as made:
        changes = [change for change in CHANGES if change.name in given.only]
        cases = [Case(protocol, read) for protocol, read in product(protocols, readers)]
        measure_all(courses(made, cases, rounds=given.rounds, alone=given.alone), changes, kept)
        version = made.running.version
    text = (
        f"pgbench on PostgreSQL {version} with {given.scale * 100_000:,} accounts: {given.rate} transactions a "
        f"second are due, {given.clients} clients; {given.rounds} round(s), medians. What a transaction waits "
        "counts from when it was due, for those under way while the change is. *plain*: the statement as one "
        "types it. *pilotage*: the same by the runner, under `online`, or as a new column with a backfill "
        f"where the plain statement rewrites the table; lock_timeout {LOCK_TIMEOUT * 1000:.0f} ms. *goal*: the "
        "worst stall is at most lock_timeout and the p99 of the load alone. †: only the first "
        f"{given.at_most:.0f} s of the backfill were waited for.\n\n"
        f"{page(kept.measured, lock_timeout=LOCK_TIMEOUT)}"
    )
    if given.only_print:
        print(text)
    else:
        write("locks", "Changes under load", text)
        kept.forget()


if __name__ == "__main__":
    main()
