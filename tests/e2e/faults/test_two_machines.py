"""Two deployers, each with hosts and a directory of its own, and one database between them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from tests.e2e.faults.tiny import configure, deployer, outcome, remove, repository, status
from tests.servers import server


@pytest.mark.parametrize("state", ["database", "target"])
def test_each_half_runs_once(tmp_path: Path, state: str) -> None:
    """Also where the deploy state is kept on each machine, so that the leases know nothing of each other."""
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    extra = f"state: {state}\n"
    with repository(one, extra=extra) as database:
        subprocess.run(["git", "clone", "-q", one, two], check=True)
        (two / "config").mkdir()
        configure(two, database, extra=extra)
        try:
            for revision in ("v1", "v2"):
                both = [deployer(root, revision) for root in (one, two)]
                assert [outcome(process) for process in both] == [{"error": None}] * 2
            rows = server(15).execute(
                "SELECT version, half, count(*) FROM pilotage_migrations GROUP BY 1, 2 ORDER BY 1",
                database=database,
            )
            assert rows == [("1", "expand", 1), ("2", "expand", 1)]
            for root in (one, two):
                seen = [i for i in status(root)["instances"] if i["role"]]
                assert sorted(i["role"] for i in seen) == ["job", "web"]
        finally:
            remove(two)
            shutil.rmtree(two)


def test_a_host_that_cannot_be_asked_blocks_the_contract(tmp_path: Path) -> None:
    """What runs on the other machine is known to the database, but nobody here can look."""
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    with repository(one) as database:
        subprocess.run(["git", "clone", "-q", one, two], check=True)
        (two / "config").mkdir()
        configure(two, database)
        try:
            assert outcome(deployer(two, "v1")) == {"error": None}
            assert outcome(deployer(one, "v2")) == {"error": None}
            assert outcome(deployer(one, "v3")) == {"error": None}
            held = server(15).execute(
                "SELECT count(*) FROM pilotage_migrations WHERE half = 'contract'",
                database=database,
            )
            assert held == [(0,)], "the contract half of 2 may not run while v1 may run elsewhere"
        finally:
            remove(two)
            shutil.rmtree(two)
