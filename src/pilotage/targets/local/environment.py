"""The environment of an instance: what it inherits, what the configuration says, and what we tell it.

Ours comes last and wins, because the evidence that a contract half waits for hangs on it: a session
of the database carries the release that opened it, by the URL and by ``PGAPPNAME``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from pilotage.host.application_name import ours_first, with_application_name
from pilotage.host.environment import base_environment
from pilotage.model import Instance, session_name
from pilotage.secret import Secret, reveal


def instance_environment(
    instance: Instance,
    env: Mapping[str, str | Secret],
    *,
    environ: Mapping[str, str],
    port: int | None,
) -> dict[str, str]:
    """The whole environment of an instance's process, secrets revealed: never to be written down."""
    name = session_name(instance.release)
    own = {
        "PILOTAGE_RELEASE": instance.release,
        "PILOTAGE_ROLE": instance.role,
        "PILOTAGE_INSTANCE": instance.id,
        "PGAPPNAME": ours_first(name, reveal(env.get("PGAPPNAME", ""))),
    }
    if port is not None:
        own["PORT"] = str(port)
    given = {key: reveal(with_application_name(value, name)) for key, value in env.items()}
    return base_environment(environ) | given | own


def prepare_environment(
    env: Mapping[str, str | Secret], *, environ: Mapping[str, str]
) -> dict[str, str]:
    """The whole environment of a command that belongs to a checkout and to no instance."""
    return base_environment(environ) | {key: reveal(value) for key, value in env.items()}


# Words of the shell itself: there is no program to put in its place.
_BUILTINS = frozenset(
    (
        *(".", ":", "[", "alias", "break", "case", "cd", "command", "continue", "eval", "exec"),
        *("exit", "export", "for", "if", "local", "read", "readonly", "return", "set", "shift"),
        *("source", "test", "times", "trap", "ulimit", "umask", "unset", "until", "wait", "while"),
        *("{", "}", "!"),
    )
)


def shell_argv(cmd: str) -> tuple[str, ...]:
    """How a configured command is run: by ``sh``, replaced by the program where it is a single one.

    ``exec`` makes the program itself the process that is signalled and waited for. A command of more
    than one part keeps its shell: the whole process group gets the signals then.
    """
    return ("/bin/sh", "-c", f"exec {cmd}" if _is_single(cmd) else cmd)


def _is_single(cmd: str) -> bool:
    first = cmd.split(maxsplit=1)[0] if cmd.strip() else ""
    if not first or "=" in first or first in _BUILTINS:
        return False
    # Quoted text may hold any of these: then the shell stays, which is right as well.
    return not re.search(r"[;&|\n(){}]", cmd)
