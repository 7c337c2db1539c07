"""An open load on MariaDB: transactions that are due at a rate, whatever becomes of those before them.

It runs in a process of its own (`python -m benchmarks.online.mysql_load`), told by a line of JSON what to
do, so that what is measured does not share its processor time. Each transaction is a line: when it was due,
when it began, when it was over, and whether it failed. It ends when its input does.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

import pymysql

from benchmarks.online.changes import Load
from benchmarks.online.stalls import Transaction

QUIET = 0.05
"""Seconds after which a transaction begins at most when nothing is the matter."""
PATIENCE = 120.0
_ENDED = (2006, 2013)  # the server is gone; the connection was lost


@dataclass(slots=True)
class OpenLoad(Load):
    """The load, while it runs. ``late``: of each transaction, how long after it was due it began."""

    process: subprocess.Popen[str] | None = None
    late: list[tuple[float, float]] = field(default_factory=list)

    def listen(self) -> None:
        """Read what it tells until it ends."""
        assert self.process is not None
        assert self.process.stdout is not None
        for line in self.process.stdout:
            due, began, over, outcome = line.split()
            if outcome == "done":
                self.transactions.append(Transaction(float(due), float(over)))
            elif outcome == "failed":
                self.failures.append(float(over))
            else:
                self.gave_up.append(float(over))
            self.late.append((float(over), float(began) - float(due)))

    def wait_until_quiet(self) -> None:
        """Until a second's transactions began in time."""
        assert self.process is not None
        asked = time.time()
        while self.process.poll() is None and time.time() < asked + PATIENCE:
            now = time.time()
            last = [late for over, late in self.late[-1000:] if over > now - 1.0]
            if now > asked + 1.0 and last and max(last) < QUIET:
                return
            time.sleep(0.05)


@contextmanager
def load(server: dict[str, object], *, rate: int, clients: int, rows: int) -> Iterator[OpenLoad]:
    """The load, from begin to end of the block. ``server``: what PyMySQL's ``connect`` takes."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.online.mysql_load"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    found = OpenLoad(process=process)
    ear = threading.Thread(target=found.listen)
    try:
        given = {"server": server, "rate": rate, "clients": clients, "rows": rows}
        process.stdin.write(json.dumps(given) + "\n")  # not in argv: it has a password
        process.stdin.flush()
        ear.start()
        yield found
        process.stdin.close()
        process.wait(PATIENCE)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        ear.join()
        process.stdout.close()
    if not found.transactions:
        raise RuntimeError("the load did nothing")


class Clients:
    """So many threads, each with a connection, that share one timetable."""

    def __init__(self, server: dict[str, object], rate: float, rows: int) -> None:
        self._server, self._rate, self._rows = server, rate, rows
        self._next = time.time()
        self._turn, self._told = threading.Lock(), threading.Lock()
        self.over = threading.Event()

    def run(self) -> None:
        """One client, until the load is over or the server ends it."""
        chance = random.Random()
        with closing(pymysql.connect(autocommit=False, **self._server)) as connection:  # type: ignore[call-overload]
            while True:
                with self._turn:
                    self._next += chance.expovariate(self._rate)
                    due = self._next
                if self.over.wait(max(due - time.time(), 0)):
                    return
                began, outcome = time.time(), "done"
                try:
                    self._transaction(connection, chance.randint(1, self._rows))
                except pymysql.MySQLError as error:
                    lost = error.args and error.args[0] in _ENDED
                    outcome = "ended" if lost else "failed"
                    if not lost:
                        connection.rollback()
                with self._told:
                    print(due, began, time.time(), outcome, flush=True)
                if outcome == "ended":
                    return

    @staticmethod
    def _transaction(connection: pymysql.Connection[pymysql.cursors.Cursor], key: int) -> None:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE accounts SET balance = balance + 1 WHERE id = %s", (key,))
            cursor.execute("SELECT balance FROM accounts WHERE id = %s", (key,))
            cursor.execute("INSERT INTO history (account, at) VALUES (%s, now())", (key,))
        connection.commit()


def main() -> None:
    """Read what to do, and do it until the input ends."""
    given = json.loads(sys.stdin.readline())
    clients = Clients(given["server"], given["rate"], given["rows"])
    threads = [threading.Thread(target=clients.run) for _ in range(given["clients"])]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    clients.over.set()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
