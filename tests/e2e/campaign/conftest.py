"""The service of the campaign, at its first release, on a database server that a test may kill."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.servers import Postgres, server, start_postgres

from .service import Service, service


@pytest.fixture
def texts(tmp_path: Path) -> Iterator[Service]:
    """The service, on the PostgreSQL server that all tests share."""
    yield from _deployed(tmp_path, server(15))


@pytest.fixture
def own_texts(tmp_path: Path) -> Iterator[Service]:
    """The service, on a PostgreSQL server of its own."""
    postgres = start_postgres(15)
    try:
        yield from _deployed(tmp_path, postgres)
    finally:
        postgres.stop()


def _deployed(tmp_path: Path, postgres: Postgres) -> Iterator[Service]:
    root = tmp_path / "texts"
    root.mkdir()
    with service(root, postgres) as made:
        yield made
