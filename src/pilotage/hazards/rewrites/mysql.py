"""Safe forms in the SQL of MySQL and MariaDB."""

# ruff: noqa: S608 - this SQL is shown to a person and never executed here

from __future__ import annotations

from pilotage.hazards.rewrites import Rewriter, in_contract, section, sections, some_value
from pilotage.migrate.sql import change as c
from pilotage.migrate.sql.mysql.online import guarded
from pilotage.migrate.sql.mysql.words import quote as _q

_ONLINE = "ALGORITHM=INPLACE, LOCK=NONE"
_TEXTS = ("char", "text", "enum", "set", "clob")


def _name(name: c.Name) -> str:
    return f"{_q(name.schema)}.{_q(name.name)}" if name.schema else _q(name.name)


def explicit(change: c.Change) -> str:
    """The change alone, told how it is to be done: beside readers and writers, or not at all."""
    ordered = isinstance(change, c.TableOption) and change.kind == "order"
    if ordered or "DEFAULT" in (change.algorithm, change.lock) or isinstance(change, c.Drop):
        return section("expand", guarded(change.sql))
    if isinstance(change, c.CreateIndex) and not change.sql.upper().startswith("ALTER"):
        return section("expand", f"{change.sql} {_ONLINE.replace(',', '')}")
    return section("expand", f"{change.sql}, {_ONLINE}")


def _same(one: str, other: str, type: str) -> str:
    """Whether two values are the same byte by byte: collations take ``a`` for ``A``."""
    if type and not any(word in type.lower() for word in _TEXTS):
        return f"{one} <=> {other}"
    return f"CAST({one} AS BINARY) <=> CAST({other} AS BINARY)"


def _constant(type: str) -> str:
    value = some_value(type)
    return {"now()": "'1970-01-01'", "false": "0", "'{}'": "('{}')"}.get(value, value)


class MySQL(Rewriter):
    """`pilotage.hazards.rewrites.Rewriter` for MySQL and MariaDB."""

    def rename_column(self, change: c.RenameColumn, type: str) -> str:
        """A second column, kept equal by two triggers."""
        return self._second_column(change.table, change.column, change.to, type, type)

    def change_type(self, change: c.AlterType, type: str) -> str:
        """A second column of the new type, kept equal by two triggers."""
        to = f"{change.column}_new"
        return self._second_column(change.table, change.column, to, change.type, change.type)

    def _second_column(self, table: c.Name, old: str, new: str, type: str, compared: str) -> str:
        on, a, b = _name(table), _q(old), _q(new)
        triggers = [_q(f"{table.name}_{old}_{new}_{verb}") for verb in ("insert", "update")]
        known = type or f"text /* the type of {table}.{old} */"
        unchanged = _same(f"NEW.{b}", f"OLD.{b}", compared)
        differs = f"NOT ({_same(b, a, compared)})"
        return sections(
            section(
                "expand",
                f"ALTER TABLE {on} ADD COLUMN {b} {known} NULL, ALGORITHM=INSTANT",
                f"CREATE TRIGGER {triggers[0]} BEFORE INSERT ON {on} FOR EACH ROW\n"
                "BEGIN\n"
                f"    IF NEW.{b} IS NULL THEN SET NEW.{b} = NEW.{a}; -- old code\n"
                f"    ELSE SET NEW.{a} = NEW.{b}; END IF;\n"
                "END",
                f"CREATE TRIGGER {triggers[1]} BEFORE UPDATE ON {on} FOR EACH ROW\n"
                "BEGIN\n"
                f"    IF {unchanged} THEN SET NEW.{b} = NEW.{a}; -- old code\n"
                f"    ELSE SET NEW.{a} = NEW.{b}; END IF;\n"
                "END",
                note=f"{table}.{new} also needs the indexes and constraints of {old}.",
            ),
            section("backfill", f"UPDATE {on} SET {b} = {a} WHERE {differs}"),
            section("verify", f"SELECT * FROM {on} WHERE {differs} LIMIT 5"),
            in_contract(
                *(f"DROP TRIGGER {trigger}" for trigger in triggers),
                f"ALTER TABLE {on} DROP COLUMN {a}, {_ONLINE}",
            ),
        )

    def rename_table(self, change: c.Rename, columns: tuple[c.Column, ...]) -> str:
        """A view with the new name, which can be written through; then both change names at once."""
        old, new = _name(change.name), _name(change.to)
        gone = _name(c.Name(change.to.schema, f"{change.to.name}_view"))
        return sections(
            section("expand", f"CREATE VIEW {new} AS SELECT * FROM {old}"),
            in_contract(f"RENAME TABLE {new} TO {gone}, {old} TO {new}", f"DROP VIEW {gone}"),
        )

    def set_not_null(self, table: c.Name, column: str, type: str) -> str:
        """A default for old code, a backfill, and NOT NULL once no row has none."""
        on, name = _name(table), _q(column)
        value = _constant(type)
        known = type or f"/* the type of {table}.{column} */"
        return sections(
            section(
                "expand",
                f"ALTER TABLE {on} ALTER COLUMN {name} SET DEFAULT {value}",
                note=f"{value} stands for the value that only you know.",
            ),
            section("backfill", f"UPDATE {on} SET {name} = {value} WHERE {name} IS NULL"),
            section("verify", f"SELECT * FROM {on} WHERE {name} IS NULL LIMIT 5"),
            in_contract(
                f"ALTER TABLE {on} MODIFY COLUMN {name} {known} NOT NULL DEFAULT {value}, {_ONLINE}"
            ),
        )

    def add_column_not_null(self, change: c.AddColumn) -> str:
        """A constant default while old code inserts."""
        value = _constant(change.column.type)
        return section(
            "expand",
            f"{change.sql} DEFAULT {value}, ALGORITHM=INSTANT",
            note=f"{value} stands for the value that the rows of old code get.",
        )

    def add_column_in_steps(self, change: c.AddColumn) -> str:
        """A bare column; its default and the rows that are there afterwards."""
        column, on = change.column, _name(change.table)
        name, default = _q(column.name), column.default or _constant(column.type)
        return sections(
            section(
                "expand",
                f"ALTER TABLE {on} ADD COLUMN {name} {column.type} NULL, ALGORITHM=INSTANT",
                f"ALTER TABLE {on} ALTER COLUMN {name} SET DEFAULT {default}",
            ),
            section("backfill", f"UPDATE {on} SET {name} = {default} WHERE {name} IS NULL"),
        )

    def add_constraint(self, change: c.AddConstraint, nullable: tuple[str, ...] = ()) -> str:
        """A unique index beside writers; a foreign key without the look at the rows, which comes first."""
        on, constraint = _name(change.table), change.constraint
        names = ", ".join(_q(column) for column in constraint.columns)
        if constraint.kind == "unique" and names:
            name = _q(constraint.name or f"{change.table.name}_{constraint.columns[0]}")
            return section(
                "expand", f"CREATE UNIQUE INDEX {name} ON {on} ({names}) {_ONLINE.replace(',', '')}"
            )
        if constraint.kind == "foreign key":
            return section(
                "expand",
                "SET foreign_key_checks = 0",
                f"{change.sql}, {_ONLINE}",
                "SET foreign_key_checks = 1",
                note="Rows that are there are not looked at: find those that refer to nothing first.",
            )
        return ""

    def update_in_batches(self, change: c.ChangeRows) -> str:
        """Only the author can say which rows are still to do."""
        return section(
            "backfill",
            f"{change.sql} WHERE true",
            note="In place of `true`: a condition that is false for the rows already done.",
        )


REWRITER = MySQL()
