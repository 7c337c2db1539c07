"""One question to one instance by a command: are you healthy?"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping

from pilotage.targets.local.environment import shell_argv
from pilotage.targets.shared.health import CommandHealth


async def probe_command(health: CommandHealth, *, cwd: str, env: Mapping[str, str]) -> str:
    """Run the command as the instance is run; its exit status is the answer.

    Returns an empty string for yes, or the reason for no.
    """
    process = await asyncio.create_subprocess_exec(
        *shell_argv(health.cmd),
        cwd=cwd,
        env=dict(env),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(health.timeout):
            status = await process.wait()
    except TimeoutError:
        return f"`{health.cmd}` did not end within {health.timeout:g} s"
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    return "" if status == 0 else f"`{health.cmd}` exited {status}"
