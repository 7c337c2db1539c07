"""What those who use a MariaDB table wait for while it is changed: the plain statement, and pilotage's way.

As `benchmarks.online.locks`, with an open load of our own. `make bench-locks-mariadb`.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pymysql
from tests.mariadb import MariaDB, start_mariadb

from benchmarks.measure import write
from benchmarks.online import mysql_load
from benchmarks.online.changes import Case, Change, courses, measure_all
from benchmarks.online.locks import LOCK_TIMEOUT, apply
from benchmarks.online.stalls import KEPT, PLAIN, Kept, page
from pilotage.errors import PilotageError

DATABASE = "bench"
DURABLE = ("--innodb-flush-log-at-trx-commit=1", "--innodb-buffer-pool-size=512M")
DURABLE_LOG = "--innodb-log-file-size=256M"
TABLES = (
    f"CREATE DATABASE {DATABASE}",
    f"USE {DATABASE}",
    "CREATE TABLE branches (id int PRIMARY KEY)",
    "INSERT INTO branches SELECT seq FROM seq_1_to_100",
    "CREATE TABLE accounts (id int PRIMARY KEY, branch int NOT NULL, balance int,"
    " filler char(84) NOT NULL)",
    "CREATE TABLE history (id bigint AUTO_INCREMENT PRIMARY KEY, account int, at datetime)",
    "INSERT INTO accounts SELECT seq, 1 + seq % 100, 0, '' FROM seq_1_to_{rows}",
    "ANALYZE TABLE accounts",
)

_TABLE = "ALTER TABLE accounts"


def _same(name: str, statement: str, undo: str) -> Change:
    return Change(name, statement, f"-- expand\n{statement};\n", undo)


CHANGES = (
    _same(
        "CREATE INDEX", "CREATE INDEX by_balance ON accounts (balance)",
        "DROP INDEX by_balance ON accounts",
    ),
    _same("ADD COLUMN", f"{_TABLE} ADD COLUMN note text", f"{_TABLE} DROP COLUMN note"),
    _same(
        "NOT NULL", f"{_TABLE} MODIFY balance int NOT NULL", f"{_TABLE} MODIFY balance int NULL"
    ),
    Change(
        "FOREIGN KEY",
        f"{_TABLE} ADD CONSTRAINT of_branch FOREIGN KEY (branch) REFERENCES branches (id)",
        "-- expand\n"
        "SET foreign_key_checks = 0;\n"
        f"{_TABLE} ADD CONSTRAINT of_branch FOREIGN KEY (branch) REFERENCES branches (id),"
        " ALGORITHM=INPLACE, LOCK=NONE;\n"
        "SET foreign_key_checks = 1;\n",
        f"{_TABLE} DROP FOREIGN KEY of_branch, DROP INDEX of_branch",
    ),
    _same(
        "UNIQUE", f"{_TABLE} ADD UNIQUE in_branch (branch, id)", f"{_TABLE} DROP INDEX in_branch"
    ),
    Change(
        "ADD COLUMN DEFAULT (uuid())",
        f"{_TABLE} ADD COLUMN tag char(36) DEFAULT (uuid())",
        "-- expand\n"
        f"{_TABLE} ADD COLUMN tag char(36) NULL, ALGORITHM=INSTANT;\n"
        f"{_TABLE} ALTER COLUMN tag SET DEFAULT (uuid());\n\n"
        "-- backfill\n"
        "UPDATE accounts SET tag = uuid() WHERE tag IS NULL;\n",
    ),
    Change(
        "int → bigint",
        f"{_TABLE} MODIFY balance bigint",
        "-- expand\n"
        f"{_TABLE} ADD COLUMN total bigint NULL, ALGORITHM=INSTANT;\n"
        "CREATE TRIGGER accounts_insert BEFORE INSERT ON accounts FOR EACH ROW\n"
        "    SET NEW.total = NEW.balance;\n"
        "CREATE TRIGGER accounts_update BEFORE UPDATE ON accounts FOR EACH ROW\n"
        "    SET NEW.total = NEW.balance;\n\n"
        "-- backfill\n"
        "UPDATE accounts SET total = balance WHERE NOT (total <=> balance);\n",
    ),
)  # fmt: skip
"""The rows that PostgreSQL is measured with, in MariaDB's words."""


@dataclass(slots=True)
class Rig:
    """`benchmarks.online.changes.Rig` of MariaDB: a server's files as a template, and a load of our own."""

    data: Path
    rows: int
    rate: int
    clients: int
    at_most: float
    running: dict[str, MariaDB] = field(default_factory=dict)

    errors = (pymysql.MySQLError, PilotageError)

    @contextmanager
    def database(self) -> Iterator[str]:
        """A server on a copy of the files; the URL of its database."""
        server = start_mariadb(*DURABLE, DURABLE_LOG, data=self.data)
        url = server.url(DATABASE)
        self.running[url] = server
        try:
            yield url
        finally:
            self.running.pop(url).stop()

    def load(self, url: str, case: Case) -> AbstractContextManager[mysql_load.OpenLoad]:
        """Transactions that change one account each."""
        server = self.running[url]
        given = {
            "host": "127.0.0.1", "port": server.port, "user": "admin",
            "password": server.password, "database": DATABASE,
        }  # fmt: skip
        return mysql_load.load(given, rate=self.rate, clients=self.clients, rows=self.rows)

    @contextmanager
    def reader(self, url: str, seconds: float) -> Iterator[None]:
        """Somebody's report: a transaction that has read the accounts and stays open."""
        begun, over = threading.Event(), threading.Event()

        def read() -> None:
            with closing(self.running[url].connect(DATABASE, autocommit=False)) as session:
                with session.cursor() as cursor:
                    cursor.execute("SELECT 1 FROM accounts LIMIT 1")
                begun.set()
                over.wait(seconds)

        thread = threading.Thread(target=read)
        thread.start()
        begun.wait(30)
        try:
            yield
        finally:
            over.set()
            thread.join()

    def make(self, url: str, change: Change, way: str) -> bool:
        """Run the statement, or the migration: its expand half and its backfill."""
        if way == PLAIN:
            self.running[url].execute(change.plain, database=DATABASE)
            return True
        return asyncio.run(apply(url, change, "mysql", at_most=self.at_most))

    def undo(self, url: str, change: Change) -> None:
        """By the statement that the change has for it."""
        self.running[url].execute(change.undo, database=DATABASE)


@contextmanager
def rig(*, rows: int, rate: int, clients: int, at_most: float = 30.0) -> Iterator[Rig]:
    """Fill a server once, end it, and keep its files."""
    with TemporaryDirectory(prefix="pilotage-bench-") as folder:
        Path(folder).chmod(0o711)  # under root the server runs as another user
        server = start_mariadb(*DURABLE, DURABLE_LOG)
        try:
            server.execute(*(statement.format(rows=rows) for statement in TABLES), "SHUTDOWN")
            server.process.wait(60)
            data = Path(shutil.move(server.directory / "data", Path(folder) / "data"))
        finally:
            server.stop()
        yield Rig(data, rows, rate, clients, at_most)


def main() -> None:
    """Measure, and write the section."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rows", type=int, default=1_000_000)
    arguments.add_argument("--rate", type=int, default=200)
    arguments.add_argument("--clients", type=int, default=16)
    arguments.add_argument("--rounds", type=int, default=1)
    arguments.add_argument("--reader", choices=("no", "yes", "both"), default="both")
    arguments.add_argument("--only", nargs="*", default=[change.name for change in CHANGES])
    arguments.add_argument(
        "--at-most", type=float, default=30.0, help="seconds of a backfill that are measured"
    )
    arguments.add_argument(
        "--alone", type=float, default=8.0, help="seconds of the load alone, for each case and way"
    )
    arguments.add_argument("--again", action="store_true", help="forget what an earlier run kept")
    arguments.add_argument("--only-print", action="store_true", help="leave RESULTS.md as it is")
    given = arguments.parse_args()
    if not (shutil.which("mariadbd") or Path("/usr/sbin/mariadbd").exists()):
        raise SystemExit("bench: MariaDB is not installed (Debian: mariadb-server)")
    readers = {"no": (False,), "yes": (True,), "both": (False, True)}[given.reader]
    kept = Kept(
        KEPT / "mysql_locks.jsonl",
        {n: getattr(given, n) for n in ("rows", "rate", "clients", "at_most")},
        again=given.again,
    )
    if kept.measured:
        print(f"  goes on with {len(kept.measured)} results of before; --again forgets them")
    with rig(
        rows=given.rows, rate=given.rate, clients=given.clients, at_most=given.at_most
    ) as made:
        changes = [change for change in CHANGES if change.name in given.only]
        cases = [Case("text protocol", read) for read in readers]
        measure_all(courses(made, cases, rounds=given.rounds, alone=given.alone), changes, kept)
        with made.database() as url:
            ((version,),) = made.running[url].execute("SELECT version()")
    text = (
        f"MariaDB {version} with {given.rows:,} accounts and an open load of our own: {given.rate} "
        f"transactions a second are due, {given.clients} clients; {given.rounds} round(s), medians. A "
        "transaction changes an account, reads it, and notes it. Columns as above. *plain*: the statement as "
        "one types it. *pilotage*: the same by the runner, which says LOCK=NONE where nobody says how, or what "
        f"the linter writes instead where the plain statement copies the table; lock_timeout "
        f"{LOCK_TIMEOUT * 1000:.0f} ms. †: only the first {given.at_most:.0f} s of the backfill were waited "
        f"for.\n\n{page(kept.measured, lock_timeout=LOCK_TIMEOUT)}"
    )
    if given.only_print:
        print(text)
    else:
        write("locks-mariadb", "Changes under load, MariaDB", text)
        kept.forget()


if __name__ == "__main__":
    main()
