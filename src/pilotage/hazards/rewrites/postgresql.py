"""Safe forms in PostgreSQL's SQL."""

# ruff: noqa: S608 - this SQL is shown to a person and never executed here

from __future__ import annotations

from copy import deepcopy
from typing import Any

from postgast import pg_query_pb2 as pb

from pilotage.hazards.rewrites import in_contract, section, sections, some_value
from pilotage.migrate.sql import change as c
from pilotage.migrate.sql.postgresql import parser
from pilotage.migrate.sql.postgresql.tables import deparsed

_q = parser.quote


def _name(name: c.Name) -> str:
    return f"{_q(name.schema)}.{_q(name.name)}" if name.schema else _q(name.name)


def _beside(name: c.Name, other: str) -> str:
    """A name in the same schema."""
    return _name(c.Name(name.schema, other))


def _tree(sql: str) -> Any:
    """A statement's node, to be changed: the parser keeps its own."""
    return deepcopy(parser.tree(sql))


class PostgreSQL:
    """`pilotage.hazards.rewrites.Rewriter` for PostgreSQL."""

    def rename_column(self, change: c.RenameColumn, type: str) -> str:
        """A second column, kept equal by a trigger that tells old writers from new ones."""
        return self._second_column(change.table, change.column, change.to, type, cast="")

    def change_type(self, change: c.AlterType, type: str) -> str:
        """A second column of the new type, kept equal by a trigger."""
        to = f"{change.column}_new"
        return self._second_column(
            change.table, change.column, to, change.type, cast=f"::{change.type}"
        )

    def _second_column(self, table: c.Name, old: str, new: str, type: str, *, cast: str) -> str:
        sync = f"{table.name}_{old}_{new}"
        function, trigger, on = _beside(table, sync), _q(sync), _name(table)
        a, b = _q(old), _q(new)
        value = f"{a}{cast}"
        unknown = f" /* the type of {table}.{old} */"
        note = f"{table}.{new} also needs the indexes and constraints of {old}."
        if cast:
            note += (
                f"\nNew code uses {new}, and writes nothing there that the type of {old} cannot hold"
                "\nuntil the contract half is applied."
            )
        return sections(
            section(
                "expand",
                f"ALTER TABLE {on} ADD COLUMN {b} {type or 'text' + unknown}",
                f"CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS $$\n"
                "BEGIN\n"
                "    IF TG_OP = 'INSERT' THEN\n"
                f"        IF NEW.{b} IS NULL THEN NEW.{b} := NEW.{a}; -- old code\n"
                f"        ELSE NEW.{a} := NEW.{b}; END IF;\n"
                f"    ELSIF NEW.{b} IS DISTINCT FROM OLD.{b} THEN -- new code, or the backfill\n"
                f"        NEW.{a} := NEW.{b};\n"
                "    ELSE -- old code, or a row that is not backfilled yet\n"
                f"        NEW.{b} := NEW.{a};\n"
                "    END IF;\n"
                "    RETURN NEW;\n"
                "END\n"
                "$$",
                f"CREATE TRIGGER {trigger} BEFORE INSERT OR UPDATE ON {on}\n"
                f"    FOR EACH ROW EXECUTE FUNCTION {function}()",
                note=note,
            ),
            section(
                "backfill", f"UPDATE {on} SET {b} = {value} WHERE {b} IS DISTINCT FROM {value}"
            ),
            section("verify", f"SELECT * FROM {on} WHERE {b} IS DISTINCT FROM {value} LIMIT 5"),
            in_contract(
                f"DROP TRIGGER {trigger} ON {on}",
                f"DROP FUNCTION {function}()",
                f"ALTER TABLE {on} DROP COLUMN {a}",
            ),
        )

    def rename_table(self, change: c.Rename, columns: tuple[c.Column, ...]) -> str:
        """An updatable view with the new name until the table takes it."""
        new, rename = _name(change.to), change.sql
        return sections(
            section(
                "expand",
                f"CREATE VIEW {new} AS SELECT * FROM {_name(change.name)}",
                note="New code reads and writes through the view, which PostgreSQL updates as if it\n"
                "were the table (but for ON CONFLICT ON CONSTRAINT, COPY FROM and TRUNCATE).",
            ),
            in_contract(f"DROP VIEW {new}", rename),
        )

    def rename_enum_value(self, change: c.RenameEnumValue) -> str:
        """A second value next to the old one; PostgreSQL removes none."""
        old, new = (value.replace("'", "''") for value in (change.value, change.to))
        return section(
            "expand",
            f"ALTER TYPE {_name(change.type)} ADD VALUE '{new}' AFTER '{old}'",
            note=f"First release code that reads both '{change.value}' and '{change.to}'.",
        )

    def set_not_null(self, table: c.Name, column: str, type: str) -> str:
        """A default for old code, a backfill, then a validated CHECK that makes NOT NULL cheap."""
        on, name, check = _name(table), _q(column), _q(f"{table.name}_{column}_present")
        value = some_value(type)
        return sections(
            section(
                "expand",
                f"ALTER TABLE {on} ALTER COLUMN {name} SET DEFAULT {value}",
                note=f"{value} stands for the value that rows without one get.",
            ),
            section("backfill", f"UPDATE {on} SET {name} = {value} WHERE {name} IS NULL"),
            section("verify", f"SELECT * FROM {on} WHERE {name} IS NULL LIMIT 5"),
            in_contract(
                f"ALTER TABLE {on} ADD CONSTRAINT {check} CHECK ({name} IS NOT NULL) NOT VALID",
                f"ALTER TABLE {on} VALIDATE CONSTRAINT {check}",
                f"ALTER TABLE {on} ALTER COLUMN {name} SET NOT NULL",
                f"ALTER TABLE {on} DROP CONSTRAINT {check}",
                note="pilotage: transaction=false",
            ),
        )

    def add_column_not_null(self, change: c.AddColumn) -> str:
        """A constant default while old code inserts."""
        node = _tree(change.sql)
        definition = getattr(node.cmds[0].alter_table_cmd, "def").column_def
        value = some_value(change.column.type)
        default = _tree(f"ALTER TABLE t ALTER c SET DEFAULT {value}")
        constraint = definition.constraints.add().constraint
        constraint.contype = pb.CONSTR_DEFAULT
        constraint.raw_expr.CopyFrom(getattr(default.cmds[0].alter_table_cmd, "def"))
        on, name = _name(change.table), _q(change.column.name)
        return sections(
            section(
                "expand",
                deparsed(node),
                note=f"{value} stands for the value that the rows of old code get.",
            ),
            in_contract(f"ALTER TABLE {on} ALTER COLUMN {name} DROP DEFAULT"),
        )

    def add_column_in_steps(self, change: c.AddColumn) -> str:
        """A bare column first; its default for new rows; the rows that are there in batches."""
        on, name, kind = _name(change.table), _q(change.column.name), change.column.type
        default = change.column.default
        if default is None or change.column.generated:
            return ""
        return sections(
            section(
                "expand",
                f"ALTER TABLE {on} ADD COLUMN {name} {kind}",
                f"ALTER TABLE {on} ALTER COLUMN {name} SET DEFAULT {default}",
            ),
            section("backfill", f"UPDATE {on} SET {name} = {default} WHERE {name} IS NULL"),
        )

    def add_constraint(self, change: c.AddConstraint) -> str:
        """NOT VALID and VALIDATE in two transactions, or a unique index built beside writers."""
        on, constraint = _name(change.table), change.constraint
        if constraint.kind == "exclude":
            return ""
        node = _tree(change.sql)
        definition = getattr(node.cmds[0].alter_table_cmd, "def").constraint
        suffix = {"check": "check", "foreign key": "fkey", "unique": "key", "primary key": "pkey"}
        parts = (change.table.name, *constraint.columns, suffix[constraint.kind])
        name = constraint.name or "_".join(
            parts if constraint.kind != "primary key" else (parts[0], parts[-1])
        )
        definition.conname = name
        if constraint.kind in ("check", "foreign key"):
            definition.skip_validation, definition.initially_valid = True, False
            steps = (deparsed(node), f"ALTER TABLE {on} VALIDATE CONSTRAINT {_q(name)}")
        else:
            columns = ", ".join(_q(column) for column in constraint.columns)
            kind = constraint.kind.upper()
            steps = (
                f"CREATE UNIQUE INDEX CONCURRENTLY {_q(name)} ON {on} ({columns})",
                f"ALTER TABLE {on} ADD CONSTRAINT {_q(name)} {kind} USING INDEX {_q(name)}",
            )
        return section("expand", *steps, note="pilotage: transaction=false")

    def index(self, change: c.CreateIndex | c.Drop) -> str:
        """The same, CONCURRENTLY."""
        node = _tree(change.sql)
        node.concurrent = True
        if isinstance(change, c.CreateIndex) and not change.name:
            keys = [item.index_elem.name or "expr" for item in node.index_params]
            node.idxname = "_".join((change.table.name, *keys, "idx"))
        return section("expand", deparsed(node), note="pilotage: transaction=false")

    def update_in_batches(self, change: c.ChangeRows) -> str:
        """A ``-- backfill`` section that is done when nothing differs any longer."""
        node = _tree(change.sql)
        if type(node).__name__ != "UpdateStmt" or node.HasField("where_clause"):
            return ""
        targets = [item.res_target for item in node.target_list]
        if len(targets) != 1 or node.from_clause:
            return ""
        condition = _tree("SELECT a IS DISTINCT FROM b").target_list[0].res_target.val
        column = condition.a_expr.lexpr.column_ref
        column.fields[0].string.sval = targets[0].name
        condition.a_expr.rexpr.CopyFrom(targets[0].val)
        node.where_clause.CopyFrom(condition)
        return section("backfill", deparsed(node))


REWRITER = PostgreSQL()
