"""The tutorial, as a reader would follow it: its files written, its commands run, its outputs compared.

Ids, times, ports and names of machines differ from run to run; ``…`` on a line of its own stands for lines
that the page leaves out.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.servers import free_port

PAGE = Path(__file__).parents[3] / "docs" / "tutorial" / "index.md"
_FENCE = re.compile(r'^```(\w*)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
_STATUS = re.compile(r"\s+# exit status (\d)$")


@dataclass(frozen=True, slots=True)
class Command:
    """A command of the page, the status it ends with, and what it is said to print."""

    line: str
    status: int
    output: str


def blocks() -> Iterator[tuple[str, str, str]]:
    """Language, title and text of every fenced block."""
    for found in _FENCE.finditer(PAGE.read_text()):
        yield found[1], found[2] or "", found[3]


def commands(text: str) -> Iterator[Command]:
    """The commands of a console block."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        line, _, output = part.partition("\n")
        status = _STATUS.search(line)
        yield Command(_STATUS.sub("", line), int(status[1]) if status else 0, output)


def plain(text: str) -> str:
    """The text on one line, with what differs from run to run named instead of given."""
    for pattern, name in (
        (r"\b[0-9a-f]{12}\b", "ID"),
        (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "WHEN"),
        (r"\b[\d.]+ m?s\b", "TIME"),
        (r"\S+@\S+:\d+", "WHO"),
        (r"(?<=\bon )\S+", "HOST"),
    ):
        text = re.sub(pattern, name, text)
    return " ".join(text.split())


def test_every_file_is_written_and_every_command_does_what_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    port = str(free_port())
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    identity = {"GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.com"}
    identity |= {"GIT_COMMITTER_NAME": "Ada", "GIT_COMMITTER_EMAIL": "ada@example.com"}
    for name, value in {"PATH": programs, **identity}.items():
        monkeypatch.setenv(name, value)
    project = tmp_path / "notes"
    try:
        for language, title, text in blocks():
            if title:
                path = project / title
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            elif language == "console":
                for command in commands(text):
                    follow(command, project if project.exists() else tmp_path, port)
    finally:
        subprocess.run(["pilotage", "remove", "-y"], cwd=project, check=False, capture_output=True)


def follow(command: Command, folder: Path, port: str) -> None:
    """Run one command, and compare what it prints."""
    ran = subprocess.run(
        ["sh", "-c", command.line.replace("8080", port)],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == command.status, f"{command.line}\n{ran.stdout}"
    if command.line == "pilotage init":
        file = folder / "config" / "deploy.yml"
        file.write_text(file.read_text().replace("port: 8080", f"port: {port}"))
    said, rest = plain(ran.stdout), 0
    for part in re.split(r"^…$", command.output, flags=re.MULTILINE):
        expected = plain(part)
        place = said.find(expected, rest)
        assert place >= 0, f"{command.line}\nthe page has:\n{expected}\nit said:\n{said}"
        rest = place + len(expected)
