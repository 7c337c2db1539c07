"""Which way of building is taken: by a Docker that says its version, and has no plugin."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.image.test_commands import PLAIN, SHA

from pilotage.errors import TargetError
from pilotage.events import CommandRan, Event
from pilotage.image import BuildSecret, BuildSpec, Cache, ImageBuilder, ImageName, Pack
from pilotage.secret import Secret
from pilotage.shell.local import LocalShell

DOCKER = """\
#!/bin/sh
case "$1" in
--version) echo "Docker version {version}, build 123" ;;
buildx) exit 1 ;;
build) echo "buildkit $DOCKER_BUILDKIT $TOKEN" ; echo "$DOCKER_BUILDKIT" > {said} ;;
esac
"""


def build(
    tmp_path: Path, version: str, spec: BuildSpec, *, export: str | None = None
) -> tuple[str, list[Event]]:
    """Build with a Docker of this version; what ``DOCKER_BUILDKIT`` was, and the events."""
    docker, said = tmp_path / "docker", tmp_path / "said"
    docker.write_text(DOCKER.format(version=version, said=said))
    docker.chmod(0o755)
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    events: list[Event] = []
    builder = ImageBuilder(LocalShell(), spec, events.append, docker=str(docker))
    asyncio.run(builder.build(SHA, tmp_path, push=False, export=export))
    return said.read_text().strip(), events


def test_an_older_client_has_buildkit_built_in(tmp_path: Path) -> None:
    secret = replace(PLAIN, secrets=(BuildSecret("TOKEN", Secret("hush-hush")),))
    said, events = build(tmp_path, "20.10.24+dfsg1", secret)
    assert said == "1"
    assert "hush" not in str([event.to_json() for event in events])
    assert [event.status for event in events if isinstance(event, CommandRan)] == [0]


def test_a_newer_one_without_the_plugin_has_the_older_builder(tmp_path: Path) -> None:
    assert build(tmp_path, "28.2.2", PLAIN)[0] == "0"


def test_what_the_older_builder_cannot_do_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=r"`builder\.ssh` needs Docker's buildx plugin"):
        build(tmp_path, "28.2.2", replace(PLAIN, ssh="default"))
    with pytest.raises(TargetError, match="`--output local` needs Docker's buildx plugin"):
        build(tmp_path, "28.2.2", PLAIN, export="local")
    packed = replace(PLAIN, pack=Pack("heroku/builder:24"))
    with pytest.raises(TargetError, match="`pack` makes images, and no 'local'"):
        build(tmp_path, "28.2.2", packed, export="local,dest=out")
    assert not (tmp_path / "said").exists()


def test_without_a_dockerfile_nothing_is_begun(tmp_path: Path) -> None:
    builder = ImageBuilder(LocalShell(), PLAIN, lambda _: None, docker="/nowhere")
    with pytest.raises(TargetError, match="there is no Dockerfile") as refused:
        asyncio.run(builder.build(SHA, tmp_path))
    assert refused.value.state == "nothing was built"


PACK = """\
#!/bin/sh
[ "$1" = version ] || echo "pack $1 $TOKEN $*" >> {said}
"""


def test_buildpacks_build_and_docker_pushes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real `pack` cannot be had where these tests run: a program of its name is told what it would be."""
    said = tmp_path / "said"
    for name, text in {"pack": PACK, "docker": '#!/bin/sh\necho "docker $*" >> {said}\n'}.items():
        program = tmp_path / name
        program.write_text(text.format(said=said))
        program.chmod(0o755)
    spec = replace(
        PLAIN, pack=Pack("heroku/builder:24"), secrets=(BuildSecret("TOKEN", Secret("hush-hush")),)
    )
    events: list[Event] = []
    builder = ImageBuilder(LocalShell(), spec, events.append)
    with monkeypatch.context() as there:
        there.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        asyncio.run(builder.build(SHA, tmp_path))
    lines = said.read_text().splitlines()
    assert lines[0].startswith("pack build hush-hush build registry.example.org:5000/acme/shop ")
    assert [line.split()[:4] for line in lines[1:]] == [
        ["docker", "push", "--quiet", tag] for tag in spec.tags(SHA)
    ]
    assert "hush" not in str([event.to_json() for event in events])
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(TargetError, match="needs the program `pack`"):
        asyncio.run(builder.build(SHA, tmp_path))


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({}, None),
        ({"driver": "docker", "cache": Cache("gha")}, None),
        ({"pack": Pack("heroku/builder:24")}, None),
        ({"cache": Cache("gha")}, "pilotage-local-container"),
        ({"remote": "ssh://me@10.0.0.9:22"}, "pilotage-remote-container-ssh---me-10-0-0-9-22"),
        (
            {"remote": "ssh://far", "remote_platforms": ("linux/arm64",)},
            "pilotage-hybrid-container-ssh---far",
        ),
        ({"driver": "cloud acme/fast"}, "cloud-acme-fast"),
        (
            {"cache": Cache("gha"), "image": ImageName("shop", "localhost:5555")},
            "pilotage-local-container-local-registry",
        ),
    ],
)
def test_what_a_builder_cannot_have_changed_is_in_its_name(
    change: dict[str, object], name: str | None
) -> None:
    spec = replace(PLAIN, **change)  # type: ignore[arg-type]
    assert ImageBuilder(LocalShell(), spec, lambda _: None).builder_name == name
