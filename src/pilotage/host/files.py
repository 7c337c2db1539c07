"""Files that are old or new, never half: written beside, synced, renamed into place; and file locks.

State that a crash could tear is worse than no state. Everything that pilotage keeps in
``.pilotage/`` goes through `write_atomic`, and every read-compare-write runs under `locked`.
Errors stay `OSError` here: the caller knows what the file meant, and translates.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from pilotage.errors import TargetError

LOCK_WAIT = 30.0
"""Seconds that `locked` waits. A section under a lock takes milliseconds, so this is a stuck holder."""

IGNORE = """\
# Written by pilotage. What it keeps here is this machine's own; secrets files are left to you.
/host
/fence
/*.lock
/state.json
/instances/
/logs/
/releases/
/proxy/
"""


def ensure_state_dir(state_dir: Path) -> None:
    """Make ``.pilotage/`` (for its owner alone), and keep its state, but no secrets file, out of git."""
    if not state_dir.is_dir():
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    ignore = state_dir / ".gitignore"
    if not ignore.exists():
        write_atomic(ignore, IGNORE.encode())


def write_atomic(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Put ``data`` in ``path`` so that a reader, or a crash, sees the old file or the new one.

    Raises
    ------
    OSError
        It could not be written (disk full, no permission); ``path`` is what it was.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}-{time.monotonic_ns():x}.tmp")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        beside.rename(path)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make the names in a directory (a rename, a removal) survive a power failure."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a file, or None when there is no such file.

    Raises
    ------
    OSError
        It cannot be read.
    ValueError
        It holds something else.
    """
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError(f"{path} does not hold a JSON object")  # noqa: TRY004 (it is a bad value)
    return value


def dump_json(value: Any) -> bytes:
    """``value`` as a file that a person can read."""
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


@contextlib.asynccontextmanager
async def locked(path: Path, *, wait: float = LOCK_WAIT) -> AsyncIterator[int]:
    """Hold an exclusive ``flock`` on ``path``, against other processes and other tasks of this one.

    Yields the descriptor: a child that inherits it keeps the lock until it has ended as well.

    The kernel lets go of it when the holder dies. A holder that is *stopped* (SIGSTOP, a suspended
    machine) keeps it, so the wait has an end, and its error names the process.

    Raises
    ------
    TargetError
        Nobody let go of it within ``wait`` seconds.
    OSError
        The file cannot be made.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + wait
        pause = 0.001
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as busy:
                if time.monotonic() >= deadline:
                    pid = flock_holder(descriptor)
                    raise TargetError(
                        f"{path.name} has been locked for {wait:g} s by "
                        + (f"process {pid}" if pid else "another process"),
                        where=str(path.parent),
                        state="nothing was changed",
                        next=f"see what it is (`ps -fp {pid}`) and end it; then run this again"
                        if pid
                        else "end it; then run this again",
                    ) from busy
            await asyncio.sleep(pause)
            pause = min(pause * 2, 0.05)
        yield descriptor
    finally:
        os.close(descriptor)


def flock_holder(descriptor: int) -> int | None:
    """The pid that holds the ``flock`` on this open file, where ``/proc/locks`` can tell."""
    inode = os.fstat(descriptor).st_ino
    try:
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        fields = line.split()
        if fields[1] == "FLOCK" and fields[5].rpartition(":")[2] == str(inode):
            return int(fields[4])
    return None
