"""The command line starts fast because it imports little; held by what is imported, not by a clock."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from pilotage.cli.app import COMMANDS

HEAVY = {
    "asyncio",
    "asyncssh",
    "cryptography",
    "httpx",
    "importlib.metadata",
    "postgast",
    "psycopg",
    "pydantic",
    "rich",
    "ruamel",
    "sqlalchemy",
    "sqlglot",
    "sqlite3",
    "unittest",
    "http",
    "urllib.request",
}

PROGRAM = """\
import json, sys
from pilotage.cli import main
try:
    status = main(sys.argv[1:])
except SystemExit as end:
    status = end.code
print(json.dumps([status, sorted(sys.modules)]))
"""

NAMES = [name for section in COMMANDS.values() for name in section]


def imported(*arguments: str, **environment: str) -> tuple[int, set[str]]:
    """The exit status of a command line, and the modules that it imported."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environment},
    )
    status, modules = json.loads(done.stdout.splitlines()[-1])
    return status, set(modules)


@pytest.mark.parametrize(
    "arguments", [("--help",), (), ("nonsense",), *((name, "--help") for name in NAMES)]
)
def test_help_imports_nothing_heavy(arguments):
    _, modules = imported(*arguments)
    assert not modules & HEAVY


def test_version_imports_nothing_heavy():
    status, modules = imported("--version")
    assert status == 0
    assert not modules & (HEAVY - {"importlib.metadata"})


def test_help_imports_no_command():
    status, modules = imported("--help")
    assert status == 0
    entries = {entry.module for section in COMMANDS.values() for entry in section.values()}
    assert not modules & entries


def test_completion_imports_nothing_heavy():
    _, modules = imported(
        _PILOTAGE_COMPLETE="bash_complete", COMP_WORDS="pilotage de", COMP_CWORD="1"
    )
    assert not modules & HEAVY
