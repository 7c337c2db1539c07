"""Commands of PostgreSQL that define nothing: what writes a table anew, locks it, or sets the session."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pilotage.migrate.sql import change as c
from pilotage.migrate.sql.postgresql import parser
from pilotage.migrate.sql.postgresql.libpg_query import pb
from pilotage.migrate.sql.postgresql.tables import name_of


def variable(node: Any, sql: str) -> Iterator[c.Change]:
    """SET and RESET of a setting."""
    value: str | None = None
    if node.kind == pb.VAR_SET_VALUE:
        value = ", ".join(_value(item.a_const) for item in node.args)
    yield c.SetVariable(
        what="SET", visible=False, name=node.name, value=value, local=node.is_local, sql=sql
    )


def _value(constant: Any) -> str:
    kind = constant.WhichOneof("val")
    if kind == "ival":
        return str(constant.ival.ival)
    return str(constant.fval.fval if kind == "fval" else constant.sval.sval)


def transaction(node: Any, sql: str) -> Iterator[c.Change]:
    """BEGIN, COMMIT, SAVEPOINT, …"""
    yield c.TransactionControl(what=parser.transaction_control(node), sql=sql)


def vacuum(node: Any, sql: str) -> Iterator[c.Change]:
    """VACUUM FULL writes anew; any other, and ANALYZE, leave nothing to look for."""
    options = {option.def_elem.defname: option.def_elem for option in node.options}
    if not node.is_vacuumcmd or "full" not in options or _off(options["full"]):
        what = "VACUUM" if node.is_vacuumcmd else "ANALYZE"
        yield c.Other(what=what, visible=False, sql=sql)
        return
    tables = [name_of(item.vacuum_relation.relation) for item in node.rels]
    if not tables:
        yield c.Rewrite(what="VACUUM FULL", visible=False, kind="database", sql=sql)
    for table in tables:
        yield c.Rewrite(what="VACUUM FULL", visible=False, name=table, sql=sql)


def _off(option: Any) -> bool:
    """Whether an option such as ``FULL false`` is switched off."""
    if not option.HasField("arg"):
        return False
    value = option.arg
    return value.string.sval in ("false", "off", "0") or (
        value.HasField("integer") and value.integer.ival == 0
    )


def cluster(node: Any, sql: str) -> Iterator[c.Change]:
    """CLUSTER of one table, or of all that were clustered before."""
    table = name_of(node.relation) if node.HasField("relation") else None
    kind = "table" if table else "database"
    yield c.Rewrite(what="CLUSTER", visible=False, kind=kind, name=table, sql=sql)


_REINDEXED = {
    pb.REINDEX_OBJECT_INDEX: "index",
    pb.REINDEX_OBJECT_TABLE: "table",
    pb.REINDEX_OBJECT_SCHEMA: "schema",
    pb.REINDEX_OBJECT_SYSTEM: "system",
    pb.REINDEX_OBJECT_DATABASE: "database",
}


def reindex(node: Any, sql: str) -> Iterator[c.Change]:
    """REINDEX of whatever."""
    options = {option.def_elem.defname: option.def_elem for option in node.params}
    name = name_of(node.relation) if node.HasField("relation") else c.Name(None, node.name)
    yield c.Rewrite(
        what="REINDEX",
        visible=False,
        kind=_REINDEXED.get(node.kind, "index"),
        name=name if name.name else None,
        concurrently="concurrently" in options and not _off(options["concurrently"]),
        sql=sql,
    )


def refresh(node: Any, sql: str) -> Iterator[c.Change]:
    """REFRESH MATERIALIZED VIEW."""
    yield c.Rewrite(
        what="REFRESH MATERIALIZED VIEW",
        kind="materialized view",
        name=name_of(node.relation),
        concurrently=node.concurrent,
        sql=sql,
    )


_MODES = (
    "",
    "ACCESS SHARE",
    "ROW SHARE",
    "ROW EXCLUSIVE",
    "SHARE UPDATE EXCLUSIVE",
    "SHARE",
    "SHARE ROW EXCLUSIVE",
    "EXCLUSIVE",
    "ACCESS EXCLUSIVE",
)


def lock(node: Any, sql: str) -> Iterator[c.Change]:
    """LOCK TABLE, one change for each table."""
    for item in node.relations:
        yield c.Rewrite(
            what="LOCK",
            name=name_of(item.range_var),
            mode=_MODES[node.mode],
            visible=False,
            sql=sql,
        )


def move_all(node: Any, sql: str) -> Iterator[c.Change]:
    """ALTER TABLE ALL IN TABLESPACE … SET TABLESPACE."""
    yield c.Rewrite(what=f"SET TABLESPACE {node.new_tablespacename}", kind="database", sql=sql)


def upgrade_extension(node: Any, sql: str) -> Iterator[c.Change]:
    """ALTER EXTENSION … UPDATE."""
    yield c.UpgradeExtension(what="ALTER EXTENSION", name=node.extname, sql=sql)
