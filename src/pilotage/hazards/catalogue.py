"""The schema that a change meets: what rules look up types, constraints, sizes and the server in.

It is filled from three sources, which may be combined: the earlier migration files of the folder (always),
a schema dump, or a database. Files alone are no substitute for a database: a table that no file of the
folder creates is simply not in it. Where ``complete`` is true nothing is missing, so that what is not here
does not exist.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from pilotage.migrate.sql import change as c

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Size:
    """How large a table is. ``rows`` is an estimate, but 0 is said only of a table known to be empty."""

    rows: int
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Index:
    """An index; ``""`` stands for an expression among its columns."""

    name: str
    columns: tuple[str, ...] = ()
    unique: bool = False
    valid: bool = True


@dataclass(slots=True)
class Table:
    """A table: columns, constraints and indexes by name.

    ``parent`` is what it is a partition or a child of, ``partitioned`` its partition key as written
    (``RANGE (day)``), ``size`` is known from a database alone.
    """

    name: c.Name
    columns: dict[str, c.Column] = field(default_factory=dict)
    constraints: dict[str, c.Constraint] = field(default_factory=dict)
    indexes: dict[str, Index] = field(default_factory=dict)
    parent: c.Name | None = None
    partitioned: str = ""
    size: Size | None = None

    @property
    def primary_key(self) -> tuple[str, ...]:
        """The columns of its primary key; ``()`` where none is known."""
        keys = (x.columns for x in self.constraints.values() if x.kind == "primary key")
        return next(keys, ())

    def constrained(self, column: str, *kinds: str) -> Iterator[c.Constraint]:
        """Its constraints of these kinds that name the column."""
        for constraint in self.constraints.values():
            if constraint.kind in kinds and column in constraint.columns:
                yield constraint

    def indexed(self, column: str) -> bool:
        """Whether an index, or a constraint that has one, names the column."""
        return any(column in index.columns for index in self.indexes.values()) or any(
            self.constrained(column, "primary key", "unique", "exclude")
        )

    def add(self, constraint: c.Constraint) -> None:
        """Take a constraint in, under the name that PostgreSQL gives to one without."""
        self.constraints[constraint.name or self._free_name(constraint)] = constraint

    def _free_name(self, constraint: c.Constraint) -> str:
        base = default_name(self.name.name, constraint)
        name, number = base, 0
        while name in self.constraints:
            number += 1
            name = f"{base}{number}"
        return name


_SUFFIX = {
    "primary key": "pkey",
    "unique": "key",
    "foreign key": "fkey",
    "check": "check",
    "exclude": "excl",
    "not null": "not_null",
}


def default_name(table: str, constraint: c.Constraint) -> str:
    """The name that PostgreSQL gives to a constraint that is written without one."""
    columns = () if constraint.kind == "primary key" else constraint.columns
    if constraint.kind == "check" and len(columns) > 1:
        columns = ()
    return "_".join((table, *columns, _SUFFIX.get(constraint.kind, "check")))


@dataclass(slots=True)
class Catalogue:
    """Tables, and the names of everything else. Mutable: changes are applied to it.

    ``objects`` holds (kind, name, table) of whatever has a name, tables too (see `put`). ``enums`` has the
    values of enum types in their order, ``domains`` whether a domain has a CHECK or NOT NULL. ``server`` is
    the version, ``(18, 4)``, or None where it is not known.
    """

    tables: dict[Key, Table] = field(default_factory=dict)
    objects: set[tuple[str, Key, Key | None]] = field(default_factory=set)
    enums: dict[Key, tuple[str, ...]] = field(default_factory=dict)
    domains: dict[Key, bool] = field(default_factory=dict)
    server: tuple[int, int] | None = None
    complete: bool = False

    def restated(self, change: c.Change) -> bool | None:
        """Whether a part of a whole definition is as it was before; None where that is not known."""
        column = self.column(
            getattr(change, "table", c.Name(None, "")), getattr(change, "column", "")
        )
        if column is None:
            return None
        match change:
            case c.AlterType():
                new = change.definition or column
                return (column.type, column.charset) == (change.type, new.charset or column.charset)
            case c.SetNotNull():
                return column.not_null
            case c.DropNotNull():
                return not column.not_null
            case c.SetDefault():
                return column.default == change.default
            case c.DropDefault():
                return column.default is None
            case _:
                return False

    def put(self, table: Table) -> None:
        """Take a table in as it is."""
        self.tables[table.name.key] = table
        self.objects.add(("table", table.name.key, None))

    def has(self, kind: str, name: c.Name, table: c.Name | None = None) -> bool:
        """Whether an object of this kind is known."""
        return (kind, name.key, table.key if table else None) in self.objects

    def table(self, name: c.Name) -> Table | None:
        """A table with what is known of it, or None."""
        return self.tables.get(name.key)

    def column(self, table: c.Name, column: str) -> c.Column | None:
        """A column's definition, or None."""
        found = self.tables.get(table.key)
        return found.columns.get(column) if found else None

    def constraint(self, table: c.Name, name: str) -> c.Constraint | None:
        """A constraint of a table, or None."""
        found = self.tables.get(table.key)
        return found.constraints.get(name) if found else None

    def index(self, name: c.Name) -> tuple[Table, Index] | None:
        """An index with its table, or None."""
        for (schema, _), table in self.tables.items():
            if schema == name.key[0] and name.name in table.indexes:
                return table, table.indexes[name.name]
        return None

    def referencing(self, name: c.Name) -> Iterator[tuple[Table, c.Constraint]]:
        """The foreign keys of other tables that point at a table."""
        for table in self.tables.values():
            for constraint in table.constraints.values():
                target = constraint.references
                if target and target.key == name.key and table.name.key != name.key:
                    yield table, constraint

    def partitions(self, name: c.Name) -> Iterator[Table]:
        """The partitions and children of a table that are known."""
        return (t for t in self.tables.values() if t.parent and t.parent.key == name.key)

    def apply(self, change: c.Change) -> None:
        """Take a change in."""
        reader = _APPLY.get(type(change))
        if reader:
            reader(self, change)

    # Tables

    def _of(self, name: c.Name) -> Table:
        """The table, made where it is not known: then only what was added to it is."""
        found = self.tables.get(name.key)
        if found is None:
            found = self.tables[name.key] = Table(name)
        return found

    def _create_table(self, change: c.CreateTable) -> None:
        if change.if_not_exists and self.has("table", change.table):
            return
        table = Table(change.table, parent=change.partition_of, partitioned=change.partition_by)
        table.columns = {column.name: column for column in change.columns}
        for constraint in change.constraints:
            table.add(constraint)
        self.put(table)

    def _drop(self, change: c.Drop) -> None:
        table = change.table.key if change.table else None
        self.objects.discard((change.kind, change.name.key, table))
        if change.kind == "table":
            self.tables.pop(change.name.key, None)
        elif change.kind == "index":
            found = self.index(change.name)
            if found:
                del found[0].indexes[change.name.name]
        elif change.kind == "schema":
            inside = {key for key in self.tables if key[0] == change.name.name}
            for key in inside:
                del self.tables[key]
            self.objects = {
                o for o in self.objects if change.name.name not in (o[1][0], (o[2] or ("",))[0])
            }

    def _rename(self, change: c.Rename) -> None:
        table = change.table.key if change.table else None
        if (change.kind, change.name.key, table) in self.objects:
            self.objects.discard((change.kind, change.name.key, table))
            self.objects.add((change.kind, change.to.key, table))
        if change.kind == "table":
            self._rename_table(change.name, change.to)
        elif change.kind == "index":
            found = self.index(change.name)
            if found:
                index = found[0].indexes.pop(change.name.name)
                found[0].indexes[change.to.name] = replace(index, name=change.to.name)
        elif change.kind == "constraint" and change.table:
            on = self.tables.get(change.table.key)
            constraint = on.constraints.pop(change.name.name, None) if on else None
            if on and constraint:
                on.constraints[change.to.name] = replace(constraint, name=change.to.name)
        elif change.kind == "type" and change.name.key in self.enums:
            self.enums[change.to.key] = self.enums.pop(change.name.key)

    def _rename_table(self, name: c.Name, to: c.Name) -> None:
        table = self.tables.pop(name.key, None)
        if table is None:
            return
        table.name = to
        self.tables[to.key] = table
        for other in list(self.tables.values()):
            for key, constraint in other.constraints.items():
                if constraint.references and constraint.references.key == name.key:
                    other.constraints[key] = replace(constraint, references=to)
        self.objects = {
            (kind, on, to.key if of == name.key else of) for kind, on, of in self.objects
        }

    def _attach(self, change: c.Attach) -> None:
        self._of(change.child).parent = change.table

    def _detach(self, change: c.Detach) -> None:
        self._of(change.child).parent = None

    def _insert(self, change: c.InsertRows) -> None:
        table = self.tables.get(change.table.key)
        if table:
            table.size = None

    # Columns

    def _alter(self, table: c.Name, column: str, **new: Any) -> None:
        found = self.column(table, column)
        if found:
            self.tables[table.key].columns[column] = replace(found, **new)

    def _add_column(self, change: c.AddColumn) -> None:
        table = self._of(change.table)
        if not (change.if_not_exists and change.column.name in table.columns):
            table.columns[change.column.name] = change.column
            for constraint in change.constraints:
                table.add(constraint)

    def _drop_column(self, change: c.DropColumn) -> None:
        table = self.tables.get(change.table.key)
        if table:
            table.columns.pop(change.column, None)
            table.constraints = {
                name: x for name, x in table.constraints.items() if change.column not in x.columns
            }
            table.indexes = {
                name: x for name, x in table.indexes.items() if change.column not in x.columns
            }

    def _rename_column(self, change: c.RenameColumn) -> None:
        table = self.tables.get(change.table.key)
        if table is None or change.column not in table.columns:
            return

        def renamed(columns: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(change.to if name == change.column else name for name in columns)

        table.columns = {
            change.to if name == change.column else name: column
            for name, column in table.columns.items()
        }
        table.columns[change.to] = replace(table.columns[change.to], name=change.to)
        for name, constraint in table.constraints.items():
            table.constraints[name] = replace(constraint, columns=renamed(constraint.columns))
        for name, index in table.indexes.items():
            table.indexes[name] = replace(index, columns=renamed(index.columns))

    # Constraints, indexes, types

    def _add_constraint(self, change: c.AddConstraint) -> None:
        table, constraint = self._of(change.table), change.constraint
        if constraint.using_index:
            index = table.indexes.pop(constraint.using_index, None)
            constraint = replace(constraint, columns=index.columns if index else ())
        if constraint.kind in ("primary key", "not null"):
            for column in constraint.columns:
                self._alter(change.table, column, not_null=True)
        table.add(constraint)
        if constraint.name:
            self.objects.add(("constraint", ("", constraint.name), change.table.key))

    def _validate(self, change: c.ValidateConstraint) -> None:
        found = self.constraint(change.table, change.constraint)
        if found:
            table = self.tables[change.table.key]
            table.constraints[change.constraint] = replace(found, valid=True)

    def _drop_constraint(self, change: c.DropConstraint) -> None:
        table = self.tables.get(change.table.key)
        if table:
            table.constraints.pop(change.constraint, None)
        self.objects.discard(("constraint", ("", change.constraint), change.table.key))

    def _index(self, change: c.CreateIndex) -> None:
        if not change.name:
            return
        self.objects.add(("index", (change.table.key[0], change.name), None))
        table = self._of(change.table)
        if not (change.if_not_exists and change.name in table.indexes):
            table.indexes[change.name] = Index(change.name, change.columns, change.unique)

    def _create(self, change: c.Create) -> None:
        table = change.table.key if change.table else None
        self.objects.add((change.kind, change.name.key, table))
        if change.values:
            self.enums[change.name.key] = change.values
        if change.kind == "domain":
            self.domains[change.name.key] = change.constrained

    def _enum_value(self, change: c.AddEnumValue) -> None:
        self.objects.add(("enum value", ("", change.value), change.type.key))
        values = list(self.enums.get(change.type.key, ()))
        if not values or change.value in values:
            return
        place = len(values)
        if change.neighbour in values:
            place = values.index(change.neighbour) + change.after
        values.insert(place, change.value)
        self.enums[change.type.key] = tuple(values)

    def _rename_value(self, change: c.RenameEnumValue) -> None:
        values = self.enums.get(change.type.key, ())
        self.enums[change.type.key] = tuple(
            change.to if value == change.value else value for value in values
        )


_APPLY: dict[type[c.Change], Callable[[Catalogue, Any], None]] = {
    c.CreateTable: Catalogue._create_table,
    c.AddColumn: Catalogue._add_column,
    c.DropColumn: Catalogue._drop_column,
    c.RenameColumn: Catalogue._rename_column,
    c.AlterType: lambda known, d: known._alter(d.table, d.column, type=d.type),
    c.SetNotNull: lambda known, d: known._alter(d.table, d.column, not_null=True),
    c.DropNotNull: lambda known, d: known._alter(d.table, d.column, not_null=False),
    c.SetDefault: lambda known, d: known._alter(d.table, d.column, default=d.default),
    c.DropDefault: lambda known, d: known._alter(
        d.table, d.column, default=None, generated=False, source=""
    ),
    c.AddConstraint: Catalogue._add_constraint,
    c.ValidateConstraint: Catalogue._validate,
    c.DropConstraint: Catalogue._drop_constraint,
    c.Create: Catalogue._create,
    c.CreateIndex: Catalogue._index,
    c.Drop: Catalogue._drop,
    c.Rename: Catalogue._rename,
    c.AddEnumValue: Catalogue._enum_value,
    c.RenameEnumValue: Catalogue._rename_value,
    c.Attach: Catalogue._attach,
    c.Detach: Catalogue._detach,
    c.InsertRows: Catalogue._insert,
}
