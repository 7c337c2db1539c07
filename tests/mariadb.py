"""A real MariaDB server for the tests, on a port that the OS gives. See `tests.servers`."""

from __future__ import annotations

import atexit
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import pymysql
from tests.servers import free_port, missing, os_user, run_as_user

_OPTIONS = (
    "--no-defaults",
    "--bind-address=127.0.0.1",
    "--skip-name-resolve",
    "--innodb-flush-log-at-trx-commit=2",
    "--innodb-buffer-pool-size=32M",
    "--innodb-log-file-size=16M",
    "--character-set-server=utf8mb4",
    "--max-connections=200",
    "--innodb-use-native-aio=0",
    "--max-recursive-iterations=10000000",
)


@dataclass(slots=True)
class MariaDB:
    """A running server. Its administrator is ``admin``, password ``sup3r-s3cret``."""

    directory: Path
    port: int
    process: subprocess.Popen[bytes]

    password = "sup3r-s3cret"

    @property
    def socket(self) -> Path:
        """Its Unix socket."""
        return self.directory / "sock"

    def url(self, database: str, *, user: str = "admin", password: str | None = None) -> str:
        """The URL of a database of this server."""
        word = self.password if password is None else password
        return f"mariadb://{user}:{word}@127.0.0.1:{self.port}/{database}"

    def connect(self, database: str | None = None, **options: Any) -> pymysql.Connection[Any]:
        """A session of the administrator, in autocommit mode unless ``options`` say else."""
        given = {"user": "admin", "password": self.password, "autocommit": True} | options
        return pymysql.connect(host="127.0.0.1", port=self.port, database=database, **given)

    def execute(
        self, *statements: str, database: str | None = None, **options: Any
    ) -> list[tuple[Any, ...]]:
        """Run statements as the administrator, each on its own; the rows of the last one."""
        rows: list[tuple[Any, ...]] = []
        with (
            closing(self.connect(database, **options)) as connection,
            connection.cursor() as cursor,
        ):
            for statement in statements:
                cursor.execute(statement)
                rows = list(cursor.fetchall())
        return rows

    @contextmanager
    def database(self, *statements: str) -> Iterator[str]:
        """The name of a new database in which ``statements`` have run."""
        name = f"test_{uuid4().hex[:12]}"
        self.execute(f"CREATE DATABASE {name}")
        try:
            if statements:
                self.execute(*statements, database=name)
            yield name
        finally:
            self.end_sessions(name)
            self.execute(f"DROP DATABASE IF EXISTS {name}")

    def end_sessions(self, database: str) -> None:
        """End whatever is left in a database, so that nothing keeps it from being dropped."""
        for (number,) in self.execute(
            f"SELECT ID FROM information_schema.PROCESSLIST WHERE DB = '{database}'"
        ):
            try:
                self.execute(f"KILL {number}")
            except pymysql.err.OperationalError as error:
                if error.args[0] != 1094:  # it has ended meanwhile
                    raise

    def stop(self) -> None:
        """Stop it at once; its data is thrown away."""
        self.process.kill()
        self.process.wait(30)
        shutil.rmtree(self.directory, ignore_errors=True)


@cache
def mariadb() -> MariaDB:
    """The server that all tests of this process share."""
    running = start_mariadb()
    atexit.register(running.stop)
    return running


def _program(*names: str) -> str:
    found = next(
        (p for n in names if (p := shutil.which(n) or shutil.which(f"/usr/sbin/{n}"))), None
    )
    if found is None:
        missing("MariaDB (mariadb-server)")
    assert found is not None
    return found


@cache
def _made() -> Path:
    """A data directory in which the system tables are made; servers start on copies of it."""
    directory = Path(tempfile.mkdtemp(prefix="mariadb-made-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    user = os_user()
    if user is not None:
        shutil.chown(directory, user)
    install = run_as_user(
        [
            _program("mariadb-install-db"), "--no-defaults", f"--datadir={directory / 'data'}",
            "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve",
            "--innodb-use-native-aio=0",
        ],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd="/",
    )  # fmt: skip
    said, _ = install.communicate(timeout=120)
    assert install.returncode == 0, said.decode()
    return directory / "data"


def start_mariadb(*options: str, data: Path | None = None) -> MariaDB:
    """Start a server; skips or fails the test when it is not installed. ``options``: of its own.

    ``data``: a data directory to start on a copy of, in place of an empty one.
    """
    program = _program("mariadbd")
    directory = Path(tempfile.mkdtemp(prefix="mariadb-"))
    user = os_user()
    if user is not None:
        shutil.chown(directory, user)
    copy = run_as_user(["cp", "-a", data or _made(), directory / "data"], cwd="/")
    assert copy.wait(60) == 0
    init = directory / "init"
    init.write_text(
        f"CREATE OR REPLACE USER admin@'%' IDENTIFIED BY '{MariaDB.password}';\n"
        "GRANT ALL ON *.* TO admin@'%' WITH GRANT OPTION;\n"
    )
    init.chmod(0o644)
    for _ in range(5):
        port = free_port()
        argv = [
            program, *_OPTIONS, f"--datadir={directory / 'data'}", f"--port={port}",
            f"--socket={directory / 'sock'}", f"--pid-file={directory / 'pid'}",
            f"--init-file={init}", *options,
        ]  # fmt: skip
        with (directory / "log").open("ab") as log:
            process = run_as_user(argv, stdout=log, stderr=log, cwd="/")
        server = MariaDB(directory, port, process)
        if _answers(server):
            return server
        process.kill()
        process.wait()
    raise AssertionError((directory / "log").read_text())


def _answers(server: MariaDB) -> bool:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and server.process.poll() is None:
        try:
            server.connect().close()
        except pymysql.err.OperationalError as error:
            if error.args[0] not in (2003, 2013):
                raise
            time.sleep(0.05)
        else:
            return True
    return False
