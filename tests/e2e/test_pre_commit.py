"""The hook of this repository, installed by pre-commit itself into another one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).parents[2]
ENV = {
    **os.environ,
    "GIT_AUTHOR_NAME": "x",
    "GIT_AUTHOR_EMAIL": "x@x",
    "GIT_COMMITTER_NAME": "x",
    "GIT_COMMITTER_EMAIL": "x@x",
}


def run(*argv: str, cwd: Path, check: bool = True, **more: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        argv, cwd=cwd, env={**ENV, **more}, capture_output=True, text=True, check=False
    )
    if check and done.returncode:
        raise AssertionError(done.stdout + done.stderr)
    return done


@pytest.fixture
def hook(tmp_path: Path) -> Path:
    """A repository of what is here, committed or not: what somebody would name in ``repo:``."""
    copy = tmp_path / "pilotage"
    names = run("git", "ls-files", "-z", "-co", "--exclude-standard", cwd=ROOT).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    run("git", "init", "-q", cwd=copy)
    run("git", "add", "-A", cwd=copy)
    run("git", "commit", "-qm", "x", cwd=copy)
    return copy


def test_it_stops_a_commit_and_lets_a_better_one_pass(hook: Path, tmp_path: Path) -> None:
    app = tmp_path / "app"
    app.mkdir()
    revision = run("git", "rev-parse", "HEAD", cwd=hook).stdout.strip()
    (app / ".pre-commit-config.yaml").write_text(
        f"repos:\n  - repo: {hook}\n    rev: {revision}\n    hooks:\n      - id: pilotage-hazards\n"
        "        args: [--dialect, postgresql]\n"
    )
    run("git", "init", "-q", cwd=app)
    more = {"PRE_COMMIT_HOME": str(tmp_path / "home")}
    program = str(Path(sys.executable).with_name("pre-commit"))
    run(program, "install", cwd=app, **more)
    (app / "1_a.sql").write_text("ALTER TABLE t DROP COLUMN a;\n")
    run("git", "add", "-A", cwd=app)

    stopped = run("git", "commit", "-qm", "x", cwd=app, check=False, **more)
    assert stopped.returncode != 0
    assert "1_a.sql:1:15  error drop-column" in stopped.stdout + stopped.stderr
    assert "exit code: 8" in stopped.stdout + stopped.stderr

    (app / "1_a.sql").write_text("-- contract\nALTER TABLE t DROP COLUMN a;\n")
    run("git", "add", "-A", cwd=app)
    run("git", "commit", "-qm", "x", cwd=app, **more)
    assert run("git", "log", "--oneline", cwd=app).stdout.endswith(" x\n")
