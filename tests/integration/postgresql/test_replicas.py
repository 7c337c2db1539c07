"""An expand half is done when a real standby has replayed it, and not before."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from tests.servers import Postgres, free_port, os_user, run_as_user, start_postgres

from pilotage.errors import DatabaseError, DatabaseUnavailable
from pilotage.migrate.runner import RunnerSettings, SqlSchema
from pilotage.secret import Secret


@contextmanager
def standby(primary: Postgres) -> Iterator[Postgres]:
    """A streaming replica of ``primary``."""
    directory = Path(tempfile.mkdtemp(prefix="standby-"))
    user = os_user()
    if user is not None:
        shutil.chown(directory, user)
    data, port = directory / "data", free_port()
    backup = run_as_user(
        [primary.bin / "pg_basebackup", "-D", data, "-d", primary.url(), "-R", "-c", "fast"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd="/",
    )  # fmt: skip
    said, _ = backup.communicate(timeout=120)
    assert backup.returncode == 0, said.decode()
    options = ["-clisten_addresses=127.0.0.1", f"-cunix_socket_directories={directory}"]
    with (directory / "log").open("ab") as log:
        process = run_as_user(
            [primary.bin / "postgres", "-D", data, "-p", str(port), *options, "-cfsync=off"],
            stdout=log, stderr=log, cwd="/",
        )  # fmt: skip
    replica = replace(primary, directory=directory, port=port, process=process, templates={})
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(replica.url()).close()
                break
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, (directory / "log").read_text()
                assert process.poll() is None, (directory / "log").read_text()
                time.sleep(0.05)
        yield replica
    finally:
        replica.stop()


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[Postgres, Postgres]]:
    primary = start_postgres(15)
    try:
        with standby(primary) as replica:
            yield primary, replica
    finally:
        primary.stop()


def wait(primary: Postgres, *replicas: str, limit: float) -> None:
    async def ask() -> None:
        schema = SqlSchema(
            url=Secret(primary.url()),
            stream="shop",
            service="shop",
            settings=RunnerSettings(replica_wait=limit),
            replicas=tuple(Secret(url) for url in replicas),
        )
        async with schema:
            await schema.replayed()

    asyncio.run(ask())


def test_a_replica_that_keeps_up(pair: tuple[Postgres, Postgres]) -> None:
    primary, replica = pair
    primary.execute("CREATE TABLE kept_up (id int)")
    wait(primary, replica.url(), limit=30.0)
    assert replica.execute("SELECT count(*) FROM kept_up") == [(0,)]


def test_a_replica_that_is_behind(pair: tuple[Postgres, Postgres]) -> None:
    primary, replica = pair
    replica.execute("SELECT pg_wal_replay_pause()")
    try:
        primary.execute("CREATE TABLE behind (id int)")
        with pytest.raises(DatabaseError, match="has not replayed") as failed:
            wait(primary, replica.url(), limit=0.3)
        assert str(replica.port) in failed.value.where
        assert replica.password not in str(failed.value)
    finally:
        replica.execute("SELECT pg_wal_replay_resume()")
    wait(primary, replica.url(), limit=30.0)
    assert replica.execute("SELECT count(*) FROM behind") == [(0,)]


def test_what_is_no_replica(pair: tuple[Postgres, Postgres]) -> None:
    primary, _ = pair
    with pytest.raises(DatabaseError, match="is not a replica"):
        wait(primary, primary.url(), limit=1.0)


def test_a_replica_that_cannot_be_asked(pair: tuple[Postgres, Postgres]) -> None:
    primary, _ = pair
    with pytest.raises(DatabaseUnavailable):
        wait(primary, f"postgresql://postgres:x@127.0.0.1:{free_port()}/postgres", limit=1.0)
