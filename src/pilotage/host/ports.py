"""TCP ports of this machine: which are free, and who listens on one that is not."""

from __future__ import annotations

import errno
import os
import socket
from contextlib import suppress
from pathlib import Path

_LISTEN = "0A"


def is_free(port: int, *, address: str = "0.0.0.0", reuse: bool = False) -> bool:  # noqa: S104 (a probe)
    """Whether a server could listen on ``address:port`` now.

    ``reuse``: as a server with SO_REUSEADDR (what Envoy does): the remains of closed connections are
    not in its way. The wildcard address is tried for IPv6 as well.
    """
    families = [socket.AF_INET6 if ":" in address else socket.AF_INET]
    if address == "0.0.0.0":  # noqa: S104
        families.append(socket.AF_INET6)
    for family in families:
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                if reuse:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind(
                    ("::" if len(families) > 1 and family == socket.AF_INET6 else address, port)
                )
        except OSError as error:
            if error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL) and len(families) > 1:
                continue
            return False
    return True


def listener(port: int) -> str | None:
    """Who listens on a TCP port, as ``process 4711 (nginx)``; None where the kernel does not tell."""
    inodes = set()
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                    inodes.add(f"socket:[{fields[9]}]")
    for entry in Path("/proc").iterdir() if inodes else ():
        if not entry.name.isdecimal():
            continue
        with suppress(OSError):
            for descriptor in (entry / "fd").iterdir():
                with suppress(OSError):
                    if os.readlink(descriptor) in inodes:  # noqa: PTH115 (it is not a path)
                        name = (entry / "comm").read_text().strip()
                        return f"process {entry.name} ({name})"
    return None
