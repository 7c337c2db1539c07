"""A deployer sleeps past the end of its lease, another takes over and finishes, the first one wakes.

Whatever the first was about to do, it does nothing: the state rows, the schema, the hosts and the routes
have seen a higher token.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from tests.e2e.faults.tiny import deployer, outcome, picture, repository
from tests.servers import server


# Right after the lease was taken, in the release phase, before and after instances were started,
# before and after the switch, before old instances are stopped.
@pytest.mark.parametrize(
    "moment",
    [
        "LeaseTaken:0",
        "StepStarted:1",
        "HalfStatement:0",
        "StepStarted:3",
        "InstanceStarted:0",
        "InstanceHealthy:0",
        "StepStarted:6",
        "Switched:0",
        "InstanceStarted:1",
        "Drained:0",
        "InstanceStopped:0",
    ],
)
def test_a_deployer_that_wakes_after_a_take_over_does_nothing(tmp_path: Path, moment: str) -> None:
    with repository(tmp_path) as database:
        sleep_and_wake(tmp_path, database, moment)


def sleep_and_wake(project: Path, database: str, moment: str) -> None:
    assert outcome(deployer(project, "v1")) == {"error": None}
    slept = deployer(project, "v2", ttl=3.0, stop_at=moment)
    try:
        _, how = os.waitpid(slept.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(how), f"{moment} never came: {slept.stdout and slept.stdout.read()}"
        second = outcome(deployer(project, "v2"))
        before = picture(project)
    finally:
        slept.send_signal(signal.SIGCONT)
    first = outcome(slept)
    if moment == "HalfStatement:0":
        # It sleeps within the transaction of a half, so it holds the migration lock: the second is
        # told whose session that is, and the half is finished by the one that began it, or by neither.
        assert second["error"] in (None, "LockUnavailable"), second
    else:
        assert second == {"error": None}
        assert picture(project) == before
    assert first["error"] == "LeaseLost", first
    assert outcome(deployer(project, "v2")) == {"error": None}
    assert outcome(deployer(project, "v3")) == {"error": None}
    columns = server(15).execute(
        "SELECT column_name FROM information_schema.columns WHERE table_name = 'users' ORDER BY 1",
        database=database,
    )
    assert [name for (name,) in columns] == ["age", "full_name", "id"]
