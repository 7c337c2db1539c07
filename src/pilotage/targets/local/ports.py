"""A free port for an instance, from below the range that the kernel gives to outgoing connections.

A port in that range could be taken by any client on this machine between the moment it is chosen and
the moment the app listens. Outside of it only another server could, and that shows: the app cannot
bind, exits, and its last lines say so. Called under the fence, so no two instances of one
``.pilotage/`` get the same.
"""

from __future__ import annotations

import random
from collections.abc import Collection
from pathlib import Path

from pilotage.errors import StartFailed
from pilotage.host.ports import is_free

_LOWEST = 20_000


def free_port(taken: Collection[int]) -> int:
    """A port that nobody listens on, and that is not in ``taken``.

    Raises
    ------
    StartFailed
        There is none.
    """
    candidates = [port for port in range(_LOWEST, _first_ephemeral()) if port not in taken]
    random.shuffle(candidates)
    for port in candidates:
        if is_free(port):
            return port
    raise StartFailed("no free port is left on this machine", where="local target")


def _first_ephemeral() -> int:
    try:
        first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError):
        first = 32_768
    # Somebody may have widened that range to nearly everything: then there is no safe side.
    return first if first >= _LOWEST + 1_000 else 60_000
