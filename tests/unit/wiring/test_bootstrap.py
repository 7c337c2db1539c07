"""Docker is installed where it is missing, by a real shell; the script that is fetched stands in for Docker's own."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from pilotage.errors import TargetError
from pilotage.events import CommandRan, Event, Note
from pilotage.shell.local import LocalShell
from pilotage.wiring.bootstrap import bootstrap

DOCKER = "#!/bin/sh\\necho 26.1.5\\n"
FETCHED = """\
#!/bin/sh
[ "$2" = https://get.docker.com ] || exit 9
echo "printf '{docker}' >{bin}/docker && chmod 755 {bin}/docker"
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH without Docker, of somebody who is root."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "mktemp", "rm", "chmod", "cat"):
        (folder / name).symlink_to(f"/bin/{name}")
    put(folder, "id", "#!/bin/sh\necho 0\n")
    monkeypatch.setenv("PATH", str(folder))
    return folder


def put(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)


def test_it_is_installed_once(programs: Path, tmp_path: Path) -> None:
    put(programs, "curl", FETCHED.format(docker=DOCKER, bin=programs))
    said: list[Event] = []
    shell = LocalShell(home=tmp_path)
    assert asyncio.run(bootstrap((shell,), said.append)) == ("localhost",)
    assert any(isinstance(event, Note) and "has no Docker" in event.text for event in said)
    assert any(isinstance(event, CommandRan) for event in said)
    assert asyncio.run(bootstrap((shell,), said.append)) == ()


def test_why_it_could_not_be_installed_is_told(programs: Path, tmp_path: Path) -> None:
    put(programs, "curl", "#!/bin/sh\nexit 6\n")
    put(programs, "wget", "#!/bin/sh\necho no such host: get.docker.com >&2; exit 4\n")
    with pytest.raises(TargetError, match=r"localhost: no such host: get\.docker\.com"):
        asyncio.run(bootstrap((LocalShell(home=tmp_path),), lambda _: None))


def test_one_that_does_not_answer_is_not_installed_over(programs: Path, tmp_path: Path) -> None:
    put(programs, "docker", "#!/bin/sh\necho permission denied >&2; exit 1\n")
    with pytest.raises(TargetError, match="localhost: permission denied") as refused:
        asyncio.run(bootstrap((LocalShell(home=tmp_path),), lambda _: None))
    assert "usermod" in refused.value.next
