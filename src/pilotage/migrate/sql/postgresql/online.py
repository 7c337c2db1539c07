"""PostgreSQL's statements that lock, in steps that take strong locks for moments alone.

- An index is built CONCURRENTLY.
- A CHECK or a foreign key is added NOT VALID, which reads nothing, and validated in a transaction of its
  own, which stops nobody.
- SET NOT NULL believes a validated CHECK, and reads nothing then.
- A unique or primary key takes over an index that was built CONCURRENTLY.

One ALTER TABLE with several commands becomes one each, so that no foreign key is added under the locks of
another. A table that the section itself makes needs none of this.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any

from pilotage.migrate.sql.change import CreateTable, Name
from pilotage.migrate.sql.online import Step, plain
from pilotage.migrate.sql.postgresql import changes, parser
from pilotage.migrate.sql.postgresql.libpg_query import pb
from pilotage.migrate.sql.postgresql.names import default_name, index_name
from pilotage.migrate.sql.postgresql.tables import constraint as read_constraint
from pilotage.migrate.sql.postgresql.tables import deparsed, expression, name_of
from pilotage.migrate.sql.statement import Statement

_q = parser.quote

_FOLLOWED_BY_VALIDATE = (pb.CONSTR_CHECK, pb.CONSTR_FOREIGN)
_BY_INDEX = (pb.CONSTR_UNIQUE, pb.CONSTR_PRIMARY)
_ATTRIBUTES = {
    pb.CONSTR_ATTR_DEFERRABLE: ("deferrable", True),
    pb.CONSTR_ATTR_NOT_DEFERRABLE: ("deferrable", False),
    pb.CONSTR_ATTR_DEFERRED: ("initdeferred", True),
    pb.CONSTR_ATTR_IMMEDIATE: ("initdeferred", False),
}


def steps(statements: Sequence[Statement]) -> tuple[Step, ...]:
    """The steps of a section's statements."""
    found: list[Step] = []
    made: set[tuple[str, str]] = set()
    for statement in statements:
        parts = list(_parts(statement, made)) or [plain(statement)]
        found += [
            replace(
                part,
                start=statement.start,
                line=statement.line,
                author=statement.text,
                number=number,
                of=len(parts),
            )
            for number, part in enumerate(parts, 1)
        ]
        for change in changes.changes(statement.text):
            if isinstance(change, CreateTable) and not change.if_not_exists:
                made.add(change.table.key)
    return tuple(found)


def _parts(statement: Statement, made: Iterable[tuple[str, str]]) -> Iterator[Step]:
    """The steps of one statement; none where it has no other form than its own."""
    node = parser.tree(statement.text)
    if isinstance(node, pb.IndexStmt):
        if name_of(node.relation).key not in made:
            yield _index(node, statement.text)
    elif isinstance(node, pb.DropStmt):
        if node.remove_type == pb.OBJECT_INDEX and not node.concurrent:
            yield from _dropped(node)
    elif isinstance(node, pb.AlterTableStmt):
        table = name_of(node.relation)
        if node.objtype == pb.OBJECT_TABLE and not node.missing_ok and table.key not in made:
            yield from _alter_table(node)


def _step(text: str, **what: Any) -> Step:
    return Step(text, 0, 1, **what)


# ----------------------------------------------------------------------------------------------
# Indexes
# ----------------------------------------------------------------------------------------------


def _index(given: Any, text: str) -> Step:
    node = deepcopy(given)
    table = name_of(node.relation)
    if not node.idxname:
        node.idxname = index_name(table.name, node)
    if not node.concurrent:
        node.concurrent = True
        text = deparsed(node)
    return _step(
        text,
        kind="index",
        table=table,
        name=node.idxname,
        **(_duplicates(node) if node.unique else {}),
    )


def _duplicates(node: Any) -> dict[str, str]:
    """Where rows are that a unique index would refuse: ``offenders`` and ``grouped``."""
    keys = [
        _q(item.index_elem.name)
        if item.index_elem.name
        else f"({expression(item.index_elem.expr)})"
        for item in node.index_params
    ]
    where = [] if node.nulls_not_distinct else [f"{key} IS NOT NULL" for key in keys]
    if node.HasField("where_clause"):
        where.append(f"({expression(node.where_clause)})")
    rows = f"FROM {_relation(node.relation)} t"
    if where:
        rows += f" WHERE {' AND '.join(where)}"
    return {"offenders": rows, "grouped": ", ".join(keys)}


def _dropped(given: Any) -> Iterator[Step]:
    """Each index on its own: the server drops no two of them concurrently."""
    for name in given.objects:
        node = deepcopy(given)
        node.concurrent = True
        del node.objects[:]
        node.objects.append(name)
        yield _step(deparsed(node))


def _relation(relation: Any) -> str:
    """A table as it is written after FROM or ALTER TABLE."""
    name = _q(relation.relname)
    if relation.schemaname:
        name = f"{_q(relation.schemaname)}.{name}"
    return name if relation.inh else f"ONLY {name}"


# ----------------------------------------------------------------------------------------------
# ALTER TABLE
# ----------------------------------------------------------------------------------------------


def _alter_table(node: Any) -> Iterator[Step]:
    """Its commands one by one; first, together, those that have no other form, as the server itself
    adds columns before constraints. None: all of them are such."""
    kept: list[Any] = []
    found: list[Step] = []
    for item in _apart(node):
        parts = list(_command(node, item.alter_table_cmd))
        found += parts
        if not parts:
            kept.append(item)
    if found and kept:
        yield _step(_with(node, kept))
    yield from found


def _with(node: Any, commands: Sequence[Any]) -> str:
    """The ALTER TABLE with these commands in place of its own."""
    single = pb.AlterTableStmt(objtype=node.objtype, missing_ok=node.missing_ok)
    single.relation.CopyFrom(node.relation)
    single.cmds.extend(commands)
    return deparsed(single)


def _alter(node: Any, kind: int, name: str) -> str:
    """``ALTER TABLE`` of the same table with a command (``AT_…``) that only names something."""
    command = pb.AlterTableCmd(subtype=kind, name=name, behavior=pb.DROP_RESTRICT)
    return _with(node, [pb.Node(alter_table_cmd=command)])


def _apart(node: Any) -> Iterator[Any]:
    """The commands, and after an ADD COLUMN the constraints that were written beside the column."""
    for item in node.cmds:
        command = item.alter_table_cmd
        if command.subtype != pb.AT_AddColumn or command.missing_ok:
            yield item
            continue
        column = getattr(command, "def").column_def
        kinds = {inner.constraint.contype for inner in column.constraints}
        if pb.CONSTR_PRIMARY in kinds or not kinds & {*_FOLLOWED_BY_VALIDATE, pb.CONSTR_UNIQUE}:
            yield item
            continue
        alone = deepcopy(item)
        beside = take_constraints(getattr(alone.alter_table_cmd, "def").column_def)
        yield alone
        for constraint in beside:
            yield _add(constraint)


def take_constraints(column: Any) -> list[Any]:
    """Take out of a column's definition (a ``ColumnDef``) the constraints that a table could have as
    well; these, as constraints of the table."""
    found: list[Any] = []
    stay: list[Any] = []
    for inner in column.constraints:
        kind = inner.constraint.contype
        if kind in (*_FOLLOWED_BY_VALIDATE, *_BY_INDEX):
            constraint = deepcopy(inner.constraint)
            if kind == pb.CONSTR_FOREIGN:
                constraint.fk_attrs.add().string.sval = column.colname
            elif kind in _BY_INDEX:
                constraint.keys.add().string.sval = column.colname
            found.append(constraint)
        elif kind in _ATTRIBUTES and found:
            field, value = _ATTRIBUTES[kind]
            setattr(found[-1], field, value)
            if kind == pb.CONSTR_ATTR_DEFERRED:
                found[-1].deferrable = True
        else:
            stay.append(deepcopy(inner))
    del column.constraints[:]
    column.constraints.extend(stay)
    return found


def _command(node: Any, command: Any) -> Iterator[Step]:
    if command.subtype == pb.AT_SetNotNull:
        yield from _set_not_null(node, command.name)
    elif command.subtype == pb.AT_AddConstraint:
        constraint = getattr(command, "def").constraint
        if constraint.contype in _FOLLOWED_BY_VALIDATE:
            if not constraint.skip_validation and constraint.is_enforced:
                yield from _validated(node, constraint)
        elif (
            constraint.contype in _BY_INDEX
            and not constraint.indexname
            and not constraint.without_overlaps
        ):
            yield from _keyed(node, constraint)


def adding(node: Any, constraint: Any) -> str:
    """``ALTER TABLE … ADD CONSTRAINT`` of a statement's table."""
    return _with(node, [_add(constraint)])


def _add(constraint: Any) -> Any:
    command = pb.AlterTableCmd(subtype=pb.AT_AddConstraint, behavior=pb.DROP_RESTRICT)
    getattr(command, "def").constraint.CopyFrom(constraint)
    return pb.Node(alter_table_cmd=command)


def _validated(node: Any, given: Any, *, column: str | None = None) -> Iterator[Step]:
    """A CHECK or a foreign key: NOT VALID, then VALIDATE."""
    command = _add(given)
    constraint = getattr(command.alter_table_cmd, "def").constraint  # a copy
    table = name_of(node.relation)
    check = constraint.contype == pb.CONSTR_CHECK
    if not constraint.conname:
        columns = read_constraint(constraint).columns
        middle = "_".join(columns) if not check or len(columns) == 1 else ""
        constraint.conname = default_name(table.name, middle, "check" if check else "fkey")
    constraint.skip_validation, constraint.initially_valid = True, False
    offenders = ""
    if check:
        broken = f"NOT ({expression(constraint.raw_expr)})"
        if column is not None:
            broken = f"{_q(column)} IS NULL"
        offenders = f"FROM {_relation(node.relation)} t WHERE {broken}"
    about: dict[str, Any] = {"table": table, "name": constraint.conname, "column": column}
    yield _step(_with(node, [command]), kind="constraint", **about)
    validate = _alter(node, pb.AT_ValidateConstraint, constraint.conname)
    yield _step(validate, kind="validate", offenders=offenders, **about)


def _set_not_null(node: Any, column: str) -> Iterator[Step]:
    """A CHECK that says the same, valid; then NOT NULL, which believes it; then without the CHECK."""
    table = name_of(node.relation)
    name = default_name(table.name, column, "present")
    text = f"ADD CONSTRAINT {_q(name)} CHECK ({_q(column)} IS NOT NULL)"
    check = getattr(parser.tree(f"ALTER TABLE t {text}").cmds[0].alter_table_cmd, "def")
    yield from _validated(node, check.constraint, column=column)
    # In one transaction, so that the table is locked once; in one statement the CHECK would be gone
    # before it is asked, and the whole table read.
    both = (
        _alter(node, pb.AT_SetNotNull, column),
        _alter(node, pb.AT_DropConstraint, name),
    )
    yield _step(";\n".join(both), kind="not null", table=table, name=name, column=column)


def _keyed(node: Any, given: Any) -> Iterator[Step]:
    """UNIQUE or PRIMARY KEY: an index built concurrently, which the constraint takes over."""
    table = name_of(node.relation)
    columns = [item.string.sval for item in given.keys]
    primary = given.contype == pb.CONSTR_PRIMARY
    if primary:
        for column in columns:
            yield from _set_not_null(node, column)
    index = pb.IndexStmt()
    index.CopyFrom(parser.tree("CREATE UNIQUE INDEX CONCURRENTLY i ON t (c)"))
    index.relation.CopyFrom(node.relation)
    pattern = deepcopy(index.index_params[0])
    for field, names in (
        (index.index_params, columns),
        (index.index_including_params, [item.string.sval for item in given.including]),
    ):
        del field[:]
        for one in names:
            pattern.index_elem.name = one
            field.add().CopyFrom(pattern)
    name = given.conname or (
        default_name(table.name, "", "pkey") if primary else index_name(table.name, index, "key")
    )
    index.idxname = name
    index.nulls_not_distinct = given.nulls_not_distinct
    index.options.extend(given.options)
    index.table_space = given.indexspace
    yield _index(index, deparsed(index))
    constraint = pb.Constraint(
        contype=given.contype,
        conname=name,
        indexname=name,
        deferrable=given.deferrable,
        initdeferred=given.initdeferred,
        is_enforced=True,
    )
    yield _step(adding(node, constraint), kind="constraint", table=table, name=name)


# ----------------------------------------------------------------------------------------------
# Whether what is there is the same
# ----------------------------------------------------------------------------------------------


def on_copy(step: Step, copy: str) -> str:
    """What the step makes, made on a temporary table instead, whose columns are the same; ``""`` for what
    has no expression in it, so that the catalogue has it as it was written."""
    node = deepcopy(parser.tree(step.text))
    if step.kind == "index":
        node.concurrent = False
    elif _constraint(step.text).contype != pb.CONSTR_CHECK:
        return ""
    node.relation.schemaname, node.relation.relname = "pg_temp", copy
    return deparsed(node)


def same_index(step: Step, definition: str) -> bool:
    """Whether ``pg_get_indexdef`` says of an index what the step would make, or the step takes any."""
    if parser.tree(step.text).if_not_exists:
        return True
    return plain_index(step.text) == plain_index(definition)


def plain_index(text: str) -> str:
    """A CREATE INDEX in one form, without its table."""
    node = deepcopy(parser.tree(text))
    node.concurrent = node.if_not_exists = False
    node.relation.schemaname, node.relation.relname = "", "t"
    node.relation.inh = True
    node.access_method = node.access_method or "btree"
    return deparsed(node)


def same_constraint(step: Step, definition: str, index: str) -> bool:
    """Whether ``pg_get_constraintdef`` says of a constraint what the step would make, valid or not.

    ``index``: that of a unique or primary key, whose columns were compared before.
    """
    ours = _constraint(step.text)
    theirs = _constraint(f"ALTER TABLE t ADD CONSTRAINT {_q(step.name)} {definition}")
    if ours.contype != theirs.contype:
        return False
    if ours.indexname:
        return bool(ours.indexname == index)
    if not ours.pk_attrs:  # the primary key: the catalogue writes it out
        del theirs.pk_attrs[:]
    return _shown(ours) == _shown(theirs)


def says_present(step: Step, definition: str) -> bool:
    """Whether ``pg_get_constraintdef`` says of a constraint that the step's column is not NULL."""
    found = _constraint(f"ALTER TABLE t ADD CONSTRAINT c {definition}")
    return (
        step.column is not None
        and found.contype == pb.CONSTR_CHECK
        and expression(found.raw_expr) == f"{_q(step.column)} IS NOT NULL"
    )


def _constraint(text: str) -> Any:
    command = parser.tree(text).cmds[0].alter_table_cmd
    return deepcopy(getattr(command, "def").constraint)


def _shown(constraint: Any) -> str:
    constraint.skip_validation, constraint.initially_valid = True, False
    if constraint.HasField("pktable"):
        constraint.pktable.schemaname = ""
    node = parser.tree("ALTER TABLE t ADD CHECK (true)")
    return adding(node, constraint)


def table_sql(table: Name) -> str:
    """A table's name as SQL."""
    return f"{_q(table.schema)}.{_q(table.name)}" if table.schema else _q(table.name)
