"""A prepared database, and the release that is registered in it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from tests.migrations import migration, migrations
from tests.servers import Postgres, server

from pilotage.events import ignore
from pilotage.health import Readiness, Settings
from pilotage.migrate.runner import SqlSchema
from pilotage.model import Half, Kind, Registration
from pilotage.secret import Secret

RELEASE = "aaaaaaaaaaaa"
ADD = migration("1", "create", expand="CREATE TABLE t (i int, old int)")
RENAME = migration("2", "rename", contract="ALTER TABLE t DROP COLUMN old")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A database in which the migrations of release ``RELEASE`` are applied."""

    postgres: Postgres
    name: str

    @property
    def url(self) -> str:
        """As the superuser."""
        return self.postgres.url(self.name)

    def through(self, port: int) -> str:
        """The same database by another port of this machine."""
        return self.url.replace(f":{self.postgres.port}/", f":{port}/")

    def readiness(self, url: str | None = None) -> Readiness:
        """Readiness of the release."""
        settings = Settings(database=Secret(url or self.url), stream="shop", release=RELEASE)
        return Readiness(lambda: settings)

    def environment(self) -> dict[str, str]:
        """What an instance of the release finds in its environment."""
        return {
            "DATABASE_URL": self.url,
            "PILOTAGE_RELEASE": RELEASE,
            "PILOTAGE_INSTANCE": "shop-web-1",
            "PGAPPNAME": f"plt-{RELEASE}",
        }

    def contract(self) -> None:
        """Apply a contract half that the release does not ship."""
        asyncio.run(self._apply((RENAME, Half.CONTRACT)))

    async def _apply(self, *halves: tuple[Any, Half], register: bool = False) -> None:
        url = Secret(self.url)
        async with SqlSchema(url=url, stream="shop", service="shop") as schema:
            await schema.prepare()
            for file, half in halves:
                await schema.apply(file, half, release=RELEASE, token=1, emit=ignore)
            if register:
                ships = migrations(ADD).ships()
                kind = Kind.TRAFFIC
                await schema.register(
                    Registration("shop-web-1", "shop", "host", RELEASE, ships, kind)
                )


@pytest.fixture
def prepared() -> Iterator[Prepared]:
    """A database whose schema the release fits."""
    postgres = server(15)
    with postgres.database() as name:
        made = Prepared(postgres, name)
        asyncio.run(made._apply((ADD, Half.EXPAND), register=True))
        yield made
