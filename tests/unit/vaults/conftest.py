"""Stand-ins for the vendors' programs, which cannot run here: they print what their documentation shows."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

PROGRAM = """\
#!{python} -SE
import json, os, sys
here = os.path.dirname(os.path.abspath(__file__))
argv = [os.path.basename(__file__), *sys.argv[1:]]
session = {{k: v for k, v in os.environ.items() if "SESSION" in k}}
with open(os.path.join(here, "asked"), "a") as log:
    log.write(json.dumps([argv, session]) + "\\n")
for words, answer in json.load(open(os.path.join(here, "answers.json"))):
    if argv[1:1 + len(words)] == words and answer.get("session") in (None, session):
        sys.stdout.write(answer.get("out", ""))
        sys.stderr.write(answer.get("err", ""))
        sys.exit(answer.get("status", 0))
sys.exit("nobody taught this stand-in " + repr(argv))
"""


@dataclass(slots=True)
class Vendor:
    """A stand-in that answers what it was taught, and what it was asked."""

    folder: Path
    answers: list[tuple[list[str], dict[str, object]]] = field(default_factory=list)

    def install(self, name: str) -> Vendor:
        path = self.folder / name
        path.write_text(PROGRAM.format(python=sys.executable))
        path.chmod(0o755)
        return self

    def teach(self, words: str, out: object = "", **answer: object) -> Vendor:
        """What to print for an argv that begins with ``words``."""
        text = out if isinstance(out, str) else json.dumps(out)
        self.answers.append((words.split(), {"out": text, **answer}))
        (self.folder / "answers.json").write_text(json.dumps(self.answers))
        return self

    @property
    def environ(self) -> Mapping[str, str]:
        return {"PATH": str(self.folder)}

    def asked(self) -> list[list[str]]:
        """Every argv."""
        return [argv for argv, _ in self._log()]

    def sessions(self) -> list[dict[str, str]]:
        """What stood in the environment of each."""
        return [session for _, session in self._log()]

    def _log(self) -> list[list[object]]:
        path = self.folder / "asked"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def vendor(tmp_path: Path) -> Vendor:
    folder = tmp_path / "bin"
    folder.mkdir()
    return Vendor(folder)
