"""What is old goes in one script on each host, without another look at it: a program in Docker's place says what it was told."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from pilotage.errors import HostError
from pilotage.image import ImageName, prune_images
from pilotage.shell.base import Shell
from pilotage.shell.fenced import Command
from pilotage.shell.local import LocalShell
from pilotage.shell.traced import Trace, TracedShell
from pilotage.targets.docker import DockerRole, DockerService, DockerTarget
from pilotage.targets.docker.containers import parse
from pilotage.targets.docker.sight import Sight

_DOCKER = """\
#!/bin/sh
echo "$*" >>"$0.told"
case "$1 $2" in
  ps*) cat "$0.ids" ;;
  inspect*) cat "$0.lines" ;;
  "volume ls") echo shop-web-assets-@old@; echo shop-web-assets-@new@ ;;
  "image ls") echo @old@; echo @new@; echo latest ;;
esac
"""
OLD, NEW = "0" * 40, "e" * 40


@dataclass(frozen=True)
class Images:
    docker: str

    def reference(self, revision: str) -> str:
        return f"acme/shop:{revision}"

    async def fetch(self, revision: str, shell: Shell, *, kept: bool = False) -> None:
        raise AssertionError

    def prune(self, keep: Collection[str]) -> Command:
        return prune_images(ImageName("acme/shop", None), keep, docker=self.docker)


def line(id: str, *, status: str = "exited", finished: int = 0) -> str:
    """A container as Docker describes it; one that has ended is kept for its log."""
    labels = {
        "service": "shop", "role": "web", "destination": "", "pilotage.kind": "traffic",
        "pilotage.instance": f"web-{id[0]}", "pilotage.release": "0" * 12,
    }  # fmt: skip
    name = "/shop-web" if status == "running" else f"/shop-web_retired_{id[:12]}"
    state = {
        "Status": status,
        "StartedAt": "2026-11-22T08:00:00Z",
        "FinishedAt": f"2026-11-22T09:00:{finished:02}Z",
    }
    return json.dumps([id, name, "2026-11-22T07:59:59Z", 0, state, labels, "", False, "kamal", {}])


@pytest.fixture
def docker(tmp_path: Path) -> Path:
    program = tmp_path / "docker"
    program.write_text(_DOCKER.replace("@old@", OLD).replace("@new@", NEW))
    program.chmod(0o755)
    first, second, running = "1" * 64, "2" * 64, "3" * 64
    Path(f"{program}.ids").write_text(f"{first}\n{second}\n{running}\n")
    lines = (line(first, finished=1), line(second, finished=2), line(running, status="running"))
    Path(f"{program}.lines").write_text("\n".join(lines) + "\n")
    return program


def told(docker: Path) -> list[str]:
    return Path(f"{docker}.told").read_text().splitlines()


def asked(docker: Path) -> int:
    """How many scripts the host was given."""
    return len(Path(f"{docker}.trace").read_text().splitlines())


def target(docker: Path) -> DockerTarget:
    shell = TracedShell(LocalShell("h1", home=docker.parent), Trace(Path(f"{docker}.trace")))
    role = DockerRole(traffic=True, assets="/assets")
    service = DockerService("shop", ("h1",), {"web": role}, docker=str(docker))
    return DockerTarget(service, {"h1": shell}, Images(str(docker)), lambda event: None)


async def test_what_was_ended_here_is_known_and_the_rest_goes_in_one_script(docker: Path) -> None:
    place = target(docker)
    (running,) = (await place.observe(token=1)).instances
    await place.stop(running, token=1)
    scripts, said = asked(docker), len(told(docker))
    # Nothing runs any more, which no host has to say.
    assert [i for i in (await place.seen()).instances if i.alive] == []
    assert await place.prune({NEW}, token=1, retain=1) == (2, 1)
    assert asked(docker) == scripts + 1
    removed, *rest = told(docker)[said:]
    # The last that ended is kept for its log.
    assert removed == f"rm --volumes {'2' * 64} {'1' * 64}"
    listed = "--filter label=service=shop --filter label=destination= --filter label=pilotage.part=assets"
    assert rest == [
        f"volume ls --quiet {listed}",
        f"volume rm shop-web-assets-{OLD}",
        "image ls --format {{.Tag}} acme/shop",
        f"image rm acme/shop:{OLD}",
    ]
    # They are gone: the next time they are not counted again.
    assert await place.prune({NEW}, token=1, retain=1) == (0, 1)


async def test_who_never_looked_looks(docker: Path) -> None:
    place = target(docker)
    assert [i.id for i in (await place.seen()).instances] == ["web-3"]
    assert await place.prune({NEW}, token=1, retain=1) == (1, 1)
    assert told(docker).count(f"rm --volumes {'1' * 64}") == 1
    assert await target(docker).prune({NEW}, token=1, retain=2) == (0, 1)


async def test_only_on_the_hosts_that_are_named(docker: Path) -> None:
    place = target(docker)
    second = LocalShell("h2", home=docker.parent)
    service = replace(place.service, hosts=("h1", "h2"))
    place = replace(place, service=service, shells={**place.shells, "h2": second})
    await place.observe(token=1)
    scripts = asked(docker)
    assert await place.prune({NEW}, token=1, retain=1, hosts=["h2"]) == (1, 1)
    assert asked(docker) == scripts, "the first host was asked"


async def test_images_that_cannot_be_listed_are_told(docker: Path) -> None:
    docker.write_text(docker.read_text().replace('"image ls")', '"image ls") exit 1 ;; x)'))
    place = target(docker)
    await place.observe()
    with pytest.raises(HostError, match="exited 1"):
        await place.prune({NEW}, token=1, retain=1)
    assert any(line.startswith("rm --volumes") for line in told(docker))


def test_what_kamal_started_is_not_kept_for_its_log() -> None:
    ours, theirs = parse(line("1" * 64, status="running") + "\n" + line("2" * 64, status="running"))
    theirs = replace(theirs, labels={})
    service = DockerService("shop", ("h1",), {})
    sight = Sight(service, "h1", (ours, theirs), 1, 9.0).after_end(theirs).after_end(ours)
    (left,) = sight.containers
    assert (left.retired, left.finished) == (True, 9.0)
