"""The environment of a container, and how each variable of it gets there.

What is no secret stands in the argv, so that a person can repeat the command by hand. A secret must not:
``--env NAME`` takes it from the environment of the docker program, byte for byte. Where its name means
something to that program or to the shell that starts it, it goes as a line of a file that is none
(``--env-file`` on a descriptor), which can hold everything but a newline.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from pilotage.errors import UsageError
from pilotage.model import Instance
from pilotage.secret import Secret, mask, reveal
from pilotage.shell.script import LINES
from pilotage.targets.shared.environment import Environment, told

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MEANT_FOR_OTHERS = re.compile(
    # the shell's own, some of them read-only
    r"BASH.*|CDPATH|ENV|E?UID|GLOBIGNORE|HOME|IFS|LINENO|OLDPWD|OPT(ARG|ERR|IND)|PATH|POSIXLY_CORRECT|PPID"
    r"|PS[0-4]|PWD|RANDOM|SECONDS|SHELL(OPTS)?|_"
    # the names that a script of ours uses
    r"|number|began|ended|out|status|dir|token|lock|highest|said"
    # the loader's, Go's, Docker's and podman's
    r"|LD_.*|GO[A-Z]+|SSL_CERT_.*|TMPDIR|XDG_.*|BUILDKIT_.*|BUILDX_.*|COMPOSE_.*|_?CONTAINERS?_.*|DOCKER_.*"
    r"|PODMAN_.*|BUILDAH_.*|REGISTR(Y_AUTH_FILE|IES_CONFIG_PATH)|NOTIFY_SOCKET|LISTEN_(FDS|PID|FDNAMES)|_plt_.*"
    r"|(https?|no|all|ftp)_proxy|(HTTPS?|NO|ALL|FTP)_PROXY|STORAGE_.*|SSH_AUTH_SOCK|TERM"
)


@dataclass(frozen=True, slots=True)
class Given:
    """The three ways: ``words`` of the argv, ``exported`` variables, ``lines`` of the file."""

    words: tuple[str, ...]
    exported: dict[str, Secret]
    lines: tuple[Secret, ...]


def container_environment(
    instance: Instance, env: Environment, *, name: str, revision: str
) -> dict[str, str | Secret]:
    """The whole environment of a container, in the order in which it is given."""
    kamals = {
        "KAMAL_CONTAINER_NAME": name,
        "KAMAL_VERSION": revision,
        "KAMAL_HOST": instance.host,
    }
    return {**kamals, **told(instance, env)}


def given(env: Environment, secrets: Collection[Secret]) -> Given:
    """How each variable is given. ``secrets``: what is one wherever it stands, also within a value.

    Raises
    ------
    UsageError
        A secret can be given in none of the three ways.
    """
    words: list[str] = []
    exported: dict[str, Secret] = {}
    lines: list[Secret] = []
    for name, value in env.items():
        text = reveal(value)
        if not name or "=" in name or re.search(r"\s", name) or "\0" in name:
            raise UsageError(
                f"{name!r} cannot be the name of an environment variable",
                next="take the blanks and equals signs out of it",
            )
        if not isinstance(value, Secret) and mask(text, secrets) == text:
            words += ("--env", f"{name}={text}")
        elif _NAME.fullmatch(name) and not _MEANT_FOR_OTHERS.fullmatch(name):
            words += ("--env", name)
            exported[name] = Secret(text)
        elif re.search(r"[\r\n\0]", text):
            raise UsageError(
                f"the secret {name} holds a newline, and its name means something to Docker or to the "
                "shell, or is none that a shell knows",
                next="give the variable another name, or write its value without newlines",
            )
        else:
            lines.append(Secret(f"{name}={text}"))
    if lines:
        words += ("--env-file", LINES)
    return Given(tuple(words), exported, tuple(lines))
