"""The same thing done on several hosts at once, and one error for all on which it failed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from typing import TypeVar

from pilotage.errors import PilotageError, ProxyError, TargetError

T = TypeVar("T")


async def everywhere(actions: Mapping[str, Awaitable[T]], *, failed: str) -> dict[str, T]:
    """What came of it on each host. Each comes to its end, whatever becomes of the others.

    ``failed``: the beginning of what is said where hosts say different things.

    Raises
    ------
    TargetError
        It failed on some hosts; names every one, with its reason. With a single one, its own error,
        which may be a `ProxyError`.
    """
    told = await asyncio.gather(*actions.values(), return_exceptions=True)
    results: dict[str, T] = {}
    errors: dict[str, TargetError | ProxyError] = {}
    for host, result in zip(actions, told, strict=True):
        if isinstance(result, TargetError | ProxyError):
            errors[host] = result
        elif isinstance(result, BaseException):
            raise result
        else:
            results[host] = result
    if len(errors) == 1:
        raise next(iter(errors.values()))
    if errors:
        raise _together(errors, failed, of=len(actions))
    return results


def _together(
    errors: Mapping[str, TargetError | ProxyError], failed: str, *, of: int
) -> TargetError:
    first = next(iter(errors.values()))
    alike = len({error.what for error in errors.values()}) == 1
    return TargetError(
        first.what if alike else f"{failed} on {len(errors)} of {of} hosts:{reasons(errors)}",
        where=", ".join(errors),
        state="; ".join(dict.fromkeys(error.state for error in errors.values() if error.state)),
        next="; ".join(dict.fromkeys(error.next for error in errors.values() if error.next)),
    )


def reasons(errors: Mapping[str, PilotageError]) -> str:
    """A line for each reason, after the hosts that gave it."""
    hosts: dict[str, list[str]] = {}
    for host, error in errors.items():
        hosts.setdefault(error.what, []).append(host)
    return "".join(f"\n    {', '.join(names)}: {what}" for what, names in hosts.items())
