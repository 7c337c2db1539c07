"""One question to one instance: are you healthy?

Each probe answers with an empty string for yes, or with the reason for no. The target asks again
until the limit; nothing here waits longer than one question may take.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping

from pilotage.targets.local.environment import shell_argv
from pilotage.targets.local.spec import CommandHealth, HttpHealth


async def probe_http(health: HttpHealth, address: str) -> str:
    """Ask ``GET path`` and look at the status line only: no client library, 1 ms a question."""
    try:
        async with asyncio.timeout(health.timeout):
            return await _get(health, address)
    except TimeoutError:
        return f"GET {health.path} gave no answer within {health.timeout:g} s"
    except ConnectionRefusedError:
        return f"nothing listens on {address}"
    except OSError as error:
        return f"GET {health.path}: {error.strerror or error}"


async def _get(health: HttpHealth, address: str) -> str:
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(
            (
                f"GET {health.path} HTTP/1.1\r\nHost: {health.host or address}\r\n"
                "User-Agent: pilotage\r\nAccept: */*\r\nConnection: close\r\n\r\n"
            ).encode()
        )
        try:
            line = await reader.readline()
        except ValueError:
            line = b"too long a line"
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    if not line:
        return f"GET {health.path}: the connection was closed without an answer"
    words = line.split()
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        return f"GET {health.path}: the answer is not HTTP"
    status = int(words[1])
    fine = 200 <= status < 300 if health.status is None else status == health.status
    return "" if fine else f"GET {health.path} answered {status}"


async def probe_command(health: CommandHealth, *, cwd: str, env: Mapping[str, str]) -> str:
    """Run the command as the instance is run; its exit status is the answer."""
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
