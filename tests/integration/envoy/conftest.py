"""An edge for each test, on a port that the OS gives."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.integration.envoy.edge import HOST, Edge
from tests.servers import missing

from pilotage.errors import ProxyError
from pilotage.proxy.envoy import EnvoySettings, local_edge
from pilotage.proxy.envoy.process import binary


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return int(it.getsockname()[1])


def require_envoy() -> None:
    """Skip on a laptop for which there is no Envoy; fail in CI."""
    try:
        binary()
    except ProxyError as error:
        missing(f"Envoy ({error.what})")


@pytest.fixture
def make_edge(tmp_path: Path) -> Iterator[Callable[..., Edge]]:
    """Edges that do not run yet, and that are gone after the test."""
    require_envoy()
    made: list[Edge] = []

    def make(state_dir: Path | None = None, **settings: object) -> Edge:
        events: list[object] = []
        settings = {"port": free_port(), "address": "127.0.0.1", "concurrency": 2, **settings}
        folder = state_dir or tmp_path / ".pilotage"
        proxy = local_edge(EnvoySettings(folder, HOST, **settings), events.append)  # type: ignore[arg-type]
        made.append(Edge(proxy, events))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for edge in made:
        asyncio.run(edge.proxy.remove(token=10**9))


@pytest.fixture
def edge(make_edge: Callable[..., Edge]) -> Edge:
    """An edge that does not run yet."""
    return make_edge()
