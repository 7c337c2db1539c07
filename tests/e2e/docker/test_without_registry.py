"""A project without a registry: one of this machine, which hosts reach through their SSH connections."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.e2e.docker.conftest import Ship
from tests.lab import images
from tests.lab.host import Host

DOCKERFILE = "FROM {base}\nARG VERSION\nENV VERSION=$VERSION\nCOPY note.txt /app/note.txt\n"


@pytest.fixture
def workshop(ship: Ship, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Ship:
    """A project on two hosts. "This machine" is the third one's network and Docker: its loopback is ours."""
    here = ship.hosts[2]
    ship.within = tuple(word for word in here.enter() if word != "-m")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{here.socket}")
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "docker").symlink_to("/usr/bin/docker")  # Debian's own, which has no buildx
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    ship.lab.provide(images.registry(), f"{images.REGISTRY}:3")
    base = ship.lab.push(images.app("base", service="shop"), "acme/base:1")
    here.docker("pull", "--quiet", base)
    ship.write("Dockerfile", DOCKERFILE.format(base=base))
    ship.write("note.txt", "one\n")
    text = (ship.root / "config/deploy.yml").read_text()
    given = f'registry: {{server: "{ship.lab.registry.address}", username: me, password: [REGISTRY_PASSWORD]}}'
    assert given in text
    text = text.replace(given, 'registry: {server: "localhost:5555"}')
    text = text.replace("{arch: amd64}", "{arch: amd64, args: {VERSION: built}}")
    ship.write("config/deploy.yml", text)
    ship.git("add", "-A")
    ship.git("commit", "-q", "-m", "one")
    return ship


def listening(host: Host) -> bool:
    """Whether anything listens on the port of the registry there."""
    sockets = (line.split() for line in host.execute("cat", "/proc/net/tcp").splitlines())
    return any(local.endswith(":15B3") and state == "0A" for _, local, _, state, *_ in sockets)


def test_a_release_goes_to_the_registry_of_this_machine_and_from_there_to_every_host(
    workshop: Ship,
) -> None:
    ship = workshop
    first, second, here = ship.hosts
    said = ship.pilotage("setup", "-v").out
    assert [ship.serving(host) for host in (first, second)] == ["built", "built"]
    assert "registry:3" in here.docker("ps", "--format", "{{.Image}}")
    image = f"localhost:5555/acme/shop:{ship.git('rev-parse', 'HEAD')}"
    for host in (first, second):
        assert image in host.docker("ps", "--format", "{{.Image}}")
        assert not listening(host), "the way back is open only while a host pulls"
    assert said.count(f"docker pull --quiet {image}") == 2

    ship.write("note.txt", "two\n")
    ship.git("commit", "-qam", "two")
    with ship.load(first) as told:
        ship.pilotage("deploy")
    assert told["failed"] == 0, told
    web = f"shop-web-{ship.git('rev-parse', 'HEAD')}"
    assert second.docker("exec", web, "cat", "/app/note.txt") == "two\n"

    # The port is taken on a host: said with its name, and nothing is begun.
    ship.git("commit", "--allow-empty", "-qm", "three")
    first.docker(
        *("run", "--detach", "--name", "holder", "--publish", "127.0.0.1:5555:80"),
        *("envoyproxy/envoy:v1.40.0", "sleep", "600"),
    )
    refused = ship.pilotage("deploy", status=1)
    assert "port 5555" in refused.err
    assert first.address in refused.err
    assert ship.get(first, "/version") == "built"
    first.docker("rm", "--force", "holder")
    ship.pilotage("build", "pull")

    ship.pilotage("registry", "remove")
    assert "kamal-docker-registry" not in here.docker("ps", "--all", "--format", "{{.Names}}")
    ship.pilotage("registry", "setup")
    assert "kamal-docker-registry" in here.docker("ps", "--format", "{{.Names}}")
