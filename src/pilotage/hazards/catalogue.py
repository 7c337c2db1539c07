"""The schema as far as migration files alone say it: what rules look up a column's type in.

It is no substitute for a database: a table that no file of the folder creates is simply not in it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from pilotage.migrate.sql import change as c

_Key = tuple[str, str]


@dataclass(slots=True)
class Catalogue:
    """Tables with their columns, and the names of everything else. Mutable: changes are applied to it."""

    columns: dict[_Key, dict[str, c.Column]] = field(default_factory=dict)
    objects: set[tuple[str, _Key, _Key | None]] = field(default_factory=set)

    def has(self, kind: str, name: c.Name, table: c.Name | None = None) -> bool:
        """Whether an object of this kind is known."""
        return (kind, name.key, table.key if table else None) in self.objects

    def column(self, table: c.Name, column: str) -> c.Column | None:
        """A column's definition, or None."""
        return self.columns.get(table.key, {}).get(column)

    def table(self, table: c.Name) -> tuple[c.Column, ...]:
        """The columns of a table, in order; empty where they are not known."""
        return tuple(self.columns.get(table.key, {}).values())

    def apply(self, change: c.Change) -> None:
        """Take a change in."""
        reader = _APPLY.get(type(change))
        if reader:
            reader(self, change)

    def _alter(self, table: c.Name, column: str, **new: Any) -> None:
        found = self.column(table, column)
        if found:
            self.columns[table.key][column] = replace(found, **new)

    def _create_table(self, change: c.CreateTable) -> None:
        if change.if_not_exists and self.has("table", change.table):
            return
        self.columns[change.table.key] = {column.name: column for column in change.columns}
        self.objects.add(("table", change.table.key, None))
        for constraint in change.constraints:
            self._constraint(change.table, constraint.name)

    def _constraint(self, table: c.Name, name: str | None) -> None:
        if name:
            self.objects.add(("constraint", ("", name), table.key))

    def _add_column(self, change: c.AddColumn) -> None:
        columns = self.columns.setdefault(change.table.key, {})
        if not (change.if_not_exists and change.column.name in columns):
            columns[change.column.name] = change.column

    def _drop_column(self, change: c.DropColumn) -> None:
        self.columns.get(change.table.key, {}).pop(change.column, None)

    def _rename_column(self, change: c.RenameColumn) -> None:
        columns = self.columns.get(change.table.key, {})
        found = columns.pop(change.column, None)
        if found:
            columns[change.to] = replace(found, name=change.to)

    def _drop(self, change: c.Drop) -> None:
        table = change.table.key if change.table else None
        self.objects.discard((change.kind, change.name.key, table))
        if change.kind == "table":
            self.columns.pop(change.name.key, None)

    def _rename(self, change: c.Rename) -> None:
        table = change.table.key if change.table else None
        if (change.kind, change.name.key, table) in self.objects:
            self.objects.discard((change.kind, change.name.key, table))
            self.objects.add((change.kind, change.to.key, table))
        if change.kind == "table" and change.name.key in self.columns:
            self.columns[change.to.key] = self.columns.pop(change.name.key)

    def _create(self, change: c.Create) -> None:
        table = change.table.key if change.table else None
        self.objects.add((change.kind, change.name.key, table))

    def _index(self, change: c.CreateIndex) -> None:
        if change.name:
            name = c.Name(change.table.schema, change.name)
            self.objects.add(("index", name.key, None))

    def _enum_value(self, change: c.AddEnumValue) -> None:
        self.objects.add(("enum value", ("", change.value), change.type.key))


_APPLY: dict[type[c.Change], Callable[[Catalogue, Any], None]] = {
    c.CreateTable: Catalogue._create_table,
    c.AddColumn: Catalogue._add_column,
    c.DropColumn: Catalogue._drop_column,
    c.RenameColumn: Catalogue._rename_column,
    c.AlterType: lambda known, d: known._alter(d.table, d.column, type=d.type),
    c.SetNotNull: lambda known, d: known._alter(d.table, d.column, not_null=True),
    c.DropNotNull: lambda known, d: known._alter(d.table, d.column, not_null=False),
    c.SetDefault: lambda known, d: known._alter(d.table, d.column, default=d.default),
    c.DropDefault: lambda known, d: known._alter(d.table, d.column, default=None),
    c.AddConstraint: lambda known, d: known._constraint(d.table, d.constraint.name),
    c.Create: Catalogue._create,
    c.CreateIndex: Catalogue._index,
    c.Drop: Catalogue._drop,
    c.Rename: Catalogue._rename,
    c.AddEnumValue: Catalogue._enum_value,
}
