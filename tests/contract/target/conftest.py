"""Every test of this folder runs once for every target."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.contract.target.docker_kit import DockerKit
from tests.contract.target.kits import KITS, Kit


@pytest.fixture(params=["docker", *sorted(KITS)])
def kit(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kit]:
    """A target with nothing on it."""
    made: Kit
    if request.param == "docker":
        made = DockerKit(tmp_path / "project", request.getfixturevalue("lab"))
    else:
        made = KITS[request.param](tmp_path / "project")
    yield made
    made.close()
