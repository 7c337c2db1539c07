"""The environment of an instance: what it inherits, what the configuration says, and what we tell it.

Ours comes last and wins, because the evidence that a contract half waits for hangs on it: a session
of the database carries the release that opened it, by the URL and by ``PGAPPNAME``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar
from urllib.parse import quote, unquote

from pilotage.host.environment import base_environment
from pilotage.model import Instance, session_name
from pilotage.secret import Secret, reveal

_Value = TypeVar("_Value", bound=str | Secret)

# Schemes whose driver takes `application_name` as a parameter of the URL. SQLAlchemy hands what it
# finds there to the driver's connect(), and asyncpg's knows no such argument: it would fail to connect.
_URL = re.compile(
    r"(?P<scheme>postgres|postgresql(?:\+(?:psycopg|psycopg2|psycopg2cffi|psycopg_async|pg8000))?"
    r"|postgis|pgsql|jdbc:postgresql)://",
    re.IGNORECASE,
)


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
        "PGAPPNAME": _ours_first(name, reveal(env.get("PGAPPNAME", ""))),
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


def with_application_name(value: _Value, name: str) -> _Value:
    """``value`` with ``application_name=name`` in its query, when it is a PostgreSQL URL.

    A name that is there already is kept behind ours (``name:old``): PostgreSQL cuts at 63 bytes, and
    ours must survive that. Any other value is returned as it is, and a secret stays a secret.
    """
    text = reveal(value)
    changed = _with_application_name(text, name)
    if changed == text:
        return value
    return Secret(changed) if isinstance(value, Secret) else changed  # type: ignore[return-value]


def _with_application_name(url: str, name: str) -> str:
    scheme = _URL.match(url)
    if scheme is None:
        return url
    # A password may hold a question mark; libpq reads up to the first `@` or `/` as credentials.
    after = re.compile("[@/]").search(url, scheme.end())
    mark = url.find("?", after.end() if after and after[0] == "@" else scheme.end())
    base, query = (url, "") if mark < 0 else (url[:mark], url[mark + 1 :])
    key = "ApplicationName" if scheme["scheme"].lower().startswith("jdbc:") else "application_name"
    old = ""
    kept = []
    for pair in query.split("&") if query else ():
        if pair.partition("=")[0] == key:
            old = unquote(pair.partition("=")[2])
        else:
            kept.append(pair)
    kept.append(f"{key}={quote(_ours_first(name, old), safe=':')}")
    return f"{base}?{'&'.join(kept)}"


def _ours_first(name: str, old: str) -> str:
    return name if not old or old == name else f"{name}:{old}"


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
