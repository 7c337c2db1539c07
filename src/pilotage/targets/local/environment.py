"""The environment of a process: what it inherits, what the configuration says, and what we tell it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pilotage.host.environment import base_environment
from pilotage.model import Instance
from pilotage.secret import Secret, reveal
from pilotage.targets.shared.environment import told


def instance_environment(
    instance: Instance,
    env: Mapping[str, str | Secret],
    *,
    environ: Mapping[str, str],
    port: int | None,
) -> dict[str, str]:
    """The whole environment of an instance's process, secrets revealed: never to be written down."""
    revealed = {key: reveal(value) for key, value in told(instance, env).items()}
    if port is not None:
        revealed["PORT"] = str(port)
    return base_environment(environ) | revealed


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
