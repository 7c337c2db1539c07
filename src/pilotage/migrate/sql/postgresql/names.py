"""The names that PostgreSQL gives to what an author left without one."""

from __future__ import annotations

from typing import Any

from pilotage.migrate.sql.postgresql.libpg_query import pb, unwrapped

_LONGEST = 63  # bytes; NAMEDATALEN - 1


def default_name(table: str, columns: str, label: str) -> str:
    """``table_columns_label``, cut as the server cuts it: the longer of the first two parts first.

    The server would go on to ``…1`` where the name is taken; here the statement fails then, and asks for
    a name.
    """
    first, second = table.encode(), columns.encode()
    left = _LONGEST - len(label) - 1 - bool(second)
    one, two = len(first), len(second)
    while one + two > left:
        if one > two:
            one -= 1
        else:
            two -= 1
    parts = (first[:one].decode(errors="ignore"), second[:two].decode(errors="ignore"), label)
    return "_".join(part for part in parts if part)


def index_name(table: str, node: Any, label: str = "idx") -> str:
    """The name of an index of ``table`` whose CREATE INDEX (an ``IndexStmt``) gives none."""
    return default_name(table, "_".join(_key_names(node)), label)


def _key_names(node: Any) -> list[str]:
    """What the server calls the columns of an index: an expression by its function, and none twice."""
    names: list[str] = []
    for item in (*node.index_params, *node.index_including_params):
        name = wanted = item.index_elem.name or _expression_name(item.index_elem.expr)[0] or "expr"
        number = 0
        while name in names:
            number += 1
            name = f"{wanted}{number}"
        names.append(name)
    return names


def _expression_name(node: Any) -> tuple[str, bool]:
    """What an expression is called, and whether it gives way to a better name: the server's
    ``FigureColname``, for what an index may have."""
    inner = unwrapped(node)
    match inner:
        case pb.FuncCall():
            return inner.funcname[-1].string.sval, False
        case pb.ColumnRef():
            return inner.fields[-1].string.sval, False
        case pb.A_Indirection():
            fields = [one.string.sval for one in inner.indirection if one.HasField("string")]
            return (fields[-1], False) if fields else _expression_name(inner.arg)
        case pb.CollateClause():
            return _expression_name(inner.arg)
        case pb.TypeCast():
            found, weak = _expression_name(inner.arg)
            if found and not weak:
                return found, False
            return inner.type_name.names[-1].string.sval, True
        case pb.CaseExpr():
            found, weak = _expression_name(inner.defresult)
            return (found, False) if found and not weak else ("case", True)
        case pb.MinMaxExpr():
            return "greatest" if inner.op == pb.IS_GREATEST else "least", False
        case pb.A_Expr() if inner.kind == pb.AEXPR_NULLIF:
            return "nullif", False
        case _:
            return _NAMES.get(type(inner), ""), False


_NAMES = {pb.CoalesceExpr: "coalesce", pb.A_ArrayExpr: "array", pb.RowExpr: "row"}
