"""A deployer sleeps past the end of its lease, another takes over and finishes, the first one wakes.

Whatever the first was about to do, it does nothing: the state rows, the schema, the hosts and the routes
have seen a higher token.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.servers import free_port, server

from pilotage.cli import main as command_line  # noqa: F401 (the command line must import)

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


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """A git repository with the tags v1, v2 and v3 of a tiny app on PostgreSQL."""
    with server(15).database() as database:
        git(tmp_path, "init", "-q")
        (tmp_path / "app.py").write_text(APP)
        (tmp_path / "config").mkdir()
        (tmp_path / "config/deploy.yml").write_text(
            CONFIG.format(python=sys.executable, port=free_port(), url=server(15).url(database))
        )
        (tmp_path / ".gitignore").write_text(".pilotage\n")
        (tmp_path / "db/migrations").mkdir(parents=True)
        for tag, files in MIGRATIONS.items():
            for name, text in files.items():
                (tmp_path / "db/migrations" / name).write_text(text)
            git(tmp_path, "add", "-A")
            git(tmp_path, "commit", "-qm", tag)
            git(tmp_path, "tag", tag)
        try:
            yield tmp_path
        finally:
            subprocess.run(
                [sys.executable, "-m", "pilotage", "remove", "-y"], cwd=tmp_path, check=False
            )


def deployer(
    root: Path, revision: str, *, ttl: float = 30.0, stop_at: str = ":0"
) -> subprocess.Popen[str]:
    script = Path(__file__).with_name("deployer.py")
    argv = [sys.executable, str(script), str(root), revision, str(ttl), stop_at]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def outcome(process: subprocess.Popen[str]) -> dict[str, Any]:
    said, _ = process.communicate(timeout=120)
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


# Right after the lease was taken, in the release phase, before and after instances were started,
# before and after the switch, before old instances are stopped.
@pytest.mark.parametrize(
    "moment",
    [
        "LeaseTaken:0",
        "StepStarted:1",
        "HalfStatement:0",
        "StepStarted:3",
        "InstanceStarted:0",
        "InstanceHealthy:0",
        "StepStarted:6",
        "Switched:0",
        "InstanceStarted:1",
        "Drained:0",
        "InstanceStopped:0",
    ],
)
def test_a_deployer_that_wakes_after_a_take_over_does_nothing(project: Path, moment: str) -> None:
    assert outcome(deployer(project, "v1")) == {"error": None}
    slept = deployer(project, "v2", ttl=3.0, stop_at=moment)
    try:
        _, how = os.waitpid(slept.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(how), f"{moment} never came: {slept.stdout and slept.stdout.read()}"
        second = outcome(deployer(project, "v2"))
        before = picture(project)
    finally:
        slept.send_signal(signal.SIGCONT)
    first = outcome(slept)
    if moment == "HalfStatement:0":
        # It sleeps within the transaction of a half, so it holds the migration lock: the second is
        # told whose session that is, and the half is finished by the one that began it, or by neither.
        assert second["error"] in (None, "LockUnavailable"), second
    else:
        assert second == {"error": None}
        assert picture(project) == before
    assert first["error"] == "LeaseLost", first
    assert outcome(deployer(project, "v2")) == {"error": None}
    assert outcome(deployer(project, "v3")) == {"error": None}
    columns = server(15).execute(
        "SELECT column_name FROM information_schema.columns WHERE table_name = 'users' ORDER BY 1",
        database=(project / "config/deploy.yml").read_text().split("/")[-1].split('"')[0],
    )
    assert [name for (name,) in columns] == ["age", "full_name", "id"]
