"""One program of the project, run on this machine to its end: its output line by line, its status.

It has no time limit, as Kamal's has none; whoever waits for it can be interrupted, and it ends then.
"""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import errno
import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path

GRACE = 5.0  # seconds from SIGTERM to SIGKILL, when we are interrupted
DRAIN = 1.0  # seconds for the last output, when something that it left behind keeps the pipe open
_LONGEST = 64 * 1024  # bytes of a line; a longer one is told in pieces


async def run_program(
    path: Path,
    *,
    cwd: Path,
    env: Mapping[str, str],
    output: Callable[[str], None],
    terminal: bool,
) -> int:
    """Run it; its exit status, negative for a signal. ``output`` gets each line, of both streams.

    ``terminal``: a person sits there. The program then stays in the terminal's foreground, where it may
    ask for something and where Ctrl-C reaches all that it started; else it leads a process group, which
    is ended as a whole.

    Raises
    ------
    OSError
        It cannot be run.
    """
    reading, writing = os.pipe()
    try:
        process = await _start(path, cwd=cwd, env=env, output=writing, group=not terminal)
    except BaseException:
        os.close(reading)
        raise
    finally:
        os.close(writing)
    # A pipe of our own: asyncio's would have `wait` wait for all that the program leaves behind.
    reader = asyncio.create_task(_read(reading, output))
    try:
        status = await process.wait()
        await asyncio.wait({reader}, timeout=DRAIN)
    except asyncio.CancelledError:
        await asyncio.shield(_end(process, group=not terminal))
        raise
    finally:
        reader.cancel()
        await asyncio.wait({reader})
    if not reader.cancelled() and (failure := reader.exception()):
        raise failure
    return status


async def _start(
    path: Path, *, cwd: Path, env: Mapping[str, str], output: int, group: bool
) -> asyncio.subprocess.Process:
    async def start(*argv: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *argv,
            cwd=cwd,
            env=env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            process_group=0 if group else None,
        )

    try:
        return await start(str(path))
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            raise
        return await start("/bin/sh", str(path))  # a script without `#!`, as a shell runs it


async def _read(pipe: int, output: Callable[[str], None]) -> None:
    """Give whole lines; one without an end comes with the end of all. Closes the pipe."""
    stream = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(pipe, "rb", buffering=0)
    )
    try:
        await _lines(stream, output)
    finally:
        transport.close()


async def _lines(stream: asyncio.StreamReader, output: Callable[[str], None]) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    left = ""
    while block := await stream.read(_LONGEST):
        *lines, left = (left + decoder.decode(block)).split("\n")
        for line in lines:
            output(line.removesuffix("\r"))
        if len(left) > _LONGEST:
            output(left)
            left = ""
    if left:
        output(left)


async def _end(process: asyncio.subprocess.Process, *, group: bool) -> None:
    """SIGTERM, a while to tidy up, SIGKILL."""
    for which, limit in ((signal.SIGTERM, GRACE), (signal.SIGKILL, None)):
        with contextlib.suppress(ProcessLookupError):
            if group:
                os.killpg(process.pid, which)
            else:
                process.send_signal(which)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), limit)
            return
