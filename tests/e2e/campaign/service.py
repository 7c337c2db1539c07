"""A small service that renames a column with every release, deployed by the real command line.

Each release adds the next column, keeps it and the one before alike with a trigger, fills it, and in its
contract half takes the one before away. So every deploy has an expand half, a backfill and the contract of
the release before it, and an app that meets the wrong schema fails at its first request.
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.servers import Postgres, free_port

APP = '''\
"""Stores texts: POST / stores the body, GET /ID answers it."""
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psycopg

COLUMN = "text_{number}"
RELEASE = os.environ["PILOTAGE_RELEASE"]
local = threading.local()


def run(statement, *values):
    """One row of one statement, in a session that the thread keeps while it works."""
    if getattr(local, "connection", None) is None:
        local.connection = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
    try:
        return local.connection.execute(statement, values).fetchone()
    except psycopg.OperationalError:
        local.connection.close()
        local.connection = None
        raise


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/up":
            return self.answer(200, "up")
        self.ask(f"SELECT {{COLUMN}} FROM texts WHERE id = %s", int(self.path[1:]))

    def do_POST(self):
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.ask(f"INSERT INTO texts ({{COLUMN}}) VALUES (%s) RETURNING id", text)

    def ask(self, statement, value):
        try:
            row = run(statement, value)
        except psycopg.Error as error:
            return self.answer(500, f"{{type(error).__name__}}: {{error}}")
        self.answer(200, "" if row is None else str(row[0]))

    def answer(self, status, text):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Release", RELEASE)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
'''

CONFIG = """\
service: texts
target: local
servers:
  web:
    cmd: {python} app.py
    instances: 2
  job:
    cmd: {python} -c "import time; time.sleep(36000)"
    health: {{delay: 0s}}
proxy: {{port: {port}}}
deploy_timeout: 20
drain_timeout: 10
rollout: {{verify: 0}}
env:
  secret: [DATABASE_URL]
databases:
  primary: {{url: DATABASE_URL}}
"""

FIRST = "CREATE TABLE texts (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, text_1 text);\n"

NEXT = """\
-- pilotage: allow=create-trigger because it only keeps two columns equal

-- expand
ALTER TABLE texts ADD COLUMN text_{new} text;
CREATE FUNCTION alike_{new}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.text_{new} := coalesce(NEW.text_{new}, NEW.text_{old});
    NEW.text_{old} := coalesce(NEW.text_{old}, NEW.text_{new});
    RETURN NEW;
END
$$;
CREATE TRIGGER alike_{new} BEFORE INSERT OR UPDATE ON texts
    FOR EACH ROW EXECUTE FUNCTION alike_{new}();

-- backfill
UPDATE texts SET text_{new} = text_{old} WHERE text_{new} IS NULL AND text_{old} IS NOT NULL;

-- verify
SELECT id FROM texts WHERE text_{new} IS DISTINCT FROM text_{old} LIMIT 5;

-- contract
DROP TRIGGER alike_{new} ON texts;
DROP FUNCTION alike_{new}();
ALTER TABLE texts DROP COLUMN text_{old};
"""


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended, and what it said."""

    status: int
    out: str
    err: str

    @property
    def events(self) -> list[dict[str, Any]]:
        """Standard output as JSON lines; the last one may have been cut off by a kill."""
        found = []
        for line in self.out.splitlines():
            with suppress(ValueError):
                found.append(json.loads(line))
        return found


@dataclass(slots=True)
class Service:
    """The repository in ``root``, and its database."""

    root: Path
    postgres: Postgres
    database: str
    port: int
    number: int = 0
    releases: list[str] = field(default_factory=list)

    def commit(self) -> str:
        """Commit the next release; its id."""
        self.number += 1
        sql = NEXT.format(new=self.number, old=self.number - 1) if self.number > 1 else FIRST
        folder = self.root / "db/migrations"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"2026010100{self.number:04}_text.sql").write_text(sql)
        (self.root / "app.py").write_text(APP.format(number=self.number))
        self.git("add", "-A")
        self.git("commit", "-qm", f"text_{self.number}")
        self.releases.append(self.git("rev-parse", "HEAD")[:12])
        return self.releases[-1]

    def git(self, *words: str) -> str:
        """Run git in the repository; its output."""
        who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
        done = subprocess.run(
            ["git", *who, *words], cwd=self.root, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def run(self, *words: str, at: str = "", victim: str = "deployer") -> Ran:
        """Run a command of pilotage; ``at`` an event (`command`), ``victim`` is killed."""
        script = Path(__file__).with_name("command.py")
        when = [at, victim if at else ""]
        pid = str(self.postgres.process.pid)
        ran = subprocess.run(
            [sys.executable, str(script), *when, pid, *words],
            cwd=self.root,
            env={**os.environ, "COLUMNS": "100"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return Ran(ran.returncode, ran.stdout, ran.stderr)

    def done(self, *words: str) -> Ran:
        """Run a command, which must succeed."""
        ran = self.run(*words)
        assert ran.status == 0, f"exit {ran.status}\n{ran.out}\n{ran.err}"
        return ran

    def status(self) -> dict[str, Any]:
        """``pilotage status --json``."""
        found: dict[str, Any] = json.loads(self.done("status", "--json").out)
        return found

    def columns(self) -> set[str]:
        """The columns of the table, but for the key."""
        rows = self.postgres.execute(
            "SELECT column_name FROM information_schema.columns"
            " WHERE table_name = 'texts' AND column_name <> 'id'",
            database=self.database,
        )
        return {str(name) for (name,) in rows}

    def texts(self, number: int) -> dict[int, str]:
        """What is stored, as the release ``number`` reads it."""
        rows = self.postgres.execute(f"SELECT id, text_{number} FROM texts", database=self.database)
        return {int(str(key)): str(text) for key, text in rows}

    def processes(self) -> dict[int, str]:
        """Everything that runs in the project's folder: the pid and the command line of each."""
        found = {}
        for process in Path("/proc").iterdir():
            with suppress(OSError):
                if process.name.isdigit() and (process / "cwd").readlink().is_relative_to(
                    self.root
                ):
                    words = (process / "cmdline").read_bytes().split(b"\0")
                    found[int(process.name)] = b" ".join(words).decode()
        return found


def edge_port() -> int:
    """A free port that the kernel gives to no client.

    A client that knocks again and again at a port of that range where nobody listens is at last connected
    to itself.
    """
    while True:
        port = random.randrange(20000, 32000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@contextmanager
def service(root: Path, postgres: Postgres) -> Iterator[Service]:
    """The service at its first release, deployed."""
    name = f"texts_{os.getpid()}_{free_port()}"
    made = Service(root, postgres, name, edge_port())
    made.git("init", "-q", "-b", "main")
    (root / ".gitignore").write_text(".pilotage/\n")
    (root / "config").mkdir()
    (root / "config/deploy.yml").write_text(CONFIG.format(python=sys.executable, port=made.port))
    (root / ".pilotage").mkdir()
    (root / ".pilotage/secrets").write_text(f"DATABASE_URL={postgres.url(name)}\n")
    made.commit()
    try:
        made.done("deploy", "--json")
        yield made
    finally:
        for pid in made.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
