"""How MySQL's names are read: those of tables keep their case, those of columns have none."""

from __future__ import annotations

from pilotage.migrate.sql import reader
from pilotage.migrate.sql.mysql.scanner import scan
from pilotage.migrate.sql.reader import parted, unquoted
from pilotage.migrate.sql.token import Token, code


class Reader(reader.Reader):
    """`pilotage.migrate.sql.reader.Reader` of a statement, or of some of its tokens."""

    def __init__(self, sql: str, tokens: list[Token] | None = None) -> None:
        super().__init__(sql, code(scan(sql)) if tokens is None else tokens)

    def small(self) -> str:
        """The name of what ignores case: a column, an index, a constraint."""
        return self.name().lower()

    def names(self) -> tuple[str, ...]:
        """The columns in the parentheses that open here, without length and order; an expression
        (``(lower(a))``) is left out."""
        parts = parted(self.group())
        return tuple(unquoted(part[0]).lower() for part in parts if not part[0].is_("("))
