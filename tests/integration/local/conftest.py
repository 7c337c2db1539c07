"""A project for each test, and nothing of it left running afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.local.world import Project, make_project


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A git repository with one commit."""
    made = make_project(tmp_path / "project")
    yield made
    made.close()
