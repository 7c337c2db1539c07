"""Safe forms of changes to whole tables, types and rows, in PostgreSQL's SQL."""

# ruff: noqa: S608 - this SQL is shown to a person and never executed here

from __future__ import annotations

from typing import Any

from pilotage.hazards.rewrites import NO_TRANSACTION, Rewriter, in_contract, section, sections
from pilotage.hazards.rewrites.postgresql.naming import literal, quoted, tree, written
from pilotage.migrate.sql import change as c
from pilotage.migrate.sql.postgresql.libpg_query import pb, walk
from pilotage.migrate.sql.postgresql.tables import deparsed, expression


class Tables(Rewriter):
    """The part of the rewriter that is about tables, enum types and rows."""

    def rename_table(self, change: c.Rename, columns: tuple[c.Column, ...]) -> str:
        """An updatable view with the new name until the table takes it."""
        new, rename = written(change.to), change.sql
        return sections(
            section(
                "expand",
                f"CREATE VIEW {new} AS SELECT * FROM {written(change.name)}",
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
            f"ALTER TYPE {written(change.type)} ADD VALUE '{new}' AFTER '{old}'",
            note=f"First release code that reads both '{change.value}' and '{change.to}'.",
        )

    def place_enum_value(self, change: c.AddEnumValue, last: str) -> str:
        """After the last one, where it would be put anyway, for the author to correct."""
        return section(
            "expand",
            f"ALTER TYPE {written(change.type)} ADD VALUE {literal(change.value)} AFTER {literal(last)}",
        )

    def vacuum(self, change: c.Rewrite) -> str:
        """A plain VACUUM gives the space back to the table."""
        on = f" {written(change.name)}" if change.name else ""
        return section("expand", f"VACUUM (ANALYZE){on}", note=NO_TRANSACTION)

    def refresh(self, change: c.Rewrite) -> str:
        """The same, CONCURRENTLY."""
        node = tree(change.sql)
        node.concurrent = True
        return section("expand", deparsed(node))

    def detach(self, change: c.Detach) -> str:
        """The same, CONCURRENTLY."""
        on, child = written(change.table), written(change.child)
        return in_contract(
            f"ALTER TABLE {on} DETACH PARTITION {child} CONCURRENTLY", note=NO_TRANSACTION
        )

    def attach(self, change: c.Attach, key: str) -> str:
        """A CHECK that says the same as the bounds, validated before, dropped afterwards."""
        child, name = written(change.child), quoted(f"{change.child.name}_bounds")
        check = _bounds(change, key)
        if not check:
            return ""
        return section(
            "expand",
            f"ALTER TABLE {child} ADD CONSTRAINT {name} CHECK ({check}) NOT VALID",
            f"ALTER TABLE {child} VALIDATE CONSTRAINT {name}",
            change.sql,
            f"ALTER TABLE {child} DROP CONSTRAINT {name}",
            note=NO_TRANSACTION,
        )

    def drop_table_in_steps(self, change: c.Drop, keys: tuple[tuple[c.Name, str], ...]) -> str:
        """One foreign key after the other, then the table, which nothing is tied to any longer."""
        return in_contract(
            *(
                f"ALTER TABLE {written(table)} DROP CONSTRAINT {quoted(name)}"
                for table, name in keys
            ),
            change.sql,
            note=NO_TRANSACTION,
        )

    def drop_schema_in_steps(self, change: c.Drop, tables: tuple[c.Name, ...]) -> str:
        """What is in it by name, then the schema, which must be empty."""
        return in_contract(
            *(f"DROP TABLE {written(table)}" for table in tables),
            f"DROP SCHEMA {quoted(change.name.name)}",
        )

    def truncate_by_name(self, change: c.Truncate, others: tuple[c.Name, ...]) -> str:
        """Every table that is emptied is named."""
        return in_contract(f"TRUNCATE {', '.join(map(written, (change.table, *others)))}")

    def update_in_batches(self, change: c.ChangeRows) -> str:
        """A backfill that is done when no row differs any longer; none where a value builds on itself."""
        node = tree(change.sql)
        if isinstance(node, pb.DeleteStmt) and node.HasField("where_clause"):
            return section("backfill", change.sql)
        if not isinstance(node, pb.UpdateStmt):
            return ""
        targets = [item.res_target for item in node.target_list]
        if any(_builds_on_itself(target) for target in targets):
            return ""
        alias = node.relation.alias.aliasname or node.relation.relname
        differs = " OR ".join(
            f"{quoted(alias) + '.' if node.from_clause else ''}{quoted(target.name)} "
            f"IS DISTINCT FROM {_operand(target.val)}"
            for target in targets
        )
        if node.HasField("where_clause"):
            joined = f"({expression(node.where_clause)}) AND ({differs})"
        else:
            joined = differs
        condition = tree(f"SELECT 1 WHERE {joined}").where_clause
        node.where_clause.CopyFrom(condition)
        return section("backfill", deparsed(node))


def _operand(value: Any) -> str:
    """An expression as an operand."""
    text = expression(value)
    simple = value.WhichOneof("node") in ("a_const", "column_ref", "func_call", "type_cast")
    return text if simple else f"({text})"


def _builds_on_itself(target: Any) -> bool:
    """Whether ``SET a = a + 1``, or several columns at once: then nothing tells a row that is done."""
    if target.val.HasField("multi_assign_ref") or target.val.HasField("set_to_default"):
        return True
    return any(
        isinstance(inner, pb.A_Expr)
        and any(
            isinstance(leaf, pb.ColumnRef) and leaf.fields[-1].string.sval == target.name
            for leaf in walk(inner)
        )
        for inner in walk(target.val)
    )


def _bounds(change: c.Attach, key: str) -> str:
    """What FOR VALUES demands, for a key of one column; ``""`` where that cannot be written."""
    partition = getattr(tree(change.sql).cmds[0].alter_table_cmd, "def").partition_cmd
    bound = partition.bound
    strategy, _, columns = key.partition(" ")
    column = columns.strip("()") if key else "/* the partition key */ id"
    if "," in column or bound.is_default:
        return ""
    if bound.listdatums and strategy in ("LIST", ""):
        values = ", ".join(expression(item) for item in bound.listdatums)
        return f"{column} IN ({values}) AND {column} IS NOT NULL"
    if not bound.lowerdatums:
        return ""
    parts = [f"{column} IS NOT NULL"]
    for sign, datums in ((">=", bound.lowerdatums), ("<", bound.upperdatums)):
        written_out = expression(datums[0])
        if written_out.lower() not in ("minvalue", "maxvalue"):
            parts.append(f"{column} {sign} {written_out}")
    return " AND ".join(parts)
