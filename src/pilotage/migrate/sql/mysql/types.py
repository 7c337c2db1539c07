"""MySQL's types by the one name that the server knows each of them by."""

from __future__ import annotations

from pilotage.migrate.sql.mysql.scanner import scan

_SYNONYMS = {
    "integer": "int",
    "int1": "tinyint",
    "int2": "smallint",
    "int3": "mediumint",
    "int4": "int",
    "int8": "bigint",
    "middleint": "mediumint",
    "bool": "tinyint",
    "boolean": "tinyint",
    "dec": "decimal",
    "numeric": "decimal",
    "fixed": "decimal",
    "double precision": "double",
    "real": "double",
    "float8": "double",
    "float4": "float",
    "character varying": "varchar",
    "varcharacter": "varchar",
    "character": "char",
    "nvarchar": "varchar",
    "nchar": "char",
    "long varchar": "mediumtext",
    "long": "mediumtext",
}
_WHOLE = frozenset({"tinyint", "smallint", "mediumint", "int", "bigint"})
_UNSIZED = {"decimal": "10,0", "char": "1", "binary": "1", "bit": "1"}


def plain_type(type: str) -> tuple[str, str, bool] | None:
    """A type by the name that the server knows it by: name, size, unsigned. None where that is not known.

    The width of a whole number says nothing, and MySQL 8 no longer shows it.
    """
    tokens = [token.text.lower() for token in scan(type)]
    opened = tokens.index("(") if "(" in tokens else len(tokens)
    closed = tokens.index(")") if ")" in tokens else len(tokens)
    words, more = tokens[:opened], tokens[closed + 1 :]
    unsigned = "unsigned" in words + more
    said = " ".join(word for word in words if word not in ("unsigned", "zerofill", "signed"))
    name = _SYNONYMS.get(said, said)
    if name in ("enum", "set", "json", "serial", "") or set(more) - {
        "unsigned",
        "zerofill",
        "signed",
    }:
        return None
    size = "" if name in _WHOLE else "".join(tokens[opened + 1 : closed]) or _UNSIZED.get(name, "")
    if name == "decimal" and "," not in size:
        size += ",0"
    return name, size, unsigned
