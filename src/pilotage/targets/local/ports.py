"""A free port for an instance, from below the range that the kernel gives to outgoing connections.

A port in that range could be taken by any client on this machine between the moment it is chosen and
the moment the app listens. Outside of it only another server could, and that shows: the app cannot
bind, exits, and its last lines say so. Called under the fence, so no two instances of one
``.pilotage/`` get the same.
"""

from __future__ import annotations

import errno
import random
import socket
from collections.abc import Collection
from pathlib import Path

from pilotage.errors import StartFailed

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
        if _is_free(port):
            return port
    raise StartFailed("no free port is left on this machine", where="local target")


def _first_ephemeral() -> int:
    try:
        first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError):
        first = 32_768
    # Somebody may have widened that range to nearly everything: then there is no safe side.
    return first if first >= _LOWEST + 1_000 else 60_000


def _is_free(port: int) -> bool:
    for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):  # noqa: S104 (a probe)
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind((address, port))
        except OSError as error:
            if error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                continue
            return False
    return True
