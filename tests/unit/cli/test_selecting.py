"""``--hosts``, ``--roles``, ``--primary``: what commands that go to hosts make of them.

A hook that fails ends each of them before anything is connected to, and writes down what it was told.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pilotage.cli import main

CONFIG = """\
service: shop
image: acme/shop
servers:
  web: [a1, b1]
  job: {hosts: [b1, b2], cmd: work}
accessories:
  db: {image: postgres:17, host: d1}
registry: {server: registry.example.com, username: me, password: [WORD]}
builder: {arch: amd64}
migrations: {engine: none}
"""

HOOK = """\
#!/bin/sh
echo "$KAMAL_HOSTS${KAMAL_ROLES:+ roles=$KAMAL_ROLES}" >>told
exit 1
"""

Told = Callable[..., tuple[int, list[str]]]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "config").mkdir()
    (tmp_path / "config/deploy.yml").write_text(CONFIG)
    (tmp_path / ".kamal/hooks").mkdir(parents=True)
    (tmp_path / ".kamal/secrets").write_text("WORD=anything\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    ada = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
    for words in (("init", "-q"), (*ada, "commit", "-q", "--allow-empty", "-m", "one")):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    return tmp_path


@pytest.fixture
def told(project: Path) -> Told:
    """Runs a command: its exit status, and the hosts (and roles) that its hook was told."""
    hook = project / ".kamal/hooks/pre-connect"
    hook.write_text(HOOK)
    hook.chmod(0o755)

    def run(*words: str) -> tuple[int, list[str]]:
        status = main(list(words))
        found = project / "told"
        lines = found.read_text().splitlines() if found.exists() else []
        found.unlink(missing_ok=True)
        return status, lines

    return run


DOORS = ("boot", "reboot -y", "start", "stop", "restart", "details", "logs", "remove -y")
REGISTRY = ("setup", "login", "logout", "remove")
KNOWN = {
    **dict.fromkeys((f"proxy {verb}" for verb in DOORS), "a1, b1"),
    **dict.fromkeys((f"registry {verb}" for verb in REGISTRY), "a1, b1, b2"),
    **dict.fromkeys(("build pull", "build deliver", "prune"), "a1, b1, b2"),
    **dict.fromkeys(("server bootstrap", "server exec true", "audit"), "a1, b1, b2, d1"),
}
"""The hosts that each command is about."""


@pytest.mark.parametrize("command", KNOWN)
def test_a_part_of_the_hosts(told: Told, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    words, there = command.split(), KNOWN[command]
    hosts = "b1,b2" if "b2" in there else "b1"
    assert told(*words, "-r", "job", "--hosts", "b*") == (1, [f"{hosts} roles=job"])
    assert told(*words, "--hosts", "a1,z*") == (2, [])
    said = capsys.readouterr().err
    assert "--hosts z* matches nothing" in said
    assert f"there are: {there}\n" in said


INSTANCES = (
    *(
        "plan",
        "deploy",
        "redeploy",
        "app boot",
        "app start",
        "app stop",
        "app stale",
        "app stale -s",
    ),
    *("app exec true", "app version", "app logs", "app containers", "app images"),
)


@pytest.mark.parametrize("command", INSTANCES)
def test_a_part_of_the_instances(
    told: Told, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = command.split()
    assert told(*words) == (1, ["a1,b1,b2,d1"])
    assert told(*words, "--hosts", "b*") == (1, ["b1,b2"])
    assert told(*words, "--roles", "web") == (1, ["a1,b1 roles=web"])
    assert told(*words, "--primary") == (1, ["a1"])
    assert told(*words, "--hosts", "a1,z*") == (2, [])
    assert "--hosts z* matches nothing" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["proxy stop", "build pull", "prune", "server exec true"])
def test_all_of_them_where_nothing_is_asked_for(told: Told, command: str) -> None:
    assert told(*command.split()) == (1, ["a1,b1,b2,d1"])


def test_every_door_is_still_a_part_of_the_hosts(told: Told) -> None:
    assert told("proxy", "stop", "--hosts", "a1,b1") == (1, ["a1,b1"])


def test_roles_without_a_door(told: Told, capsys: pytest.CaptureFixture[str]) -> None:
    assert told("proxy", "stop", "--roles", "job", "--hosts", "a1") == (2, [])
    said = capsys.readouterr().err
    assert "no host is meant by these selectors" in said
    assert "there are: a1, b1;" in said


def test_a_host_that_only_an_accessory_has(told: Told) -> None:
    assert told("server", "exec", "--hosts", "d?", "true") == (1, ["d1"])


def test_a_host_that_was_not_asked_for_need_not_answer(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    # Whatever is called b1 is not there; localhost is this machine.
    path = project / "config/deploy.yml"
    path.write_text(path.read_text().replace("a1", "localhost").replace("b1", "b1.invalid"))
    assert main(["server", "exec", "--hosts", "local*", "echo", "here"]) == 0
    assert capfd.readouterr().out == "localhost here\n"
    log = project / ".pilotage/shop/audit.log"
    (command,) = {json.loads(line)["command"] for line in log.read_text().splitlines()}
    assert command == "server exec --hosts 'local*' echo here"
    assert main(["audit", "--hosts", "localhost", "--json"]) == 0
    (entry,) = json.loads(capfd.readouterr().out)
    assert (entry["command"], entry["result"]) == (command, "done")
    assert main(["audit", "--hosts", "b1*"]) == 1
    assert "b1.invalid" in capfd.readouterr().err
