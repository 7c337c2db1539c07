"""The release in a PostgreSQL URL: evidence of whose database sessions are open."""

from __future__ import annotations

import re
from typing import TypeVar
from urllib.parse import quote, unquote

from pilotage.secret import Secret, reveal

_Value = TypeVar("_Value", bound=str | Secret)

# Schemes whose driver takes `application_name` as a parameter of the URL. SQLAlchemy hands what it
# finds there to the driver's connect(), and asyncpg's knows no such argument: it would fail to connect.
_URL = re.compile(
    r"(?P<scheme>postgres|postgresql(?:\+(?:psycopg|psycopg2|psycopg2cffi|psycopg_async|pg8000))?"
    r"|postgis|pgsql|jdbc:postgresql)://",
    re.IGNORECASE,
)


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
    kept.append(f"{key}={quote(ours_first(name, old), safe=':')}")
    return f"{base}?{'&'.join(kept)}"


def ours_first(name: str, old: str) -> str:
    """``name``, and behind it what was there."""
    return name if not old or old == name else f"{name}:{old}"
