"""The SQL to write instead of a hazard, one module a dialect, and the registry of them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import cast

from pilotage.migrate.sql import change as c
from pilotage.migrate.sql import grammar


class Rewriter:
    """Writes safe forms as text with section markers, ready to paste. Stateless; a dialect overrides what it has.

    A ``type`` that is ``""`` is not known; what is written then says so in a comment. A method returns
    ``""`` where the dialect has no such change, or no safe form of it.
    """

    def rename_column(self, change: c.RenameColumn, type: str) -> str:
        """A second column, kept equal by triggers, until the old one goes."""
        return ""

    def change_type(self, change: c.AlterType, type: str) -> str:
        """A second column of the new type, kept equal by triggers."""
        return ""

    def change_type_under_checks(
        self, change: c.AlterType, checks: Mapping[str, c.Constraint]
    ) -> str:
        """Without its CHECKs, which come back NOT VALID and are validated."""
        return ""

    def narrow_type(self, change: c.AlterType) -> str:
        """The same, after all values were found to fit."""
        return ""

    def rename_table(self, change: c.Rename, columns: tuple[c.Column, ...]) -> str:
        """A view with the new name until the table takes it."""
        return ""

    def rename_enum_value(self, change: c.RenameEnumValue) -> str:
        """A second value beside the old one."""
        return ""

    def place_enum_value(self, change: c.AddEnumValue, last: str) -> str:
        """The same with its place said."""
        return ""

    def set_not_null(self, table: c.Name, column: str, type: str) -> str:
        """A default for old code, a backfill, and a validated CHECK that makes NOT NULL cheap."""
        return ""

    def add_column_not_null(self, change: c.AddColumn) -> str:
        """A constant default while old code inserts."""
        return ""

    def add_column_in_steps(self, change: c.AddColumn) -> str:
        """A bare column; default, constraints and existing rows afterwards."""
        return ""

    def add_column_without(self, change: c.AddColumn) -> str:
        """The column without its constraints, which follow beside readers and writers."""
        return ""

    def add_column_of_base_type(self, change: c.AddColumn) -> str:
        """A plain type, and what the domain demands as a CHECK."""
        return ""

    def jsonb(self, sql: str) -> str:
        """The same statement with jsonb in place of json."""
        return ""

    def bigint_key(self, change: c.CreateTable | c.AddColumn) -> str:
        """The same with a key of eight bytes."""
        return ""

    def add_constraint(self, change: c.AddConstraint, nullable: tuple[str, ...] = ()) -> str:
        """NOT VALID and VALIDATE, or a unique index built beside writers."""
        return ""

    def plain_domain(self, change: c.Create) -> str:
        """The domain without what it demands."""
        return ""

    def constrain_domain(self, change: c.ConstrainDomain) -> str:
        """NOT VALID and VALIDATE."""
        return ""

    def find_duplicates(self, table: c.Name, columns: tuple[str, ...], sql: str) -> str:
        """A query that finds what would fail, before the statement runs."""
        return ""

    def index(self, change: c.CreateIndex | c.Drop) -> str:
        """The same, CONCURRENTLY."""
        return ""

    def index_of_partitions(self, change: c.CreateIndex, partitions: tuple[c.Name, ...]) -> str:
        """One index a partition, CONCURRENTLY, attached to one of the whole."""
        return ""

    def build_index_anew(self, change: c.CreateIndex) -> str:
        """What an interrupted build left is dropped first."""
        return ""

    def replace_index(self, drop: c.Drop, create: c.CreateIndex) -> str:
        """The new index first, under another name."""
        return ""

    def reindex(self, change: c.Rewrite) -> str:
        """The same, CONCURRENTLY."""
        return ""

    def vacuum(self, change: c.Rewrite) -> str:
        """What gives space back beside readers and writers."""
        return ""

    def refresh(self, change: c.Rewrite) -> str:
        """The same, CONCURRENTLY."""
        return ""

    def detach(self, change: c.Detach) -> str:
        """The same, CONCURRENTLY."""
        return ""

    def attach(self, change: c.Attach, key: str) -> str:
        """A CHECK that proves the bounds, validated before."""
        return ""

    def drop_required_column(self, change: c.DropColumn) -> str:
        """Not needed any longer in expand, gone in contract."""
        return ""

    def drop_table_in_steps(self, change: c.Drop, keys: tuple[tuple[c.Name, str], ...]) -> str:
        """Its foreign keys first, one at a time."""
        return ""

    def drop_schema_in_steps(self, change: c.Drop, tables: tuple[c.Name, ...]) -> str:
        """What is in it by name."""
        return ""

    def truncate_by_name(self, change: c.Truncate, others: tuple[c.Name, ...]) -> str:
        """With every table that is emptied named."""
        return ""

    def update_in_batches(self, change: c.ChangeRows) -> str:
        """A ``-- backfill`` section that converges."""
        return ""


_MODULES = {"postgresql": "postgresql", "mysql": "mysql", "sqlite": "sqlite"}


@cache
def rewriter(dialect: str) -> Rewriter:
    """The rewriter of a dialect."""
    module = import_module(f"pilotage.hazards.rewrites.{_MODULES[grammar(dialect).dialect]}")
    return cast(Rewriter, module.REWRITER)


NO_TRANSACTION = "pilotage: transaction=false"


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


def one_section(*parts: str) -> str:
    """Sections of one name and one note as a single one, their statements one after the other."""
    head, *rest = parts
    start = head.splitlines()[:2]
    return head + "".join(
        line
        for part in rest
        for line in part.splitlines(keepends=True)
        if line.rstrip() not in start
    )


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
