"""pgbench as an open load, and what its log says that each transaction waited."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

SLOW_MS = 100.0


def program() -> str | None:
    """pgbench, from the PATH or where Debian keeps it; None where it is not installed."""
    found = shutil.which("pgbench")
    kept = sorted(Path("/usr/lib/postgresql").glob("*/bin/pgbench"))
    return found or (str(kept[-1]) if kept else None)


def environment(url: str) -> Mapping[str, str]:
    """How libpq is told of a server, without a password in anybody's list of processes."""
    given = conninfo_to_dict(url)
    names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "dbname": "PGDATABASE"}
    names["password"] = "PGPASSWORD"
    return {**os.environ, **{names[key]: str(given[key]) for key in names if given.get(key)}}


def fill(url: str, scale: int) -> None:
    """Make pgbench's tables: 100,000 accounts for each of ``scale``."""
    subprocess.run(
        [program() or "pgbench", "-i", "-q", "-s", str(scale)],
        env=environment(url),
        check=True,
        capture_output=True,
    )


@dataclass(frozen=True, slots=True)
class Transaction:
    """Unix seconds at which it was due and at which it was over; the difference is what was waited."""

    due: float
    over: float

    @property
    def ms(self) -> float:
        """Milliseconds from when it was due."""
        return (self.over - self.due) * 1000


@dataclass(slots=True)
class Load:
    """A load that runs, and afterwards what it met. ``failed``: transactions, and clients that gave up."""

    transactions: list[Transaction] = field(default_factory=list)
    failed: int = 0
    said: str = ""

    def between(self, begin: float, end: float) -> list[Transaction]:
        """Those that were under way at any moment between two."""
        return [t for t in self.transactions if t.over >= begin and t.due <= end]


@contextmanager
def load(url: str, *, rate: int, clients: int, protocol: str, seconds: float) -> Iterator[Load]:
    """Transactions that are due at a rate whatever becomes of those before them.

    Leaving the block waits for the end of ``seconds``, and reads the log.
    """
    found = Load()
    with tempfile.TemporaryDirectory(prefix="pilotage-pgbench-") as folder:
        process = subprocess.Popen(
            [
                *(program() or "pgbench", "-n", "-R", str(rate), "-c", str(clients), "-j", "2"),
                *("-M", protocol, "-T", str(round(seconds)), "-l", "--log-prefix", f"{folder}/log"),
            ],
            env=environment(url),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            yield found
            found.said = process.communicate(timeout=seconds + 600)[0]
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                process.communicate()
        for file in Path(folder).iterdir():
            with file.open() as lines:
                _read(lines, found)
        found.failed += found.said.count(" aborted in command ")
    if not found.transactions:
        raise RuntimeError(f"pgbench did nothing: {found.said[-1000:]}")


def _read(lines: Iterator[str] | Sequence[str], found: Load) -> None:
    """``client number microseconds script seconds microseconds lag``, a line for each transaction."""
    for line in lines:
        _, _, took, _, second, micro, *_ = line.split()
        if not took.isdecimal():  # failed, or skipped
            found.failed += took != "skipped"
            continue
        over = int(second) + int(micro) / 1e6
        found.transactions.append(Transaction(over - int(took) / 1e6, over))


@contextmanager
def reader(url: str, seconds: float) -> Iterator[None]:
    """Somebody's report: a snapshot of the accounts that is kept for ``seconds``, meanwhile."""
    begun, over = threading.Event(), threading.Event()

    def read() -> None:
        with psycopg.connect(url) as session:
            session.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            session.execute("SELECT 1 FROM pgbench_accounts LIMIT 1")
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


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which ``share`` of them lie."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else 0.0


def settle(url: str) -> None:
    """Leave nothing of the making of a database to be done under the load."""
    with psycopg.connect(url, autocommit=True) as session:
        session.execute("VACUUM ANALYZE")
    time.sleep(0.5)
