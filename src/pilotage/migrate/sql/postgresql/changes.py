"""What a PostgreSQL statement does, read from its parse tree."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Any

from pilotage.migrate.sql import change as c
from pilotage.migrate.sql.postgresql import commands, parser
from pilotage.migrate.sql.postgresql.libpg_query import label, pb, unwrapped, walk
from pilotage.migrate.sql.postgresql.tables import (
    alter_table,
    create_table,
    deparsed,
    name_of,
    qualified,
    type_name,
)

Reader = Callable[[Any, str], Iterator[c.Change]]


@lru_cache(maxsize=16384)
def changes(statement: str) -> tuple[c.Change, ...]:
    """What one statement does; `Opaque` where that cannot be read from it."""
    node = parser.tree(statement)
    reader = _READERS.get(type(node).__name__)
    if reader is None:
        return (c.Other(what=_words(statement), sql=statement),)
    return tuple(reader(node, statement))


_WHAT = frozenset({"CREATE", "ALTER", "DROP", "REFRESH", "IMPORT", "SECURITY", "REASSIGN"})


def _words(statement: str) -> str:
    """The first word, or two, to name a statement by."""
    words = [token.word for token in parser.scan(statement) if token.word]
    return " ".join(words[: 2 if words[0] in _WHAT else 1])


# ----------------------------------------------------------------------------------------------
# Objects
# ----------------------------------------------------------------------------------------------

_KINDS = {
    pb.OBJECT_MATVIEW: "materialized view",
    pb.OBJECT_FOREIGN_TABLE: "table",
    pb.OBJECT_ROUTINE: "function",
    pb.OBJECT_TABCONSTRAINT: "constraint",
    pb.OBJECT_DOMCONSTRAINT: "constraint",
}
_ON_A_TABLE = (pb.OBJECT_TRIGGER, pb.OBJECT_POLICY, pb.OBJECT_RULE)


def _kind(number: int) -> str:
    name = label("ObjectType", number)
    return _KINDS.get(number) or name.removeprefix("OBJECT_").lower().replace("_", " ")


def _arguments(parameters: Any) -> str:
    """The types that tell a function from its namesakes, e.g. ``int, text``."""
    out = (pb.FUNC_PARAM_OUT, pb.FUNC_PARAM_TABLE)
    return ", ".join(
        type_name(item.function_parameter.arg_type)
        for item in parameters
        if item.function_parameter.mode not in out
    )


def _object(node: Any, kind: int) -> tuple[c.Name, c.Name | None, str]:
    """The name, the table and the argument types of what a DROP or ALTER names."""
    inner = unwrapped(node)
    if isinstance(inner, pb.ObjectWithArgs):
        return qualified(inner.objname), None, _arguments(inner.objfuncargs)
    if isinstance(inner, pb.TypeName):
        return qualified(inner.names), None, ""
    if isinstance(inner, pb.String):
        return c.Name(None, inner.sval), None, ""
    if isinstance(inner, pb.List) and kind in _ON_A_TABLE:
        *table, last = inner.items
        return c.Name(None, last.string.sval), qualified(table), ""
    if isinstance(inner, pb.List) and all(i.WhichOneof("node") == "string" for i in inner.items):
        return qualified(inner.items), None, ""
    return c.Name(None, "?"), None, ""  # a cast, an operator class: named by more than a name


def _drop(node: Any, sql: str) -> Iterator[c.Change]:
    for item in node.objects:
        alone = sql
        if len(node.objects) > 1:
            single = pb.DropStmt()
            single.CopyFrom(node)
            del single.objects[:]
            single.objects.add().CopyFrom(item)
            alone = deparsed(single)
        name, table, detail = _object(item, node.remove_type)
        yield c.Drop(
            kind=_kind(node.remove_type),
            name=name,
            table=table,
            concurrently=node.concurrent,
            if_exists=node.missing_ok,
            cascade=node.behavior == pb.DROP_CASCADE,
            detail=detail,
            sql=alone,
        )


def _rename(node: Any, sql: str) -> Iterator[c.Change]:
    kind = _kind(node.rename_type)
    if node.rename_type in (pb.OBJECT_COLUMN, pb.OBJECT_ATTRIBUTE):
        table = name_of(node.relation)
        yield c.RenameColumn(table=table, column=node.subname, to=node.newname, sql=sql)
        return
    if node.HasField("object"):
        name, table_name, _ = _object(node.object, node.rename_type)
        yield _renamed(kind, name, node.newname, sql, table_name)
    elif node.subname:
        on = name_of(node.relation) if node.HasField("relation") else None
        yield _renamed(kind, c.Name(None, node.subname), node.newname, sql, on)
    else:
        yield _renamed(kind, name_of(node.relation), node.newname, sql)


def _renamed(kind: str, name: c.Name, to: str, sql: str, table: c.Name | None = None) -> c.Rename:
    return c.Rename(kind=kind, name=name, to=c.Name(name.schema, to), table=table, sql=sql)


def _set_schema(node: Any, sql: str) -> Iterator[c.Change]:
    if node.HasField("relation"):
        name = name_of(node.relation)
    else:
        name, _, _ = _object(node.object, node.object_type)
    to = c.Name(node.newschema, name.name)
    yield c.Rename(kind=_kind(node.object_type), name=name, to=to, sql=sql)


def _enum(node: Any, sql: str) -> Iterator[c.Change]:
    name = qualified(node.type_name)
    if node.old_val:
        yield c.RenameEnumValue(type=name, value=node.old_val, to=node.new_val, sql=sql)
    else:
        yield c.AddEnumValue(
            type=name,
            value=node.new_val,
            neighbour=node.new_val_neighbor,
            after=node.new_val_is_after,
            sql=sql,
        )


def _function(node: Any, sql: str) -> Iterator[c.Change]:
    yield c.Create(
        kind="procedure" if node.is_procedure else "function",
        name=qualified(node.funcname),
        replace=node.replace,
        detail=_arguments(node.parameters),
        sql=sql,
    )


def _trigger(node: Any, sql: str) -> Iterator[c.Change]:
    yield c.Create(
        kind="trigger",
        name=c.Name(None, node.trigname),
        table=name_of(node.relation),
        replace=node.replace,
        detail=str(qualified(node.funcname)),
        sql=sql,
    )


def _view(node: Any, sql: str) -> Iterator[c.Change]:
    yield c.Create(kind="view", name=name_of(node.view), replace=node.replace, sql=sql)


def _index(node: Any, sql: str) -> Iterator[c.Change]:
    yield c.CreateIndex(
        table=name_of(node.relation),
        name=node.idxname or None,
        columns=tuple(item.index_elem.name for item in node.index_params),
        only=not node.relation.inh,
        unique=node.unique,
        concurrently=node.concurrent,
        if_not_exists=node.if_not_exists,
        sql=sql,
    )


def _made(kind: str, name: Callable[[Any], c.Name], node: Any, sql: str) -> Iterator[c.Change]:
    exists = getattr(node, "if_not_exists", False)
    yield c.Create(kind=kind, name=name(node), if_not_exists=exists, sql=sql)


def _policy(node: Any, sql: str) -> Iterator[c.Change]:
    name, table = c.Name(None, node.policy_name), name_of(node.table)
    yield c.Create(kind="policy", name=name, table=table, sql=sql)


def _rule(node: Any, sql: str) -> Iterator[c.Change]:
    name, table = c.Name(None, node.rulename), name_of(node.relation)
    yield c.Create(kind="rule", name=name, table=table, replace=node.replace, sql=sql)


def _define(node: Any, sql: str) -> Iterator[c.Change]:
    yield c.Create(kind=_kind(node.kind), name=qualified(node.defnames), sql=sql)


def _domain(node: Any, sql: str) -> Iterator[c.Change]:
    name = qualified(node.type_name)
    if node.subtype == "O":
        yield c.SetNotNull(table=name, column="value", domain=True, sql=sql)
    elif node.subtype == "T" and not node.HasField("def"):
        yield c.DropDefault(table=name, column="value", domain=True, sql=sql)
    elif node.subtype == "C":
        added = getattr(node, "def").constraint
        yield c.ConstrainDomain(
            what="ALTER DOMAIN",
            domain=name,
            constraint=added.conname or None,
            valid=not added.skip_validation,
            sql=sql,
        )
    else:
        yield c.Other(what="ALTER DOMAIN", sql=sql)


# ----------------------------------------------------------------------------------------------
# Rows, rights, and what cannot be read
# ----------------------------------------------------------------------------------------------


def _rows(node: Any, sql: str) -> Iterator[c.Change]:
    """INSERT, UPDATE, DELETE, MERGE, and every UPDATE or DELETE in a CTE."""
    found = False
    for inner in walk(node):
        if isinstance(inner, (pb.UpdateStmt, pb.DeleteStmt)):
            found = True
            verb = "UPDATE" if isinstance(inner, pb.UpdateStmt) else "DELETE"
            whole = not inner.HasField("where_clause")
            targets = inner.target_list if verb == "UPDATE" else ()
            yield c.ChangeRows(
                verb=verb,
                table=name_of(inner.relation),
                whole=whole,
                columns=tuple(item.res_target.name for item in targets),
                sql=sql,
            )
    if found:
        return
    if isinstance(node, pb.InsertStmt):
        yield c.InsertRows(
            what=_words(sql),
            table=name_of(node.relation),
            query=not node.select_stmt.select_stmt.values_lists,
            again=node.HasField("on_conflict_clause"),
            sql=sql,
        )
    else:
        yield c.Other(what=_words(sql), sql=sql)


# Functions that a migration may call in a SELECT; of any other nobody can say here what it does.
_READABLE = frozenset(
    {"setval", "nextval", "currval", "set_config", "current_setting", "now", "to_regclass"}
    | {"count", "sum", "min", "max", "avg", "array_agg", "string_agg", "lower", "upper", "format"}
)


def _select(node: Any, sql: str) -> Iterator[c.Change]:
    if node.HasField("into_clause"):
        relation = node.into_clause.rel
        temporary = relation.relpersistence == "t"
        yield c.CreateTable(table=name_of(relation), temporary=temporary, sql=sql)
        return
    for inner in walk(node):
        if isinstance(inner, pb.FuncCall):
            name = qualified(inner.funcname)
            if name.schema != "pg_catalog" and not (
                name.name in _READABLE or name.name.startswith("pg_")
            ):
                yield c.Opaque(what=f"the function {name}", sql=sql)
    if parser.query(node):
        yield c.Other(what="SELECT", visible=False, sql=sql)
    else:
        yield from _rows(node, sql)


def _create_as(node: Any, sql: str) -> Iterator[c.Change]:
    name = name_of(node.into.rel)
    if node.objtype == pb.OBJECT_MATVIEW:
        yield c.Create(
            kind="materialized view", name=name, if_not_exists=node.if_not_exists, sql=sql
        )
    else:
        yield c.CreateTable(
            table=name,
            if_not_exists=node.if_not_exists,
            temporary=node.into.rel.relpersistence == "t",
            sql=sql,
        )


def _explain(node: Any, sql: str) -> Iterator[c.Change]:
    if any(option.def_elem.defname == "analyze" for option in node.options):
        yield c.Opaque(what="EXPLAIN ANALYZE, which executes,", sql=sql)
    else:
        yield c.Other(what="EXPLAIN", visible=False, sql=sql)


def _drop_roles(node: Any, sql: str) -> Iterator[c.Change]:
    for role in node.roles:
        name = c.Name(None, role.role_spec.rolename)
        yield c.Drop(kind="role", name=name, if_exists=node.missing_ok, sql=sql)


def _drop_named(kind: str, field: str, node: Any, sql: str) -> Iterator[c.Change]:
    name = c.Name(None, getattr(node, field))
    yield c.Drop(kind=kind, name=name, if_exists=node.missing_ok, sql=sql)


def _truncate(node: Any, sql: str) -> Iterator[c.Change]:
    for relation in node.relations:
        cascade = node.behavior == pb.DROP_CASCADE
        yield c.Truncate(table=name_of(relation.range_var), cascade=cascade, sql=sql)


def _grant(node: Any, sql: str) -> Iterator[c.Change]:
    if node.is_grant:
        yield c.Other(what="GRANT", sql=sql)
        return
    tables: list[c.Name | None] = [
        name_of(item.range_var)
        for item in getattr(node, "objects", ())
        if item.HasField("range_var")
    ]
    for table in tables or [None]:
        yield c.Restrict(what=f"REVOKE on {table}" if table else "REVOKE", table=table, sql=sql)


def _opaque(what: str, _node: Any, sql: str) -> Iterator[c.Change]:
    yield c.Opaque(what=what, sql=sql)


def _nothing(what: str, _node: Any, sql: str) -> Iterator[c.Change]:
    yield c.Other(what=what, visible=False, sql=sql)


def _table(node: Any, sql: str) -> Iterator[c.Change]:
    yield create_table(node, sql)


def _enum_type(node: Any, sql: str) -> Iterator[c.Change]:
    values = tuple(item.string.sval for item in node.vals)
    yield c.Create(kind="type", name=qualified(node.type_name), values=values, sql=sql)


def _domain_type(node: Any, sql: str) -> Iterator[c.Change]:
    limits = (pb.CONSTR_CHECK, pb.CONSTR_NOTNULL)
    yield c.Create(
        kind="domain",
        name=qualified(node.domainname),
        detail=type_name(node.type_name),
        constrained=any(item.constraint.contype in limits for item in node.constraints),
        sql=sql,
    )


def _foreign_table(node: Any, sql: str) -> Iterator[c.Change]:
    yield create_table(node.base_stmt, sql)


_READERS: dict[str, Reader] = {
    "CreateStmt": _table,
    "CreateForeignTableStmt": _foreign_table,
    "CreateTableAsStmt": _create_as,
    "AlterTableStmt": alter_table,
    "DropStmt": _drop,
    "RenameStmt": _rename,
    "AlterObjectSchemaStmt": _set_schema,
    "AlterEnumStmt": _enum,
    "AlterDomainStmt": _domain,
    "CreateFunctionStmt": _function,
    "CreateTrigStmt": _trigger,
    "ViewStmt": _view,
    "IndexStmt": _index,
    "CreatePolicyStmt": _policy,
    "RuleStmt": _rule,
    "DefineStmt": _define,
    "CreateEnumStmt": _enum_type,
    "CreateRangeStmt": partial(_made, "type", lambda node: qualified(node.type_name)),
    "CompositeTypeStmt": partial(_made, "type", lambda node: name_of(node.typevar)),
    "CreateDomainStmt": _domain_type,
    "CreateSeqStmt": partial(_made, "sequence", lambda node: name_of(node.sequence)),
    "CreateSchemaStmt": partial(
        _made, "schema", lambda node: c.Name(None, node.schemaname or node.authrole.rolename)
    ),
    "CreateExtensionStmt": partial(_made, "extension", lambda node: c.Name(None, node.extname)),
    "TruncateStmt": _truncate,
    "InsertStmt": _rows,
    "UpdateStmt": _rows,
    "DeleteStmt": _rows,
    "MergeStmt": _rows,
    "SelectStmt": _select,
    "GrantStmt": _grant,
    "GrantRoleStmt": _grant,
    "DoStmt": partial(_opaque, "DO"),
    "CallStmt": partial(_opaque, "CALL"),
    "ExecuteStmt": partial(_opaque, "EXECUTE"),
    "DropOwnedStmt": partial(_opaque, "DROP OWNED"),
    "VariableSetStmt": commands.variable,
    "TransactionStmt": commands.transaction,
    "VacuumStmt": commands.vacuum,
    "ClusterStmt": commands.cluster,
    "ReindexStmt": commands.reindex,
    "RefreshMatViewStmt": commands.refresh,
    "LockStmt": commands.lock,
    "AlterTableMoveAllStmt": commands.move_all,
    "AlterExtensionStmt": commands.upgrade_extension,
    "CommentStmt": partial(_nothing, "COMMENT"),
    "ExplainStmt": _explain,
    "DropRoleStmt": _drop_roles,
    "DropdbStmt": partial(_drop_named, "database", "dbname"),
    "DropTableSpaceStmt": partial(_drop_named, "tablespace", "tablespacename"),
    "DropSubscriptionStmt": partial(_drop_named, "subscription", "subname"),
    "DropUserMappingStmt": partial(_drop_named, "user mapping", "servername"),
    "VariableShowStmt": partial(_nothing, "SHOW"),
    "PrepareStmt": partial(_nothing, "PREPARE"),
    "DeallocateStmt": partial(_nothing, "DEALLOCATE"),
    "DeclareCursorStmt": partial(_nothing, "DECLARE"),
    "ListenStmt": partial(_nothing, "LISTEN"),
    "DiscardStmt": partial(_nothing, "DISCARD"),
    "NotifyStmt": partial(_nothing, "NOTIFY"),
    "CheckPointStmt": partial(_nothing, "CHECKPOINT"),
}
