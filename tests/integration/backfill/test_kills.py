"""Killed with SIGKILL at random moments, a backfill does every row, and none twice in a pass."""

from __future__ import annotations

import os
import random
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks.online import kills
from tests.mariadb import mariadb
from tests.servers import server

KILLS = int(os.environ.get("PILOTAGE_KILLS", "4"))
ROWS = 6000


def test_killed_on_postgresql() -> None:
    postgres = server(18)
    with postgres.database() as name:

        def execute(*statements: str) -> list[tuple[Any, ...]]:
            return postgres.execute(*statements, database=name)

        kills.prepare(execute, "postgresql", ROWS)
        chance = random.Random()
        toll = kills.run_killed(postgres.url(name), kills=KILLS, batch_rows=50, chance=chance)
        assert toll.killed > 0
        assert kills.differences(execute, ROWS) == []


def test_killed_on_mariadb() -> None:
    server = mariadb()
    with server.database() as name:

        def execute(*statements: str) -> list[tuple[Any, ...]]:
            return server.execute(*statements, database=name)

        kills.prepare(execute, "mysql", ROWS)
        chance = random.Random()
        toll = kills.run_killed(server.url(name), kills=KILLS, batch_rows=50, chance=chance)
        assert toll.killed > 0
        assert kills.differences(execute, ROWS) == []


def test_killed_on_sqlite(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"

    def execute(*statements: str) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = []
        with closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as connection:
            for statement in statements:
                rows = connection.execute(statement).fetchall()
        return rows

    kills.prepare(execute, "sqlite", ROWS)
    toll = kills.run_killed(f"sqlite:///{path}", kills=KILLS, batch_rows=20, chance=random.Random())
    assert toll.killed > 0
    assert kills.differences(execute, ROWS) == []


def test_the_comparison_sees_a_row_that_was_done_twice_and_one_that_was_left_out(
    tmp_path: Path,
) -> None:
    with closing(sqlite3.connect(tmp_path / "x.db", isolation_level=None)) as connection:

        def execute(*statements: str) -> list[tuple[Any, ...]]:
            rows: list[tuple[Any, ...]] = []
            for statement in statements:
                rows = connection.execute(statement).fetchall()
            return rows

        kills.prepare(execute, "sqlite", 3)
        execute("ALTER TABLE item ADD COLUMN n integer NOT NULL DEFAULT 0")
        again = "UPDATE item SET n = n + 1"
        execute(again, again, again)
        assert kills.differences(execute, 3) == []
        execute("UPDATE item SET n = 0", "DELETE FROM log")
        execute(f"{again} WHERE id = 1", again, again, f"{again} WHERE id <> 1")
        assert kills.differences(execute, 3) == [
            "a row was changed again before pass 1 was over",
            "a row was changed again before pass 2 was over",
        ]
        execute("UPDATE item SET n = 2 WHERE id = 2")
        assert "1 rows do not have the value that 3 passes give" in kills.differences(execute, 3)
