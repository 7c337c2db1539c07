"""Running a command and telling of it: who is shown every command could repeat it by hand."""

from __future__ import annotations

import time

from pilotage.errors import CommandFailed
from pilotage.events import CommandRan, Emit
from pilotage.shell.base import Result, Shell


async def run_told(
    shell: Shell,
    argv: tuple[str, ...],
    emit: Emit,
    *,
    script: bytes = b"",
    limit: float | None = None,
    check: bool = True,
) -> Result:
    """`Shell.run`, with an event whatever becomes of it. ``script``: for ``sh``, which becomes ``argv``."""
    began = time.monotonic()
    status = 1
    try:
        result = await shell.run(
            ("sh",) if script else argv, input=script, limit=limit, check=check
        )
        status = result.status
    except CommandFailed as error:
        status = error.status
        raise
    finally:
        seconds = time.monotonic() - began
        emit(CommandRan(host=shell.host, argv=argv, seconds=seconds, status=status))
    return result
