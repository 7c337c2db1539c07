"""pgbench as an open load, and what its log says that each transaction waited."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from benchmarks.online.changes import Load
from benchmarks.online.stalls import Transaction

QUIET_MS = 50.0
"""Transactions begin this late at most, on average of a second, when nothing is the matter."""
PATIENCE = 120.0
AT_MOST = 3600
"""Seconds of load, should nobody end it."""


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
    with psycopg.connect(url, autocommit=True) as session:
        session.execute("VACUUM ANALYZE")


@dataclass(slots=True)
class Pgbench(Load):
    """pgbench, while it runs. It says once a second how late transactions begin."""

    process: subprocess.Popen[str] | None = None
    lag_ms: float = 0.0
    told_at: float = 0.0
    said: list[str] = field(default_factory=list)

    def listen(self) -> None:
        """Read what it says until it ends."""
        assert self.process is not None
        assert self.process.stderr is not None
        for line in self.process.stderr:
            lag = re.search(r" lag (\S+) ms", line)
            if line.startswith("progress:"):
                self.lag_ms, self.told_at = float(lag[1]) if lag else 0.0, time.time()
                continue
            self.said.append(line)
            if " aborted in command " in line:
                self.gave_up.append(time.time())

    def wait_until_quiet(self) -> None:
        """Until a whole second's transactions began in time; a second without any says NaN."""
        assert self.process is not None
        asked = time.time()
        while self.process.poll() is None and time.time() < asked + PATIENCE:
            if self.told_at > asked + 1.0 and self.lag_ms < QUIET_MS:
                return
            time.sleep(0.05)

    def read(self, lines: Iterable[str]) -> None:
        """``client number microseconds script seconds microseconds lag``, a line for each transaction."""
        for line in lines:
            _, _, took, _, second, micro, *_ = line.split()
            over = int(second) + int(micro) / 1e6
            if took.isdecimal():
                self.transactions.append(Transaction(over - int(took) / 1e6, over))
            elif took != "skipped":
                self.failures.append(over)


@contextmanager
def load(
    url: str, *, rate: int, clients: int, protocol: str, script: str = ""
) -> Iterator[Pgbench]:
    """Transactions that are due at a rate whatever becomes of those before them.

    ``script``: what one does, as pgbench reads it; without it, what pgbench has of its own.
    """
    with tempfile.TemporaryDirectory(prefix="pilotage-pgbench-") as folder:
        file = Path(folder, "script")
        file.write_text(script)
        process = subprocess.Popen(
            [
                *(program() or "pgbench", "-n", "-R", str(rate), "-c", str(clients), "-j", "2"),
                *("-M", protocol, "-T", str(AT_MOST), "-P", "1"),
                *("-l", "--log-prefix", f"{folder}/log"),
                *(("-f", str(file)) if script else ()),
            ],
            env=environment(url),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        found = Pgbench(process=process)
        ear = threading.Thread(target=found.listen)
        ear.start()
        try:
            yield found
            process.send_signal(signal.SIGALRM)  # as if its time were over: it writes its log
            process.wait(PATIENCE)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            ear.join()
            if process.stderr is not None:
                process.stderr.close()
        for log in Path(folder).glob("log*"):
            with log.open() as lines:
                found.read(lines)
    if not found.transactions:
        raise RuntimeError(f"pgbench did nothing: {''.join(found.said)[-1000:]}")


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
