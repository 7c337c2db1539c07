"""Names and trees that the safe forms of PostgreSQL are made of."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from pilotage.migrate.sql import change as c
from pilotage.migrate.sql.postgresql import parser
from pilotage.migrate.sql.postgresql.libpg_query import pb

quoted = parser.quote


def written(name: c.Name) -> str:
    """A name as SQL, with its schema where it has one."""
    return f"{quoted(name.schema)}.{quoted(name.name)}" if name.schema else quoted(name.name)


def beside(name: c.Name, other: str) -> str:
    """A name in the same schema."""
    return written(c.Name(name.schema, other))


def tree(sql: str) -> Any:
    """A statement's node, to be changed: the parser keeps its own. An index is without the parser's default
    of its method, which nobody wrote."""
    node = deepcopy(parser.tree(sql))
    if isinstance(node, pb.IndexStmt) and node.access_method == "btree":
        node.access_method = ""
    return node


def literal(text: str) -> str:
    """A text as a literal."""
    doubled = text.replace("'", "''")
    return f"'{doubled}'"
