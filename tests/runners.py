"""Migration runners in processes of their own, to be killed or stopped."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_PROGRAM = """
import asyncio, json, sys
from pilotage.events import ignore
from pilotage.migrate.runner import RunnerSettings, SqlSchema
from pilotage.migrate.settings import BackfillSettings
from pilotage.model import *
from pilotage.secret import Secret
from tests.migrations import migration, section

def say(x):
    print(json.dumps(x), flush=True)

def told(event):
    say(event.to_json())

async def main():
    settings = RunnerSettings(lock_timeout=0.1, timeout=30.0, lock_wait=20.0, backfill=BackfillSettings(batch_rows=500))
    options = {"url": Secret(sys.argv[1]), "stream": "shop", "service": "shop"}
    async with SqlSchema(**options, settings=settings) as schema:
STORY

asyncio.run(main())
"""


def start(url: str, story: str) -> subprocess.Popen[str]:
    """A runner on the database ``url``.

    ``story`` is the body of an async function with ``schema``, ``migration``, ``section``, ``Half``,
    ``ignore`` and ``told`` (an emit that prints each event as JSON) in scope.
    """
    body = textwrap.indent(textwrap.dedent(story), " " * 8)
    return subprocess.Popen(
        [sys.executable, "-c", _PROGRAM.replace("STORY", body), url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def told(process: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    """What a process says, line by line."""
    assert process.stdout is not None
    for line in process.stdout:
        yield json.loads(line)


def finish(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    """Wait for a process to end well; all that it said."""
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return [json.loads(line) for line in out.splitlines()]


@contextmanager
def closed(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """Kill the process, if it still runs, and close its pipes."""
    try:
        yield process
    finally:
        process.kill()
        process.communicate()
