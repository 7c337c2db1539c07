"""Files of a commit are read out of git's objects, byte by byte, and nothing is written."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import pytest

from pilotage.errors import TargetError
from pilotage.source import GitSource

BYTES = b"-- \xff\xfe not text\r\n\n\0"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project in a folder of a repository, one commit, and one change that is not committed."""
    root = tmp_path / "apps" / "shop"
    folder = root / "db" / "migrations"
    (folder / "below").mkdir(parents=True)
    (folder / "1_a.sql").write_bytes(BYTES)
    (folder / "2_b.sql").write_bytes(b"")
    (folder / "3 ä.sql").write_text("SELECT 3;")
    (folder / "below" / "4_d.sql").write_text("SELECT 4;")
    who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
    for command in (("init", "-q"), ("add", "-A"), (*who, "commit", "-q", "-m", "one")):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    (folder / "1_a.sql").write_text("changed since")
    return root


def read(project: Path, sha: str, folder: str) -> dict[str, bytes] | None:
    source = GitSource(project, project / ".pilotage")
    return asyncio.run(source.read_folder(sha, folder))


@pytest.mark.parametrize("folder", ["db/migrations", "db/migrations/", "./db/migrations"])
def test_files_as_the_commit_has_them(project, folder):
    assert read(project, "HEAD", folder) == {
        "1_a.sql": BYTES,
        "2_b.sql": b"",
        "3 ä.sql": b"SELECT 3;",
    }
    assert not (project / ".pilotage").exists()


@pytest.mark.parametrize("folder", ["db/migration", "db/migrations/1_a.sql", "elsewhere"])
def test_no_such_folder(project, folder):
    assert read(project, "HEAD", folder) is None


def test_no_such_commit(project):
    with pytest.raises(TargetError, match="rev-parse"):
        read(project, "0" * 40, "db/migrations")


def test_checkout_that_is_not_there(project):
    source = GitSource(project, project / ".pilotage")
    assert not source.has_checkout("0" * 40)
