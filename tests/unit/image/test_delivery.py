"""What a host is told to have an image: one script, with a program in Docker's place that says what it was told."""

from __future__ import annotations

from pathlib import Path

import pytest

from pilotage.errors import TargetError
from pilotage.events import Event
from pilotage.image import Delivery, ImageName, prune_images
from pilotage.image.spec import Login
from pilotage.secret import Secret
from pilotage.shell.fenced import run_script
from pilotage.shell.local import LocalShell

IMAGE = "registry.example/acme/shop:1"

_DOCKER = """\
#!/bin/sh
echo "$*" >>"$0.told"
case "$1 $2" in
  login*) read -r password; [ "$password" = "it's secret" ] || { echo "unauthorized" >&2; exit 1; } ;;
  info*) echo "linux/x86_64 @root@" ;;
  pull*) [ ! -e "$0.gone" ] || { echo "manifest unknown" >&2; exit 1; }; echo "$3" ;;
  "image inspect") echo "sha256:1234 linux/$(cat "$0.made-for" 2>/dev/null || echo amd64)" ;;
  "image ls") cat "$0.tags" ;;
  "image rm") [ "$3" != "$(cat "$0.used")" ] ;;
esac
"""


@pytest.fixture
def docker(tmp_path: Path) -> Path:
    program = tmp_path / "docker"
    program.write_text(_DOCKER.replace("@root@", str(tmp_path)))
    program.chmod(0o755)
    return program


def told(docker: Path) -> list[str]:
    return Path(f"{docker}.told").read_text().splitlines()


def delivery(docker: Path, events: list[Event], password: str = "it's secret") -> Delivery:
    login = Login("registry.example", "ada", Secret(password))
    shells = {"localhost": LocalShell()}
    return Delivery(shells, events.append, login=login, docker=str(docker))


async def test_log_in_room_pull_and_the_images_id(docker: Path) -> None:
    events: list[Event] = []
    assert await delivery(docker, events).pull(IMAGE) == {"localhost": "sha256:1234"}
    assert told(docker) == [
        "login registry.example -u ada --password-stdin",
        "info --format {{.OSType}}/{{.Architecture}} {{.DockerRootDir}}",
        f"pull --quiet {IMAGE}",
        f"image inspect --format {{{{.Id}}}} {{{{.Os}}}}/{{{{.Architecture}}}} {IMAGE}",
    ]
    assert any("pull" in event.argv for event in events)  # type: ignore[attr-defined]
    assert "it's secret" not in str(events)


async def test_who_may_not_log_in(docker: Path) -> None:
    with pytest.raises(TargetError, match=r"ada could not log in at registry\.example: unauth"):
        await delivery(docker, [], "wrong").fetch(IMAGE, LocalShell())
    assert len(told(docker)) == 1


async def test_an_image_that_is_not_there(docker: Path) -> None:
    Path(f"{docker}.gone").touch()
    with pytest.raises(TargetError, match="could not be pulled: manifest unknown"):
        await delivery(docker, []).fetch(IMAGE, LocalShell())


async def test_a_disk_without_room(docker: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pilotage.image.delivery.ROOM", 2**60)
    with pytest.raises(TargetError, match="MiB are free where Docker keeps its images") as caught:
        await delivery(docker, []).fetch(IMAGE, LocalShell())
    assert str(docker.parent) in caught.value.what
    assert not any(line.startswith("pull") for line in told(docker))


async def test_an_image_for_another_architecture(docker: Path) -> None:
    Path(f"{docker}.made-for").write_text("s390x")
    with pytest.raises(TargetError, match="made for linux/s390x, and this host is linux/amd64") as (
        caught
    ):
        await delivery(docker, []).fetch(IMAGE, LocalShell())
    assert "`builder.arch` to amd64" in caught.value.next
    with pytest.raises(TargetError, match="made for linux/s390x") as caught:
        await delivery(docker, []).pull(IMAGE)
    assert "`builder.arch` to amd64" in caught.value.next


async def test_a_docker_that_says_nothing_of_itself(docker: Path) -> None:
    docker.write_text(docker.read_text().replace("info*) echo", "info*) exit 1; echo"))
    with pytest.raises(TargetError, match="could not be pulled"):
        await delivery(docker, []).fetch(IMAGE, LocalShell())


async def test_old_images_go_and_tags_of_people_stay(docker: Path) -> None:
    old, kept, used = ("1" * 40, "2" * 40, "3" * 40)
    Path(f"{docker}.tags").write_text("\n".join((old, "latest", kept, used, old)) + "\n")
    Path(f"{docker}.used").write_text(f"acme/shop:{used}")
    image = ImageName("acme/shop", None)
    ran = await run_script(LocalShell(), (prune_images(image, {kept}, docker=str(docker)),))
    assert ran.last.out.split() == [old]
    assert told(docker)[1:] == [f"image rm acme/shop:{old}", f"image rm acme/shop:{used}"]
