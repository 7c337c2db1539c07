"""Which roles a text names, and which it makes: a server that is made for a trace has none of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from pilotage.migrate.sql.postgresql.libpg_query import pb
from pilotage.migrate.sql.postgresql.parser import parse


def foreign_roles(texts: Iterable[str]) -> tuple[str, ...]:
    """The roles that are named (``GRANT … TO app``) and that no ``CREATE ROLE`` makes, by name.

    >>> foreign_roles(["GRANT SELECT ON t TO app, PUBLIC, CURRENT_USER; CREATE ROLE mine",
    ...     "ALTER TABLE t OWNER TO mine; GRANT readers TO app"])
    ('app', 'readers')

    Raises
    ------
    SqlError
        A text cannot be parsed.
    """
    named: set[str] = set()
    made: set[str] = set()
    for text in texts:
        for node in _nodes(parse(text)):
            if isinstance(node, pb.RoleSpec) and node.roletype == pb.ROLESPEC_CSTRING:
                named.add(node.rolename)
            elif isinstance(node, pb.GrantRoleStmt):
                named |= {granted.access_priv.priv_name for granted in node.granted_roles}
            elif isinstance(node, pb.CreateRoleStmt):
                made.add(node.role)
    return tuple(sorted(named - made))


def _nodes(message: Any) -> Iterator[Any]:
    """A node of a parse tree and all below it."""
    yield message
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        for child in value if isinstance(value, Iterable) else (value,):
            yield from _nodes(child)
