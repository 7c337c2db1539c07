"""Twenty containers start at once, a hundred times: each half once, no loser crashes, all become the command.

Beside it the bare script that many images have, in the same race.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from tests.servers import Postgres, server

pytestmark = [pytest.mark.e2e, pytest.mark.integration]

HERD = 20
DATABASES = 5
RELEASES = 5
"""Releases on each database, the first of them on an empty one. Four tests of each make a hundred rounds."""

HERE = Path(__file__).parent
LEDGER = "CREATE TABLE ledger (half text);\n"


@dataclass(slots=True)
class Race:
    """Rounds of one herd, on databases of its own."""

    directory: Path
    postgres: Postgres
    process: subprocess.Popen[str]

    def run(self, argv: list[str], database: str, release: str) -> Outcome:
        """One round."""
        started = self.directory / f"started-{uuid4().hex[:8]}"
        log = self.directory / f"log-{uuid4().hex[:8]}.log"
        env = {
            "PATH": os.environ["PATH"],
            "DATABASE_URL": self.postgres.url(database),
            "PILOTAGE_SERVICE": "shop",
            "PILOTAGE_RELEASE": release,
            "STARTED": str(started),
        }
        given = {"argv": argv, "cwd": str(self.directory), "env": env, "count": HERD}
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps({**given, "log": str(log)}), file=self.process.stdin, flush=True)
        ended = json.loads(self.process.stdout.readline())
        said = [path.read_text() for path in self.directory.glob(f"{log.stem}.*")]
        became = started.read_text().split() if started.exists() else []
        return Outcome(ended["pids"], ended["statuses"], [int(pid) for pid in became], said)

    def files(self, count: int) -> None:
        """The image of the release that ships ``count`` migrations."""
        serve = self.directory / "bin" / "serve"
        serve.parent.mkdir(exist_ok=True)
        serve.write_text("#!/bin/sh\necho $$ >> $STARTED\n")
        serve.chmod(0o755)
        folder = self.directory / "db" / "migrations"
        for old in folder.glob("*.sql"):
            old.unlink()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "1_ledger.sql").write_text(LEDGER)
        for number in range(2, count + 1):
            (folder / f"{number}_add.sql").write_text(
                f"-- expand\nCREATE TABLE t{number} (i int, gone int);\n"
                f"INSERT INTO ledger VALUES ('{number}/expand');\n"
                f"-- backfill\nUPDATE t{number} SET i = 1 WHERE i IS NULL;\n"
                f"-- contract\nALTER TABLE t{number} DROP COLUMN gone;\n"
                f"INSERT INTO ledger VALUES ('{number}/contract');\n"
            )

    def ledger(self, database: str) -> Counter[str]:
        """How often each half ran."""
        rows = self.postgres.execute("SELECT half FROM ledger", database=database)
        return Counter(str(half) for (half,) in rows)


@dataclass(slots=True)
class Outcome:
    """How a round ended: what was started, how each ended, and who became the command."""

    pids: list[int]
    statuses: list[int]
    became: list[int]
    said: list[str]

    @property
    def crashed(self) -> int:
        """How many did not become the command, or ended ill."""
        return sum(status != 0 for status in self.statuses)


@contextmanager
def racing(directory: Path) -> Iterator[Race]:
    process = subprocess.Popen(
        [sys.executable, HERE / "herd.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield Race(directory, server(15), process)
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def race(tmp_path: Path) -> Iterator[Race]:
    with racing(tmp_path) as made:
        yield made


OURS = ["pilotage", "entrypoint", "--server", "bin/serve", "--", "./bin/serve"]


@pytest.mark.parametrize("part", range(4))
def test_each_half_once_and_nobody_crashes(race: Race, part: int) -> None:
    """A quarter of a hundred rounds of twenty; the database is missing in the first of all."""
    rounds = 0
    for number in range(DATABASES):
        database = f"race_{uuid4().hex[:12]}"
        if number or part:
            race.postgres.execute(f"CREATE DATABASE {database}")
        try:
            for count in range(1 + 1, RELEASES + 2):
                race.files(count)
                outcome = race.run(OURS, database, f"{count:012x}")
                rounds += 1
                assert outcome.statuses == [0] * HERD, outcome.said
                assert sorted(outcome.became) == sorted(outcome.pids), outcome.said
                # The first release found the database empty: both its halves ran, those of later ones not.
                expands = {f"{n}/expand": 1 for n in range(2, count + 1)}
                assert race.ledger(database) == Counter({**expands, "2/contract": 1}), outcome.said
                prepared = [
                    text for text in outcome.said if f"pilotage: expand {count} add\n" in text
                ]
                assert len(prepared) == 1, "one prepares, the others wait"
        finally:
            race.postgres.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
    print(f"{rounds} rounds of {HERD} starts: 0 crashed, every half once")


def test_a_bare_script_does_crash_or_apply_twice(race: Race) -> None:
    """The same race without a lock, so that the one above is known to be a race."""
    crashed = twice = rounds = 0
    while rounds < 6 or (not crashed + twice and rounds < 60):
        database = f"race_{uuid4().hex[:12]}"
        race.postgres.execute(f"CREATE DATABASE {database}")
        try:
            for count in range(2, 4):
                race.files(count)
                outcome = race.run(["bare"], database, "a" * 12)
                rounds += 1
                crashed += outcome.crashed
                if outcome.crashed < HERD:
                    twice += sum(n - 1 for n in race.ledger(database).values())
        finally:
            race.postgres.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
    print(
        f"{rounds} rounds of {HERD} starts of a bare script: {crashed} crashed, "
        f"{twice} applied twice"
    )
    assert crashed + twice > 0
