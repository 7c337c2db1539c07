"""PostgreSQL on this machine for the hosts of a lab, which reach it by the address of their network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.lab.lab import Lab
from tests.servers import Postgres, start_postgres


@contextmanager
def postgres_for(lab: Lab) -> Iterator[Postgres]:
    """A server that listens there as well, for as long as the block."""
    server = start_postgres(15, listen_addresses=f"127.0.0.1,{lab.network.address}")
    try:
        with (server.directory / "data" / "pg_hba.conf").open("a") as rules:
            rules.write("host all all 10.0.0.0/8 scram-sha-256\n")
        server.execute("SELECT pg_reload_conf()")
        yield server
    finally:
        server.stop()


def url_from(lab: Lab, server: Postgres, database: str) -> str:
    """The URL of a database of it, as the hosts of the lab reach it."""
    here, there = (f"{address}:{server.port}" for address in ("127.0.0.1", lab.network.address))
    return server.url(database).replace(here, there)
