"""CREATE TABLE and ALTER TABLE of PostgreSQL's parse tree, read into changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import cache, lru_cache, partial
from typing import Any

from pilotage.migrate.sql import change as c
from pilotage.migrate.sql.postgresql import parser
from pilotage.migrate.sql.postgresql.libpg_query import deparse, nested, pb, walk
from pilotage.migrate.sql.token import code, with_depth

_SERIAL = frozenset(
    f"{size}serial{width}" for size in ("", "big", "small") for width in ("", "2", "4", "8")
)
_CONSTRAINTS = {
    pb.CONSTR_CHECK: "check",
    pb.CONSTR_PRIMARY: "primary key",
    pb.CONSTR_UNIQUE: "unique",
    pb.CONSTR_EXCLUSION: "exclude",
    pb.CONSTR_FOREIGN: "foreign key",
}

# The name of a node's type → the field of the generic node that holds it.
_FIELDS = {field.message_type.name: field.name for field in pb.Node.DESCRIPTOR.fields}

_as_statement = cache(lambda kind: nested("stmts", "stmt", _FIELDS[kind]))
_as_value = nested("stmts", "stmt", "select_stmt", "target_list", "res_target", "val")


def name_of(relation: Any) -> c.Name:
    """The name of a ``RangeVar``."""
    return c.Name(relation.schemaname or None, relation.relname)


def qualified(strings: Iterable[Any]) -> c.Name:
    """The name in a list of string nodes: ``[schema,] name``."""
    *schema, name = [node.string.sval for node in strings]
    return c.Name(schema[-1] if schema else None, name)


def deparsed(node: Any) -> str:
    """A statement node as SQL."""
    return deparse(_as_statement(type(node).__name__)(node.SerializeToString()))


def expression(node: Any) -> str:
    """An expression node as SQL."""
    return deparse(_as_value(node.SerializeToString())).removeprefix("SELECT ")


def type_name(node: Any) -> str:
    """A ``TypeName`` as SQL, e.g. ``numeric(10, 2)``, without ``pg_catalog``."""
    if node.typmods or node.array_bounds or node.setof or node.pct_type:
        return _type_name(node)
    return _plain_type(*[name.string.sval for name in node.names])


@lru_cache(maxsize=1024)
def _plain_type(*names: str) -> str:
    """The same of a type that is a name alone: files name few, and name them often."""
    plain = pb.TypeName(typemod=-1)
    for name in names:
        plain.names.add().string.sval = name
    return _type_name(plain)


def _type_name(node: Any) -> str:
    cast = pb.Node()
    cast.type_cast.arg.a_const.isnull = True
    cast.type_cast.type_name.CopyFrom(node)
    return expression(cast).removeprefix("NULL::").removeprefix("pg_catalog.")


def column(node: Any) -> tuple[c.Column, tuple[c.Constraint, ...]]:
    """A column definition, and the constraints written beside it."""
    name = node.colname
    kind = type_name(node.type_name) if node.HasField("type_name") else ""
    names = node.type_name.names
    serial = len(names) == 1 and names[0].string.sval in _SERIAL
    kinds = {item.constraint.contype: item.constraint for item in node.constraints}
    if not kinds and not serial:
        return c.Column(name, kind), ()
    default = kinds.get(pb.CONSTR_DEFAULT)
    beside = tuple(
        constraint(item.constraint, (name,))
        for item in node.constraints
        if item.constraint.contype in _CONSTRAINTS
    )
    source = _source(kinds, serial=serial)
    read = c.Column(
        name,
        kind,
        not_null=serial or bool(kinds.keys() & {pb.CONSTR_NOTNULL, pb.CONSTR_PRIMARY}),
        default=expression(default.raw_expr) if default else None,
        generated=bool(source),
        source=source,
        calls=_calls(default.raw_expr) if default else (),
    )
    return read, beside


def _source(kinds: dict[int, Any], *, serial: bool) -> str:
    """How the database itself finds a column's value; ``""`` where it does not."""
    if serial:
        return "serial"
    if pb.CONSTR_IDENTITY in kinds:
        return "identity"
    generated = kinds.get(pb.CONSTR_GENERATED)
    if generated is None:
        return ""
    return "virtual" if generated.generated_kind == "v" else "stored"


def _calls(node: Any) -> tuple[str, ...]:
    """The functions that an expression calls, each once."""
    if node.HasField("a_const"):
        return ()
    return tuple(
        dict.fromkeys(
            qualified(inner.funcname).name for inner in walk(node) if isinstance(inner, pb.FuncCall)
        )
    )


def constraint(node: Any, columns: tuple[str, ...] = ()) -> c.Constraint:
    """A constraint; ``columns`` are those that it stands beside."""
    written = [item.string.sval for item in (*node.keys, *node.fk_attrs)]
    if node.HasField("raw_expr"):
        written += [
            inner.fields[-1].string.sval
            for inner in walk(node.raw_expr)
            if isinstance(inner, pb.ColumnRef)
        ]
    return c.Constraint(
        _CONSTRAINTS.get(node.contype, "not null" if node.contype == pb.CONSTR_NOTNULL else ""),
        node.conname or None,
        tuple(dict.fromkeys(written)) or columns,
        valid=not node.skip_validation,
        using_index=node.indexname or None,
        references=name_of(node.pktable) if node.HasField("pktable") else None,
        referenced=tuple(item.string.sval for item in node.pk_attrs),
        expression=expression(node.raw_expr) if node.HasField("raw_expr") else "",
        offset=node.location,
    )


def create_table(node: Any, sql: str) -> c.CreateTable:
    """CREATE TABLE, with the columns and constraints that are written in it."""
    columns: list[c.Column] = []
    constraints: list[c.Constraint] = []
    for element in node.table_elts:
        kind = element.WhichOneof("node")
        if kind == "column_def":
            read, beside = column(element.column_def)
            columns.append(read)
            constraints += beside
        elif kind == "constraint":
            constraints.append(constraint(element.constraint))
    return c.CreateTable(
        table=name_of(node.relation),
        columns=tuple(columns),
        constraints=_placed(constraints, sql),
        if_not_exists=node.if_not_exists,
        temporary=node.relation.relpersistence == "t",
        partition_of=_parent(node),
        partition_by=_partition_key(node),
        sql=sql,
    )


def _parent(node: Any) -> c.Name | None:
    parents = [name_of(item.range_var) for item in node.inh_relations]
    return parents[0] if parents else None


_STRATEGIES = {
    pb.PARTITION_STRATEGY_RANGE: "RANGE",
    pb.PARTITION_STRATEGY_LIST: "LIST",
    pb.PARTITION_STRATEGY_HASH: "HASH",
}


def _partition_key(node: Any) -> str:
    """``RANGE (day)``: how a table is partitioned, or ``""``."""
    if not node.HasField("partspec"):
        return ""
    parts = (item.partition_elem for item in node.partspec.part_params)
    columns = (parser.quote(part.name) if part.name else expression(part.expr) for part in parts)
    return f"{_STRATEGIES[node.partspec.strategy]} ({', '.join(columns)})"


def alter_table(node: Any, sql: str) -> Iterator[c.Change]:
    """ALTER TABLE (also VIEW, TYPE, INDEX, …), one change for each of its commands."""
    table = name_of(node.relation)
    offsets = _command_offsets(sql, node)
    for index, item in enumerate(node.cmds):
        command = item.alter_table_cmd
        alone = sql
        if len(node.cmds) > 1:
            single = pb.AlterTableStmt()
            single.CopyFrom(node)
            del single.cmds[:]
            single.cmds.add().CopyFrom(item)
            alone = deparsed(single)
        reader: Callable[..., c.Change] = _COMMANDS.get(command.subtype, _other)
        if node.objtype == pb.OBJECT_INDEX and reader is _attach:
            reader = _other  # an index of a partition, which is the table's already
        change = reader(command, table, sql=alone, offset=offsets[index])
        if isinstance(change, c.AddColumn):
            change = change.but(constraints=_placed(change.constraints, sql))
        yield change


def _placed(constraints: Iterable[c.Constraint], sql: str) -> tuple[c.Constraint, ...]:
    """The constraints with offsets that count characters of the statement, as all of ours do."""
    start, to_char = parser.start(sql), parser.characters(sql)
    return tuple(replace(x, offset=to_char[(x.offset or 0) - start]) for x in constraints)


def _command_offsets(sql: str, node: Any) -> list[int]:
    """Where each command of an ALTER TABLE begins; the tree gives most of them no position."""
    location = node.relation.location - parser.start(sql)
    if len(node.cmds) == 1 and (start := _behind_name(sql, node.relation, location)):
        return [start]
    tokens = code(parser.scan(sql))
    begin = parser.characters(sql)[location]
    index = next((i for i, token in enumerate(tokens) if token.start == begin), 0) + 1
    while index + 1 < len(tokens) and tokens[index].is_("."):
        index += 2
    while index < len(tokens) and tokens[index].is_("*", ")"):
        index += 1
    rest = tokens[index:]
    starts = [rest[0].start] if rest else []
    starts += [
        rest[i + 1].start
        for i, (depth, token) in enumerate(with_depth(rest))
        if token.is_(",") and not depth
    ]
    return starts if len(starts) == len(node.cmds) else [0] * len(node.cmds)


def _behind_name(sql: str, relation: Any, location: int) -> int:
    """Where the one command begins behind a name without quotes, comments or marks; else 0."""
    name = f"{relation.schemaname}.{relation.relname}" if relation.schemaname else relation.relname
    start = location + len(name)
    if not sql.isascii() or not sql.startswith(name, location):
        return 0
    if not sql[start : start + 1].isspace():
        return 0
    while sql[start : start + 1].isspace():
        start += 1
    return start if sql[start : start + 1].isalpha() else 0


def _definition(command: Any) -> Any:
    return getattr(command, "def")


def _add_column(command: Any, table: c.Name, *, sql: str, offset: int) -> c.Change:
    read, beside = column(_definition(command).column_def)
    return c.AddColumn(
        table=table,
        column=read,
        constraints=beside,
        if_not_exists=command.missing_ok,
        sql=sql,
        offset=offset,
    )


def _alter_type(command: Any, table: c.Name, *, sql: str, offset: int) -> c.Change:
    definition = _definition(command).column_def
    return c.AlterType(
        table=table,
        column=command.name or definition.colname,
        type=type_name(definition.type_name),
        using=definition.HasField("raw_default"),
        sql=sql,
        offset=offset,
    )


def _column_default(command: Any, table: c.Name, *, sql: str, offset: int) -> c.Change:
    if not command.HasField("def"):
        return c.DropDefault(table=table, column=command.name, sql=sql, offset=offset)
    default = expression(_definition(command))
    return c.SetDefault(table=table, column=command.name, default=default, sql=sql, offset=offset)


def _add_constraint(command: Any, table: c.Name, *, sql: str, offset: int) -> c.Change:
    read = constraint(_definition(command).constraint)
    return c.AddConstraint(table=table, constraint=read, sql=sql, offset=offset)


def _detach(command: Any, table: c.Name, *, sql: str, offset: int) -> c.Change:
    definition = _definition(command)
    child = getattr(definition, definition.WhichOneof("node"))
    child = child.name if isinstance(child, pb.PartitionCmd) else child
    return c.Detach(
        table=table,
        child=name_of(child),
        concurrently=definition.partition_cmd.concurrent,
        partition=definition.HasField("partition_cmd"),
        sql=sql,
        offset=offset,
    )


def _attach(command: Any, table: c.Name, *, sql: str, offset: int) -> c.Change:
    partition = _definition(command).partition_cmd
    bound = "DEFAULT" if partition.bound.is_default else "FOR VALUES"
    child = name_of(partition.name)
    return c.Attach(
        what="ALTER TABLE", table=table, child=child, bound=bound, sql=sql, offset=offset
    )


def _storage(what: str, command: Any, table: c.Name, *, sql: str, offset: int) -> c.Change:
    words = f"{what} {command.name}".strip()
    return c.Rewrite(what=words, name=table, sql=sql, offset=offset)


def _restrict(command: Any, table: c.Name, *, sql: str, offset: int) -> c.Change:
    return c.Restrict(what=f"row-level security on {table}", table=table, sql=sql, offset=offset)


def _other(command: Any, table: c.Name, *, sql: str, offset: int) -> c.Change:
    return c.Other(what="ALTER TABLE", sql=sql, offset=offset)


def _of_column(make: Callable[..., c.Change], command: Any, table: c.Name, **at: Any) -> c.Change:
    return make(table=table, column=command.name, **at)


def _of_constraint(
    make: Callable[..., c.Change], command: Any, table: c.Name, **at: Any
) -> c.Change:
    return make(table=table, constraint=command.name, **at)


_COMMANDS: dict[int, Callable[..., c.Change]] = {
    pb.AT_AddColumn: _add_column,
    pb.AT_DropColumn: partial(_of_column, c.DropColumn),
    pb.AT_AlterColumnType: _alter_type,
    pb.AT_SetNotNull: partial(_of_column, c.SetNotNull),
    pb.AT_DropNotNull: partial(_of_column, c.DropNotNull),
    pb.AT_ColumnDefault: _column_default,
    pb.AT_DropIdentity: partial(_of_column, c.DropDefault),
    pb.AT_DropExpression: partial(_of_column, c.DropDefault),
    pb.AT_AddConstraint: _add_constraint,
    pb.AT_ValidateConstraint: partial(_of_constraint, c.ValidateConstraint),
    pb.AT_DropConstraint: partial(_of_constraint, c.DropConstraint),
    pb.AT_DetachPartition: _detach,
    pb.AT_DropInherit: _detach,
    pb.AT_AttachPartition: _attach,
    pb.AT_SetTableSpace: partial(_storage, "SET TABLESPACE"),
    pb.AT_SetLogged: partial(_storage, "SET LOGGED"),
    pb.AT_SetUnLogged: partial(_storage, "SET UNLOGGED"),
    pb.AT_SetAccessMethod: partial(_storage, "SET ACCESS METHOD"),
    pb.AT_EnableRowSecurity: _restrict,
    pb.AT_ForceRowSecurity: _restrict,
}
