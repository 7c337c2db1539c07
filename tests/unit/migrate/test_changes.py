"""What statements do to a schema, and the net effects of a half."""

from __future__ import annotations

from typing import Any

import pytest

from pilotage.migrate.sql import Effect, changes, creates_index_concurrently, effects, grammar
from pilotage.migrate.sql import change as c


def one(sql: str, dialect: str = "postgresql") -> c.Change:
    (change,) = changes(sql, dialect)
    return change


def name(text: str) -> c.Name:
    schema, _, last = text.rpartition(".")
    return c.Name(schema or None, last)


def variable(setting: str, value: str | None, *, local: bool = False) -> c.SetVariable:
    return c.SetVariable(what="SET", visible=False, name=setting, value=value, local=local)


def rewrite(what: str, of: str | None, *, visible: bool = False, **more: Any) -> c.Rewrite:
    return c.Rewrite(what=what, name=name(of) if of else None, visible=visible, **more)


class TestPostgreSQL:
    def test_each_command_of_an_alter_table_with_its_place(self) -> None:
        sql = (
            "ALTER TABLE ONLY s.orders ADD COLUMN x int NOT NULL DEFAULT (1 + 1),\n"
            "  DROP b, ALTER c TYPE numeric(10,2) USING c::numeric(10, 2),\n"
            "  ALTER d SET NOT NULL, ALTER d DROP NOT NULL, ALTER e SET DEFAULT now(),\n"
            "  ALTER e DROP DEFAULT, VALIDATE CONSTRAINT k, DROP CONSTRAINT k"
        )
        found = changes(sql, "postgresql")
        table = name("s.orders")

        assert [type(change).__name__ for change in found] == [
            "AddColumn", "DropColumn", "AlterType", "SetNotNull", "DropNotNull", "SetDefault",
            "DropDefault", "ValidateConstraint", "DropConstraint",
        ]  # fmt: skip
        assert [
            sql[change.offset :].split(",", maxsplit=1)[0].split("\n", maxsplit=1)[0]
            for change in found
        ][:3] == [
            "ADD COLUMN x int NOT NULL DEFAULT (1 + 1)",
            "DROP b",
            "ALTER c TYPE numeric(10",
        ]
        assert found[0] == c.AddColumn(
            table=table,
            column=c.Column("x", "int", not_null=True, default="1 + 1"),
            sql="ALTER TABLE ONLY s.orders ADD COLUMN x int NOT NULL DEFAULT 1 + 1",
            offset=found[0].offset,
        )
        assert found[1].sql == "ALTER TABLE ONLY s.orders DROP b"
        assert isinstance(found[2], c.AlterType)
        assert (found[2].type, found[2].using) == ("numeric(10, 2)", True)

    @pytest.mark.parametrize(
        ("definition", "column"),
        [
            (
                "a bigserial",
                c.Column("a", "bigserial", not_null=True, generated=True, source="serial"),
            ),
            (
                "a int GENERATED ALWAYS AS IDENTITY",
                c.Column("a", "int", generated=True, source="identity"),
            ),
            ("a int PRIMARY KEY", c.Column("a", "int", not_null=True)),
            ("a text DEFAULT 'é''s'", c.Column("a", "text", default="'é''s'")),
            (
                "a int GENERATED ALWAYS AS (b + 1) STORED",
                c.Column("a", "int", generated=True, source="stored"),
            ),
            (
                "a int GENERATED ALWAYS AS (b + 1)",
                c.Column("a", "int", generated=True, source="virtual"),
            ),
            (
                "a uuid DEFAULT coalesce(f(), s.g(f()))",
                c.Column("a", "uuid", default="COALESCE(f(), s.g(f()))", calls=("f", "g")),
            ),
            ("a public.mood[]", c.Column("a", "public.mood[]")),
            ("a json", c.Column("a", "json")),
            ('"A b" "My Type"', c.Column("A b", '"My Type"')),
        ],
    )
    def test_columns(self, definition: str, column: c.Column) -> None:
        added = one(f"ALTER TABLE t ADD {definition}")
        created = one(f"CREATE TABLE t ({definition})")

        assert isinstance(added, c.AddColumn)
        assert added.column == column
        assert isinstance(created, c.CreateTable)
        assert created.columns == (column,)

    @pytest.mark.parametrize(
        ("written", "constraint"),
        [
            (
                "CONSTRAINT k CHECK (a > b)",
                c.Constraint("check", "k", ("a", "b"), expression="a > b"),
            ),
            (
                "CHECK (a > 0) NOT VALID",
                c.Constraint("check", None, ("a",), valid=False, expression="a > 0"),
            ),
            ("UNIQUE (a, b)", c.Constraint("unique", None, ("a", "b"))),
            (
                "CONSTRAINT k UNIQUE USING INDEX i",
                c.Constraint("unique", "k", (), using_index="i"),
            ),
            (
                "CONSTRAINT k FOREIGN KEY (a) REFERENCES s.u (b) NOT VALID",
                c.Constraint(
                    "foreign key",
                    "k",
                    ("a",),
                    valid=False,
                    references=name("s.u"),
                    referenced=("b",),
                ),
            ),
            ("EXCLUDE USING gist (a WITH =)", c.Constraint("exclude")),
            ("CONSTRAINT k NOT NULL a", c.Constraint("not null", "k", ("a",))),
        ],
    )
    def test_constraints(self, written: str, constraint: c.Constraint) -> None:
        change = one(f"ALTER TABLE t ADD {written}")

        assert isinstance(change, c.AddConstraint)
        assert change.constraint == constraint

    @pytest.mark.parametrize(
        ("sql", "kind", "dropped"),
        [
            ("DROP TABLE s.t", "table", "s.t"),
            ("DROP VIEW v CASCADE", "view", "v"),
            ("DROP MATERIALIZED VIEW v", "materialized view", "v"),
            ("DROP TYPE IF EXISTS s.m", "type", "s.m"),
            ("DROP DOMAIN d", "domain", "d"),
            ("DROP SCHEMA x", "schema", "x"),
            ("DROP EXTENSION e", "extension", "e"),
            ("DROP SEQUENCE q", "sequence", "q"),
            ("DROP INDEX CONCURRENTLY s.i", "index", "s.i"),
            ("DROP PROCEDURE s.p(int)", "procedure", "s.p"),
            ("DROP AGGREGATE a(int)", "aggregate", "a"),
            ("DROP FOREIGN TABLE f", "table", "f"),
        ],
    )
    def test_drops(self, sql: str, kind: str, dropped: str) -> None:
        change = one(sql)

        assert isinstance(change, c.Drop)
        assert (change.kind, change.name) == (kind, name(dropped))

    def test_a_drop_of_several_is_several(self) -> None:
        first, second = changes("DROP FUNCTION IF EXISTS s.f(int, text), g CASCADE", "postgresql")

        assert isinstance(first, c.Drop)
        assert (first.name, first.detail) == (name("s.f"), "int, text")
        assert second.sql == "DROP FUNCTION IF EXISTS g CASCADE"

    def test_a_trigger_belongs_to_a_table(self) -> None:
        change = one("DROP TRIGGER x ON s.t")

        assert isinstance(change, c.Drop)
        assert (change.name, change.table) == (name("x"), name("s.t"))

    @pytest.mark.parametrize(
        ("sql", "kind", "before", "after"),
        [
            ("ALTER TABLE s.t RENAME TO u", "table", "s.t", "s.u"),
            ("ALTER TABLE t SET SCHEMA s", "table", "t", "s.t"),
            ("ALTER VIEW v RENAME TO w", "view", "v", "w"),
            ("ALTER SCHEMA a RENAME TO b", "schema", "a", "b"),
            ("ALTER FUNCTION f(int) RENAME TO g", "function", "f", "g"),
            ("ALTER TYPE s.m RENAME TO n", "type", "s.m", "s.n"),
            ("ALTER INDEX i RENAME TO j", "index", "i", "j"),
            ("ALTER SEQUENCE q RENAME TO r", "sequence", "q", "r"),
            ("ALTER TABLE t RENAME CONSTRAINT a TO b", "constraint", "a", "b"),
        ],
    )
    def test_renames(self, sql: str, kind: str, before: str, after: str) -> None:
        change = one(sql)

        assert isinstance(change, c.Rename)
        assert (change.kind, change.name, change.to) == (kind, name(before), name(after))

    @pytest.mark.parametrize(
        ("sql", "wanted"),
        [
            ("TRUNCATE a", [c.Truncate(table=name("a"))]),
            (
                "UPDATE a SET b = 1",
                [c.ChangeRows(verb="UPDATE", table=name("a"), whole=True, columns=("b",))],
            ),
            (
                "DELETE FROM a USING b WHERE a.x = b.x",
                [c.ChangeRows(verb="DELETE", table=name("a"), whole=False)],
            ),
            (
                "WITH gone AS (DELETE FROM a RETURNING *) INSERT INTO b SELECT * FROM gone",
                [c.ChangeRows(verb="DELETE", table=name("a"), whole=True)],
            ),
            ("REVOKE SELECT ON t FROM r", [c.Restrict(what="REVOKE on t", table=name("t"))]),
            ("REVOKE ALL ON SCHEMA s FROM r", [c.Restrict(what="REVOKE")]),
            (
                "ALTER TABLE t ENABLE ROW LEVEL SECURITY",
                [c.Restrict(what="row-level security on t", table=name("t"), offset=14)],
            ),
            ("GRANT SELECT ON t TO r", [c.Other(what="GRANT")]),
            ("DO $$ BEGIN END $$", [c.Opaque(what="DO")]),
            ("CALL p()", [c.Opaque(what="CALL")]),
            ("DROP OWNED BY r", [c.Opaque(what="DROP OWNED")]),
            ("COMMENT ON TABLE t IS 'x'", [c.Other(what="COMMENT", visible=False)]),
            ("INSERT INTO t VALUES (1)", [c.InsertRows(what="INSERT", table=name("t"))]),
            (
                "INSERT INTO t SELECT * FROM u ON CONFLICT DO NOTHING",
                [c.InsertRows(what="INSERT", table=name("t"), query=True, again=True)],
            ),
            ("SET LOCAL lock_timeout = 0", [variable("lock_timeout", "0", local=True)]),
            ("SET search_path = a, 'B'", [variable("search_path", "a, B")]),
            ("RESET lock_timeout", [variable("lock_timeout", None)]),
            ("SET statement_timeout TO DEFAULT", [variable("statement_timeout", None)]),
            ("VACUUM FULL t", [rewrite("VACUUM FULL", "t")]),
            ("VACUUM (FULL false) t", [c.Other(what="VACUUM", visible=False)]),
            ("VACUUM t", [c.Other(what="VACUUM", visible=False)]),
            ("VACUUM (FULL)", [rewrite("VACUUM FULL", None, kind="database")]),
            ("CLUSTER t USING i", [rewrite("CLUSTER", "t")]),
            ("REINDEX INDEX s.i", [rewrite("REINDEX", "s.i", kind="index")]),
            (
                "REINDEX TABLE CONCURRENTLY t",
                [rewrite("REINDEX", "t", concurrently=True)],
            ),
            ("REINDEX SCHEMA s", [rewrite("REINDEX", "s", kind="schema")]),
            (
                "REFRESH MATERIALIZED VIEW v",
                [rewrite("REFRESH MATERIALIZED VIEW", "v", kind="materialized view", visible=True)],
            ),
            ("LOCK t IN SHARE MODE", [rewrite("LOCK", "t", mode="SHARE")]),
            ("LOCK TABLE t", [rewrite("LOCK", "t", mode="ACCESS EXCLUSIVE")]),
            (
                "ALTER TABLE t SET TABLESPACE fast",
                [rewrite("SET TABLESPACE fast", "t", visible=True, offset=14)],
            ),
            (
                "ALTER TABLE t SET UNLOGGED",
                [rewrite("SET UNLOGGED", "t", visible=True, offset=14)],
            ),
            (
                "ALTER EXTENSION e UPDATE TO '2'",
                [c.UpgradeExtension(what="ALTER EXTENSION", name="e")],
            ),
            (
                "ALTER DOMAIN d ADD CONSTRAINT k CHECK (value > 0) NOT VALID",
                [
                    c.ConstrainDomain(
                        what="ALTER DOMAIN", domain=name("d"), constraint="k", valid=False
                    )
                ],
            ),
            ("BEGIN", [c.TransactionControl(what="BEGIN")]),
            (
                "ALTER TABLE p ATTACH PARTITION q DEFAULT",
                [
                    c.Attach(
                        what="ALTER TABLE",
                        table=name("p"),
                        child=name("q"),
                        bound="DEFAULT",
                        offset=14,
                    )
                ],
            ),
            ("SELECT pg_catalog.setval('q', 1)", [c.Other(what="SELECT", visible=False)]),
            (
                "SELECT drop_everything()",
                [
                    c.Opaque(what="the function drop_everything"),
                    c.Other(what="SELECT", visible=False),
                ],
            ),
            (
                "ALTER TABLE p DETACH PARTITION q CONCURRENTLY",
                [c.Detach(table=name("p"), child=name("q"), concurrently=True, offset=14)],
            ),
            (
                "ALTER TYPE m RENAME VALUE 'a' TO 'b'",
                [c.RenameEnumValue(type=name("m"), value="a", to="b")],
            ),
            ("ALTER TYPE m ADD VALUE 'a'", [c.AddEnumValue(type=name("m"), value="a")]),
            ("SELECT 1 INTO t", [c.CreateTable(table=name("t"))]),
        ],
    )
    def test_the_rest(self, sql: str, wanted: list[c.Change]) -> None:
        found = [f.but(sql="") for f in changes(sql, "postgresql")]

        assert found == wanted

    def test_an_index_built_concurrently(self) -> None:
        index = creates_index_concurrently(
            'CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS "I" ON s.t (a)', "postgresql"
        )

        assert index
        assert (index.name, index.table, index.unique) == ("I", name("s.t"), True)
        assert creates_index_concurrently("CREATE INDEX i ON t (a)", "postgresql") is None

    @pytest.mark.parametrize(
        ("plain", "quoted"),
        [("users", "users"), ("Users", '"Users"'), ("order", '"order"'), ("a b", '"a b"')],
    )
    def test_names_are_quoted_where_they_must_be(self, plain: str, quoted: str) -> None:
        assert grammar("postgresql").quote(plain) == quoted
        assert one(f"DROP TABLE {grammar('postgresql').quote(plain)}") == c.Drop(
            kind="table", name=name(plain), sql=f"DROP TABLE {quoted}"
        )


class TestSQLite:
    def test_columns_as_sqlite_takes_them(self) -> None:
        table = one(
            "CREATE TABLE IF NOT EXISTS main.[My T] (\n"
            "  Id INTEGER PRIMARY KEY AUTOINCREMENT, a, b ANY, c UNSIGNED BIG INT NOT NULL DEFAULT -1,\n"
            "  d VARCHAR(10) COLLATE NOCASE DEFAULT ('x' || ','), \"e f\" TEXT NULL DEFAULT NULL,\n"
            "  g INT GENERATED ALWAYS AS (c + 1) STORED, h INT CHECK (h IS NOT NULL),\n"
            "  CONSTRAINT k UNIQUE (a, b), CHECK (c > 0), FOREIGN KEY (a) REFERENCES u (a)\n"
            ") STRICT, WITHOUT ROWID",
            "sqlite",
        )

        assert isinstance(table, c.CreateTable)
        assert table.table == name("main.my t")
        assert table.if_not_exists
        assert table.columns == (
            c.Column("id", "INTEGER"),
            c.Column("a"),
            c.Column("b", "ANY"),
            c.Column("c", "UNSIGNED BIG INT", not_null=True, default="-1"),
            c.Column("d", "VARCHAR(10)", default="('x' || ',')"),
            c.Column("e f", "TEXT", default="NULL"),
            c.Column("g", "INT", generated=True),
            c.Column("h", "INT"),
        )
        assert [(k.kind, k.name) for k in table.constraints] == [
            ("primary key", None),
            ("check", None),
            ("unique", "k"),
            ("check", None),
            ("foreign key", None),
        ]

    @pytest.mark.parametrize(
        ("sql", "wanted"),
        [
            ("ALTER TABLE t ADD c", c.AddColumn(table=name("t"), column=c.Column("c"), offset=14)),
            ("ALTER TABLE t DROP COLUMN C", c.DropColumn(table=name("t"), column="c", offset=14)),
            ("ALTER TABLE t DROP c", c.DropColumn(table=name("t"), column="c", offset=14)),
            (
                "ALTER TABLE T RENAME a TO b",
                c.RenameColumn(table=name("t"), column="a", to="b", offset=14),
            ),
            (
                "ALTER TABLE main.t RENAME TO u",
                c.Rename(kind="table", name=name("main.t"), to=name("main.u"), offset=19),
            ),
            ("DROP TABLE IF EXISTS t", c.Drop(kind="table", name=name("t"), if_exists=True)),
            ("DROP TRIGGER x", c.Drop(kind="trigger", name=name("x"))),
            (
                "CREATE UNIQUE INDEX i ON t (a)",
                c.CreateIndex(table=name("t"), name="i", columns=("a",), unique=True),
            ),
            (
                "CREATE TEMP TRIGGER x AFTER UPDATE OF a, b ON t BEGIN SELECT 1; END",
                c.Create(kind="trigger", name=name("x"), table=name("t")),
            ),
            ("CREATE VIEW v (a) AS SELECT 1", c.Create(kind="view", name=name("v"))),
            ("CREATE VIRTUAL TABLE f USING fts5(a)", c.CreateTable(table=name("f"))),
            ("CREATE TABLE x AS SELECT 1", c.CreateTable(table=name("x"))),
            (
                "UPDATE OR IGNORE t SET a = 1",
                c.ChangeRows(verb="UPDATE", table=name("t"), whole=True, columns=("a",)),
            ),
            (
                "WITH x AS (SELECT 1) DELETE FROM t WHERE a",
                c.ChangeRows(verb="DELETE", table=name("t"), whole=False),
            ),
            (
                "REPLACE INTO t VALUES (1)",
                c.InsertRows(what="REPLACE", table=name("t"), again=True),
            ),
            ("PRAGMA foreign_keys = ON", c.Other(what="PRAGMA", visible=False)),
            ("PRAGMA writable_schema = ON", c.Opaque(what="PRAGMA writable_schema")),
            ("ALTER TABLE t FROB", c.Opaque(what="a statement that could not be read")),
            ("FROB", c.Opaque(what="a statement that could not be read")),
            ("CREATE TABLE t (a,,b)", c.Opaque(what="a statement that could not be read")),
            ("CREATE TABLE t (a", c.Opaque(what="a statement that could not be read")),
        ],
    )
    def test_statements(self, sql: str, wanted: c.Change) -> None:
        change = one(sql, "sqlite")

        assert change.but(sql="") == wanted


class TestEffects:
    def test_what_a_half_makes(self) -> None:
        found = effects(
            "ALTER TABLE s.t ADD COLUMN a numeric(10,2) NOT NULL DEFAULT 0;\n"
            "CREATE INDEX i ON s.t (a);\n"
            "CREATE FUNCTION f(int, OUT x text) RETURNS text LANGUAGE sql AS 'SELECT 1';\n"
            "CREATE TRIGGER g BEFORE INSERT ON s.t EXECUTE FUNCTION f();\n"
            "ALTER TABLE s.t ADD CONSTRAINT k CHECK (a > 0) NOT VALID;\n"
            "CREATE MATERIALIZED VIEW m AS SELECT 1;\n"
            "CREATE TYPE mood AS ENUM ('a');\n"
            "ALTER TYPE mood ADD VALUE 'b';\n"
            "COMMENT ON TABLE s.t IS 'x';",
            "postgresql",
        )

        assert found == (
            Effect("column", "s", "t", "a"),
            Effect("column_type", "s", "t", "a", detail="numeric(10, 2)"),
            Effect("not_null", "s", "t", "a"),
            Effect("default", "s", "t", "a", detail="0"),
            Effect("index", "s", "t", "i"),
            Effect("function", None, None, "f", detail="int"),
            Effect("trigger", "s", "t", "g"),
            Effect("constraint", "s", "t", "k", detail="not valid"),
            Effect("view", None, None, "m", detail="materialized"),
            Effect("type", None, None, "mood"),
            Effect("enum_value", None, "mood", "b"),
        )

    def test_what_a_half_removes(self) -> None:
        assert effects(
            "ALTER TABLE t DROP COLUMN a; DROP TABLE s.u; DROP INDEX i; "
            "ALTER TABLE t ALTER b DROP NOT NULL, ALTER b DROP DEFAULT; DROP TRIGGER g ON s.t",
            "postgresql",
        ) == (
            Effect("column", None, "t", "a", present=False),
            Effect("table", "s", None, "u", present=False),
            Effect("index", None, None, "i", present=False),
            Effect("not_null", None, "t", "b", present=False),
            Effect("default", None, "t", "b", present=False),
            Effect("trigger", "s", "t", "g", present=False),
        )

    def test_what_is_undone_again_leaves_what_is_true_at_the_end(self) -> None:
        assert effects(
            "CREATE TABLE tmp (a int NOT NULL);\nDROP TABLE tmp;\n"
            "ALTER TABLE t ADD CONSTRAINT k CHECK (a IS NOT NULL) NOT VALID;\n"
            "ALTER TABLE t VALIDATE CONSTRAINT k;\nALTER TABLE t ALTER a SET NOT NULL;\n"
            "ALTER TABLE t DROP CONSTRAINT k;",
            "postgresql",
        ) == (
            Effect("table", None, None, "tmp", present=False),
            Effect("not_null", None, "t", "a"),
            Effect("constraint", None, "t", "k", present=False),
        )

    def test_a_validated_constraint_is_valid(self) -> None:
        assert effects(
            "ALTER TABLE t ADD CONSTRAINT k CHECK (a > 0) NOT VALID; "
            "ALTER TABLE t VALIDATE CONSTRAINT k",
            "postgresql",
        ) == (Effect("constraint", None, "t", "k", detail="valid"),)

    def test_renames(self) -> None:
        assert effects("ALTER TABLE t RENAME a TO b; ALTER TABLE t RENAME TO u", "postgresql") == (
            Effect("column", None, "u", "a", present=False),
            Effect("column", None, "u", "b"),
            Effect("table", None, None, "t", present=False),
            Effect("table", None, None, "u"),
        )

    def test_what_was_made_under_another_name(self) -> None:
        assert effects(
            "CREATE TABLE a (x int); ALTER TABLE a RENAME x TO y; ALTER TABLE a RENAME TO b",
            "postgresql",
        ) == (
            Effect("column_type", None, "b", "y", detail="int"),
            Effect("column", None, "b", "x", present=False),
            Effect("column", None, "b", "y"),
            Effect("table", None, None, "a", present=False),
            Effect("table", None, None, "b"),
        )

    @pytest.mark.parametrize(
        ("sql", "what"),
        [
            ("DO $$ BEGIN END $$", "DO"),
            ("UPDATE t SET a = 1", "UPDATE on t"),
            ("INSERT INTO t VALUES (1)", "INSERT"),
            ("GRANT SELECT ON t TO r", "GRANT"),
            ("TRUNCATE t", "TRUNCATE t"),
            ("ALTER TABLE t ADD UNIQUE (a)", "a unique constraint without a name on t"),
            ("CREATE INDEX ON t (a)", "an index without a name on t"),
            ("CREATE POLICY p ON t", "the policy p"),
            ("ALTER DOMAIN d DROP DEFAULT", "the domain d"),
        ],
    )
    def test_what_cannot_be_checked(self, sql: str, what: str) -> None:
        (effect,) = effects(sql, "postgresql")

        assert (effect.kind, effect.name) == ("opaque", what)
        assert str(effect) == f"{what}: cannot be checked in the catalogue"

    @pytest.mark.parametrize(
        "sql",
        [
            "CREATE TEMP TABLE x (a int)",
            "SELECT 1 AS a INTO TEMP x",
            "CREATE TEMP TABLE x AS SELECT 1",
            "SET lock_timeout = 1",
            "ANALYZE",
            "SELECT max(a) FROM t",
        ],
    )
    def test_what_leaves_nothing_behind(self, sql: str) -> None:
        assert effects(sql, "postgresql") == ()

    def test_in_words(self) -> None:
        assert str(Effect("enum_value", None, "mood", "b")) == "enum value mood.b is there"
        assert str(Effect("table", "s", None, "t", present=False)) == "table s.t is gone"

    def test_sqlite(self) -> None:
        assert effects(
            "CREATE TABLE T (A int NOT NULL DEFAULT 1); CREATE INDEX i ON t (a); DROP VIEW v",
            "sqlite",
        ) == (
            Effect("table", None, None, "t"),
            Effect("column", None, "t", "a"),
            Effect("column_type", None, "t", "a", detail="int"),
            Effect("not_null", None, "t", "a"),
            Effect("default", None, "t", "a", detail="1"),
            Effect("index", None, "t", "i"),
            Effect("view", None, None, "v", present=False),
        )
