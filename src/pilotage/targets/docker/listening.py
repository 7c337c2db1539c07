"""Where the programs of a container listen, when nothing does where it is asked: for whoever wrote a wrong port."""

from __future__ import annotations

LIST = "cat /proc/net/tcp /proc/net/tcp6 2>/dev/null"
"""For ``sh`` in the container: the kernel's own list of its sockets (proc(5))."""

_LISTEN = "0A"
_LOOPBACK6 = "00000000000000000000000001000000"


def instead(listed: str, port: int) -> str:
    """What to say of a container with nothing at ``port`` that others reach; empty where nothing is to be said.

    ``listed``: what `LIST` printed.
    """
    everywhere: set[int] = set()
    loopback: set[int] = set()
    for line in listed.splitlines():
        fields = line.split()
        if len(fields) < 4 or fields[3] != _LISTEN:
            continue
        address, _, number = fields[1].partition(":")
        # Written as the processor keeps it: the first byte of an IPv4 address is the last one.
        inside = address == _LOOPBACK6 or address.endswith("7F")
        (loopback if inside else everywhere).add(int(number, 16))
    if port in everywhere:
        return ""
    if port in loopback:
        return f"it listens on port {port} of its own loopback alone: have it listen on 0.0.0.0"
    if everywhere:
        ports = ", ".join(map(str, sorted(everywhere)))
        return f"it listens on port {ports}, and `proxy.app_port` is {port}"
    return ""
