"""A tiny app in a git repository, and deployers of it in processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.servers import free_port, server

APP = """
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("X-Release", os.environ["PILOTAGE_RELEASE"])
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
CONFIG = """
service: tiny
image: tiny
target: local
servers:
  web:
    cmd: {python} app.py
  job:
    cmd: {python} -c "import time; time.sleep(3600)"
    health: {{delay: 0s}}
proxy: {{port: {port}}}
rollout: {{verify: 0}}
migrations: {{path: db/migrations, contract: next}}
databases:
  primary: {{url: "{url}"}}
"""
MIGRATIONS = {
    "v1": {"1_users.sql": "CREATE TABLE users (id int PRIMARY KEY, name text NOT NULL);"},
    "v2": {
        "2_full_name.sql": "-- expand\nALTER TABLE users ADD COLUMN full_name text;\n"
        "-- backfill\nUPDATE users SET full_name = name WHERE full_name IS NULL;\n"
        "-- contract\nALTER TABLE users DROP COLUMN name;\n"
    },
    "v3": {"3_age.sql": "-- expand\nALTER TABLE users ADD COLUMN age int;\n"},
}


def git(root: Path, *words: str) -> None:
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *who, *words], cwd=root, check=True, capture_output=True)


@contextmanager
def repository(root: Path, *, extra: str = "") -> Iterator[str]:
    """A repository with the tags v1, v2 and v3; yields the name of its PostgreSQL database.

    ``extra``: more lines for its configuration.
    """
    with server(15).database() as database:
        git(root, "init", "-q")
        (root / "app.py").write_text(APP)
        (root / "config").mkdir()
        configure(root, database, extra=extra)
        (root / ".gitignore").write_text(".pilotage\nconfig\n")
        (root / "db/migrations").mkdir(parents=True)
        for tag, files in MIGRATIONS.items():
            for name, text in files.items():
                (root / "db/migrations" / name).write_text(text)
            git(root, "add", "-A")
            git(root, "commit", "-qm", tag)
            git(root, "tag", tag)
        try:
            yield database
        finally:
            remove(root)


def configure(root: Path, database: str, *, extra: str = "") -> None:
    """Write the configuration, with a port of its own."""
    text = CONFIG.format(python=sys.executable, port=free_port(), url=server(15).url(database))
    (root / "config/deploy.yml").write_text(text + extra)


def remove(root: Path) -> None:
    """Stop everything that runs of it."""
    subprocess.run([sys.executable, "-m", "pilotage", "remove", "-y"], cwd=root, check=False)


def deployer(
    root: Path, revision: str, *, ttl: float = 30.0, stop_at: str = ":0"
) -> subprocess.Popen[str]:
    script = Path(__file__).with_name("deployer.py")
    argv = [sys.executable, str(script), str(root), revision, str(ttl), stop_at]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def outcome(process: subprocess.Popen[str]) -> dict[str, Any]:
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    answer: dict[str, Any] = json.loads(said.splitlines()[-1])
    return answer


def status(root: Path) -> dict[str, Any]:
    ran = subprocess.run(
        [sys.executable, "-m", "pilotage", "status", "--json"],
        cwd=root,
        check=True,
        capture_output=True,
        text=True,
    )
    answer: dict[str, Any] = json.loads(ran.stdout)
    return answer


def picture(root: Path) -> str:
    """What `status` says, but for the time and the database sessions of the deployers."""
    told = status(root)
    del told["at"], told["schema"]["sessions"]
    return json.dumps(told, sort_keys=True)
