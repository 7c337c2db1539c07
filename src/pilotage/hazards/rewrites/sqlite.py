"""Safe forms in SQLite's SQL. Its triggers cannot change the row that is being written, and its ALTER
TABLE has no types, defaults or constraints to change."""

# ruff: noqa: S608 - this SQL is shown to a person and never executed here

from __future__ import annotations

from pilotage.hazards.rewrites import Rewriter, in_contract, section, sections, some_value
from pilotage.migrate.sql import change as c
from pilotage.migrate.sql.sqlite.scanner import quote as _q


def _name(name: c.Name) -> str:
    return f"{_q(name.schema)}.{_q(name.name)}" if name.schema else _q(name.name)


class SQLite(Rewriter):
    """`pilotage.hazards.rewrites.Rewriter` for SQLite."""

    def rename_column(self, change: c.RenameColumn, type: str) -> str:
        """A second column, kept equal by three triggers."""
        table, on = change.table, _q(change.table.name)
        a, b = _q(change.column), _q(change.to)
        prefix = f"{table.name}_{change.column}_{change.to}"
        inserted, by_old, by_new = (_q(f"{prefix}_{end}") for end in ("insert", "old", "new"))
        known = type or f"/* the type of {table}.{change.column} */"
        return sections(
            section(
                "expand",
                f"ALTER TABLE {on} ADD COLUMN {b} {known}",
                f"CREATE TRIGGER {inserted} AFTER INSERT ON {on} BEGIN\n"
                f"    UPDATE {on} SET {a} = coalesce(NEW.{b}, NEW.{a}), "
                f"{b} = coalesce(NEW.{b}, NEW.{a}) WHERE rowid = NEW.rowid;\n"
                "END",
                f"CREATE TRIGGER {by_old} AFTER UPDATE OF {a} ON {on} "
                f"WHEN NEW.{a} IS NOT NEW.{b} BEGIN\n"
                f"    UPDATE {on} SET {b} = NEW.{a} WHERE rowid = NEW.rowid;\n"
                "END",
                f"CREATE TRIGGER {by_new} AFTER UPDATE OF {b} ON {on} "
                f"WHEN NEW.{b} IS NOT NEW.{a} BEGIN\n"
                f"    UPDATE {on} SET {a} = NEW.{b} WHERE rowid = NEW.rowid;\n"
                "END",
                note=f"Where {change.column} is NOT NULL without a default, new code inserts both.",
            ),
            section("backfill", f"UPDATE {on} SET {b} = {a} WHERE {b} IS NOT {a}"),
            section("verify", f"SELECT * FROM {on} WHERE {b} IS NOT {a} LIMIT 5"),
            in_contract(
                f"DROP TRIGGER {inserted}",
                f"DROP TRIGGER {by_old}",
                f"DROP TRIGGER {by_new}",
                f"ALTER TABLE {on} DROP COLUMN {a}",
            ),
        )

    def rename_table(self, change: c.Rename, columns: tuple[c.Column, ...]) -> str:
        """A view with the new name until the table takes it; triggers make it writable."""
        old, new = _q(change.name.name), _q(change.to.name)
        triggers = [_q(f"{change.to.name}_{verb}") for verb in ("insert", "update", "delete")]
        names = [_q(column.name) for column in columns]
        statements = [f"CREATE VIEW {new} AS SELECT * FROM {old}"]
        if columns:
            key = " AND ".join(f"{name} IS OLD.{name}" for name in names)
            statements += [
                f"CREATE TRIGGER {triggers[0]} INSTEAD OF INSERT ON {new} BEGIN\n"
                f"    INSERT INTO {old} ({', '.join(names)}) VALUES "
                f"({', '.join(f'NEW.{name}' for name in names)});\n"
                "END",
                f"CREATE TRIGGER {triggers[1]} INSTEAD OF UPDATE ON {new} BEGIN\n"
                f"    UPDATE {old} SET {', '.join(f'{name} = NEW.{name}' for name in names)} "
                f"WHERE {key};\n"
                "END",
                f"CREATE TRIGGER {triggers[2]} INSTEAD OF DELETE ON {new} BEGIN\n"
                f"    DELETE FROM {old} WHERE {key};\n"
                "END",
            ]
        note = "" if columns else "INSTEAD OF triggers on the view let new code write through it."
        return sections(
            section("expand", *statements, note=note),
            in_contract(f"DROP VIEW {new}", f"ALTER TABLE {old} RENAME TO {new}"),
        )

    def add_column_not_null(self, change: c.AddColumn) -> str:
        """A constant default, which SQLite itself asks for."""
        value = some_value(change.column.type)
        value = {"now()": "'1970-01-01 00:00:00'", "false": "0"}.get(value, value)
        return section(
            "expand",
            f"{change.sql} DEFAULT {value}",
            note=f"{value} stands for the value that the rows of old code get.",
        )

    def find_duplicates(self, table: c.Name, columns: tuple[str, ...], sql: str) -> str:
        """In contract, after a query that finds what would fail."""
        if "" in columns:
            return ""
        names = ", ".join(map(_q, columns))
        query = f"SELECT {names}, count(*) FROM {_name(table)} GROUP BY {names} HAVING count(*) > 1"
        return sections(section("verify", query), in_contract(sql))

    def update_in_batches(self, change: c.ChangeRows) -> str:
        """Only the author can say which rows are still to do, where the statement does not."""
        if not change.whole:
            return section("backfill", change.sql)
        return section(
            "backfill",
            f"{change.sql} WHERE true",
            note="In place of `true`: a condition that is false for the rows already done.",
        )


REWRITER = SQLite()
