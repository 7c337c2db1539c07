"""A small relational database: tables, columns, constraints, rows and sync triggers.

It knows nothing of migrations, releases or halves. It only does what a database does: a statement that
names a column which is not there fails, an insert that leaves out a column which must not be null
fails, a dropped column takes its values with it. Everything that the property tests claim about a
deploy is decided here, and not by comparing sets of versions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Row = dict[str, Any]
Convert = Callable[[Any], Any]


class SqlError(Exception):
    """The database refuses a statement."""


class NoSuchTable(SqlError):
    """The statement names a table that is not there."""


class NoSuchColumn(SqlError):
    """The statement names a column that is not there."""


class Duplicate(SqlError):
    """A table or column of that name exists."""


class NotNullViolation(SqlError):
    """A column that must not be null would be."""


@dataclass(slots=True)
class Column:
    """A column. ``default`` None means that it has none."""

    nullable: bool = True
    default: Any = None


@dataclass(frozen=True, slots=True)
class Sync:
    """A trigger that keeps two columns of a table equal, whichever of them a statement writes."""

    a: str
    b: str
    to_b: Convert
    to_a: Convert


@dataclass(slots=True)
class Table:
    """A table and its rows by key."""

    columns: dict[str, Column] = field(default_factory=dict)
    rows: dict[int, Row] = field(default_factory=dict)
    syncs: list[Sync] = field(default_factory=list)

    def need(self, *names: str) -> None:
        """Fail unless every column is there."""
        for name in names:
            if name not in self.columns:
                raise NoSuchColumn(name)


class Database:
    """Tables by name. ``structure`` rises with every change that is not one of rows."""

    def __init__(self) -> None:
        self.tables: dict[str, Table] = {}
        self.structure = 0

    def table(self, name: str) -> Table:
        """The table, or `NoSuchTable`."""
        try:
            return self.tables[name]
        except KeyError:
            raise NoSuchTable(name) from None

    def has(self, table: str, column: str | None = None) -> bool:
        """Whether the catalogue has the table (and the column)."""
        known = self.tables.get(table)
        return known is not None and (column is None or column in known.columns)

    # -- rows -----------------------------------------------------------------------------------

    def select(self, table: str, columns: tuple[str, ...]) -> dict[int, tuple[Any, ...]]:
        """The values of these columns, by key."""
        known = self.table(table)
        known.need(*columns)
        return {key: tuple(row[c] for c in columns) for key, row in known.rows.items()}

    def insert(self, table: str, key: int, values: Row) -> None:
        """Insert a row: defaults, then triggers, then constraints."""
        known = self.table(table)
        known.need(*values)
        row = {name: column.default for name, column in known.columns.items()}
        row |= values
        self._store(known, key, row, set(values))

    def update(self, table: str, key: int, values: Row) -> None:
        """Update a row: triggers, then constraints."""
        known = self.table(table)
        known.need(*values)
        self._store(known, key, known.rows[key] | values, set(values))

    @staticmethod
    def _store(table: Table, key: int, row: Row, written: set[str]) -> None:
        """Let the triggers carry what was written to the columns that were not, then check."""
        moved = True
        while moved:
            moved = False
            for sync in table.syncs:
                if sync.a in written and sync.b not in written:
                    row[sync.b] = None if row[sync.a] is None else sync.to_b(row[sync.a])
                    written.add(sync.b)
                    moved = True
                elif sync.b in written and sync.a not in written:
                    row[sync.a] = None if row[sync.b] is None else sync.to_a(row[sync.b])
                    written.add(sync.a)
                    moved = True
        for name, column in table.columns.items():
            if not column.nullable and row[name] is None:
                raise NotNullViolation(name)
        table.rows[key] = row

    # -- structure ------------------------------------------------------------------------------

    def create_table(self, name: str, columns: dict[str, Column]) -> None:
        """CREATE TABLE."""
        if name in self.tables:
            raise Duplicate(name)
        self.tables[name] = Table(columns=dict(columns))
        self.structure += 1

    def drop_table(self, name: str) -> None:
        """DROP TABLE."""
        self.table(name)
        del self.tables[name]
        self.structure += 1

    def add_column(self, table: str, name: str, column: Column) -> None:
        """ALTER TABLE … ADD COLUMN: nullable, or with a default."""
        known = self.table(table)
        if name in known.columns:
            raise Duplicate(name)
        if known.rows and not column.nullable and column.default is None:
            raise NotNullViolation(name)
        known.columns[name] = column
        for row in known.rows.values():
            row[name] = column.default
        self.structure += 1

    def drop_column(self, table: str, name: str) -> None:
        """ALTER TABLE … DROP COLUMN: its triggers go with it."""
        known = self.table(table)
        known.need(name)
        del known.columns[name]
        known.syncs = [s for s in known.syncs if name not in (s.a, s.b)]
        for row in known.rows.values():
            del row[name]
        self.structure += 1

    def set_not_null(self, table: str, name: str) -> None:
        """ALTER TABLE … SET NOT NULL: fails while there is a null."""
        known = self.table(table)
        known.need(name)
        if any(row[name] is None for row in known.rows.values()):
            raise NotNullViolation(name)
        known.columns[name] = Column(nullable=False, default=known.columns[name].default)
        self.structure += 1

    def drop_not_null(self, table: str, name: str) -> None:
        """ALTER TABLE … DROP NOT NULL."""
        known = self.table(table)
        known.need(name)
        known.columns[name] = Column(default=known.columns[name].default)
        self.structure += 1

    def set_default(self, table: str, name: str, default: Any) -> None:
        """ALTER TABLE … SET DEFAULT."""
        known = self.table(table)
        known.need(name)
        known.columns[name] = Column(nullable=known.columns[name].nullable, default=default)
        self.structure += 1

    def drop_default(self, table: str, name: str) -> None:
        """ALTER TABLE … DROP DEFAULT."""
        self.set_default(table, name, None)

    def add_sync(self, table: str, sync: Sync) -> None:
        """CREATE TRIGGER."""
        known = self.table(table)
        known.need(sync.a, sync.b)
        known.syncs.append(sync)
        self.structure += 1

    def drop_sync(self, table: str, a: str, b: str) -> None:
        """DROP TRIGGER IF EXISTS."""
        known = self.table(table)
        known.syncs = [s for s in known.syncs if (s.a, s.b) != (a, b)]
        self.structure += 1
