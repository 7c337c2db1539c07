"""What every instance is told by pilotage itself, whatever its target.

It comes last and wins, because the evidence that a contract half waits for hangs on it: a session
of the database carries the release that opened it, by the URL and by ``PGAPPNAME``.
"""

from __future__ import annotations

from collections.abc import Mapping

from pilotage.host.application_name import ours_first, with_application_name
from pilotage.model import Instance, session_name
from pilotage.secret import Secret

Environment = Mapping[str, str | Secret]


def told(instance: Instance, env: Environment) -> dict[str, str | Secret]:
    """``env``, its PostgreSQL URLs with the release in them, and what pilotage adds; secrets stay secrets."""
    name = session_name(instance.release)
    given = {key: with_application_name(value, name) for key, value in env.items()}
    return given | {
        "PILOTAGE_RELEASE": instance.release,
        "PILOTAGE_ROLE": instance.role,
        "PILOTAGE_INSTANCE": instance.id,
        "PGAPPNAME": _behind(name, env.get("PGAPPNAME", "")),
    }


def _behind(name: str, old: str | Secret) -> str | Secret:
    if isinstance(old, Secret):
        return Secret(ours_first(name, old.reveal()))
    return ours_first(name, old)
