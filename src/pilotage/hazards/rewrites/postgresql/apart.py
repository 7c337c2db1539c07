"""Constraints in the steps that ``-- pilotage: online`` would carry them out in, as SQL."""

from __future__ import annotations

from typing import Any

from pilotage.hazards.rewrites.postgresql.naming import quoted, tree, written
from pilotage.migrate.sql import change as c
from pilotage.migrate.sql.online import Step
from pilotage.migrate.sql.postgresql import online, parser
from pilotage.migrate.sql.postgresql.libpg_query import pb
from pilotage.migrate.sql.postgresql.tables import deparsed
from pilotage.migrate.sql.statement import Statement


def in_steps(sql: str) -> tuple[str, ...]:
    """An ALTER TABLE taken apart, each part still ``IF EXISTS``; none where it has no other form."""
    if_exists = parser.tree(sql).missing_ok
    if if_exists:
        node = tree(sql)
        node.missing_ok = False
        sql = deparsed(node)
    found = online.steps([Statement(sql, 0, 1)])
    if all(step.kind == "plain" for step in found):
        return ()
    return tuple(_shown(step, if_exists) for step in found)


def _shown(step: Step, if_exists: bool) -> str:
    if step.kind != "index" and not if_exists:
        return step.text
    node = tree(step.text)
    if isinstance(node, pb.AlterTableStmt):
        node.missing_ok = if_exists
    return deparsed(node)


def primary_key(sql: str, table: c.Name, nullable: tuple[str, ...]) -> tuple[str, ...]:
    """ADD PRIMARY KEY: its index, a proof for the columns that may be NULL, the key that believes it."""
    *_, index, key = in_steps(sql)
    if not nullable:
        return index, key
    on, proof = written(table), quoted(f"{table.name}_present")
    condition = " AND ".join(f"{quoted(column)} IS NOT NULL" for column in nullable)
    return (
        index,
        f"ALTER TABLE {on} ADD CONSTRAINT {proof} CHECK ({condition}) NOT VALID",
        f"ALTER TABLE {on} VALIDATE CONSTRAINT {proof}",
        key,
        f"ALTER TABLE {on} DROP CONSTRAINT {proof}",
    )


def column_alone(change: c.AddColumn) -> tuple[str, tuple[str, ...]]:
    """ADD COLUMN without the constraints beside the column, and the steps that add these."""
    node: Any = tree(change.sql)
    taken = online.take_constraints(getattr(node.cmds[0].alter_table_cmd, "def").column_def)
    steps: list[str] = []
    for constraint in taken:
        adding = online.adding(node, constraint)
        if constraint.contype == pb.CONSTR_PRIMARY:
            steps += primary_key(adding, change.table, ())
        else:
            steps += in_steps(adding)
    return deparsed(node), tuple(steps)
