"""Safe forms of changes to columns, in PostgreSQL's SQL."""

# ruff: noqa: S608 - this SQL is shown to a person and never executed here

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from pilotage.hazards.rewrites import (
    NO_TRANSACTION,
    Rewriter,
    in_contract,
    section,
    sections,
    some_value,
)
from pilotage.hazards.rewrites.postgresql.apart import column_alone
from pilotage.hazards.rewrites.postgresql.naming import beside, literal, quoted, tree, written
from pilotage.migrate.sql import change as c
from pilotage.migrate.sql.postgresql.libpg_query import pb, walk
from pilotage.migrate.sql.postgresql.tables import deparsed, expression


def _using(change: c.AlterType) -> Any:
    """The expression of a USING, unless it only casts the column to its new type; else None."""
    if not change.using:
        return None
    command = tree(change.sql).cmds[0].alter_table_cmd
    given = getattr(command, "def").column_def.raw_default
    plain = tree(f"ALTER TABLE t ALTER c TYPE text USING {quoted(change.column)}::{change.type}")
    cast = getattr(plain.cmds[0].alter_table_cmd, "def").column_def.raw_default
    return None if expression(given) == expression(cast) else given


def _of_new(node: Any) -> str:
    """An expression over a table's columns, in a trigger."""
    node = deepcopy(node)
    for inner in walk(node):
        if isinstance(inner, pb.ColumnRef):
            del inner.fields[:-1]
            inner.fields.insert(0, pb.Node(string=pb.String(sval="new")))
    return expression(node)


class Columns(Rewriter):
    """The part of the rewriter that is about columns."""

    def rename_column(self, change: c.RenameColumn, type: str) -> str:
        """A second column, kept equal by a trigger that tells old writers from new ones."""
        return self._second_column(change.table, change.column, change.to, type)

    def change_type(self, change: c.AlterType, type: str) -> str:
        """A second column of the new type, kept equal by a trigger."""
        to, name = f"{change.column}_new", quoted(change.column)
        note = (
            f"\nNew code uses {to}, and writes nothing there that the type of {change.column} cannot hold"
            "\nuntil the contract half is applied."
        )
        value, of_new, back = f"{name}::{change.type}", f"NEW.{name}", ""
        using = _using(change)
        if using is not None:
            value, of_new = f"({expression(using)})", _of_new(using)
            back = f" /* the old value that {expression(using)} makes this of */"
        return self._second_column(
            change.table,
            change.column,
            to,
            change.type,
            value=value,
            of_new=of_new,
            back=back,
            note=note,
        )

    def _second_column(
        self,
        table: c.Name,
        old: str,
        new: str,
        type: str,
        *,
        value: str = "",
        of_new: str = "",
        back: str = "",
        note: str = "",
    ) -> str:
        """``value``: what the new column has of the old one; ``of_new``: the same in the trigger, and
        ``back``, what is to be said of the way back there."""
        sync = f"{table.name}_{old}_{new}"
        function, trigger, on = beside(table, sync), quoted(sync), written(table)
        a, b = quoted(old), quoted(new)
        value, of_new = value or a, of_new or f"NEW.{a}"
        unknown = f" /* the type of {table}.{old} */"
        note = f"{table}.{new} also needs the indexes and constraints of {old}.{note}"
        return sections(
            section(
                "expand",
                f"ALTER TABLE {on} ADD COLUMN {b} {type or 'text' + unknown}",
                f"CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS $$\n"
                "BEGIN\n"
                "    IF TG_OP = 'INSERT' THEN\n"
                f"        IF NEW.{b} IS NULL THEN NEW.{b} := {of_new}; -- old code\n"
                f"        ELSE NEW.{a} := NEW.{b}{back}; END IF;\n"
                f"    ELSIF NEW.{b} IS DISTINCT FROM OLD.{b} THEN -- new code, or the backfill\n"
                f"        NEW.{a} := NEW.{b}{back};\n"
                "    ELSE -- old code, or a row that is not backfilled yet\n"
                f"        NEW.{b} := {of_new};\n"
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

    def change_type_under_checks(
        self, change: c.AlterType, checks: Mapping[str, c.Constraint]
    ) -> str:
        """The CHECKs go, and come back NOT VALID, to be validated beside readers and writers."""
        on = written(change.table)
        return section(
            "expand",
            f"ALTER TABLE {on} "
            + ", ".join(f"DROP CONSTRAINT {quoted(name)}" for name in checks)
            + f", ALTER COLUMN {quoted(change.column)} TYPE {change.type}, "
            + ", ".join(
                f"ADD CONSTRAINT {quoted(name)} CHECK ({check.expression}) NOT VALID"
                for name, check in checks.items()
            ),
            *(f"ALTER TABLE {on} VALIDATE CONSTRAINT {quoted(name)}" for name in checks),
            note=NO_TRANSACTION,
        )

    def narrow_type(self, change: c.AlterType) -> str:
        """A query that finds the values which do not fit, before the statement runs."""
        on, name = written(change.table), quoted(change.column)
        _, _, size = change.type.partition("(")
        if change.type.startswith(("varchar", "char")):
            wrong = f"length({name}) > {size.rstrip(')')}"
        else:
            wrong = f"{name}::numeric <> round({name}::numeric)"
            low, high = _RANGES.get(change.type, ("", ""))
            digits = [part.strip() for part in size.rstrip(")").split(",")]
            if low:
                wrong = f"{name} NOT BETWEEN {low} AND {high}"
            elif change.type.startswith("numeric") and len(digits) == 2:
                whole = int(digits[0]) - int(digits[1])
                wrong = f"abs({name}) >= 1e{whole} OR {name} <> round({name}, {digits[1]})"
            else:
                return in_contract(change.sql, note="First find the values that do not fit.")
        return sections(
            section("verify", f"SELECT {name} FROM {on} WHERE {wrong} LIMIT 5"),
            in_contract(change.sql),
        )

    def set_not_null(self, table: c.Name, column: str, type: str) -> str:
        """A default for old code, a backfill, then a validated CHECK that makes NOT NULL cheap."""
        on, name = written(table), quoted(column)
        value = some_value(type)
        return sections(
            section(
                "expand",
                f"ALTER TABLE {on} ALTER COLUMN {name} SET DEFAULT {value}",
                note=f"{value} stands for the value that rows without one get.",
            ),
            section("backfill", f"UPDATE {on} SET {name} = {value} WHERE {name} IS NULL"),
            section("verify", f"SELECT * FROM {on} WHERE {name} IS NULL LIMIT 5"),
            in_contract(*self._made_present(table, column), note=NO_TRANSACTION),
        )

    @staticmethod
    def _made_present(table: c.Name, column: str) -> tuple[str, ...]:
        """A cheap SET NOT NULL: a CHECK is validated first."""
        on, name, check = written(table), quoted(column), quoted(f"{table.name}_{column}_present")
        return (
            f"ALTER TABLE {on} ADD CONSTRAINT {check} CHECK ({name} IS NOT NULL) NOT VALID",
            f"ALTER TABLE {on} VALIDATE CONSTRAINT {check}",
            f"ALTER TABLE {on} ALTER COLUMN {name} SET NOT NULL",
            f"ALTER TABLE {on} DROP CONSTRAINT {check}",
        )

    def add_column_not_null(self, change: c.AddColumn) -> str:
        """A constant default while old code inserts."""
        node = tree(change.sql)
        definition = getattr(node.cmds[0].alter_table_cmd, "def").column_def
        value = some_value(change.column.type)
        default = tree(f"ALTER TABLE t ALTER c SET DEFAULT {value}")
        constraint = definition.constraints.add().constraint
        constraint.contype = pb.CONSTR_DEFAULT
        constraint.raw_expr.CopyFrom(getattr(default.cmds[0].alter_table_cmd, "def"))
        on, name = written(change.table), quoted(change.column.name)
        return sections(
            section(
                "expand",
                deparsed(node),
                note=f"{value} stands for the value that the rows of old code get.",
            ),
            in_contract(f"ALTER TABLE {on} ALTER COLUMN {name} DROP DEFAULT"),
        )

    def add_column_in_steps(self, change: c.AddColumn) -> str:
        """A bare column first; its value for new rows; the rows that are there in batches."""
        source = change.column.source
        if source == "stored":
            return self._computed(change)
        on, name, kind = written(change.table), quoted(change.column.name), change.column.type
        default = change.column.default
        required = change.column.not_null or source in ("serial", "identity")
        if source in ("serial", "identity"):
            kind = _COUNTED.get(kind, kind)
            sequence = beside(change.table, f"{change.table.name}_{change.column.name}_seq")
            default = f"nextval({literal(sequence)})"
            counts = "" if kind == "bigint" else f" AS {kind}"
            made = [f"CREATE SEQUENCE {sequence}{counts} OWNED BY {on}.{name}"]
        elif default is None or change.column.generated:
            return ""
        else:
            made = []
        return sections(
            section(
                "expand",
                f"ALTER TABLE {on} ADD COLUMN {name} {kind}",
                *made,
                f"ALTER TABLE {on} ALTER COLUMN {name} SET DEFAULT {default}",
            ),
            section("backfill", f"UPDATE {on} SET {name} = {default} WHERE {name} IS NULL"),
            self._completed(change, required=required),
        )

    def _completed(self, change: c.AddColumn, *, required: bool) -> str:
        """The contract half that adds, over rows that all have their value, what stood beside the column."""
        key = any(constraint.kind == "primary key" for constraint in change.constraints)
        _, steps = column_alone(change)
        if required or key:
            steps = (*self._made_present(change.table, change.column.name), *steps)
        return in_contract(*steps, note=NO_TRANSACTION) if steps else ""

    def _computed(self, change: c.AddColumn) -> str:
        """A trigger in place of GENERATED … STORED."""
        node = tree(change.sql)
        definition = getattr(node.cmds[0].alter_table_cmd, "def").column_def
        generated = next(
            item.constraint
            for item in definition.constraints
            if item.constraint.contype == pb.CONSTR_GENERATED
        )
        value, of_new = expression(generated.raw_expr), _of_new(generated.raw_expr)
        on, name = written(change.table), quoted(change.column.name)
        computes = f"{change.table.name}_{change.column.name}"
        function, trigger = beside(change.table, computes), quoted(computes)
        return sections(
            section(
                "expand",
                f"ALTER TABLE {on} ADD COLUMN {name} {change.column.type}",
                f"CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS $$\n"
                f"BEGIN\n    NEW.{name} := {of_new};\n    RETURN NEW;\nEND\n$$",
                f"CREATE TRIGGER {trigger} BEFORE INSERT OR UPDATE ON {on}\n"
                f"    FOR EACH ROW EXECUTE FUNCTION {function}()",
            ),
            section(
                "backfill",
                f"UPDATE {on} SET {name} = {value} WHERE {name} IS DISTINCT FROM {value}",
            ),
            self._completed(change, required=change.column.not_null),
        )

    def add_column_without(self, change: c.AddColumn) -> str:
        """The bare column, then each constraint as its own rewrite adds it."""
        bare, steps = column_alone(change)
        return section("expand", bare, *steps, note=NO_TRANSACTION)

    def add_column_of_base_type(self, change: c.AddColumn) -> str:
        """The column with a placeholder for the type under the domain."""
        on, name = written(change.table), quoted(change.column.name)
        check = quoted(f"{change.table.name}_{change.column.name}_check")
        return section(
            "expand",
            f"ALTER TABLE {on} ADD COLUMN {name} int /* the type under {change.column.type} */",
            f"ALTER TABLE {on} ADD CONSTRAINT {check} CHECK ({name} > 0 /* what the domain demands */) "
            "NOT VALID",
            f"ALTER TABLE {on} VALIDATE CONSTRAINT {check}",
            note=NO_TRANSACTION,
        )

    def jsonb(self, sql: str) -> str:
        """The same statement with another name in the type."""
        node = tree(sql)
        definition = getattr(node.cmds[0].alter_table_cmd, "def").column_def
        _retype(definition.type_name, {"json": "jsonb"})
        return section("expand", deparsed(node))

    def bigint_key(self, change: c.CreateTable | c.AddColumn) -> str:
        """The same statement with wider types for what is counted up."""
        node = tree(change.sql)
        keys = {x.columns for x in change.constraints if x.kind == "primary key"}
        if isinstance(change, c.CreateTable):
            definitions = [e.column_def for e in node.table_elts if e.HasField("column_def")]
        else:
            definitions = [getattr(node.cmds[0].alter_table_cmd, "def").column_def]
        for definition in definitions:
            if (definition.colname,) in keys:
                _retype(definition.type_name, _WIDER)
        return section("expand", deparsed(node))

    def drop_required_column(self, change: c.DropColumn) -> str:
        """NOT NULL goes in expand, so that new code can leave the column out."""
        on, name = written(change.table), quoted(change.column)
        return sections(
            section("expand", f"ALTER TABLE {on} ALTER COLUMN {name} DROP NOT NULL"),
            in_contract(change.sql),
        )


_COUNTED = {
    "serial": "int",
    "serial4": "int",
    "bigserial": "bigint",
    "serial8": "bigint",
    "smallserial": "smallint",
    "serial2": "smallint",
}
_RANGES = {
    "smallint": ("-32768", "32767"),
    "int": ("-2147483648", "2147483647"),
    "integer": ("-2147483648", "2147483647"),
}
_WIDER = {
    **dict.fromkeys(("int4", "int2"), "int8"),
    **dict.fromkeys(("serial", "serial4", "smallserial", "serial2"), "bigserial"),
}


def _retype(type_name: Any, names: Mapping[str, str]) -> None:
    last = type_name.names[-1].string
    last.sval = names.get(last.sval, last.sval)
