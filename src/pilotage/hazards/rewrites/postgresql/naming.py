"""Names and trees that the safe forms of PostgreSQL are made of."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from pilotage.migrate.sql import change as c
from pilotage.migrate.sql.postgresql import parser

quoted = parser.quote


def written(name: c.Name) -> str:
    """A name as SQL, with its schema where it has one."""
    return f"{quoted(name.schema)}.{quoted(name.name)}" if name.schema else quoted(name.name)


def beside(name: c.Name, other: str) -> str:
    """A name in the same schema."""
    return written(c.Name(name.schema, other))


def tree(sql: str) -> Any:
    """A statement's node, to be changed: the parser keeps its own."""
    return deepcopy(parser.tree(sql))


def literal(text: str) -> str:
    """A text as a literal."""
    doubled = text.replace("'", "''")
    return f"'{doubled}'"
