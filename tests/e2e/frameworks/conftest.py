"""The shop of `kits`, in a repository of its own, on a PostgreSQL 15 database that does not exist yet."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.e2e.frameworks.kits import KITS, Kit
from tests.e2e.local.conftest import App, app
from tests.servers import free_port, server

__all__ = ["app"]  # the tiny app, for tools that are no framework's


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[[str], Kit]]:
    """Make the shop for a framework, configured; nothing is committed yet."""
    postgres = server(15)
    made: list[tuple[App, str]] = []

    def kit(engine: str) -> Kit:
        root, gate = tmp_path / "shop", tmp_path / "gate"
        root.mkdir()
        gate.mkdir()
        name = f"shop_{os.getpid()}_{time.monotonic_ns()}"
        app = App(root, postgres.url(name), free_port(), postgres)
        made.append((app, name))
        app.environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        app.git("init", "-q", "-b", "main")
        app.write(".gitignore", ".pilotage/\n__pycache__/\n")
        found = KITS[engine](app, gate)
        found.begin()
        found.configure()
        return found

    try:
        yield kit
    finally:
        for app, name in made:
            app.close()
            postgres.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture(params=sorted(KITS))
def kit(request: pytest.FixtureRequest, make: Callable[[str], Kit]) -> Kit:
    """The shop, for each framework."""
    return make(request.param)


@pytest.fixture
def rails(make: Callable[[str], Kit]) -> Kit:
    """The shop on Rails."""
    return make("rails")
