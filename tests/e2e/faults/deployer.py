"""A deployer that stops itself: ``deployer.py ROOT REVISION TTL EVENT:NUMBER`` deploys a revision and, at
the given event (the class's name, counted from 0), sends itself SIGSTOP. Its last line is JSON.

It never stops while another of its tasks is in the middle of a change under the host's lock: whoever comes next
would be told its pid, and not take over (that is a test of `pilotage.host.files.locked`)."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from pilotage.config import load_config
from pilotage.deploy import deploy
from pilotage.errors import PilotageError
from pilotage.events import Event
from pilotage.host.files import flock_holder
from pilotage.observe import observe
from pilotage.store import Claim
from pilotage.wiring import Use, goal_of, open_project


def stop(lock: Path) -> None:
    """SIGSTOP to ourselves, at once or as soon as no task of ours holds ``lock``."""
    with lock.open("a") as file:
        busy = flock_holder(file.fileno()) == os.getpid()
    if busy:
        asyncio.get_running_loop().call_soon(stop, lock)
    else:
        os.kill(os.getpid(), signal.SIGSTOP)


async def main(root: Path, revision: str, ttl: float, stop_at: str) -> dict[str, object]:
    kind, _, number = stop_at.partition(":")
    seen = 0

    def emit(event: Event) -> None:
        nonlocal seen
        print(json.dumps(event.to_json()))
        if type(event).__name__ == kind:
            if seen == int(number):
                stop(root / ".pilotage/fence.lock")
            seen += 1

    config = load_config(root / "config/deploy.yml", run_commands=True)
    async with open_project(config, emit=emit, use=Use.ACT) as project:
        await project.world.schema.prepare()
        found = await project.revision(revision)
        goal = await goal_of(project, found.sha, await observe(project.world))
        claim = Claim(f"deployer:{os.getpid()}", "a test", ttl=ttl, wait=120.0)
        try:
            await deploy(project.world, goal, claim, emit)
        except PilotageError as error:
            return error.to_json()
    return {"error": None}


if __name__ == "__main__":
    at = sys.argv[4] if len(sys.argv) > 4 else ":0"
    print(json.dumps(asyncio.run(main(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]), at))))
