"""Whose fault it is that Docker did not do something: asked of a program that answers as Docker does."""

from __future__ import annotations

from pathlib import Path

import pytest

from pilotage.errors import HostError
from pilotage.shell.local import LocalShell
from pilotage.targets.docker.diagnosis import fault, unusable

WORDS = "\n    no space left on device"


@pytest.fixture
def docker(tmp_path: Path) -> Path:
    program = tmp_path / "docker"
    program.write_text(f'#!/bin/sh\n[ ! -e "$0.down" ] || exit 1\necho "{tmp_path}"\n')
    program.chmod(0o755)
    return program


async def test_docker_that_is_well_was_asked_for_something_wrong(docker: Path) -> None:
    assert await fault(LocalShell(), str(docker), WORDS) is None
    # But where it had not answered just before, it was not well then.
    assert "does not answer" in (await unusable(LocalShell(), str(docker), WORDS)).what


async def test_a_disk_that_is_full(docker: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pilotage.targets.docker.diagnosis.LEFT", 2**60)
    found = await fault(LocalShell("web-1"), str(docker), WORDS)
    assert isinstance(found, HostError)
    assert found.where == "web-1"
    assert found.what.startswith("its disk is full: ")
    assert str(docker.parent) in found.what
    assert found.what.endswith(WORDS)
    assert "pilotage prune" in found.next


async def test_docker_that_is_down(docker: Path) -> None:
    Path(f"{docker}.down").touch()
    found = await fault(LocalShell(), str(docker), WORDS)
    assert found is not None
    assert found.what == f"Docker does not answer:{WORDS}"


async def test_no_docker(docker: Path) -> None:
    found = await fault(LocalShell(), f"{docker}-of-nobody", WORDS)
    assert found is not None
    assert found.what == "Docker is not installed"
