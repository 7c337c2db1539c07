"""Every rule: what it finds, what it lets pass, and that what it says to write instead is right."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pilotage.errors import MigrationFileError
from pilotage.hazards import RULES, Finding, Severity, check, check_all, refuse_contract_work
from pilotage.hazards.rules.change_type import widens
from pilotage.migrate.loader import parse_migration
from pilotage.migrate.migration import Migration
from pilotage.model import Half, expand

BEFORE = """\
CREATE TABLE orders (
    id bigint PRIMARY KEY,
    item varchar(20) NOT NULL,
    amount int,
    price numeric(10, 2),
    state text DEFAULT 'new'
);
CREATE TYPE mood AS ENUM ('good');
"""


def parse(text: str, *, version: int = 2, dialect: str = "postgresql") -> Migration:
    path = Path(f"db/migrations/{version}_change.sql")
    return parse_migration(text, path=path, dialect=dialect)


def found(text: str, *, before: str = BEFORE, dialect: str = "postgresql") -> list[Finding]:
    """What is found in a second migration, after one that makes the tables."""
    first, second = parse(before, version=1, dialect=dialect), parse(text, dialect=dialect)
    return [f for f in check_all([first, second], dialect=dialect) if f.file == second.path]


def rules(text: str, **options: str) -> list[str]:
    return [finding.rule for finding in found(text, **options)]


CONTRACT_WORK = {
    "drop-column": "ALTER TABLE orders DROP COLUMN item",
    "drop-table": "DROP TABLE IF EXISTS orders CASCADE",
    "drop-view": "DROP VIEW v",
    "drop-function": "DROP FUNCTION f(int)",
    "drop-type": "DROP TYPE mood",
    "drop-sequence": "DROP SEQUENCE q",
    "drop-schema": "DROP SCHEMA s CASCADE",
    "drop-extension": "DROP EXTENSION e",
    "drop-trigger": "DROP TRIGGER g ON orders",
    "drop-other": "DROP CAST (int AS text)",
    "drop-policy": "DROP POLICY p ON orders",
    "rename-column": "ALTER TABLE orders RENAME item TO product",
    "rename-table": "ALTER TABLE orders RENAME TO sales",
    "rename-schema": "ALTER SCHEMA a RENAME TO b",
    "rename-view": "ALTER VIEW v RENAME TO w",
    "rename-function": "ALTER FUNCTION f(int) RENAME TO g",
    "rename-type": "ALTER TYPE mood RENAME TO feeling",
    "rename-sequence": "ALTER SEQUENCE q RENAME TO r",
    "rename-enum-value": "ALTER TYPE mood RENAME VALUE 'good' TO 'it''s fine'",
    "change-type": "ALTER TABLE orders ALTER amount TYPE bigint",
    "add-column-not-null": "ALTER TABLE orders ADD COLUMN n timestamptz NOT NULL",
    "set-not-null": "ALTER TABLE orders ALTER amount SET NOT NULL",
    "drop-default": "ALTER TABLE orders ALTER state DROP DEFAULT",
    "truncate": "TRUNCATE orders",
    "change-all-rows": "UPDATE orders SET amount = 0",
    "opaque": "DO $$ BEGIN PERFORM 1; END $$",
    "restrict": "REVOKE SELECT ON orders FROM app",
    "detach": "ALTER TABLE orders DETACH PARTITION orders_2020",
}


class TestContractWork:
    def test_every_error_has_an_example_here(self) -> None:
        errors = {
            rule.id
            for rule in RULES
            if rule.severity is Severity.ERROR and Half.CONTRACT not in rule.halves
        }

        assert set(CONTRACT_WORK) == errors

    @pytest.mark.parametrize(("rule", "sql"), CONTRACT_WORK.items())
    def test_in_an_expand_half_it_is_refused(self, rule: str, sql: str) -> None:
        (finding,) = found(f"-- expand\nSELECT 1;\n\n  {sql};")

        assert (finding.rule, finding.severity) == (rule, Severity.ERROR)
        assert (finding.line, finding.half) == (4, "expand")
        assert finding.rewrite

    @pytest.mark.parametrize("sql", CONTRACT_WORK.values())
    def test_in_a_contract_half_it_is_at_home(self, sql: str) -> None:
        assert [f for f in found(f"-- contract\n{sql};") if f.severity is Severity.ERROR] == []

    @pytest.mark.parametrize(("rule", "sql"), CONTRACT_WORK.items())
    def test_an_allow_with_a_reason_lets_it_pass(self, rule: str, sql: str) -> None:
        assert rules(f"-- pilotage: allow={rule} because I know\n{sql};") == []

    @pytest.mark.parametrize(
        ("rule", "sql"), [item for item in CONTRACT_WORK.items() if item[0] != "opaque"]
    )
    def test_what_to_write_instead_is_a_migration_without_errors(self, rule: str, sql: str) -> None:
        (finding,) = found(f"{sql};")
        rewrite = finding.rewrite
        if rewrite.startswith("-- backfill"):
            rewrite = f"-- expand\nSELECT 1;\n{rewrite}"

        parse(rewrite, version=3)
        assert [f.rule for f in found(rewrite) if f.severity is Severity.ERROR] == []

    @pytest.mark.parametrize(
        "sql",
        [
            ["ALTER TABLE new RENAME a TO b", "ALTER b SET NOT NULL"][0],
            "ALTER TABLE new ALTER a TYPE bigint, ALTER a SET NOT NULL, ADD b int NOT NULL, DROP a",
            "ALTER TABLE new RENAME TO newer; ALTER TABLE newer DROP a; DROP TABLE newer",
            "REVOKE SELECT ON new FROM app; ALTER TABLE new ENABLE ROW LEVEL SECURITY",
            "UPDATE new SET a = 1; DELETE FROM new; TRUNCATE new; DROP TABLE new",
            "CREATE TRIGGER g BEFORE INSERT ON new EXECUTE FUNCTION f(); DROP TRIGGER g ON new",
            "CREATE INDEX ON new (a); ALTER TABLE new ADD CHECK (a > 0), ADD UNIQUE (a)",
            "ALTER TABLE orders ADD z int; ALTER TABLE orders ALTER z SET NOT NULL; "
            "ALTER TABLE orders RENAME z TO y; ALTER TABLE orders DROP y",
            "CREATE VIEW v AS SELECT 1; DROP VIEW v",
            "CREATE TYPE m AS ENUM ('a'); ALTER TYPE m RENAME VALUE 'a' TO 'b'; DROP TYPE m",
            "ALTER TYPE mood ADD VALUE 'x'; ALTER TYPE mood RENAME VALUE 'x' TO 'y'",
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; "
            "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 2'; "
            "ALTER FUNCTION f() RENAME TO g; DROP FUNCTION g()",
        ],
    )
    def test_what_the_file_itself_made_may_change(self, sql: str) -> None:
        errors = [
            f for f in found(f"CREATE TABLE new (a int);\n{sql};") if f.severity is Severity.ERROR
        ]

        assert errors == []

    def test_if_not_exists_makes_nothing_new(self) -> None:
        assert rules("CREATE TABLE IF NOT EXISTS orders (a int); ALTER TABLE orders DROP a") == [
            "drop-column"
        ]

    def test_the_default_of_a_new_column_stays_until_old_code_is_gone(self) -> None:
        assert rules(
            "ALTER TABLE orders ADD n int NOT NULL DEFAULT 0; ALTER TABLE orders ALTER n DROP DEFAULT"
        ) == ["drop-default"]

    def test_the_place_of_one_command_among_several(self) -> None:
        (finding,) = found("ALTER TABLE orders\n  ADD x int,\n  DROP item;")

        assert (finding.line, finding.column) == (3, 3)
        assert "ALTER TABLE orders DROP item;" in finding.rewrite
        assert "ADD" not in finding.rewrite

    def test_the_type_of_a_renamed_column_is_looked_up(self) -> None:
        (finding,) = found("ALTER TABLE orders RENAME item TO product;")

        assert "ALTER TABLE orders ADD COLUMN product varchar(20);" in finding.rewrite

    def test_names_that_need_quotes(self) -> None:
        (finding,) = found('ALTER TABLE "Orders" RENAME "order" TO "Item";')

        assert 'ALTER TABLE "Orders" ADD COLUMN "Item" text' in finding.rewrite
        assert 'NEW."Item" := NEW."order"' in finding.rewrite
        parse(finding.rewrite)

    def test_a_cte_that_deletes_everything(self) -> None:
        assert rules(
            "WITH x AS (DELETE FROM orders RETURNING *) INSERT INTO y SELECT * FROM x"
        ) == ["change-all-rows"]

    def test_a_rename_that_leaves_a_view_behind(self) -> None:
        assert rules("ALTER TABLE orders RENAME TO s; CREATE VIEW orders AS SELECT * FROM s") == []

    @pytest.mark.parametrize("sql", CONTRACT_WORK.values())
    def test_a_squash_meets_no_old_code(self, sql: str) -> None:
        assert rules(f"-- pilotage: replaces=0..1\n{sql};") == []

    @pytest.mark.parametrize(
        "sql",
        [
            "DROP ROLE a, b",
            "DROP SERVER s",
            "DROP USER MAPPING FOR a SERVER s",
            "DROP OPERATOR CLASS c USING btree",
            "DROP PUBLICATION p",
        ],
    )
    def test_a_drop_of_whatever_else(self, sql: str) -> None:
        assert set(rules(sql)) == {"drop-other"}

    def test_a_drop_that_nobody_notices(self) -> None:
        assert rules("DROP STATISTICS s") == []

    def test_a_domain(self) -> None:
        assert rules("ALTER DOMAIN d SET NOT NULL") == ["set-not-null"]


class TestTypes:
    @pytest.mark.parametrize(
        ("before", "after"),
        [
            ("varchar(20)", "varchar(40)"),
            ("varchar(20)", "varchar"),
            ("varchar(20)", "text"),
            ("character varying(20)", "text"),
            ("text", "varchar"),
            ("numeric(10, 2)", "numeric(12, 2)"),
            ("numeric(10, 2)", "numeric"),
            ("decimal(10)", "numeric(12)"),
            ("cidr", "inet"),
            ("timestamptz(3)", "timestamptz"),
            ("timestamp (3) with time zone", "timestamp(6) with time zone"),
            ("int", "integer"),
            ("bit varying(3)", "varbit(8)"),
        ],
    )
    def test_a_widening_passes(self, before: str, after: str) -> None:
        assert widens(before, after)

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            ("varchar(40)", "varchar(20)"),
            ("varchar", "varchar(20)"),
            ("text", "varchar(20)"),
            ("numeric(10, 2)", "numeric(12, 3)"),
            ("numeric(10, 2)", "numeric(8, 2)"),
            ("numeric", "numeric(10, 2)"),
            ("int", "bigint"),
            ("bigint", "int"),
            ("inet", "cidr"),
            ("char(3)", "char(4)"),
            ("text", "int"),
            ("timestamp", "timestamptz"),
            ("varchar(10)", "text[]"),
        ],
    )
    def test_anything_else_does_not(self, before: str, after: str) -> None:
        assert not widens(before, after)

    def test_the_type_that_earlier_migrations_gave(self) -> None:
        assert rules("ALTER TABLE orders ALTER item TYPE text") == ["widen-type"]
        assert rules("ALTER TABLE public.orders ALTER price TYPE numeric(12, 2)") == ["widen-type"]
        assert rules("ALTER TABLE orders ALTER item TYPE varchar(10)") == ["change-type"]
        assert rules("ALTER TABLE orders ALTER item TYPE text USING upper(item)") == ["change-type"]

    def test_a_type_that_nobody_told(self) -> None:
        assert rules("ALTER TABLE elsewhere ALTER item TYPE text") == ["change-type"]


WARNINGS = {
    "add-constraint": "ALTER TABLE orders ADD CONSTRAINT k CHECK (amount > 0)",
    "add-column-rewrite": "ALTER TABLE orders ADD u uuid DEFAULT gen_random_uuid()",
    "add-enum-value": "ALTER TYPE mood ADD VALUE 'bad'",
    "change-default": "ALTER TABLE orders ALTER state SET DEFAULT 'open'",
    "change-rows": "UPDATE orders SET amount = 0 WHERE amount IS NULL",
    "create-index": "CREATE UNIQUE INDEX ON orders (item)",
    "create-trigger": "CREATE TRIGGER g BEFORE INSERT ON orders EXECUTE FUNCTION f()",
    "drop-index": "DROP INDEX i",
    "loosen": "ALTER TABLE orders ALTER item DROP NOT NULL",
    "replace-object": "CREATE OR REPLACE VIEW v AS SELECT 1",
    "rewrite-type": "-- contract\nALTER TABLE orders ALTER amount TYPE bigint",
    "scan-for-null": "-- contract\nALTER TABLE orders ALTER amount SET NOT NULL",
    "stricter-constraint": "ALTER TABLE orders ADD CONSTRAINT k CHECK (amount > 0) NOT VALID",
    "widen-type": "ALTER TABLE orders ALTER item TYPE text",
    "validate-at-once": "ALTER TABLE orders ADD CONSTRAINT k CHECK (amount > 0) NOT VALID; "
    "ALTER TABLE orders VALIDATE CONSTRAINT k",
}


class TestWarnings:
    @pytest.mark.parametrize(("rule", "sql"), WARNINGS.items())
    def test_they_are_found_and_refuse_nothing(self, rule: str, sql: str) -> None:
        findings = found(f"{sql};")

        assert rule in [finding.rule for finding in findings]
        assert {finding.severity for finding in findings} == {Severity.WARNING}
        refuse_contract_work([parse(BEFORE, version=1), parse(f"{sql};")], dialect="postgresql")

    @pytest.mark.parametrize(("rule", "sql"), WARNINGS.items())
    def test_an_allow_silences_them(self, rule: str, sql: str) -> None:
        assert rule not in rules(f"-- pilotage: allow={rule} because I know\n{sql};")

    @pytest.mark.parametrize(
        ("sql", "rewrite"),
        [
            (
                "CREATE UNIQUE INDEX ON orders (item)",
                "CREATE UNIQUE INDEX CONCURRENTLY orders_item_idx ON orders (item);",
            ),
            ("DROP INDEX s.i", "DROP INDEX CONCURRENTLY s.i;"),
            (
                "ALTER TABLE orders ADD CHECK (amount > 0)",
                "ALTER TABLE orders ADD CONSTRAINT orders_amount_check CHECK (amount > 0) NOT VALID;\n"
                "ALTER TABLE orders VALIDATE CONSTRAINT orders_amount_check;",
            ),
            (
                "ALTER TABLE orders ADD UNIQUE (item, amount)",
                "CREATE UNIQUE INDEX CONCURRENTLY orders_item_amount_key ON orders (item, amount);\n"
                "ALTER TABLE orders ADD CONSTRAINT orders_item_amount_key UNIQUE "
                "USING INDEX orders_item_amount_key;",
            ),
        ],
    )
    def test_what_to_write_instead(self, sql: str, rewrite: str) -> None:
        finding = found(f"{sql};")[0]

        assert finding.rewrite == f"-- expand\n-- pilotage: transaction=false\n{rewrite}\n"
        again = rules(finding.rewrite)
        assert finding.rule not in again

    def test_a_validated_check_spares_the_scan(self) -> None:
        (finding,) = found("-- contract\nALTER TABLE orders ALTER amount SET NOT NULL;")

        assert finding.rule == "scan-for-null"
        assert rules(finding.rewrite) == []

    def test_the_parsers_own_tree_is_left_alone(self) -> None:
        sql = "CREATE INDEX ON orders (item);"

        assert rules(sql) == rules(sql) == ["create-index"]


class TestOpaque:
    @pytest.mark.parametrize(
        "sql",
        [
            "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
            "CREATE OR REPLACE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS "
            "'BEGIN RETURN NEW; END'; CREATE TRIGGER g BEFORE INSERT ON orders "
            "EXECUTE FUNCTION public.f()",
            "SELECT setval('q', 1)",
            "INSERT INTO states VALUES ('new')",
            "CREATE EXTENSION IF NOT EXISTS pgcrypto",
        ],
    )
    def test_what_needs_no_ceremony(self, sql: str) -> None:
        assert "opaque" not in rules(sql)

    @pytest.mark.parametrize(
        "sql",
        [
            "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "CALL p()",
            "SELECT drop_everything()",
            "EXECUTE prepared",
            "EXPLAIN (ANALYZE) DELETE FROM orders",
            "DROP OWNED BY app",
        ],
    )
    def test_what_cannot_be_read(self, sql: str) -> None:
        assert rules(sql) == ["opaque"]

    def test_drop_if_exists_and_create_is_a_replacement(self) -> None:
        assert rules(
            "DROP TRIGGER IF EXISTS g ON orders; "
            "CREATE TRIGGER g BEFORE INSERT ON orders EXECUTE FUNCTION f()"
        ) == ["create-trigger", "replace-object"]
        assert rules("DROP TABLE IF EXISTS orders; CREATE TABLE orders (a int)") == ["drop-table"]


class TestSQLite:
    BEFORE = "CREATE TABLE orders (id INTEGER PRIMARY KEY, item TEXT, amount INT);"

    @pytest.mark.parametrize(
        ("rule", "sql"),
        [
            ("drop-column", "ALTER TABLE Orders DROP COLUMN item"),
            ("drop-table", "DROP TABLE orders"),
            ("drop-view", "DROP VIEW v"),
            ("drop-trigger", "DROP TRIGGER g"),
            ("rename-column", "ALTER TABLE orders RENAME COLUMN item TO product"),
            ("rename-table", "ALTER TABLE orders RENAME TO sales"),
            ("add-column-not-null", "ALTER TABLE orders ADD n INT NOT NULL"),
            ("change-all-rows", "UPDATE orders SET amount = 0"),
            ("change-all-rows", "DELETE FROM orders"),
            ("opaque", "PRAGMA writable_schema = ON"),
        ],
    )
    def test_contract_work(self, rule: str, sql: str) -> None:
        (finding,) = found(f"SELECT 1;\n{sql};", before=self.BEFORE, dialect="sqlite")

        assert (finding.rule, finding.severity, finding.line) == (rule, Severity.ERROR, 2)
        if rule not in ("opaque", "change-all-rows"):
            again = rules(finding.rewrite, before=self.BEFORE, dialect="sqlite")
            assert set(again) <= {"create-trigger", "sqlite-rebuild"}

    def test_what_is_new_may_change_whatever_its_case(self) -> None:
        assert rules(
            "CREATE TABLE New (a INT); ALTER TABLE new DROP COLUMN A; DROP TABLE NEW; "
            "CREATE INDEX i ON orders (item)",
            before=self.BEFORE,
            dialect="sqlite",
        ) == []  # fmt: skip

    def test_a_table_that_is_rebuilt(self) -> None:
        assert "drop-table" in rules(
            "CREATE TABLE new (id INTEGER PRIMARY KEY); INSERT INTO new SELECT id FROM orders; "
            "DROP TABLE orders; ALTER TABLE new RENAME TO orders",
            before=self.BEFORE,
            dialect="sqlite",
        )


class TestReport:
    def test_the_error_holds_the_split(self) -> None:
        migration = parse("-- expand\nALTER TABLE orders ADD b int, DROP item;")

        with pytest.raises(MigrationFileError) as caught:
            refuse_contract_work([migration], dialect="postgresql")

        assert caught.value.exit_status == 2
        assert str(caught.value) == (
            "db/migrations/2_change.sql:2: orders.item is dropped while old code still uses it "
            "(drop-column, in the expand half)\n"
            "  state: nothing was touched\n"
            "  next:  write it like this:\n\n"
            "    -- contract\n"
            "    -- Where item is NOT NULL without a default, code that no longer writes it\n"
            "    -- needs one, or DROP NOT NULL, in an expand half first.\n"
            "    ALTER TABLE orders DROP item;\n\n"
            "  or, if it is safe, say why: `-- pilotage: allow=drop-column because …`"
        )

    def test_only_some_halves(self) -> None:
        applied = parse("DROP TABLE orders;", version=1)
        pending = parse("SELECT 1;")

        refuse_contract_work([applied, pending], dialect="postgresql", only={expand("2")})
        with pytest.raises(MigrationFileError):
            refuse_contract_work([applied, pending], dialect="postgresql")

    def test_as_json(self) -> None:
        (finding,) = check(parse("DROP TABLE orders;"), dialect="postgresql")

        assert json.loads(json.dumps(finding.to_json())) == {
            "rule": "drop-table",
            "class": "old-code",
            "severity": "error",
            "file": "db/migrations/2_change.sql",
            "line": 1,
            "column": 1,
            "half": "expand",
            "message": "the table orders is dropped while old code still uses it",
            "rewrite": "-- contract\nDROP TABLE orders;\n",
        }

    def test_an_allow_of_no_hazard(self) -> None:
        (finding,) = found(
            "-- expand\nSELECT 1;\n-- pilotage: allow=drop-colum because it is gone\nSELECT 2;"
        )

        assert (finding.rule, finding.line) == ("unknown-hazard", 3)
        assert finding.severity is Severity.ERROR
        assert finding.message == "no hazard is called 'drop-colum'; did you mean drop-column?"

    def test_ids_and_reasons(self) -> None:
        assert len({rule.id for rule in RULES}) == len(RULES)
        assert all(rule.why.endswith(".") and rule.numbers for rule in RULES)

    def test_a_column_added_safely_is_no_finding(self) -> None:
        assert (
            rules(
                "ALTER TABLE orders ADD a text, ADD b int NOT NULL DEFAULT 0, ADD c timestamptz "
                "DEFAULT now(); CREATE TABLE x (a bigint REFERENCES orders (id)); COMMENT ON TABLE x IS 'y'"
            )
            == []
        )


@pytest.mark.parametrize(
    ("before", "amount", "expected"),
    [
        ("amount int NOT NULL DEFAULT 3", "int NOT NULL DEFAULT 3", set()),
        (
            "amount int NOT NULL DEFAULT 3",
            "bigint NOT NULL DEFAULT 4",
            {"change-type", "modify-type", "no-algorithm", "change-default"},
        ),
        ("price int", "int NOT NULL DEFAULT 3", {"modify-type", "no-algorithm"}),
    ],
    ids=["as it was", "another", "not known"],
)
def test_of_what_is_written_anew_only_what_changes_is_judged(
    before: str, amount: str, expected: set[str]
) -> None:
    table = f"CREATE TABLE orders (id bigint PRIMARY KEY, {before});"
    anew = rules(f"ALTER TABLE orders MODIFY amount {amount};", before=table, dialect="mysql")

    assert set(anew) == expected
