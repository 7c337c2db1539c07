"""The image of a release: built from the commit, pushed, and what runs; with Debian's Docker, which has no buildx."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest
from tests.e2e.docker.conftest import Ship
from tests.lab import images

DOCKERFILE = """\
FROM {base}
ARG VERSION
ENV VERSION=$VERSION
COPY note.txt /app/note.txt
RUN --mount=type=secret,id=BUILD_KEY wc -c < /run/secrets/BUILD_KEY > /app/length
"""


@pytest.fixture
def workshop(ship: Ship, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Ship:
    """A project that builds its image; this machine's Docker is that of the third host."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{ship.hosts[2].socket}")
    # Debian's own Docker, where another one comes before it.
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "docker").symlink_to("/usr/bin/docker")
    # Docker reaches a remote builder by the program `ssh`, with a person's own configuration.
    ssh = programs / "ssh"
    ssh.write_text(f'#!/bin/sh\nexec /usr/bin/ssh -F {ship.lab.ssh_config} "$@"\n')
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    base = ship.lab.push(images.app("base", service="shop"), "acme/base:1")
    ship.hosts[2].docker("pull", "--quiet", base)  # BuildKit asks a registry of plain HTTP by HTTPS
    ship.write("Dockerfile", DOCKERFILE.format(base=base))
    ship.write("note.txt", "committed\n")
    ship.configure()
    text = (ship.root / "config/deploy.yml").read_text()
    builder = "builder: {arch: amd64, args: {VERSION: built}, secrets: [BUILD_KEY]}"
    ship.write("config/deploy.yml", text.replace("builder: {arch: amd64}", builder))
    ship.secrets["BUILD_KEY"] = "hush-hush-hush"
    ship.git("add", "-A")
    ship.git("commit", "-q", "-m", "one")
    return ship


def test_a_deploy_builds_what_is_committed_and_runs_it(workshop: Ship) -> None:
    ship = workshop
    (ship.root / "note.txt").write_text("not committed\n")
    refused = ship.pilotage("deploy", status=2)
    assert "changes that are not committed: note.txt" in refused.err
    said = ship.pilotage("deploy", "--version", "HEAD", "--no-cache", "-v")
    assert "hush" not in said.out + said.err
    assert "--no-cache" in said.out + said.err
    host = ship.hosts[0]
    assert ship.serving(host) == "built"
    revision = ship.git("rev-parse", "HEAD")
    web = f"shop-web-{revision}"
    assert host.docker("exec", web, "cat", "/app/note.txt", "/app/length") == "committed\n14\n"
    label = '{{index .Config.Labels "service"}}'
    assert host.docker("inspect", web, "--format", label) == "shop\n"
    assert ship.lab.registry.has("acme/shop:latest")

    # What becomes of a build may be something else than an image.
    ship.pilotage("build", "push", "--output", "tar,dest=files.tar")
    with tarfile.open(ship.root / "files.tar") as tar:
        note = tar.extractfile("app/note.txt")
        assert note is not None
        assert note.read() == b"committed\n"
    (ship.root / "files.tar").unlink()


def test_a_remote_builder_builds_and_pushes(workshop: Ship) -> None:
    ship, far, here = workshop, workshop.hosts[1], workshop.hosts[2]
    base = f"{ship.lab.registry.address}/acme/base:1"
    far.docker("pull", "--quiet", base)
    text = (ship.root / "config/deploy.yml").read_text()
    remote = f"remote: ssh://root@{far.address}, local: false"
    text = text.replace("args: {VERSION: built}", "args: {VERSION: far}, " + remote)
    text = text.replace(f', "{far.address}"', "")  # it builds, and runs nothing
    ship.write("config/deploy.yml", text)
    ship.git("commit", "-qam", "built elsewhere")
    said = ship.pilotage("deploy", "-v")
    assert "hush" not in said.out + said.err
    assert ship.serving(ship.hosts[0]) == "far"
    image = f"{ship.lab.registry.address}/acme/shop:{ship.git('rev-parse', 'HEAD')}"
    size = "{{len .RepoTags}}"
    assert int(far.docker("image", "inspect", "--format", size, image)) >= 1
    assert here.docker("image", "inspect", image, check=False).strip() == "[]"
    # One that is out of reach is named, and nothing was started.
    ship.write("config/deploy.yml", text.replace(f"root@{far.address}", "root@127.0.0.1:1"))
    ship.git("commit", "-qam", "built nowhere")
    lost = ship.pilotage("deploy", status=1)
    assert "127.0.0.1" in lost.err
    assert "nothing was started" in lost.err
    assert ship.serving(ship.hosts[0]) == "far"


def test_a_build_that_fails_quotes_docker_and_changes_nothing(workshop: Ship) -> None:
    ship = workshop
    ship.write("Dockerfile", "FROM scratch\nCOPY nowhere.txt /\n")
    ship.git("commit", "-qam", "broken")
    failed = ship.pilotage("deploy", status=1)
    assert "the build failed" in failed.err
    assert "nowhere.txt" in failed.err
    assert ship.hosts[0].docker("ps", "--all", "--quiet") == ""


def test_what_only_buildx_can_do_is_refused_by_name(workshop: Ship) -> None:
    ship = workshop
    text = (ship.root / "config/deploy.yml").read_text()
    ship.write("config/deploy.yml", text.replace("arch: amd64", "arch: [amd64, arm64]"))
    ship.git("commit", "-qam", "two architectures")
    refused = ship.pilotage("build", "push", status=1)
    assert "`builder.arch` with 2 architectures needs Docker's buildx plugin" in refused.err
