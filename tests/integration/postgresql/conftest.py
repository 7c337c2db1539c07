"""Real PostgreSQL servers; each test has a new database on each of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.integration.postgresql.support import Db
from tests.servers import VERSIONS, Postgres, server


@pytest.fixture(params=VERSIONS)
def postgres(request: pytest.FixtureRequest) -> Postgres:
    """A server of each version."""
    return server(request.param)


@pytest.fixture
def db(postgres: Postgres) -> Iterator[Db]:
    """A new database on each of them."""
    with postgres.database() as name:
        yield Db(postgres, name)


@pytest.fixture
def one_db() -> Iterator[Db]:
    """A new database on the oldest server, for what does not depend on its version."""
    postgres = server(VERSIONS[0])
    with postgres.database() as name:
        yield Db(postgres, name)
