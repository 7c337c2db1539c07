"""A database reached through a host: the URL that this machine uses, tried on a real server."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass

import psycopg
import pytest
from tests.integration.postgresql.support import Db

from pilotage.errors import ConfigError
from pilotage.secret import Secret
from pilotage.shell.local import LocalShell
from pilotage.wiring.way import Urls, through


@dataclass(frozen=True)
class Database:
    """What `through` asks of a `pilotage.config.DatabaseConfig`."""

    url: Secret
    migration_url: Secret | None = None
    replicas: tuple[Secret, ...] = ()
    name: str = "primary"
    where: str = "deploy.yml:3"


def asked(
    database: Database, question: str = "SELECT current_database()"
) -> tuple[Urls, list[str]]:
    """The URLs that lead there, and what each of them answers."""

    async def main() -> tuple[Urls, list[str]]:
        async with AsyncExitStack() as stack:
            urls = await through(LocalShell(), database, stack)  # type: ignore[arg-type]
            answers = []
            for url in (urls.url, urls.migration_url, *urls.replicas):
                if url is not None:
                    connection = await psycopg.AsyncConnection.connect(url.reveal())
                    async with connection:
                        row = await (await connection.execute(question)).fetchone()  # type: ignore[arg-type]
                    assert row is not None
                    answers.append(str(row[0]))
            return urls, answers

    return asyncio.run(main())


def test_every_url_leads_there_by_a_port_of_this_machine(one_db: Db) -> None:
    written = one_db.url
    urls, answers = asked(
        Database(Secret(written), Secret(written + "?sslmode=disable"), (Secret(written),))
    )
    assert answers == [one_db.name] * 3
    assert f":{one_db.server.port}/" not in urls.url.reveal()
    # One server, one port.
    assert len({url.reveal().partition("?")[0] for url in (urls.url, *urls.replicas)}) == 1


def test_the_name_stays_for_the_certificate(one_db: Db) -> None:
    written = one_db.url.replace("127.0.0.1", "localhost")
    urls, answers = asked(Database(Secret(written)))
    assert answers == [one_db.name]
    assert "@localhost:" in urls.url.reveal()
    assert "hostaddr=127.0.0.1" in urls.url.reveal()


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("sqlite:///shop.db", "of no server"),
        ("postgresql://app:hush-hush@one:5432,two:5432/shop", "does not name one host"),
        ("postgresql:///shop?host=/run/postgresql", "does not name one host"),
        ("postgresql://app:hush-hush@one:port/shop", "cannot be read"),
    ],
)
def test_a_url_that_names_no_one_host_is_refused(url: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why) as refused:
        asked(Database(Secret(url)))
    assert refused.value.key == "databases.primary.url"  # type: ignore[attr-defined]
    assert "hush-hush" not in str(refused.value)
