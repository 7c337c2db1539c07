"""Options of ``docker run`` and ``docker create``, as argv: pure functions.

They give what Kamal gives for the same configuration, so that a container is the same whoever makes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Argv = tuple[str, ...]

LOG_SIZE = "10m"
"""How large a container's log may grow where the configuration says nothing of it."""


ONE_AT_A_TIME = frozenset(
    [
        "publish",
        "publish-all",
        "p",
        "P",
        "expose",
        "ip",
        "ip6",
        "mac-address",
        "hostname",
        "h",
        "network-alias",
        "net-alias",
        "restart",
        "name",
        "cidfile",
        "detach",
        "d",
        "rm",
        "init-path",
        "health-cmd",
        "health-interval",
        "health-retries",
        "health-start-period",
        "health-timeout",
        "interactive",
        "i",
        "tty",
        "t",
        "attach",
        "a",
    ]
)
"""Options that are for the container that serves: another one beside it could not start with them."""


def options(given: Mapping[str, Any]) -> Argv:
    """``options:`` of the configuration: ``{publish: [1:1, 2:2], init: true}`` → ``--publish 1:1 …``.

    A list gives the option once for each of its values, true gives it without one; false and null leave
    it out.
    """
    words: list[str] = []
    for name, value in given.items():
        for each in value if isinstance(value, list | tuple) else (value,):
            if each is True:
                words.append(f"--{name}")
            elif each is not None and each is not False:
                words += [f"--{name}", str(each)]
    return tuple(words)


def labels(given: Mapping[str, str]) -> Argv:
    """``--label NAME=VALUE`` …"""
    return tuple(word for name, value in given.items() for word in ("--label", f"{name}={value}"))


def volumes(given: Iterable[str]) -> Argv:
    """``--volume SOURCE:PATH[:OPTIONS]`` …"""
    return tuple(word for volume in given for word in ("--volume", volume))


def logging(driver: str | None, given: Mapping[str, Any]) -> Argv:
    """``--log-driver`` and ``--log-opt``; with neither, a limit of the size, as Docker has none."""
    if driver is None and not given:
        return ("--log-opt", f"max-size={LOG_SIZE}")
    chosen = ("--log-driver", driver) if driver else ()
    each = (word for name, value in given.items() for word in ("--log-opt", f"{name}={value}"))
    return (*chosen, *each)
