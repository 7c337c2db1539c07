"""`PILOTAGE_TRACE`: a line for each call, in which no secret can be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pilotage.errors import CommandFailed
from pilotage.secret import Secret
from pilotage.shell.address import SshSettings
from pilotage.shell.fenced import Command, Fence, run_script, script
from pilotage.shell.fleet import Fleet
from pilotage.shell.traced import described


def test_a_script_is_named_by_the_first_words_of_its_commands() -> None:
    parts = (
        Command(("docker", "create", "--env", "NAME"), env={"NAME": Secret("hidden")}),
        Command(("docker", "start"), words=True),
    )
    text = script(parts, Fence("dir", 3))
    assert b"hidden" in text
    assert described(("sh",), text) == "docker create --env; docker start $out"


def test_another_command_is_shown() -> None:
    assert described(("docker", "ps", "-q"), b"") == "docker ps -q"


async def test_every_call_of_a_fleet_is_a_line(tmp_path: Path) -> None:
    path = tmp_path / "trace"
    async with Fleet(["localhost"], SshSettings(trace=path)) as fleet:
        shell = fleet["localhost"]
        await shell.connect()
        assert (await run_script(shell, (Command(("echo", "hello")),))).last.out == "hello"
        with pytest.raises(CommandFailed):
            await shell.run(("false",))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["host"], line["what"]) for line in lines] == [
        ("localhost", "connect"),
        ("localhost", "echo hello"),
        ("localhost", "false"),
    ]
    assert all(line["seconds"] >= 0 and line["at"] > 0 for line in lines)
