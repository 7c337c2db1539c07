"""Rails on Docker hosts: its migrations as a release phase, and by the entrypoint of its image."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.e2e.docker.conftest import Ship
from tests.e2e.frameworks.kits import Rails
from tests.lab import rails
from tests.lab.postgres import url_from
from tests.servers import Postgres, missing

CONFIG = """\
service: shop
image: acme/shop
servers:
  web: {{hosts: {web}}}
  job:
    hosts: {job}
    cmd: ./bin/rails runner "trap(:TERM) {{ exit }}; sleep"
proxy: {{app_port: 3000}}
registry: {{server: "{registry}", username: me, password: [REGISTRY_PASSWORD]}}
builder: {{arch: amd64}}
readiness_delay: 1
deploy_timeout: 90
rollout: {{verify: 0}}
ssh: {{config: {ssh}}}
volumes: ["{gate}:/gate"]
env:
  clear: {{GATE: /gate, RAILS_LOG_TO_STDOUT: "1", RUBYOPT: "-W0", SECRET_KEY_BASE: x, RAILS_MAX_THREADS: "4"}}
  secret: [DATABASE_URL, MARK]
"""

BOOTS = """\
words = [ENV["KAMAL_VERSION"], ENV["MARK"], ENV["PILOTAGE_INSTANCE"], $PROGRAM_NAME, *ARGV]
File.write("/gate/boots", words.join(" ") + "\\n", mode: "a") if File.directory?("/gate")
"""


@pytest.fixture(scope="session")
def skeleton(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``rails new`` writes, once."""
    if what := rails.missing():
        missing(what)
    root = tmp_path_factory.mktemp("rails")

    def write(name: str, text: str) -> None:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)

    Rails(SimpleNamespace(root=root, write=write), root).begin()  # type: ignore[arg-type]
    boot = root / "config" / "boot.rb"
    boot.write_text(BOOTS + boot.read_text())
    return root


@dataclass(slots=True)
class Shop:
    """The shop of `tests.e2e.frameworks.kits` on the hosts of a lab. ``gate``: a folder of this machine that
    every container has as ``/gate``."""

    ship: Ship
    kit: Rails
    gate: Path

    def configure(self, more: str) -> None:
        """Write the configuration."""
        ship = self.ship
        text = CONFIG.format(
            web=json.dumps([host.address for host in ship.hosts[:2]]),
            job=json.dumps([ship.hosts[0].address]),
            registry=ship.lab.registry.address,
            ssh=ship.lab.ssh_config,
            gate=self.gate,
        )
        ship.write("config/deploy.yml", text + more)

    def release(self, number: int, *, entrypoint: str = rails.ENTRYPOINT) -> str:
        """Commit a release and push its image; its id."""
        self.kit.write(number)
        self.ship.write("bin/docker-entrypoint", entrypoint)
        self.ship.git("add", "-A")
        self.ship.git("commit", "-q", "--allow-empty", "-m", f"v{number}")
        revision = self.ship.git("rev-parse", "HEAD")
        self.ship.lab.push(
            rails.app(self.ship.root, entrypoint=entrypoint), f"acme/shop:{revision}"
        )
        return revision[:12]

    def boots(self) -> list[str]:
        """Every start of Rails so far: revision, secret, instance, command."""
        return (self.gate / "boots").read_text().splitlines()

    def serving(self) -> list[str]:
        """The release that each host with traffic answers with."""
        return [self.ship.get(host, "/").split()[0] for host in self.ship.hosts[:2]]


@pytest.fixture
def shop(ship: Ship, skeleton: Path, postgres: Postgres, tmp_path: Path) -> Iterator[Shop]:
    shutil.copytree(skeleton, ship.root, dirs_exist_ok=True)
    ship.write(".gitignore", ".kamal/secrets\n.pilotage/\nlog/\ntmp/\n")
    gate = tmp_path / "gate"
    gate.mkdir()
    ship.secrets["DATABASE_URL"] = url_from(ship.lab, postgres, "shop")
    ship.secrets["MARK"] = "mark-one"
    app = SimpleNamespace(root=ship.root, write=ship.write)
    yield Shop(ship, Rails(app, gate), gate)  # type: ignore[arg-type]
    ship.close()


def until(condition: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.1)


def test_migrations_as_a_release_phase(shop: Shop) -> None:
    """Once each, from the new image, with fresh secrets, in a container of their own; and the schema counts."""
    shop.configure(
        "databases: {primary: {url: DATABASE_URL, via: primary}}\nmigrations: {engine: rails}\n"
    )
    one = shop.release(1, entrypoint=rails.PLAIN)
    ship = shop.ship
    ship.deploy()
    assert shop.serving() == [one, one]
    assert shop.kit.ran() == ["20260101000000"]

    two = shop.release(2, entrypoint=rails.PLAIN)
    ship.secrets["MARK"] = "mark-two"
    here, there = (ship.load(host, "/", pace=0.1) for host in ship.hosts[:2])
    with here as here_told, there as there_told:
        said = ship.deploy("--json").events
        three = shop.release(3, entrypoint=rails.PLAIN)
        ship.deploy()
    for told in (here_told, there_told):
        assert told["failed"] == 0, told
        assert {answer.split()[0] for answer in told["answers"]} == {one, two, three}
    # The column was dropped by the third deploy, once nothing of the first release was left.
    versions = ["20260101000000", "20260202000000", "20260202000001", "20260303000000"]
    assert shop.kit.ran() == versions
    migrated = [line.split() for line in shop.boots() if "db:migrate" in line]
    assert len(migrated) == 4
    assert all(words[2].startswith("shop-migrate-") for words in migrated)
    assert [words[0][:12] for words in migrated] == [one, two, three, three]
    assert [words[1] for words in migrated] == ["mark-one", "mark-two", "mark-two", "mark-two"]
    printed = [event["line"] for event in said if event["event"] == "Output"]
    assert any("AddNote: migrating" in line for line in printed)
    refused = ship.pilotage("rollback", one, status=1)
    assert f"release {one} does not fit the schema" in refused.err
    assert shop.serving() == [three, three]
    ship.pilotage("rollback", two)
    assert shop.serving() == [two, two]


def test_an_image_whose_entrypoint_prepares_the_database(shop: Shop) -> None:
    """Nothing is configured: one instance does it, then the others start; one that fails is not run again."""
    shop.configure("")
    ship = shop.ship
    one = shop.release(1)
    ship.deploy()
    assert shop.serving() == [one, one]
    two = shop.release(2)
    plan = " ".join(ship.pilotage("plan").out.split())  # it is folded
    assert "first, alone" in plan
    assert "bin/docker-entrypoint runs `db:prepare`" in plan
    ship.deploy()
    assert shop.serving() == [two, two]
    versions = ["20260101000000", "20260202000000", "20260202000001"]
    assert shop.kit.ran() == versions
    prepared = [line for line in shop.boots() if line.endswith("db:prepare")]
    assert [line.split()[0][:12] for line in prepared] == [one, one, two, two]
    assert all("-web-" in line for line in prepared)
    for host in ship.hosts[:2]:
        ids = host.docker("ps", "--quiet", "--filter", "label=role=web").split()
        form = "{{.HostConfig.RestartPolicy.Name}} {{.RestartCount}}"
        assert host.docker("inspect", "--format", form, *ids) == "unless-stopped 0\n"

    fails = shop.gate / "fail-20260303000000"
    fails.touch()
    shop.release(3)
    with ship.load(ship.hosts[1], "/", pace=0.1) as told:
        failed = ship.deploy(status=1)
    assert told["failed"] == 0, told
    assert {answer.split()[0] for answer in told["answers"]} == {two}
    assert "20260303000000 was told to fail" in failed.err
    assert shop.kit.ran() == [*versions, "20260303000000"]
    assert shop.serving() == [two, two]
    fails.unlink()
    ship.deploy("--again")
    assert shop.kit.ran() == [*versions, "20260303000000", "20260303000000"]
