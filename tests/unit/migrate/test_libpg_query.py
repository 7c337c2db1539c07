"""libpg_query, of which postgast's own Python is not imported: they read the same."""

from __future__ import annotations

import subprocess
import sys

import postgast
import pytest

from pilotage.migrate.sql import grammar
from pilotage.migrate.sql.postgresql import libpg_query, parser, tables

STATEMENTS = (
    "SELECT a, 'ü' FROM b WHERE c IN (SELECT d FROM e) ORDER BY 1 LIMIT 3",
    "ALTER TABLE s.t ADD COLUMN c numeric(10, 2) DEFAULT now() CHECK (c > 0 AND c < 9), DROP COLUMN d",
    "CREATE TABLE t (a int PRIMARY KEY, b text NOT NULL DEFAULT 'x') PARTITION BY RANGE (a)",
    "CREATE INDEX CONCURRENTLY i ON t USING gin (lower(b)) WHERE a > 0",
    "WITH x AS (UPDATE t SET a = 1 RETURNING *) SELECT * FROM x FOR UPDATE",
    "GRANT SELECT ON t TO app",
)


@pytest.mark.parametrize("sql", STATEMENTS)
def test_it_reads_what_postgast_reads(sql: str) -> None:
    ours, theirs = libpg_query.parse(sql), postgast.parse(sql)

    assert ours.SerializeToString(deterministic=True) == theirs.SerializeToString(
        deterministic=True
    )
    assert libpg_query.scan(sql).SerializeToString() == postgast.scan(sql).SerializeToString()
    assert libpg_query.deparse(ours.SerializeToString()) == postgast.deparse(theirs)
    walked = [type(node).__name__ for node in libpg_query.walk(ours.stmts[0].stmt)]
    assert walked == [type(node).__name__ for _, node in postgast.walk(theirs.stmts[0].stmt)]


def test_its_constants_are_postgasts() -> None:
    assert libpg_query.pb.AT_DropColumn == postgast.pg_query_pb2.AT_DropColumn
    assert libpg_query.label("ObjectType", libpg_query.pb.OBJECT_VIEW) == "OBJECT_VIEW"


def test_an_error_has_its_place() -> None:
    with pytest.raises(libpg_query.PgQueryError) as raised:
        libpg_query.parse("SELECT 1; SELEC 2")
    assert (raised.value.message, raised.value.position) == ('syntax error at or near "SELEC"', 11)


def test_postgast_itself_is_not_imported() -> None:
    code = (
        "import sys; from pilotage.migrate.sql import changes; changes('SELECT 1', 'postgresql'); "
    )
    subprocess.run(
        [sys.executable, "-c", f"{code}assert 'postgast' not in sys.modules"], check=True
    )


def test_places_count_from_the_statement() -> None:
    """Whether it was read alone or after others, and whatever stands before it."""
    sql = 'ALTER TABLE "ö" ADD COLUMN ü int CONSTRAINT k CHECK (ü > 0)'
    text = f"SELECT 'é – 😀';\n-- – é\n{sql};\nALTER TABLE t /* ä */ DROP COLUMN x, DROP COLUMN y;"
    reader = grammar("postgresql")

    statements = reader.split(text)
    (added,) = reader.changes(statements[1].text)
    dropped = reader.changes(statements[2].text)

    assert statements[1].text == sql
    assert added.offset == sql.index("ADD")
    assert [x.offset for x in added.constraints] == [sql.index("CONSTRAINT")]  # type: ignore[attr-defined]
    last = statements[2].text
    assert [change.offset for change in dropped] == [last.index("DROP"), last.rindex("DROP")]


def test_a_tree_is_kept_with_where_it_begins() -> None:
    sql = "ALTER TABLE kept_once ADD CHECK (a > 0)"
    before = parser.start(sql)
    grammar("postgresql").split(f"SELECT 1; {sql}")

    assert (before, parser.start(sql)) == (0, 10)
    assert tables.name_of(parser.tree(sql).relation).name == "kept_once"
