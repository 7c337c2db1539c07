"""The SQL to write instead of a hazard, one module a dialect, and the registry of them."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Protocol, cast

from pilotage.migrate.sql import change as c
from pilotage.migrate.sql import grammar


class Rewriter(Protocol):
    """Writes safe forms as text with section markers, ready to paste. Stateless.

    A ``type`` that is ``""`` is not known; what is written then says so in a comment. A method returns
    ``""`` where the dialect has no such change, or no safe form of it.
    """

    def rename_column(self, change: c.RenameColumn, type: str) -> str:
        """A second column, kept equal by triggers, until the old one goes."""
        ...

    def change_type(self, change: c.AlterType, type: str) -> str:
        """A second column of the new type, kept equal by triggers."""
        ...

    def rename_table(self, change: c.Rename, columns: tuple[c.Column, ...]) -> str:
        """A view with the new name until the table takes it."""
        ...

    def rename_enum_value(self, change: c.RenameEnumValue) -> str:
        """A second value beside the old one."""
        ...

    def set_not_null(self, table: c.Name, column: str, type: str) -> str:
        """A default for old code, a backfill, and a validated CHECK that makes NOT NULL cheap."""
        ...

    def add_column_not_null(self, change: c.AddColumn) -> str:
        """A constant default while old code inserts."""
        ...

    def add_column_in_steps(self, change: c.AddColumn) -> str:
        """A bare column; default, constraints and existing rows afterwards."""
        ...

    def add_constraint(self, change: c.AddConstraint) -> str:
        """NOT VALID and VALIDATE, or a unique index built beside writers."""
        ...

    def index(self, change: c.CreateIndex | c.Drop) -> str:
        """The same, CONCURRENTLY."""
        ...

    def update_in_batches(self, change: c.ChangeRows) -> str:
        """A ``-- backfill`` section that converges."""
        ...


_MODULES = {"postgresql": "postgresql", "sqlite": "sqlite"}


@cache
def rewriter(dialect: str) -> Rewriter:
    """The rewriter of a dialect."""
    module = import_module(f"pilotage.hazards.rewrites.{_MODULES[grammar(dialect).dialect]}")
    return cast(Rewriter, module.REWRITER)


def in_contract(*statements: str, note: str = "") -> str:
    """The statements in a contract half."""
    return section("contract", *statements, note=note)


def section(name: str, *statements: str, note: str = "") -> str:
    """One section, each statement ended by ``;``; a note is a comment under the marker."""
    lines = [f"-- {name}", *(f"-- {line}" for line in note.splitlines())]
    return "\n".join([*lines, *(f"{statement};" for statement in statements)]) + "\n"


def sections(*parts: str) -> str:
    """Sections with a blank line between them."""
    return "\n".join(part for part in parts if part)


def some_value(type: str) -> str:
    """A constant of a type, to stand for the value that only the author knows."""
    base = type.lower().partition("(")[0].strip()
    return next((value for value, names in _VALUES.items() if base in names), "''")


_VALUES: dict[str, frozenset[str]] = {
    "0": frozenset(
        {"int", "int2", "int4", "int8", "integer", "bigint", "smallint", "numeric", "decimal"}
        | {"real", "float", "float4", "float8", "double precision", "money", "double"}
    ),
    "false": frozenset({"bool", "boolean"}),
    "now()": frozenset({"timestamptz", "timestamp", "timestamp with time zone", "date"}),
    "'{}'": frozenset({"json", "jsonb"}),
}
