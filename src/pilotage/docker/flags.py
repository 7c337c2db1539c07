"""Options of ``docker run`` and ``docker create``, as argv: pure functions.

They give what Kamal gives for the same configuration, so that a container is the same whoever makes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Argv = tuple[str, ...]

LOG_SIZE = "10m"
"""How large a container's log may grow where the configuration says nothing of it."""


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


def environment(names: Iterable[str]) -> Argv:
    """``--env NAME`` …: the values come from the environment of the ``docker`` command itself."""
    return tuple(word for name in names for word in ("--env", name))


def logging(driver: str | None, given: Mapping[str, Any]) -> Argv:
    """``--log-driver`` and ``--log-opt``; with neither, a limit of the size, as Docker has none."""
    if driver is None and not given:
        return ("--log-opt", f"max-size={LOG_SIZE}")
    chosen = ("--log-driver", driver) if driver else ()
    each = (word for name, value in given.items() for word in ("--log-opt", f"{name}={value}"))
    return (*chosen, *each)
