"""A tiny app in a git repository, deployed by the real command line on SQLite and on PostgreSQL."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.ran import Ran
from tests.mariadb import MariaDB, mariadb
from tests.servers import Postgres, free_port, server

APP = """\
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        {on_request}
        self.answer(200, os.environ["PILOTAGE_RELEASE"] + " " + os.environ.get("MARK", ""))

    def answer(self, status, text):
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *args):
        pass


{at_start}
print("listening", flush=True)
ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""

CONFIG = """\
service: tiny
target: local
servers:
  web:
    cmd: {python} app.py
    instances: {instances}
  job:
    cmd: {python} -c "import time; print('working', flush=True); time.sleep(3600)"
    health: {{delay: 50ms}}
proxy: {{port: {port}}}
rollout: {{verify: 0}}
deploy_timeout: 30
env:
  secret: [MARK]
migrations: {{contract: {contract}}}
databases:
  primary: {{url: DATABASE_URL}}
"""

MIGRATIONS = {
    1: {
        "20260101000000_create_items.sql": "CREATE TABLE items (id integer PRIMARY KEY, name text);\n"
    },
    2: {"20260202000000_add_price.sql": "ALTER TABLE items ADD COLUMN price integer;\n"},
    3: {
        "20260303000000_rename_name.sql": """\
-- expand
ALTER TABLE items ADD COLUMN title text;

-- backfill
UPDATE items SET title = name WHERE title IS NULL AND name IS NOT NULL;

-- verify
SELECT id FROM items WHERE title IS NULL AND name IS NOT NULL;

-- contract
ALTER TABLE items DROP COLUMN name;
"""
    },
    4: {
        "20260404000000_add_notes.sql": "CREATE TABLE notes (id integer PRIMARY KEY, text text);\n",
        "20260404000100_drop_price.sql": """\
-- contract
ALTER TABLE items DROP COLUMN price;
""",
    },
}
"""What each release adds; 3 and 4 have a contract half."""


@dataclass(slots=True)
class App:
    """The app's repository in ``root``, and the database ``url``."""

    root: Path
    url: str
    port: int
    postgres: Postgres | None = None
    mark: str = "plain"
    environment: dict[str, str] = field(default_factory=dict)
    running: list[subprocess.Popen[str]] = field(default_factory=list)
    mariadb: MariaDB | None = None

    # -- the repository ------------------------------------------------------------------------

    def write(self, name: str, text: str) -> Path:
        """Write a file of the project."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def configure(self, *, instances: int = 1, contract: str = "next", more: str = "") -> None:
        """Write the configuration."""
        text = CONFIG.format(
            python=sys.executable, port=self.port, instances=instances, contract=contract
        )
        self.write("config/deploy.yml", text + more)

    def code(self, *, on_request: str = "pass", at_start: str = "") -> None:
        """Write the app; what it does at each request, and before it listens."""
        self.write("app.py", APP.format(on_request=on_request, at_start=at_start))

    def held_back(self) -> Path:
        """Write an app that does not listen before the file that this returns exists."""
        flag = self.root.parent / f"go-{time.monotonic_ns()}"
        self.code(
            at_start=f"import time\nwhile not os.path.exists({str(flag)!r}):\n    time.sleep(0.01)"
        )
        return flag

    def release(self, number: int) -> str:
        """Commit release ``number`` with all migrations up to it; its id."""
        for each in range(1, number + 1):
            for name, sql in MIGRATIONS[each].items():
                self.write(f"db/migrations/{name}", sql)
        return self.commit(f"v{number}")

    def commit(self, message: str = "a release") -> str:
        """Commit everything; the id of the release."""
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")[:12]

    def git(self, *arguments: str) -> str:
        """Run git in the project; its output."""
        who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
        done = subprocess.run(
            ["git", *who, *arguments], cwd=self.root, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    # -- the command line ------------------------------------------------------------------------

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """Start a command of pilotage; ended with the test if it is not by then."""
        return self.run(sys.executable, "-m", "pilotage", *arguments, **options)

    def run(self, *program: str, **options: Any) -> subprocess.Popen[str]:
        """Start any program, with the secrets written."""
        secrets = self.root / ".pilotage" / "secrets"
        secrets.parent.mkdir(exist_ok=True)
        secrets.write_text(f"DATABASE_URL={self.url}\nMARK={self.mark}\n")
        process = subprocess.Popen(
            program,
            cwd=self.root,
            env={**os.environ, "COLUMNS": "100", **self.environment},
            **{
                "stdin": subprocess.DEVNULL,
                "stdout": subprocess.PIPE,
                "stderr": subprocess.PIPE,
                "text": True,
                **options,
            },
        )
        self.running.append(process)
        return process

    def pilotage(self, *arguments: str, status: int = 0) -> Ran:
        """Run a command, which must end with ``status``."""
        return self.ended(self.start(*arguments), status=status)

    def ended(self, process: subprocess.Popen[str], *, status: int = 0) -> Ran:
        """Wait for a command that was started."""
        out, err = process.communicate(timeout=120)
        assert process.returncode == status, f"exit {process.returncode}\n{out}\n{err}"
        return Ran(process.returncode, out, err)

    def until(self, process: subprocess.Popen[str], **wanted: Any) -> dict[str, Any]:
        """Read the events of a ``--json`` command until one has all of ``wanted``."""
        assert process.stdout is not None
        seen = []
        for line in process.stdout:
            event = json.loads(line)
            if all(event.get(key) == value for key, value in wanted.items()):
                return event
            seen.append(line)
        raise AssertionError(f"no event {wanted}\n{''.join(seen)}\n{process.communicate()[1]}")

    def status(self) -> dict[str, Any]:
        """``pilotage status --json``."""
        found: dict[str, Any] = self.pilotage("status", "--json").json
        return found

    # -- the world -------------------------------------------------------------------------------

    def get(self, path: str = "/") -> str:
        """What the edge answers."""
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            connection.request("GET", path)
            response = connection.getresponse()
            assert response.status == 200, response.status
            return response.read().decode()

    def serving(self) -> str:
        """The id of the release that answers."""
        return self.get().split()[0]

    def execute(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements as somebody else; the rows of the last."""
        if self.postgres is not None:
            return self.postgres.execute(*statements, database=self.url.rpartition("/")[2])
        if self.mariadb is not None:
            return self.mariadb.execute(*statements, database=self.url.rpartition("/")[2])
        rows: list[tuple[Any, ...]] = []
        path = self.url.removeprefix("sqlite:///")
        with closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as connection:
            for statement in statements:
                rows = connection.execute(statement).fetchall()
        return rows

    def schema(self) -> set[tuple[str, str]]:
        """Every (table, column) that is the application's own."""
        if self.postgres is not None:
            rows = self.execute(
                "SELECT table_name, column_name FROM information_schema.columns"
                " WHERE table_schema = 'public'"
            )
        elif self.mariadb is not None:
            rows = self.execute(
                "SELECT table_name, column_name FROM information_schema.columns"
                " WHERE table_schema = DATABASE()"
            )
        else:
            rows = self.execute(
                "SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c"
                " WHERE m.type = 'table'"
            )
        return {
            (str(t), str(c)) for t, c in rows if not str(t).startswith(("pilotage_", "sqlite_"))
        }

    def pids(self, role: str) -> list[int]:
        """The processes of the instances of a role."""
        return [
            int(i["detail"].split()[-1])
            for i in self.status()["instances"]
            if i["role"] == role and i["life"] == "running"
        ]

    def kill(self, process: subprocess.Popen[str]) -> None:
        """SIGKILL a deployer; what it held of the deploy lock is taken away as a person does it."""
        process.kill()
        process.communicate()
        self.pilotage("lock", "release", "--yes")

    def wait(self, condition: Callable[[], bool], *, within: float = 60.0) -> None:
        """Look until something is so."""
        give_up = time.monotonic() + within
        while not condition():
            assert time.monotonic() < give_up, "it did not become so"
            time.sleep(0.05)

    def end_edge(self) -> None:
        """SIGKILL the edge, as an out-of-memory killer does."""
        edges = [p for p in self.processes() if _command(p).startswith("envoy")]
        assert edges
        for pid in edges:
            os.kill(pid, signal.SIGKILL)
        self.wait(lambda: not any(_command(p).startswith("envoy") for p in self.processes()))

    def close(self) -> None:
        """End everything that the test started."""
        for process in self.running:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            with suppress(ValueError):
                process.communicate()
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def processes(self) -> list[int]:
        """Everything that runs in the project's folder: instances, their supervisors, the edge."""
        found = []
        for process in Path("/proc").iterdir():
            with suppress(OSError):
                if process.name.isdigit() and (process / "cwd").readlink().is_relative_to(
                    self.root
                ):
                    found.append(int(process.name))
        return found


def _command(pid: int) -> str:
    """The name of a process; nothing when it has ended."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


@pytest.fixture
def app(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[App]:
    """The app at release 1, committed and not deployed, with a database that does not exist yet.

    On SQLite, or on what ``parametrize("app", [...], indirect=True)`` names.
    """
    kind = getattr(request, "param", "sqlite")
    root = tmp_path / "tiny"
    root.mkdir()
    postgres = maria = None
    name = f"tiny_{os.getpid()}_{time.monotonic_ns()}"
    if kind == "sqlite":
        url = f"sqlite:///{tmp_path}/tiny.db"
    elif kind == "mariadb":
        maria = mariadb()
        url = maria.url(name)
    else:
        postgres = server(int(kind.partition("-")[2]))
        url = postgres.url(name)
    made = App(root, url, free_port(), postgres, mariadb=maria)
    made.git("init", "-q", "-b", "main")
    made.write(".gitignore", ".pilotage/\n")
    made.configure()
    made.code()
    made.release(1)
    try:
        yield made
    finally:
        made.close()
        if maria is not None:
            maria.end_sessions(name)
            maria.execute(f"DROP DATABASE IF EXISTS {name}")
        if postgres is not None:
            postgres.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


BOTH = pytest.mark.parametrize("app", ["sqlite", "postgresql-15"], indirect=True)
