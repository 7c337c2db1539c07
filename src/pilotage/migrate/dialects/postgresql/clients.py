"""Who else is connected to a PostgreSQL database."""

# ruff: noqa: S608  (what is formatted in is a constant)

from __future__ import annotations

from collections.abc import Sequence

from pilotage.migrate.dialects.base import Session, StatementError, Trouble
from pilotage.model import Session as SeenSession

# Whoever is connected as a role, but for the sessions with these pids.
_OTHERS = (
    "usesysid IS NOT NULL AND pid <> ALL ($1::int[])"
    " AND coalesce(backend_type, 'client backend') = 'client backend'"
)


async def sessions(session: Session, own: Sequence[int]) -> tuple[SeenSession, ...] | None:
    """The sessions but those with the pids ``own``; None where that may not be read.

    Names are shown to every role, addresses to some.
    """
    try:
        rows = await session.query(
            "SELECT pid, coalesce(application_name, ''), coalesce(host(client_addr), '')"
            f" FROM pg_stat_activity WHERE datname = current_database() AND {_OTHERS} ORDER BY pid",
            _array(own),
        )
    except StatementError as error:
        if error.trouble is Trouble.DENIED:
            return None
        raise
    return tuple(SeenSession(pid, name, client) for pid, name, client in rows)


async def alone(session: Session, own: Sequence[int]) -> bool:
    """Whether `sessions` would show none.

    Asked of the function behind pg_stat_activity: the view joins names to it, which is ten times as
    much work, and this is asked before every few halves.
    """
    try:
        rows = await session.query(
            "SELECT NOT EXISTS (SELECT FROM pg_stat_get_activity(NULL) WHERE datid ="
            f" (SELECT oid FROM pg_database WHERE datname = current_database()) AND {_OTHERS})",
            _array(own),
        )
    except StatementError as error:
        if error.trouble is Trouble.DENIED:
            return False
        raise
    return bool(rows[0][0])


def _array(numbers: Sequence[int]) -> str:
    """As PostgreSQL writes it; psycopg looks at each item of a list first."""
    return f"{{{','.join(map(str, numbers))}}}"
