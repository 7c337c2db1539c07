"""A service in a git repository, deployed to real Docker hosts over SSH by the real command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.ran import Ran
from tests.lab import images
from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.lab.postgres import postgres_for
from tests.servers import Postgres

from pilotage.proxy.envoy.scripts import IMAGE as ENVOY_IMAGE

ROOT = Path(__file__).parents[3]

CONFIG = """\
service: shop
image: acme/shop
servers:
  web:
    hosts: {web}
  job:
    hosts: {job}
    cmd: python3 /app/app.py worker
registry: {{server: "{registry}", username: me, password: [REGISTRY_PASSWORD]}}
builder: {{arch: amd64}}
readiness_delay: 1
rollout: {{verify: 0}}
ssh: {{config: {ssh}}}
"""


@dataclass(slots=True)
class Ship:
    """A project in ``root`` for the hosts of a lab. ``within``: what commands of pilotage are started by."""

    lab: Lab
    root: Path
    secrets: dict[str, str] = field(default_factory=lambda: {"REGISTRY_PASSWORD": "anything"})
    running: list[subprocess.Popen[Any]] = field(default_factory=list)
    within: tuple[str, ...] = ()

    # -- the project ---------------------------------------------------------------------------

    @property
    def hosts(self) -> tuple[Host, ...]:
        """Those of the lab."""
        return self.lab.hosts

    def configure(self, *, web: int = 2, more: str = "") -> None:
        """Write the configuration: the web role on the first ``web`` hosts, a job role on the first."""
        self.write(
            "config/deploy.yml",
            CONFIG.format(
                web=json.dumps([host.address for host in self.hosts[:web]]),
                job=json.dumps([self.hosts[0].address]),
                registry=self.lab.registry.address,
                ssh=self.lab.ssh_config,
            )
            + more,
        )

    def write(self, name: str, text: str) -> Path:
        """Write a file of the project."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def release(self, version: str, **image: Any) -> str:
        """Commit everything, and push an image for it that answers ``version``; the whole revision."""
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", version)
        revision = self.git("rev-parse", "HEAD")
        self.lab.push(images.app(version, service="shop", **image), f"acme/shop:{revision}")
        return revision

    def git(self, *arguments: str) -> str:
        """Run git in the project; its output."""
        who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
        done = subprocess.run(
            ["git", *who, *arguments], cwd=self.root, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    # -- the command line ----------------------------------------------------------------------

    def start(
        self,
        *arguments: str,
        program: tuple[str, ...] = (sys.executable, "-m", "pilotage"),
        text: bool = True,
        streams: dict[str, int] | None = None,
    ) -> subprocess.Popen[Any]:
        """Start a command of pilotage; ended with the test if it is not by then. ``text``: or bytes.

        ``streams``: other ones than pipes.
        """
        self.write(".kamal/secrets", "".join(f"{k}={v}\n" for k, v in self.secrets.items()))
        process = subprocess.Popen(
            [*self.within, *program, *arguments],
            cwd=self.root, env={**os.environ, "COLUMNS": "100", "PYTHONPATH": str(ROOT)}, text=text,
            **{
                "stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
                **(streams or {}),
            },
        )  # fmt: skip
        self.running.append(process)
        return process

    def pilotage(self, *arguments: str, status: int = 0) -> Ran:
        """Run a command, which must end with ``status``."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=300)
        assert process.returncode == status, f"exit {process.returncode}\n{out}\n{err}"
        return Ran(process.returncode, out, err)

    def deploy(self, *arguments: str, status: int = 0) -> Ran:
        """Deploy the last commit, whose image is pushed already."""
        return self.pilotage("deploy", "--skip-push", *arguments, status=status)

    def status(self) -> dict[str, Any]:
        """``pilotage status --json``."""
        found: dict[str, Any] = json.loads(self.pilotage("status", "--json").out)
        return found

    # -- the world -----------------------------------------------------------------------------

    def serving(self, host: Host) -> str:
        """The version that a host's edge answers with."""
        return self.get(host, "/version")

    def get(self, host: Host, path: str) -> str:
        """What the edge of a host answers, asked on that host."""
        return self.get_from(host, f"http://{self.edge(host)}{path}")

    def get_from(self, host: Host, url: str) -> str:
        """What an address answers, asked on a host."""
        done = subprocess.run(
            _in_network(host, ASK, url), check=True, capture_output=True, text=True
        )
        return done.stdout

    def edge(self, host: Host) -> str:
        """The address of the edge on its host."""
        form = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        return host.docker("inspect", "shop-edge", "--format", form).strip()

    def ask(
        self, host: Host, path: str = "/version", *, name: str = "", root: Path | None = None
    ) -> tuple[int, str]:
        """Status and body of what the door of a host answers, as a client from outside asks.

        ``name``: of the site; ``root``: ask by HTTPS, and believe certificates of this authority alone.
        """
        argv = _in_network(host, DOOR, host.address, path, name, str(root or ""))
        done = subprocess.run(argv, check=True, capture_output=True)
        status, _, body = done.stdout.decode().partition(" ")
        return int(status), body

    @contextmanager
    def load(
        self, host: Host, path: str = "/version", *, pace: float = 0.0
    ) -> Iterator[dict[str, Any]]:
        """Ask the edge of a host all the time, by 4 connections; afterwards, what came of it.

        ``pace``: seconds between two requests of a connection.
        """
        stop = self.root.parent / f"stop-{host.number}"
        process = subprocess.Popen(
            _in_network(host, LOAD, self.edge(host), str(stop), path, str(pace)),
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        told: dict[str, Any] = {}
        try:
            time.sleep(0.5)
            yield told
        finally:
            stop.touch()
            out, _ = process.communicate(timeout=60)
            stop.unlink()
            told.update(json.loads(out))

    def close(self) -> None:
        """End what the test left running."""
        for process in self.running:
            if process.poll() is None:
                process.kill()
                process.communicate()


def _in_network(host: Host, script: str, *arguments: str) -> list[str]:
    """The argv of a Python script in the network of a host, with the files of this machine."""
    return [word for word in host.enter(sys.executable, "-c", script, *arguments) if word != "-m"]


ASK = """\
import sys, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
print(opener.open(sys.argv[1], timeout=20).read().decode(), end="")
"""

DOOR = """\
import http.client, ssl, socket, sys
address, path, name, root = sys.argv[1:]
if root:
    context = ssl.create_default_context(cafile=root)
    class Connection(http.client.HTTPSConnection):
        def connect(self):
            plain = socket.create_connection((address, 443), timeout=20)
            self.sock = context.wrap_socket(plain, server_hostname=name)
    connection = Connection(name, timeout=20, context=context)
else:
    connection = http.client.HTTPConnection(address, timeout=20)
connection.request("GET", path, headers={"Host": name or address})
answer = connection.getresponse()
sys.stdout.buffer.write(str(answer.status).encode() + b" " + answer.read())
"""

LOAD = """\
import collections, http.client, json, os, sys, threading, time
address, stop, path, pace = sys.argv[1:]
counts, answers, errors = collections.Counter(), collections.Counter(), []

def ask():
    connection = http.client.HTTPConnection(address, timeout=20)
    while not os.path.exists(stop):
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read().decode()
            counts["done"] += 1
            if answer.status != 200:
                errors.append(answer.status)
            answers[body] += 1
            time.sleep(float(pace))
        except OSError as error:
            errors.append(repr(error))
            connection.close()

threads = [threading.Thread(target=ask) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(json.dumps({"done": counts["done"], "answers": answers, "errors": errors[:5], "failed": len(errors)}))
"""


@pytest.fixture
def ship(lab: Lab, tmp_path: Path) -> Iterator[Ship]:
    """A project whose images of Envoy and Caddy can be had; nothing is deployed yet."""
    lab.provide(images.envoy(), ENVOY_IMAGE)
    lab.provide(images.caddy(), f"{images.CADDY}:2")
    root = tmp_path / "shop"
    root.mkdir()
    made = Ship(lab, root)
    made.git("init", "-q", "-b", "main")
    made.write(".gitignore", ".kamal/secrets\n.pilotage/\n")
    made.configure()
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def postgres(lab: Lab) -> Iterator[Postgres]:
    """A server that the hosts of the lab reach by the address of their network."""
    with postgres_for(lab) as server:
        yield server
