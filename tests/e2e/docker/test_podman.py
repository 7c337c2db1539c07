"""A host with podman and no Docker, from `setup` to `remove`, by the real command line."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.docker.conftest import Ship
from tests.lab import images, podman
from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.lab.lab import lab as make_lab
from tests.lab.lab import missing as lab_missing
from tests.lab.podman import PodmanHost
from tests.lab.postgres import url_from
from tests.servers import Postgres, missing

MORE = """\
volumes: ["{folder}:/folder"]
env: {{secret: [DATABASE_URL, API_KEY, DOCKER_KEY]}}
databases: {{primary: {{url: DATABASE_URL, via: primary}}}}
migrations: {{path: db/migrations}}
accessories:
  cache:
    image: acme/cache:1
    host: {host}
    cmd: python3 /app/app.py
    env: {{secret: [CACHE_KEY]}}
    directories: [data:/data]
"""


@pytest.fixture
def lab() -> Iterator[Lab]:
    """One host, which has podman alone."""
    if what := lab_missing() or podman.missing():
        missing(what)
    with make_lab(f"podman, pid {os.getpid()}", hosts=1, kind=PodmanHost) as made:
        try:
            yield made
        finally:
            made.clean()


def configure(ship: Ship, postgres: Postgres, database: str, folder: Path) -> None:
    """A shop with a worker, a database and an accessory; of images whose names have no registry."""
    ship.secrets["DATABASE_URL"] = url_from(ship.lab, postgres, database)
    ship.secrets["API_KEY"] = "key-0001"
    ship.secrets["DOCKER_KEY"] = "key-0002"  # by another way, as its name means something to Docker
    ship.secrets["CACHE_KEY"] = "hush-hush-hush"
    ship.lab.provide(images.app("cached", service="shop"), "acme/cache:1")
    ship.configure(web=1, more=MORE.format(host=ship.hosts[0].address, folder=folder))


def migration(ship: Ship, number: int, text: str) -> None:
    """Write a migration file."""
    ship.write(f"db/migrations/2026112{number}000000_m{number}.sql", text)


def running(host: Host) -> list[str]:
    """The names of the instances that run, in order."""
    named = ("--filter", "label=role", "--format", "{{.Names}}")
    return sorted(host.docker("ps", *named).split())


def test_podman_takes_dockers_place(ship: Ship, postgres: Postgres, tmp_path: Path) -> None:
    (host,) = ship.hosts
    with postgres.database() as database:
        # Docker makes a folder that is mounted and not there; podman by itself does not.
        configure(ship, postgres, database, tmp_path / "not" / "there")
        migration(ship, 1, "CREATE TABLE items (id int PRIMARY KEY);\n")
        one = ship.release("one")
        # Without what takes Docker's place, a deploy says what does.
        refused = ship.deploy(status=1)
        assert "Docker is not installed" in refused.err
        assert "pilotage server bootstrap" in refused.err
        said = ship.pilotage("setup", "--skip-push")
        assert f"{host.address} has podman and no Docker: podman takes its place" in said.out
        assert "hush" not in said.out + said.err
        assert ship.ask(host) == (200, "one")
        env = json.loads(ship.get(host, "/env"))
        assert (env["API_KEY"], env["DOCKER_KEY"]) == ("key-0001", "key-0002")
        assert "new on" not in ship.pilotage("server", "bootstrap").out

        # An expand half, under requests.
        migration(ship, 2, "ALTER TABLE items ADD COLUMN name text;\n")
        two = ship.release("two")
        with ship.load(host) as told:
            ship.deploy()
        assert told["failed"] == 0, told
        assert set(told["answers"]) == {"one", "two"}
        column = "SELECT count(*) FROM information_schema.columns WHERE table_name = 'items' AND column_name = 'name'"
        assert postgres.execute(column, database=database) == [(1,)]

        # One that crashes, and that podman starts again at once: nothing of it is left running.
        migration(ship, 3, "ALTER TABLE items ADD COLUMN price int;\n")
        ship.release("three", env={"FAIL": "crash"})
        with ship.load(host) as told:
            failed = ship.deploy(status=1)
        assert told["failed"] == 0, told
        assert "release three cannot start: this is its last line" in failed.err
        assert running(host) == [f"shop-{role}-{two}" for role in ("job", "web")]
        assert ship.serving(host) == "two"

        with ship.load(host) as told:
            ship.pilotage("rollback", one[:12])
        assert told["failed"] == 0, told
        assert ship.ask(host) == (200, "one")
        assert running(host) == [f"shop-{role}-{one}" for role in ("job", "web")]

        # What a person does with it. Containers know each other by their names.
        ask = "import urllib.request as r; print(r.urlopen('http://shop-cache/version').read())"
        ran = ship.pilotage("app", "exec", "-p", f'python3 -c "{ask}"; exit 7', status=7)
        assert ran.out == "b'cached'\n"
        assert "GET /version 200" in ship.pilotage("app", "logs", "-r", "web").out
        assert "shop-web" in ship.pilotage("app", "containers").out

        logs = ("accessory", "logs", "cache", "--lines", "5", "--grep")
        assert "GET /version" in ship.pilotage(*logs, "version").out
        inside = ("accessory", "exec", "cache", "--reuse", "--", "sh", "-c")
        ship.pilotage("accessory", "reboot", "cache")
        assert ship.pilotage(*inside, 'echo "$CACHE_KEY"').out == "hush-hush-hush\n"

        ship.pilotage("prune")
        ship.pilotage("remove", "--yes")
    assert host.docker("ps", "--all", "--format", "{{.Names}}").split() == []
    assert host.docker("network", "ls", "--format", "{{.Name}}").split() == ["podman"]
    assert not (host.home / ".pilotage" / "shop").exists()
