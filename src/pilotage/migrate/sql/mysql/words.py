"""What the first words of a MySQL or MariaDB statement say of it."""

from __future__ import annotations

from itertools import pairwise

from pilotage.migrate.sql.batch import main_verb
from pilotage.migrate.sql.mysql.scanner import scan
from pilotage.migrate.sql.token import code, with_depth

# Statements that end whatever transaction is open, from the manuals' list of implicit commits, and those
# that run text or a routine in which one of them may be.
_COMMITS = frozenset(
    {"ALTER", "ANALYZE", "CACHE", "CALL", "CHANGE", "CHECK", "CREATE", "DROP", "EXECUTE", "FLUSH"}
    | {"GRANT", "IMPORT", "INSTALL", "LOCK", "OPTIMIZE", "RENAME", "REPAIR", "RESET", "REVOKE"}
    | {"START", "STOP", "TRUNCATE", "UNINSTALL", "UNLOCK", "BEGIN", "IF", "CASE", "LOOP", "REPEAT"}
    | {"WHILE", "FOR"}
)
_UNSURE = frozenset({"CALL", "EXECUTE", "BEGIN", "IF", "CASE", "LOOP", "REPEAT", "WHILE", "FOR"})
_TRANSACTION = frozenset({"COMMIT", "ROLLBACK", "SAVEPOINT", "XA"})


def _words(statement: str, most: int = 6) -> list[str]:
    return [token.word for token in code(scan(statement))[:most]]


def commits(statement: str) -> str:
    """The command that commits by itself, whatever transaction is open, or ``""``."""
    words = _words(statement)
    first = words[0]
    if first == "SET":
        names = {token.word for token in code(scan(statement))}
        return (
            "SET autocommit"
            if "AUTOCOMMIT" in names
            else "SET PASSWORD" * (words[1:2] == ["PASSWORD"])
        )
    if first not in _COMMITS or transaction_control(statement):
        return ""
    if first in ("CREATE", "DROP") and "TEMPORARY" in words[1:4] and "TABLE" in words[1:5]:
        return ""
    return " ".join(word for word in words[:2] if word) if first not in _UNSURE else first


def unsure(statement: str) -> bool:
    """Whether it runs statements that cannot be seen in it: an error then does not mean that nothing
    happened."""
    return _words(statement, 1)[0] in _UNSURE


def transaction_control(statement: str) -> str:
    """The transaction command that the statement is, or ``""``."""
    words = [*_words(statement), "", ""]
    if words[0] == "BEGIN" and words[1] in ("", "WORK"):
        return "BEGIN"
    if words[:2] == ["START", "TRANSACTION"]:
        return "START TRANSACTION"
    if words[:2] == ["RELEASE", "SAVEPOINT"]:
        return "RELEASE"
    return words[0] if words[0] in _TRANSACTION else ""


def query(statement: str) -> bool:
    """Whether it only reads: no INTO, no row locks, no verb but SELECT, VALUES or TABLE."""
    tokens = code(scan(statement))
    verb = main_verb(tokens)
    if verb is None or not verb.named("SELECT", "VALUES", "TABLE"):
        return False
    top = [token.word for depth, token in with_depth(tokens) if not depth]
    locks = any(
        pair in (("FOR", "UPDATE"), ("FOR", "SHARE"), ("LOCK", "IN")) for pair in pairwise(top)
    )
    return "INTO" not in top and not locks


def quote(name: str) -> str:
    """A name as SQL: bare where it is plain, else in backticks."""
    if name.isascii() and name.isidentifier() and name.upper() not in RESERVED:
        return name
    doubled = name.replace("`", "``")
    return f"`{doubled}`"


# Words that MySQL 8.4 or MariaDB 11 reserves.
# fmt: off
RESERVED = frozenset(["ACCESSIBLE", "ADD", "ALL", "ALTER", "ANALYZE", "AND", "AS", "ASC", "ASENSITIVE", "BEFORE", "BETWEEN", "BIGINT", "BINARY", "BLOB", "BOTH", "BY", "CALL", "CASCADE", "CASE", "CHANGE", "CHAR", "CHARACTER", "CHECK", "COLLATE", "COLUMN", "CONDITION", "CONSTRAINT", "CONTINUE", "CONVERT", "CREATE", "CROSS", "CUBE", "CUME_DIST", "CURRENT_DATE", "CURRENT_ROLE", "CURRENT_TIME", "CURRENT_TIMESTAMP", "CURRENT_USER", "CURSOR", "DATABASE", "DATABASES", "DAY_HOUR", "DAY_MICROSECOND", "DAY_MINUTE", "DAY_SECOND", "DEC", "DECIMAL", "DECLARE", "DEFAULT", "DELAYED", "DELETE", "DELETE_DOMAIN_ID", "DENSE_RANK", "DESC", "DESCRIBE", "DETERMINISTIC", "DISTINCT", "DISTINCTROW", "DIV", "DOUBLE", "DO_DOMAIN_IDS", "DROP", "DUAL", "EACH", "ELSE", "ELSEIF", "EMPTY", "ENCLOSED", "ESCAPED", "EXCEPT", "EXISTS", "EXIT", "EXPLAIN", "FALSE", "FETCH", "FIRST_VALUE", "FLOAT", "FLOAT4", "FLOAT8", "FOR", "FORCE", "FOREIGN", "FROM", "FULLTEXT", "FUNCTION", "GENERAL", "GENERATED", "GET", "GRANT", "GROUP", "GROUPING", "GROUPS", "HAVING", "HIGH_PRIORITY", "HOUR_MICROSECOND", "HOUR_MINUTE", "HOUR_SECOND", "IF", "IGNORE", "IGNORE_DOMAIN_IDS", "IGNORE_SERVER_IDS", "IN", "INDEX", "INFILE", "INNER", "INOUT", "INSENSITIVE", "INSERT", "INT", "INT1", "INT2", "INT3", "INT4", "INT8", "INTEGER", "INTERSECT", "INTERVAL", "INTO", "IO_AFTER_GTIDS", "IO_BEFORE_GTIDS", "IS", "ITERATE", "JOIN", "JSON_TABLE", "KEY", "KEYS", "KILL", "LAG", "LAST_VALUE", "LATERAL", "LEAD", "LEADING", "LEAVE", "LEFT", "LIKE", "LIMIT", "LINEAR", "LINES", "LOAD", "LOCALTIME", "LOCALTIMESTAMP", "LOCK", "LONG", "LONGBLOB", "LONGTEXT", "LOOP", "LOW_PRIORITY", "MANUAL", "MASTER_BIND", "MASTER_HEARTBEAT_PERIOD", "MASTER_SSL_VERIFY_SERVER_CERT", "MATCH", "MAXVALUE", "MEDIUMBLOB", "MEDIUMINT", "MEDIUMTEXT", "MIDDLEINT", "MINUTE_MICROSECOND", "MINUTE_SECOND", "MOD", "MODIFIES", "NATURAL", "NOT", "NO_WRITE_TO_BINLOG", "NTH_VALUE", "NTILE", "NULL", "NUMERIC", "OF", "OFFSET", "ON", "OPTIMIZE", "OPTIMIZER_COSTS", "OPTION", "OPTIONALLY", "OR", "ORDER", "OUT", "OUTER", "OUTFILE", "OVER", "PAGE_CHECKSUM", "PARALLEL", "PARSE_VCOL_EXPR", "PARTITION", "PERCENT_RANK", "PORTION", "PRECISION", "PRIMARY", "PROCEDURE", "PURGE", "QUALIFY", "RANGE", "RANK", "READ", "READS", "READ_WRITE", "REAL", "RECURSIVE", "REFERENCES", "REF_SYSTEM_ID", "REGEXP", "RELEASE", "RENAME", "REPEAT", "REPLACE", "REQUIRE", "RESIGNAL", "RESTRICT", "RETURN", "RETURNING", "REVOKE", "RIGHT", "RLIKE", "ROW", "ROWS", "ROW_NUMBER", "SCHEMA", "SCHEMAS", "SECOND_MICROSECOND", "SELECT", "SENSITIVE", "SEPARATOR", "SET", "SHOW", "SIGNAL", "SLOW", "SMALLINT", "SPATIAL", "SPECIFIC", "SQL", "SQLEXCEPTION", "SQLSTATE", "SQLWARNING", "SQL_BIG_RESULT", "SQL_CALC_FOUND_ROWS", "SQL_SMALL_RESULT", "SSL", "STARTING", "STATS_AUTO_RECALC", "STATS_PERSISTENT", "STATS_SAMPLE_PAGES", "STORED", "STRAIGHT_JOIN", "SYSTEM", "TABLE", "TABLESAMPLE", "TERMINATED", "THEN", "TINYBLOB", "TINYINT", "TINYTEXT", "TO", "TRAILING", "TRIGGER", "TRUE", "UNDO", "UNION", "UNIQUE", "UNLOCK", "UNSIGNED", "UPDATE", "USAGE", "USE", "USING", "UTC_DATE", "UTC_TIME", "UTC_TIMESTAMP", "VALUES", "VARBINARY", "VARCHAR", "VARCHARACTER", "VARYING", "VECTOR", "VIRTUAL", "WHEN", "WHERE", "WHILE", "WINDOW", "WITH", "WRITE", "XOR", "YEAR_MONTH", "ZEROFILL"])
# fmt: on
