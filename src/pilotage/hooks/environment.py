"""What a hook is told: Kamal's ``KAMAL_*`` variables, and the same as ``PILOTAGE_*``. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from pilotage.secret import Secret, reveal

_PREFIXES = ("KAMAL_", "PILOTAGE_")
_SHORT = 7  # digits of a revision in KAMAL_SERVICE_VERSION, as Kamal cuts it


@dataclass(frozen=True, slots=True)
class Command:
    """The command in whose course hooks run. ``words``: its name, and its subcommand where it has one.

    ``roles``: what ``--roles`` asked for; empty where it was not given. ``performer``: who runs it.
    """

    service: str
    words: tuple[str, ...]
    hosts: tuple[str, ...]
    performer: str
    destination: str | None = None
    roles: tuple[str, ...] = ()


def environment(
    command: Command,
    *,
    hook: str,
    version: str,
    lock: bool,
    now: float,
    details: Mapping[str, str],
    secrets: Mapping[str, str | Secret],
    environ: Mapping[str, str],
) -> dict[str, str]:
    """The whole environment of a hook, secrets revealed: never to be written down.

    ``environ``: what it inherits, all of it. Secrets win over that, and what we tell wins over both.
    ``details``: further names, told with both prefixes; ``now``: Unix seconds.
    """
    told = _told(command, version=version, lock=lock, now=now) | dict(details)
    inherited = {k: v for k, v in environ.items() if not _ours(k, told)}
    given = {name: reveal(value) for name, value in secrets.items()}
    own = {prefix + name: value for prefix in _PREFIXES for name, value in told.items()}
    return inherited | given | own | {"PILOTAGE_HOOK": hook}


def _told(command: Command, *, version: str, lock: bool, now: float) -> dict[str, str]:
    """Names without a prefix. What does not apply is left out, as Kamal does."""
    known = {
        "RECORDED_AT": datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "PERFORMER": command.performer,
        "DESTINATION": command.destination,
        "VERSION": version,
        "SERVICE_VERSION": "@".join(filter(None, (command.service, _abbreviated(version)))),
        "SERVICE": command.service,
        "HOSTS": ",".join(command.hosts),
        "COMMAND": command.words[0] if command.words else None,
        "SUBCOMMAND": command.words[1] if len(command.words) > 1 else None,
        "ROLES": ",".join(command.roles),
        "LOCK": "true" if lock else "false",
    }
    return {name: value for name, value in known.items() if value}


def _abbreviated(version: str) -> str:
    """A revision as people read it; one with a ``_`` in it (Kamal's for uncommitted work) stays whole."""
    return version if "_" in version else version[:_SHORT]


_OPTIONAL = ("DESTINATION", "SUBCOMMAND", "ROLES", "RUNTIME", "VERSION")


def _ours(name: str, told: Mapping[str, str]) -> bool:
    """Whether an inherited variable would be read as ours: a hook may be what started this command."""
    bare = next((name.removeprefix(p) for p in _PREFIXES if name.startswith(p)), None)
    return bare is not None and (bare in told or bare in _OPTIONAL)
