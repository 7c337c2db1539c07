"""Every command, every option, every event and every key of a result is documented."""

from __future__ import annotations

import doctest
import subprocess
import sys
from pathlib import Path

import pytest

from pilotage import events
from pilotage.cli import text
from pilotage.cli.verbs import result_json

ROOT = Path(__file__).parents[3]


def test_the_page_is_what_the_commands_say_of_themselves():
    done = subprocess.run(
        [sys.executable, "scripts/commands"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    page = (ROOT / "docs" / "reference" / "commands.md").read_text()
    assert page == done.stdout, (
        "run: .venv/bin/python scripts/commands > docs/reference/commands.md"
    )


EVENTS = sorted(cls.__name__ for cls in events.Event.__subclasses__())


@pytest.mark.parametrize("name", EVENTS)
def test_every_event_is_documented(name):
    assert f"`{name}`" in (ROOT / "docs" / "reference" / "json.md").read_text()


def test_every_key_of_a_result_is_documented():
    page = (ROOT / "docs" / "reference" / "json.md").read_text()
    for key in result_json("deploy", "done", None, 0.0, None):
        assert f"`{key}`" in page


def test_examples_in_docstrings():
    assert doctest.testmod(text).failed == 0
    assert doctest.testmod(text).attempted > 5
