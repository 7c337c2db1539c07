"""Backfill statements in batches: the author's own text with one predicate in the right place."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from postgast import parse, unwrap_node
from postgast import pg_query_pb2 as pb

from pilotage.migrate.sql import SqlError, batched

BOTH = ("postgresql", "sqlite")


@pytest.mark.parametrize("dialect", BOTH)
@pytest.mark.parametrize(
    ("sql", "kind", "table", "alias", "rendered"),
    [
        (
            "UPDATE t SET a = 1 WHERE a IS NULL",
            "update",
            "t",
            None,
            "UPDATE t SET a = 1 WHERE (a IS NULL) AND (P)",
        ),
        (
            "UPDATE t SET a = 1 WHERE a = 2 OR b = 3",
            "update",
            "t",
            None,
            "UPDATE t SET a = 1 WHERE (a = 2 OR b = 3) AND (P)",
        ),
        (
            'DELETE FROM main."T t" AS x WHERE x.a = 1 RETURNING x.a',
            "delete",
            'main."T t"',
            "x",
            'DELETE FROM main."T t" AS x WHERE (x.a = 1) AND (P) RETURNING x.a',
        ),
        (
            "UPDATE t SET a = 1 -- set\nWHERE -- where\na IS NULL -- end",
            "update",
            "t",
            None,
            "UPDATE t SET a = 1 -- set\nWHERE -- where\n(a IS NULL) AND (P) -- end",
        ),
        (
            "UPDATE t SET a = 1 WHERE a = 2 -- two\n  OR a = 3 /* three */",
            "update",
            "t",
            None,
            "UPDATE t SET a = 1 WHERE (a = 2 -- two\n  OR a = 3) AND (P) /* three */",
        ),
        (
            "UPDATE t SET a = 'WHERE RETURNING' WHERE b = ' WHERE ' RETURNING a",
            "update",
            "t",
            None,
            "UPDATE t SET a = 'WHERE RETURNING' WHERE (b = ' WHERE ') AND (P) RETURNING a",
        ),
        (
            "UPDATE t SET a = (SELECT b FROM u WHERE u.id = t.id LIMIT 1) WHERE a IS NULL",
            "update",
            "t",
            None,
            "UPDATE t SET a = (SELECT b FROM u WHERE u.id = t.id LIMIT 1) WHERE (a IS NULL) AND (P)",
        ),
        (
            "UPDATE t SET a = u.b FROM u WHERE u.id = t.id",
            "update",
            "t",
            None,
            "UPDATE t SET a = u.b FROM u WHERE (u.id = t.id) AND (P)",
        ),
        (
            "WITH old AS (SELECT id FROM u WHERE x)\nUPDATE t SET a = 1 WHERE id IN (SELECT id FROM old)",
            "update",
            "t",
            None,
            "WITH old AS (SELECT id FROM u WHERE x)\n"
            "UPDATE t SET a = 1 WHERE (id IN (SELECT id FROM old)) AND (P)",
        ),
        (
            "WITH update_ AS (SELECT 1), d (a) AS MATERIALIZED (SELECT 2) DELETE FROM t WHERE a = 1",
            "delete",
            "t",
            None,
            "WITH update_ AS (SELECT 1), d (a) AS MATERIALIZED (SELECT 2) "
            "DELETE FROM t WHERE (a = 1) AND (P)",
        ),
        (
            'update T as "A" set x = 1 where x <> 1',
            "update",
            "T",
            '"A"',
            'update T as "A" set x = 1 where (x <> 1) AND (P)',
        ),
        (
            "UPDATE t SET a = 1 WHERE EXISTS (SELECT 1 FROM u LIMIT 1)",
            "update",
            "t",
            None,
            "UPDATE t SET a = 1 WHERE (EXISTS (SELECT 1 FROM u LIMIT 1)) AND (P)",
        ),
        (
            "UPDATE t SET a = 1 WHERE CASE WHEN b THEN c ELSE d END",
            "update",
            "t",
            None,
            "UPDATE t SET a = 1 WHERE (CASE WHEN b THEN c ELSE d END) AND (P)",
        ),
    ],
)
def test_a_predicate_is_put_beside_the_authors_condition(
    dialect: str, sql: str, kind: str, table: str, alias: str | None, rendered: str
) -> None:
    batch = batched(sql, dialect)

    assert (batch.kind, batch.table, batch.alias) == (kind, table, alias)
    assert batch.render("P") == rendered


@pytest.mark.parametrize(
    ("sql", "table", "alias", "qualifier"),
    [
        ("UPDATE ONLY public.t x SET a = 1 WHERE a = 2", "public.t", "x", "x"),
        ("UPDATE ONLY (public.t) SET a = 1 WHERE a = 2", "public.t", None, "t"),
        ("UPDATE t * SET a = 1 WHERE a = 2", "t", None, "t"),
        ('DELETE FROM "a.b"."c.d" USING u WHERE true', '"a.b"."c.d"', None, '"c.d"'),
        ("WITH update AS (SELECT 1) UPDATE t SET a = 1 WHERE b", "t", None, "t"),
        ("WITH update (a) AS (SELECT 1) DELETE FROM t WHERE b", "t", None, "t"),
        ('UPDATE public . "T" SET a = 1 WHERE b', 'public . "T"', None, '"T"'),
    ],
)
def test_the_target_as_postgresql_writes_it(
    sql: str, table: str, alias: str | None, qualifier: str
) -> None:
    batch = batched(sql, "postgresql")

    assert (batch.table, batch.alias, batch.qualifier) == (table, alias, qualifier)


@pytest.mark.parametrize(
    ("sql", "table", "qualifier"),
    [
        ("UPDATE OR IGNORE [my t] SET a = 1 WHERE a = 2", "[my t]", "[my t]"),
        ("UPDATE main.`t.u` INDEXED BY i SET a = 1 WHERE a = 2", "main.`t.u`", "`t.u`"),
        ("DELETE FROM t NOT INDEXED WHERE a = 2", "t", "t"),
    ],
)
def test_the_target_as_sqlite_writes_it(sql: str, table: str, qualifier: str) -> None:
    batch = batched(sql, "sqlite")

    assert (batch.table, batch.alias, batch.qualifier) == (table, None, qualifier)


@pytest.mark.parametrize(
    ("sql", "table", "alias"),
    [
        ("UPDATE t JOIN u ON u.i = t.i SET t.a = u.a WHERE t.a IS NULL", "t", None),
        ("UPDATE t x LEFT JOIN u USING (i) SET x.a = u.a WHERE x.a IS NULL", "t", "x"),
        ("UPDATE LOW_PRIORITY IGNORE s.t SET a = 1 WHERE a = 2", "s.t", None),
        ("UPDATE t PARTITION (p0, p1) SET a = 1 WHERE a = 2", "t", None),
        ("UPDATE t USE INDEX (i) SET a = 1 WHERE a = 2", "t", None),
        ("UPDATE `t` IGNORE KEY (i) SET a = 1 WHERE a = 2", "`t`", None),
        ("DELETE t FROM t JOIN u ON u.i = t.i WHERE u.a = 2", "t", None),
        ("DELETE x FROM t AS x JOIN u ON u.i = x.i WHERE u.a = 2", "t", "x"),
        ("DELETE IGNORE u FROM t AS x JOIN u ON u.i = x.i WHERE x.a = 2", "u", None),
        ("DELETE FROM t PARTITION (p0) WHERE a = 2", "t", None),
        ("UPDATE `ignore` SET a = 1 WHERE a = 2", "`ignore`", None),
    ],
)
def test_the_target_as_mysql_writes_it(sql: str, table: str, alias: str | None) -> None:
    batch = batched(sql, "mysql")

    assert (batch.table, batch.alias) == (table, alias)


@pytest.mark.parametrize("dialect", BOTH)
@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO t SELECT * FROM u WHERE NOT EXISTS (SELECT 1 FROM t WHERE t.id = u.id) LIMIT 100",
        "UPDATE t SET a = 1 WHERE id IN (SELECT id FROM t WHERE a IS NULL LIMIT 1000)",
        "UPDATE t SET a = 1 WHERE id IN ((SELECT id FROM t WHERE a IS NULL LIMIT 1000))",
        "UPDATE t SET a = u.a FROM (SELECT id, a FROM t LIMIT 10) u WHERE u.id = t.id",
        "WITH some AS (SELECT id FROM t LIMIT 10) DELETE FROM t WHERE id IN (SELECT id FROM some)",
        "DELETE FROM t WHERE id IN (SELECT id FROM (SELECT id FROM t LIMIT 10) AS x)",
    ],
)
def test_a_statement_that_limits_itself_is_repeated(dialect: str, sql: str) -> None:
    batch = batched(sql, dialect)

    assert (batch.kind, batch.text, batch.table) == ("repeat", sql, "")
    with pytest.raises(ValueError, match="LIMIT of its own"):
        batch.render("true")


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE t SET a = 1 WHERE ctid = ANY (ARRAY(SELECT ctid FROM t LIMIT 10))",
        "INSERT INTO t SELECT * FROM u FETCH FIRST 10 ROWS ONLY",
        "WITH gone AS (DELETE FROM u WHERE id IN (SELECT id FROM u LIMIT 10) RETURNING *) "
        "INSERT INTO t SELECT * FROM gone",
    ],
)
def test_more_that_limits_itself_in_postgresql(sql: str) -> None:
    assert batched(sql, "postgresql").kind == "repeat"


def test_sqlites_own_limit() -> None:
    assert batched("DELETE FROM t WHERE a ORDER BY b LIMIT 10", "sqlite").kind == "repeat"


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE t SET a = ARRAY(SELECT b FROM u WHERE u.id = t.id LIMIT 3) WHERE a IS NULL",
        "UPDATE t SET a = (SELECT x FROM (SELECT x FROM u LIMIT 1) AS v) WHERE a IS NULL",
        "UPDATE t SET a = 1 WHERE b = (SELECT max(b) FROM u LIMIT 1)",
        "UPDATE t SET a = fetch WHERE fetch IS NULL",
    ],
)
def test_a_limit_that_bounds_no_rows_does_not_count(sql: str) -> None:
    assert batched(sql, "postgresql").kind == "update"


@pytest.mark.parametrize("dialect", BOTH)
@pytest.mark.parametrize(
    ("sql", "line", "says"),
    [
        ("\nUPDATE t SET a = 1", 2, "this UPDATE has no WHERE"),
        ("UPDATE t SET a = (SELECT b FROM u WHERE c)", 1, "this UPDATE has no WHERE"),
        ("DELETE FROM t", 1, "this DELETE has no WHERE"),
        ("INSERT INTO t SELECT * FROM u", 1, "this INSERT has no LIMIT"),
        ("SELECT fill_the_column()", 1, "a backfill cannot run SELECT in batches"),
        ("WITH x AS (SELECT 1) SELECT * FROM x", 1, "a backfill cannot run WITH in batches"),
        ("CREATE TABLE x (a int)", 1, "a backfill cannot run CREATE in batches"),
    ],
)
def test_what_would_never_end_is_refused(dialect: str, sql: str, line: int, says: str) -> None:
    with pytest.raises(SqlError) as caught:
        batched(sql, dialect)

    assert says in caught.value.what
    assert caught.value.line == line
    assert caught.value.next


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("DO $$ BEGIN END $$", "a backfill cannot run DO"),
        ("CALL fill()", "a backfill cannot run CALL"),
        ("DELETE FROM t WHERE CURRENT OF c", "WHERE CURRENT OF"),
        ("MERGE INTO t USING u ON t.a = u.a WHEN MATCHED THEN DELETE", "this MERGE has no LIMIT"),
    ],
)
def test_what_postgresql_knows_besides(sql: str, says: str) -> None:
    with pytest.raises(SqlError, match=says):
        batched(sql, "postgresql")


CONDITIONS = st.recursive(
    st.sampled_from(
        [
            "a IS NULL",
            "a = 1 OR b = 2",
            "b > 3 -- three\n",
            "id IN (SELECT id FROM u WHERE a > 1)",
            "c = 'x WHERE y; -- z'",
            "/* all */ true",
            "CASE WHEN a > 1 THEN b > 1 ELSE c = 'x' END",
        ]
    ),
    lambda inner: st.tuples(inner, st.sampled_from(["\nAND ", "\nOR "]), inner).map("".join),
    max_leaves=4,
)


@settings(deadline=None)
@given(condition=CONDITIONS, end=st.sampled_from(["", " RETURNING id", " -- end", "\n/* end */"]))
def test_postgresql_reads_what_was_meant(condition: str, end: str) -> None:
    """The parse tree of a batch is: the author's own condition AND the predicate, and nothing else."""
    sql = f"UPDATE t SET b = 7 WHERE {condition}{end}"

    batch = tree(batched(sql, "postgresql").render("id > 10 AND id <= 20")).where_clause.bool_expr
    whole = tree(sql).where_clause
    predicate = tree("UPDATE t SET b = 7 WHERE id > 10 AND id <= 20").where_clause

    conjunction = whole.WhichOneof("node") == "bool_expr" and whole.bool_expr.boolop == pb.AND_EXPR
    wanted = [*(whole.bool_expr.args if conjunction else [whole]), predicate]  # the parser flattens
    assert batch.boolop == pb.AND_EXPR
    assert [without_places(arg) for arg in batch.args] == [without_places(arg) for arg in wanted]


def tree(sql: str) -> Any:
    (raw,) = parse(sql).stmts
    return unwrap_node(raw.stmt)


def without_places(node: Any) -> str:
    """A node as text, without the positions in it."""
    return "\n".join(line for line in str(node).splitlines() if "location:" not in line)


ROWS = st.lists(
    st.tuples(
        st.one_of(st.none(), st.integers(0, 4)),
        st.one_of(st.none(), st.integers(0, 4)),
        st.sampled_from(["x", "y", None]),
    ),
    max_size=12,
)


@settings(deadline=None)
@given(rows=ROWS, condition=CONDITIONS, size=st.integers(1, 5))
def test_batches_do_what_the_statement_does(
    rows: list[tuple[Any, ...]], condition: str, size: int
) -> None:
    """On a real database: key range after key range changes the same rows as all at once."""
    condition = condition.replace("SELECT id FROM u", "SELECT id FROM t AS u")
    sql = f"UPDATE t SET b = 7, c = 'done' WHERE ({condition}\n) AND c IS NOT 'done' -- end"
    with closing(filled(rows)) as whole, closing(filled(rows)) as batches:
        whole.execute(sql)
        batch = batched(sql, "sqlite")
        for low in range(0, len(rows), size):
            frozen = f"{batch.qualifier}.id > {low} AND {batch.qualifier}.id <= {low + size}"
            batches.execute(batch.render(frozen))

        if "SELECT" not in condition:  # a sub-select sees what earlier batches changed
            assert content(batches) == content(whole)


def filled(rows: list[tuple[Any, ...]]) -> sqlite3.Connection:
    database = sqlite3.connect(":memory:")
    database.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a INT, b INT, c TEXT)")
    database.executemany("INSERT INTO t (a, b, c) VALUES (?, ?, ?)", rows)
    return database


def content(database: sqlite3.Connection) -> list[tuple[Any, ...]]:
    return database.execute("SELECT * FROM t ORDER BY id").fetchall()
