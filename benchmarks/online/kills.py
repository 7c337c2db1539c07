"""A backfill killed with SIGKILL at random moments, again and again, and what it left.

The statement is one that a row can be changed by three times, once a pass, and a trigger writes a log of
every change. So a batch whose cursor was lost, or a cursor whose batch was, shows: a row would be logged
a second time before every row was logged once, or would be left out.
"""

from __future__ import annotations

import random
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

PASSES = 3

Execute = Callable[..., list[tuple[Any, ...]]]
"""Runs statements as somebody else; the rows of the last one."""

_CHILD = textwrap.dedent("""
    import asyncio, sys
    from pathlib import Path
    from pilotage.events import BackfillProgress
    from pilotage.migrate.migration import Migration, Section
    from pilotage.migrate.runner import RunnerSettings, SqlSchema
    from pilotage.migrate.settings import BackfillSettings
    from pilotage.model import Half
    from pilotage.secret import Secret

    url, batch_rows = sys.argv[1], int(sys.argv[2])
    file = Migration(
        "1", "count", Path("1_count.sql"),
        expand=Section("ALTER TABLE item ADD COLUMN n integer NOT NULL DEFAULT 0", 1),
        backfill=Section("UPDATE item SET n = n + 1 WHERE n < {passes}", 3),
    )
    told = False

    def emit(event):
        global told
        if isinstance(event, BackfillProgress) and not told:
            told = True
            print("works", flush=True)

    async def main():
        settings = RunnerSettings(
            lock_timeout=5.0, lock_wait=60.0,
            backfill=BackfillSettings(batch_rows=batch_rows, duty=1.0),
        )
        async with SqlSchema(
            url=Secret(url), stream="shop", service="shop", settings=settings
        ) as schema:
            await schema.prepare()
            await schema.apply(file, Half.EXPAND, release="r", token=1, emit=emit)
            await schema.backfill(file, final=False, token=1, emit=emit)

    asyncio.run(main())
""").replace("{passes}", str(PASSES))

TABLES = {
    "postgresql": (
        "CREATE TABLE item (id integer PRIMARY KEY)",
        "CREATE TABLE log (seq bigserial PRIMARY KEY, id integer NOT NULL)",
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN INSERT INTO log (id) VALUES (NEW.id); RETURN NULL; END $$",
        "CREATE TRIGGER note AFTER UPDATE ON item FOR EACH ROW EXECUTE FUNCTION note()",
        "INSERT INTO item SELECT generate_series(1, {rows})",
    ),
    "mysql": (
        "CREATE TABLE item (id integer PRIMARY KEY)",
        "CREATE TABLE log (seq bigint AUTO_INCREMENT PRIMARY KEY, id integer NOT NULL, KEY (id, seq))",
        "CREATE TRIGGER note AFTER UPDATE ON item FOR EACH ROW INSERT INTO log (id) VALUES (NEW.id)",
        "INSERT INTO item WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
        " WHERE i < {rows}) SELECT i FROM n",
    ),
    "sqlite": (
        "CREATE TABLE item (id integer PRIMARY KEY)",
        "CREATE TABLE log (seq integer PRIMARY KEY AUTOINCREMENT, id integer NOT NULL)",
        "CREATE TRIGGER note AFTER UPDATE ON item BEGIN INSERT INTO log (id) VALUES (NEW.id); END",
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})"
        " INSERT INTO item SELECT i FROM n",
    ),
}


@dataclass(slots=True)
class Toll:
    """How many runs were killed, and how many came to their end before it."""

    killed: int = 0
    ended: int = 0


def prepare(execute: Execute, dialect: str, rows: int) -> None:
    """Make the tables, with their rows."""
    execute(*(statement.format(rows=rows) for statement in TABLES[dialect]))


def run_killed(url: str, *, kills: int, batch_rows: int, chance: random.Random) -> Toll:
    """Run the backfill, killing it ``kills`` times, or until it ends; then once to its end.

    Raises
    ------
    RuntimeError
        A run that nobody killed failed; has what it said.
    """
    toll = Toll()
    argv = [sys.executable, "-c", _CHILD, url, str(batch_rows)]
    while toll.killed < kills and not toll.ended:
        with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()  # a batch is committed
            try:
                process.wait(chance.uniform(0, 0.3))
            except subprocess.TimeoutExpired:
                process.kill()
                toll.killed += 1
            else:
                _expect_success(process.returncode, process.stderr)
                toll.ended += 1
    if not toll.ended:
        with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            _, said = process.communicate(timeout=300)
            if process.returncode:
                raise RuntimeError(said.decode()[-2000:])
    return toll


def _expect_success(status: int, stderr: Any) -> None:
    if status:
        raise RuntimeError(stderr.read().decode()[-2000:])


def differences(execute: Execute, rows: int) -> list[str]:
    """What is not as it would be had nobody killed it; [] when all is."""
    found = []
    wrong = execute(f"SELECT count(*) FROM item WHERE n <> {PASSES}")[0][0]
    if wrong:
        found.append(f"{wrong} rows do not have the value that {PASSES} passes give")
    counts = execute(
        "SELECT c, count(*) FROM (SELECT count(*) AS c FROM log GROUP BY id) x GROUP BY c"
    )
    if counts != [(PASSES, rows)]:
        found.append(f"changes a row, and rows: {counts}")
    # Every row's k-th change comes before any row's change after it: none was done twice in a pass.
    ranges = execute(
        "SELECT k, min(seq), max(seq) FROM (SELECT seq, row_number() OVER (PARTITION BY id"
        " ORDER BY seq) AS k FROM log) x GROUP BY k ORDER BY k"
    )
    for (k, _, last), (_, first, _) in pairwise(ranges):
        if first <= last:
            found.append(f"a row was changed again before pass {k} was over")
    return found
