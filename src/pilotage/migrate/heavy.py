"""Which tables a migration reads or rewrites from end to end: what takes long when they are large. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pilotage.migrate import sql
from pilotage.migrate.migration import Migration, Section
from pilotage.migrate.sql import change as c
from pilotage.model import Half, HalfRef


@dataclass(frozen=True, slots=True)
class Heavy:
    """One piece of such work: the half that it belongs to, what it does, and to which table."""

    ref: HalfRef
    does: str
    table: c.Name

    def sql_name(self, dialect: str) -> str:
        """The table as SQL."""
        quote = sql.grammar(dialect).quote
        schema = f"{quote(self.table.schema)}." if self.table.schema else ""
        return schema + quote(self.table.name)


def heavy(migration: Migration, half: Half, dialect: str) -> tuple[Heavy, ...]:
    """What a half does to whole tables, each table once; the backfill counts with its expand half.

    Tables that the migration itself makes are empty when it begins.
    """
    sections = [migration.section(half)]
    if half is Half.EXPAND:
        sections.append(migration.backfill)
    made: set[tuple[str, str]] = set()
    found: dict[tuple[str, str], Heavy] = {}
    for section in sections:
        for change in _changes(section, dialect):
            if isinstance(change, c.CreateTable):
                made.add(change.table.key)
            does, table = _work(change, backfill=section is migration.backfill)
            if table is not None and table.key not in made:
                found.setdefault(table.key, Heavy(HalfRef(migration.version, half), does, table))
    return tuple(found.values())


def _changes(section: Section | None, dialect: str) -> Iterator[c.Change]:
    if section is not None:
        yield from sql.changes(section.text, dialect)


def _work(change: c.Change, *, backfill: bool) -> tuple[str, c.Name | None]:
    match change:
        case c.CreateIndex():
            return "builds an index on", change.table
        case c.AddConstraint(constraint=c.Constraint(valid=True, using_index=None)):
            return f"checks a {change.constraint.kind} constraint of", change.table
        case c.ValidateConstraint():
            return "validates a constraint of", change.table
        case c.SetNotNull(domain=False):
            return "looks for NULLs in", change.table
        case c.AlterType():
            return "may rewrite", change.table
        case c.ChangeRows() if backfill or change.whole:
            return "changes rows of", change.table
        case _:
            return "", None
