"""A project with a git repository and a database, and the real command line to work on it."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.ran import Ran
from tests.servers import Postgres, free_port, server

APP = """\
import http.server, os

class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Answer).serve_forever()
"""

CREATE = "CREATE TABLE orders (id integer PRIMARY KEY, item text);\n"

RENAME = """\
-- expand
ALTER TABLE orders ADD COLUMN product text;

-- backfill
UPDATE orders SET product = item WHERE product IS NULL AND item IS NOT NULL;

-- verify
SELECT id, item FROM orders WHERE product IS NULL AND item IS NOT NULL LIMIT 5;

-- contract
ALTER TABLE orders DROP COLUMN item;

-- down
ALTER TABLE orders DROP COLUMN product;
"""


@dataclass(slots=True)
class Shop:
    """A project in ``root`` whose database is ``url``."""

    root: Path
    dialect: str
    url: str
    postgres: Postgres | None = None
    environment: dict[str, str] = field(default_factory=dict)
    deployed: bool = False

    def pilotage(self, *arguments: str, status: int = 0) -> Ran:
        """Run a command, which must end with ``status``."""
        ran = subprocess.run(
            [sys.executable, "-m", "pilotage", *arguments],
            cwd=self.root,
            env={**os.environ, "DATABASE_URL": self.url, **self.environment},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert ran.returncode == status, f"exit {ran.returncode}\n{ran.stdout}\n{ran.stderr}"
        return Ran(ran.returncode, ran.stdout, ran.stderr)

    def migrate(self, *arguments: str, status: int = 0) -> Ran:
        """Run ``pilotage migrate …``."""
        return self.pilotage("migrate", *arguments, status=status)

    def deploy(self) -> Ran:
        """Commit everything, and deploy it."""
        self.commit()
        self.deployed = True
        return self.pilotage("deploy")

    def commit(self) -> None:
        """Commit everything."""
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "a release")

    def git(self, *arguments: str) -> None:
        """Run git in the project."""
        who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
        subprocess.run(["git", *who, *arguments], cwd=self.root, check=True, capture_output=True)

    def write(self, name: str, text: str) -> Path:
        """Write a migration file."""
        path = self.root / "db" / "migrations" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def execute(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements as somebody else; the rows of the last."""
        if self.postgres is not None:
            return self.postgres.execute(*statements, database=self.url.rpartition("/")[2])
        rows: list[tuple[Any, ...]] = []
        path = self.url.removeprefix("sqlite:///")
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            for statement in statements:
                rows = connection.execute(statement).fetchall()
        return rows

    def configure(self, text: str) -> None:
        """Add lines to the configuration."""
        path = self.root / "config" / "deploy.yml"
        path.write_text(path.read_text() + text)

    def another_database(self) -> Shop:
        """The same project, with a database of its own that does not exist yet."""
        other = f"other_{free_port()}"
        url = f"{self.url.rpartition('/')[0]}/{other}"
        return replace(self, url=url + (".db" if self.postgres is None else ""))

    def columns(self, table: str) -> set[str]:
        """The columns of a table; none where there is no such table."""
        if self.postgres is None:
            rows = self.execute(f"SELECT name FROM pragma_table_info('{table}')")
        else:
            rows = self.execute(
                f"SELECT column_name FROM information_schema.columns WHERE table_name = '{table}'"
            )
        return {str(row[0]) for row in rows}

    def standings(self) -> dict[str, str]:
        """Where each half stands, by ``migrate status --json``."""
        found = self.migrate("status", "--json").json["migrations"]
        return {f"{m['version']}/{h['half']}": h["standing"] for m in found for h in m["halves"]}


@pytest.fixture(params=["sqlite", "postgresql-15"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    """A project whose database does not exist yet."""
    name, _, major = request.param.partition("-")
    root = tmp_path / "shop"
    (root / "config").mkdir(parents=True)
    (root / "app.py").write_text(APP)
    (root / ".gitignore").write_text(".pilotage/\n*.db*\n")
    (root / "config" / "deploy.yml").write_text(
        f"""\
service: shop
target: local
servers:
  web:
    cmd: {sys.executable} app.py
proxy:
  port: {free_port()}
rollout: {{verify: 0}}
databases:
  primary: {{url: DATABASE_URL}}
"""
    )
    if name == "sqlite":
        made = Shop(root, "sqlite", f"sqlite:///{tmp_path}/shop.db")
    else:
        postgres = server(int(major))
        database = f"shop_{free_port()}"
        made = Shop(root, "postgresql", postgres.url(database), postgres)
    made.git("init", "-q", "-b", "main")
    try:
        yield made
    finally:
        if made.deployed:
            made.pilotage("remove", "-y")
        if made.postgres is not None:
            made.postgres.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
