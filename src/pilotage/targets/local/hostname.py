"""What this machine is called in the host inventory."""

from __future__ import annotations

import contextlib
import secrets
import socket
from pathlib import Path

from pilotage.host.fence import unwritable
from pilotage.host.files import ensure_state_dir, write_atomic


def default_host(state_dir: Path) -> str:
    """This machine's name in the inventory: its host name and an id made with ``.pilotage/``.

    Whoever deletes ``.pilotage/`` no longer knows what he started: what is made in its place is
    another host, and the old one stays in the inventory, unreachable, until a person forgets it.

    Raises
    ------
    TargetError
        It cannot be read or written.
    """
    path = state_dir / "host"
    try:
        ensure_state_dir(state_dir)
        with contextlib.suppress(FileNotFoundError):
            return path.read_text().strip()
        name = f"{socket.gethostname()}-{secrets.token_hex(3)}"
        fresh = path.with_name(f".host.{name}.tmp")
        write_atomic(fresh, f"{name}\n".encode())
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(fresh)  # of two that come at once, one wins, whole
        fresh.unlink()
        return path.read_text().strip()
    except OSError as error:
        raise unwritable(path, error) from error
