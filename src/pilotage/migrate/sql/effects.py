"""What a half would make or remove in the catalogue: the net of what its statements do.

For ``pilotage migrate mark --verify``, which looks there for each of them before it believes a person.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from pilotage.migrate.sql import change as c

EffectKind = Literal[
    "table",
    "column",
    "index",
    "constraint",
    "type",
    "enum_value",
    "function",
    "trigger",
    "view",
    "sequence",
    "extension",
    "schema",
    "not_null",
    "default",
    "column_type",
    "opaque",
]


_OF_COLUMNS = ("column", "column_type", "not_null", "default")


@dataclass(frozen=True, slots=True)
class Effect:
    """One thing that is there (``present``) or gone once the half is applied.

    ``table`` is given for column, constraint, trigger, not_null, default and column_type, and for an
    index where it is known; ``name`` is then the column, constraint, …; for enum_value ``table`` is the
    type and ``name`` the value. ``detail`` is the type of a column_type, the SQL of a default, the
    argument types of a function (``""``: none, or not written), ``valid`` or ``not valid`` for a constraint, ``materialized`` for such
    a view, and for ``opaque`` what it is that cannot be checked.
    """

    kind: EffectKind
    schema: str | None
    table: str | None
    name: str
    present: bool = True
    detail: str = ""

    def __str__(self) -> str:
        if self.kind == "opaque":
            return f"{self.name}: cannot be checked in the catalogue"
        where = ".".join(part for part in (self.schema, self.table, self.name) if part)
        return f"{self.kind.replace('_', ' ')} {where} {'is there' if self.present else 'is gone'}"


def net(changes: Iterable[c.Change]) -> tuple[Effect, ...]:
    """The effects of changes in their order: what a later one undoes is left out."""
    effects: list[Effect] = []
    for change in changes:
        effects = [_renamed(effect, change) for effect in effects]
        for effect in _READERS.get(type(change), _nothing)(change):
            effects = _plus(effects, effect)
    return tuple(dict.fromkeys(effects))


def _renamed(effect: Effect, change: c.Change) -> Effect:
    """An earlier effect under the name that a later statement gives to its table or column."""
    place = (effect.schema, effect.table)
    if isinstance(change, c.Rename) and change.kind == "table":
        if place == (change.name.schema, change.name.name):
            return replace(effect, schema=change.to.schema, table=change.to.name)
    elif (
        isinstance(change, c.RenameColumn)
        and place == (change.table.schema, change.table.name)
        and effect.kind in _OF_COLUMNS
        and effect.name == change.column
    ):
        return replace(effect, name=change.to)
    return effect


def _plus(effects: list[Effect], new: Effect) -> list[Effect]:
    if new.kind == "opaque":
        return [*effects, new]
    gone = not new.present
    kept = [
        old
        for old in effects
        if not (
            (old.kind, old.schema, old.table, old.name)
            == (new.kind, new.schema, new.table, new.name)
            or (gone and new.kind == "table" and (old.schema, old.table) == (new.schema, new.name))
            or (
                gone
                and new.kind == "column"
                and old.kind in _OF_COLUMNS
                and (old.schema, old.table, old.name) == (new.schema, new.table, new.name)
            )
        )
    ]
    return [*kept, new]


def _of_table(kind: EffectKind, table: c.Name, name: str, **more: Any) -> Effect:
    return Effect(kind, table.schema, table.name, name, **more)


def _of_column(
    kind: EffectKind, change: c.SetNotNull | c.DropDefault, *, present: bool = True
) -> Effect:
    if change.domain:
        return _opaque(f"the domain {change.table}")
    return _of_table(kind, change.table, change.column, present=present)


def _create_table(change: c.CreateTable) -> Iterator[Effect]:
    if change.temporary:
        return  # it is gone with its session
    yield Effect("table", change.table.schema, None, change.table.name)
    for column in change.columns:
        yield from _column(change.table, column)
    yield from _constraints(change.table, change.constraints)


def _add_column(change: c.AddColumn) -> Iterator[Effect]:
    yield from _column(change.table, change.column)
    yield from _constraints(change.table, change.constraints)


def _column(table: c.Name, column: c.Column) -> Iterator[Effect]:
    yield _of_table("column", table, column.name)
    if column.type and not column.generated:
        yield _of_table("column_type", table, column.name, detail=column.type)
    if column.not_null:
        yield _of_table("not_null", table, column.name)
    if column.default is not None:
        yield _of_table("default", table, column.name, detail=column.default)


def _constraints(table: c.Name, constraints: Iterable[c.Constraint]) -> Iterator[Effect]:
    for constraint in constraints:
        if constraint.name:
            detail = "valid" if constraint.valid else "not valid"
            yield _of_table("constraint", table, constraint.name, detail=detail)


def _add_constraint(change: c.AddConstraint) -> Iterator[Effect]:
    if change.constraint.name:
        yield from _constraints(change.table, [change.constraint])
    else:
        kind = change.constraint.kind
        yield _opaque(f"a {kind} constraint without a name on {change.table}")


def _create_index(change: c.CreateIndex) -> Iterator[Effect]:
    if change.name:
        yield _of_table("index", change.table, change.name)
    else:
        yield _opaque(f"an index without a name on {change.table}")


_OBJECTS: dict[str, EffectKind] = {
    "table": "table",
    "index": "index",
    "type": "type",
    "domain": "type",
    "function": "function",
    "procedure": "function",
    "trigger": "trigger",
    "view": "view",
    "materialized view": "view",
    "sequence": "sequence",
    "extension": "extension",
    "schema": "schema",
    "constraint": "constraint",
}


def _object(
    kind: str, name: c.Name, table: c.Name | None, *, present: bool, detail: str = ""
) -> Effect:
    known = _OBJECTS.get(kind)
    if known is None:
        return _opaque(f"the {kind} {name}")
    if kind == "materialized view":
        detail = "materialized"
    elif known != "function":
        detail = ""
    schema = table.schema if table else name.schema
    return Effect(known, schema, table.name if table else None, name.name, present, detail)


def _create(change: c.Create) -> Iterator[Effect]:
    yield _object(change.kind, change.name, change.table, present=True, detail=change.detail)
    if change.replace:
        yield _opaque(f"the new body of the {change.kind} {change.name}")


def _drop(change: c.Drop) -> Iterator[Effect]:
    yield _object(change.kind, change.name, change.table, present=False, detail=change.detail)


def _rename(change: c.Rename) -> Iterator[Effect]:
    yield _object(change.kind, change.name, change.table, present=False)
    yield _object(change.kind, change.to, change.table, present=True)


def _rename_column(change: c.RenameColumn) -> Iterator[Effect]:
    yield _of_table("column", change.table, change.column, present=False)
    yield _of_table("column", change.table, change.to)


def _rename_enum_value(change: c.RenameEnumValue) -> Iterator[Effect]:
    yield _of_table("enum_value", change.type, change.value, present=False)
    yield _of_table("enum_value", change.type, change.to)


def _opaque(what: str) -> Effect:
    return Effect("opaque", None, None, what)


def _nothing(_: c.Change) -> Iterator[Effect]:
    return iter(())


_READERS: dict[type[c.Change], Callable[[Any], Iterable[Effect]]] = {
    c.CreateTable: _create_table,
    c.AddColumn: _add_column,
    c.DropColumn: lambda d: [_of_table("column", d.table, d.column, present=False)],
    c.RenameColumn: _rename_column,
    c.AlterType: lambda d: [_of_table("column_type", d.table, d.column, detail=d.type)],
    c.SetNotNull: lambda d: [_of_column("not_null", d)],
    c.DropNotNull: lambda d: [_of_table("not_null", d.table, d.column, present=False)],
    c.SetDefault: lambda d: [_of_table("default", d.table, d.column, detail=d.default)],
    c.DropDefault: lambda d: [_of_column("default", d, present=False)],
    c.AddConstraint: _add_constraint,
    c.ValidateConstraint: lambda d: [
        _of_table("constraint", d.table, d.constraint, detail="valid")
    ],
    c.DropConstraint: lambda d: [_of_table("constraint", d.table, d.constraint, present=False)],
    c.CreateIndex: _create_index,
    c.Create: _create,
    c.Drop: _drop,
    c.Rename: _rename,
    c.AddEnumValue: lambda d: [_of_table("enum_value", d.type, d.value)],
    c.RenameEnumValue: _rename_enum_value,
    c.Truncate: lambda d: [_opaque(f"TRUNCATE {d.table}")],
    c.ChangeRows: lambda d: [_opaque(f"{d.verb} on {d.table}")],
    c.Detach: lambda d: [_opaque(f"{d.child} leaving {d.table}")],
    c.Restrict: lambda d: [_opaque(d.what)],
    c.TableOption: lambda d: [_opaque(f"{d.kind} {d.detail} of {d.table}")],
    c.Opaque: lambda d: [_opaque(d.what)],
    **dict.fromkeys(
        (
            c.Other,
            c.Attach,
            c.ConstrainDomain,
            c.InsertRows,
            c.Rewrite,
            c.SetVariable,
            c.TransactionControl,
            c.UpgradeExtension,
        ),
        lambda d: [_opaque(d.what)] if d.visible else [],
    ),
}
