"""Files → migrations: sections, directives, names, and every mistake with its file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from pilotage.errors import MigrationFileError
from pilotage.migrate.loader import load_migrations, parse_migration
from pilotage.migrate.migration import Migration
from pilotage.model import contract, expand

FILE = Path("db/migrations/20260101000000_add_email.sql")


def parse(text: str | bytes, *, dialect: str = "postgresql", path: Path = FILE) -> Migration:
    return parse_migration(text, path=path, dialect=dialect)


def refused(text: str | bytes, *, dialect: str = "postgresql", path: Path = FILE) -> str:
    with pytest.raises(MigrationFileError) as caught:
        parse(text, dialect=dialect, path=path)
    return str(caught.value)


def folder(tmp_path: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    return tmp_path


FULL = """\
-- Adds users.email. -- expand is a word in this comment.
-- pilotage: lock_timeout=2s timeout=10m

-- expand
ALTER TABLE users ADD COLUMN email text;
-- backfill
UPDATE users SET email = mail WHERE email IS NULL;
-- verify
SELECT id FROM users WHERE email IS NULL LIMIT 5;
-- contract
-- pilotage: out-of-band
ALTER TABLE users DROP COLUMN mail;
-- down
ALTER TABLE users DROP COLUMN email;
"""


class TestSections:
    def test_each_section_keeps_its_own_text_and_line(self) -> None:
        migration = parse(FULL)

        assert (migration.version, migration.name) == ("20260101000000", "add_email")
        assert migration.expand
        assert migration.backfill
        assert migration.verify
        assert migration.contract
        assert migration.down
        assert migration.expand.text == "ALTER TABLE users ADD COLUMN email text;\n"
        assert migration.expand.line == 5
        assert migration.backfill.line == 7
        assert migration.verify.line == 9
        assert migration.contract.line == 11
        assert migration.contract.text.startswith("-- pilotage: out-of-band\nALTER")
        assert migration.down.text == "ALTER TABLE users DROP COLUMN email;\n"

    def test_no_text_is_lost_between_the_markers(self) -> None:
        migration = parse(FULL)
        lines = FULL.splitlines(keepends=True)

        for section in (migration.expand, migration.backfill, migration.contract, migration.down):
            assert section
            own = section.text.splitlines(keepends=True)
            assert lines[section.line - 1 : section.line - 1 + len(own)] == own

    def test_a_file_without_sections_is_an_expand_half(self) -> None:
        migration = parse("-- hello\nCREATE TABLE t (a int);\n")

        assert migration.expand
        assert migration.expand.text == "-- hello\nCREATE TABLE t (a int);\n"
        assert migration.expand.line == 1
        assert list(migration.halves()) == [expand("20260101000000")]

    def test_a_contract_half_alone(self) -> None:
        assert list(parse("-- contract\nDROP TABLE t;").halves()) == [contract("20260101000000")]

    @pytest.mark.parametrize("marker", ["--expand", "--   Expand", "-- EXPAND  ", "  -- expand"])
    def test_markers_are_read_with_any_case_and_space(self, marker: str) -> None:
        migration = parse(f"{marker}\nSELECT 1;\n-- contract\nSELECT 2;")

        assert migration.expand
        assert migration.expand.text == "SELECT 1;\n"

    def test_windows_line_ends(self) -> None:
        migration = parse("-- expand\r\nSELECT 1;\r\n-- contract\r\nSELECT 2;\r\n")

        assert migration.expand
        assert migration.expand.text == "SELECT 1;\r\n"
        assert migration.expand.line == 2
        assert migration.contract
        assert migration.contract.text == "SELECT 2;\r\n"

    def test_a_byte_order_mark_is_no_part_of_the_text(self) -> None:
        migration = parse("\ufeff-- expand\nSELECT 1;".encode())

        assert migration.expand
        assert migration.expand.text == "SELECT 1;"

    @pytest.mark.parametrize(
        "comment",
        [
            "-- expand the table",
            "-- contract later, in the next file",
            "---- contract ----",
            "-- see contract",
            "-- up",
            "/* contract */",
            "/*\n-- contract\n*/",
        ],
    )
    def test_an_ordinary_comment_is_no_marker(self, comment: str) -> None:
        migration = parse(f"-- expand\nSELECT 1;\n{comment}\nSELECT 2;")

        assert list(migration.halves()) == [expand("20260101000000")]

    @pytest.mark.parametrize(
        ("dialect", "sql"),
        [
            ("postgresql", "SELECT '\n-- contract\n';"),
            ("postgresql", "SELECT $x$\n-- contract\n$x$;"),
            ("postgresql", 'SELECT 1 AS "\n-- contract\n";'),
            (
                "postgresql",
                "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$\nBEGIN\n"
                "-- contract\nRETURN 1;\nEND $$;",
            ),
            (
                "postgresql",
                "CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC\n"
                "SELECT CASE WHEN true THEN 1 END;\n-- contract\nSELECT 2;\nEND;",
            ),
            ("postgresql", "CREATE TABLE t (\n    a int,\n    -- contract\n    b int\n);"),
            ("postgresql", "ALTER TABLE t\n-- contract\nADD COLUMN a int;"),
            ("sqlite", "SELECT '\n-- contract\n';"),
            ("sqlite", "CREATE TABLE t (\n    a int,\n    -- contract\n    b int\n);"),
            (
                "sqlite",
                "CREATE TRIGGER x AFTER INSERT ON t BEGIN\nSELECT CASE WHEN 1 THEN 2 END;\n"
                "-- contract\nDELETE FROM u;\nEND;",
            ),
            (
                "sqlite",
                "CREATE TEMP TRIGGER x AFTER INSERT ON t BEGIN\n-- contract\nDELETE FROM u;\nEND;",
            ),
        ],
    )
    def test_a_marker_inside_a_statement_is_none(self, dialect: str, sql: str) -> None:
        migration = parse(f"-- expand\n{sql}\n-- down\nSELECT 3;", dialect=dialect)

        assert migration.contract is None
        assert migration.down is not None
        assert migration.expand
        assert migration.expand.text == f"{sql}\n"

    def test_the_last_statement_of_a_section_may_lack_its_semicolon(self) -> None:
        migration = parse("-- expand\nSELECT 1\n-- contract\nDROP TABLE t\n-- down\nSELECT 2")

        assert migration.expand
        assert migration.expand.text == "SELECT 1\n"
        assert migration.contract
        assert migration.contract.text == "DROP TABLE t\n"

    def test_a_marker_never_cuts_a_where_from_its_delete(self) -> None:
        migration = parse("-- expand\nDELETE FROM t\n-- down\nWHERE a = 1;")

        assert migration.down is None
        assert migration.expand
        assert "WHERE a = 1" in migration.expand.text


class TestDbmate:
    def test_up_is_expand_and_down_is_down(self) -> None:
        migration = parse("-- migrate:up\nSELECT 1\n\n-- migrate:down\nSELECT 2\n")

        assert migration.expand
        assert migration.expand.text == "SELECT 1\n\n"
        assert migration.down
        assert migration.down.text == "SELECT 2\n"

    def test_its_template_leaves_an_empty_down(self) -> None:
        assert parse("-- migrate:up\nSELECT 1;\n\n-- migrate:down\n\n").down is None

    def test_transaction_false(self) -> None:
        migration = parse(
            "-- migrate:up transaction:false\nCREATE INDEX CONCURRENTLY i ON t (a);\n"
            "-- migrate:down\nDROP INDEX i;"
        )

        assert migration.expand
        assert not migration.expand.directives.transaction
        assert migration.down
        assert migration.down.directives.transaction

    def test_an_unknown_option(self) -> None:
        text = refused("-- migrate:up transactional:false\nSELECT 1;")

        assert text.startswith(f"{FILE}:1: unknown option 'transactional:false'")


class TestDirectives:
    def test_before_any_section_they_hold_for_the_whole_file(self) -> None:
        migration = parse(FULL)

        for section in (migration.expand, migration.backfill, migration.contract, migration.down):
            assert section
            assert section.directives.lock_timeout == 2.0
            assert section.directives.timeout == 600.0

    def test_in_a_section_they_hold_for_it_alone(self) -> None:
        migration = parse(FULL)

        assert migration.contract
        assert migration.contract.directives.out_of_band
        assert migration.expand
        assert not migration.expand.directives.out_of_band

    def test_a_section_overrides_its_file(self) -> None:
        migration = parse(
            "-- pilotage: lock_timeout=2s\n-- expand\n-- pilotage: lock_timeout=500ms\nSELECT 1;\n"
            "-- contract\nSELECT 2;"
        )

        assert migration.expand
        assert migration.expand.directives.lock_timeout == 0.5
        assert migration.contract
        assert migration.contract.directives.lock_timeout == 2.0

    def test_several_on_a_line_and_an_allow_to_its_end(self) -> None:
        section = parse(
            "-- pilotage: transaction=false timeout=1h allow=opaque because I wrote it, twice\n"
            "DO 'begin end';"
        ).expand

        assert section
        assert not section.directives.transaction
        assert section.directives.timeout == 3600.0
        assert section.directives.allow == {"opaque": "I wrote it, twice"}
        assert section.directives.lines == {"transaction": 1, "timeout": 1, "allow=opaque": 1}

    def test_requires_replaces_and_new_data(self) -> None:
        migration = parse(
            "-- pilotage: requires=7/contract,8 new-data=breaks-old\n-- pilotage: requires=9\n"
            "SELECT 1;"
        )
        squash = parse("-- pilotage: replaces=1..9\n-- pilotage: replaces=12\nSELECT 1;")

        assert migration.requires == {contract("7"), expand("8"), expand("9")}
        assert migration.breaks_old
        assert squash.replaces == (("1", "9"), ("12", "12"))

    def test_a_transaction_that_holds_for_the_file_is_none_of_the_backfills_business(self) -> None:
        migration = parse(
            "-- pilotage: transaction=false\n-- expand\nSELECT 1;\n"
            "-- backfill\nUPDATE t SET a = 1 WHERE a IS NULL;"
        )

        assert migration.expand
        assert not migration.expand.directives.transaction
        assert migration.backfill
        assert migration.backfill.directives.transaction

    @pytest.mark.parametrize(
        ("line", "says"),
        [
            (
                "lock_timout=2s",
                "unknown directive `lock_timout`\n  next:  did you mean `lock_timeout`",
            ),
            ("zzz", "known directives"),
            ("", "says nothing"),
            ("lock_timeout", "it needs a value"),
            ("lock_timeout=2", "'2' is not a duration"),
            ("lock_timeout=2 s", "unknown directive `s`"),
            ("timeout=0s", "'0s' is not a duration"),
            ("timeout=1.5.2s", "not a duration"),
            ("transaction=no", "'no' is neither true nor false"),
            ("out-of-band=yes", "takes no value"),
            ("requires=x/expand", "'x/expand' is not VERSION"),
            ("requires=7/up", "'up' is not a valid Half"),
            ("replaces=1..b", "not a range of versions"),
            ("replaces=9..1", "runs backwards"),
            ("new-data=breaks", "is not `breaks-old`"),
            ("allow=opaque", "needs a reason"),
            ("allow=opaque because", "needs a reason"),
            ("allow=opaque, truncate because x", "not the name of one hazard"),
            ("timeout=1s timeout=2s", "already given on line 2"),
        ],
    )
    def test_what_is_wrong_is_refused_with_its_line(self, line: str, says: str) -> None:
        text = refused(f"SELECT 1;\n-- pilotage: {line}\n")

        assert text.startswith(f"{FILE}:2: ")
        assert says in text

    def test_a_directive_stands_on_a_line_of_its_own(self) -> None:
        assert "a line of its own" in refused("SELECT 1; -- pilotage: out-of-band")

    def test_a_directive_where_it_means_nothing(self) -> None:
        text = refused(
            "-- expand\nSELECT 1;\n-- backfill\n-- pilotage: transaction=false\n"
            "UPDATE t SET a = 1 WHERE a IS NULL;"
        )

        assert text.startswith(f"{FILE}:4: `transaction` means nothing in `-- backfill`")

    def test_a_directive_of_the_file_that_no_section_takes(self) -> None:
        text = refused("-- pilotage: replaces=1..2\n-- contract\nSELECT 1;")

        assert text.startswith(f"{FILE}:1: `replaces` means nothing here")


class TestMistakes:
    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("", "1: it holds no SQL"),
            ("-- nothing\n;;\n", "1: it holds no SQL"),
            (
                "-- expand\n-- only this\n-- contract\nSELECT 1;",
                "1: the section `-- expand` is empty",
            ),
            ("-- expand\nSELECT 1;\n-- down\n", "3: the section `-- down` is empty"),
            ("SELECT 0;\n-- expand\nSELECT 1;", "1: SQL stands before the first section"),
            (
                "-- expand\nSELECT 1;\n-- expand\nSELECT 2;",
                "3: a second section `-- expand`; the first is on line 1",
            ),
            ("-- migrate:up\nSELECT 1;\n-- expand\nSELECT 2;", "3: a second section"),
            (
                "-- expand\nSELECT 1;\n-- contrct\nSELECT 2;",
                "3: unknown section `-- contrct`\n  next:  did you mean `-- contract`?",
            ),
            ("-- migrate:upp\nSELECT 1;", "did you mean `-- migrate:up`?"),
            ("-- expand: add it\nSELECT 1;", "1: `-- expand: add it` is neither a section nor"),
            (
                "-- contract\nSELECT 1;\n-- backfill\nUPDATE t SET a = 1 WHERE a = 2;",
                "3: `-- backfill` without `-- expand`",
            ),
            ("-- expand\nSELECT 1;\n-- verify\nSELECT 1;", "3: `-- verify` without `-- contract`"),
            ("-- contract\nSELECT 1;\n-- down\nSELECT 1;", "3: `-- down` without `-- expand`"),
            (
                "-- pilotage: replaces=1..2\n-- expand\nSELECT 1;\n-- down\nSELECT 2;",
                "4: a squash (`replaces`) is one expand half, without `-- down`",
            ),
            ("-- expand\nSELECT 1;\n\nBEGIN;", "4: BEGIN in a migration"),
            ("-- expand\nSELECT 1;\nCOMMIT;", "3: COMMIT in a migration"),
            ("SAVEPOINT a;", "1: SAVEPOINT in a migration"),
            (
                "-- expand\nSELECT 1;\n-- contract\nSELECT 1;\n-- verify\nDELETE FROM t;",
                "6: a `-- verify` statement must be a query",
            ),
            ("SELECT 'a\nb;", "1: "),
        ],
    )
    @pytest.mark.parametrize("dialect", ["postgresql", "sqlite"])
    def test_both_dialects(self, dialect: str, text: str, says: str) -> None:
        assert says in refused(text, dialect=dialect).removeprefix(f"{FILE}:")

    def test_a_syntax_error_has_the_line_of_the_file(self) -> None:
        text = refused("-- expand\nSELECT 'é';\n-- contract\n\nSELECT 'ü', ö frm x;\n")

        assert text.startswith(f'{FILE}:5: syntax error at or near "x"')

    def test_psql_commands(self) -> None:
        assert "backslash commands are not SQL" in refused("SELECT 1;\n\\restrict abc\n")

    def test_a_nul_character(self) -> None:
        assert refused("SELECT 1;\n\0") == f"{FILE}:2: a NUL character"

    def test_a_file_that_is_not_utf8(self) -> None:
        text = refused(b"SELECT 1;\n-- caf\xe9\n")

        assert text.startswith(f"{FILE}:2: byte 0xe9 is not UTF-8")

    @pytest.mark.parametrize(
        ("sql", "command"),
        [
            ("CREATE INDEX CONCURRENTLY i ON t (a)", "CREATE INDEX CONCURRENTLY"),
            ("DROP INDEX CONCURRENTLY i", "DROP INDEX CONCURRENTLY"),
            ("REINDEX TABLE CONCURRENTLY t", "REINDEX CONCURRENTLY"),
            ("VACUUM t", "VACUUM"),
            ("ALTER TABLE t DETACH PARTITION p CONCURRENTLY", "DETACH PARTITION CONCURRENTLY"),
            ("CREATE DATABASE d", "CREATE DATABASE"),
            ("ALTER SYSTEM SET work_mem = '1MB'", "ALTER SYSTEM"),
        ],
    )
    def test_what_runs_outside_a_transaction_alone(self, sql: str, command: str) -> None:
        text = refused(f"-- expand\nSELECT 1;\n{sql};")

        assert text.startswith(f"{FILE}:3: {command} cannot run in a transaction")
        assert "transaction=false" in text
        assert parse(f"-- pilotage: transaction=false\n{sql};").expand

    def test_an_index_built_concurrently_has_a_name(self) -> None:
        text = refused("-- pilotage: transaction=false\nCREATE INDEX CONCURRENTLY ON t (a);")

        assert text.startswith(f"{FILE}:2: ")
        assert "name" in text

    @pytest.mark.parametrize("sql", ["VACUUM;", "PRAGMA foreign_keys = OFF;"])
    def test_what_sqlite_runs_outside_a_transaction_alone(self, sql: str) -> None:
        assert "cannot run in a transaction" in refused(sql, dialect="sqlite")
        assert parse(f"-- pilotage: transaction=false\n{sql}", dialect="sqlite").expand

    @pytest.mark.parametrize(
        "sql",
        [
            "SELECT 1 INTO x",
            "SELECT 1 FROM t FOR UPDATE",
            "WITH gone AS (DELETE FROM t RETURNING a) SELECT a FROM gone",
            "CALL p()",
        ],
    )
    def test_verify_changes_nothing(self, sql: str) -> None:
        text = refused(f"-- verify\n{sql};\n-- contract\nSELECT 1;")

        assert "must be a query that changes nothing" in text

    @pytest.mark.parametrize(
        "sql", ["VALUES (1)", "WITH a AS (SELECT 1) SELECT * FROM a", "TABLE t"]
    )
    def test_verify_takes_every_kind_of_query(self, sql: str) -> None:
        assert parse(f"-- verify\n{sql};\n-- contract\nSELECT 1;").verify


class TestFolder:
    def test_sql_files_in_the_order_of_their_versions(self, tmp_path: Path) -> None:
        files = {
            "10_c.sql": "SELECT 1;",
            "9_b.sql": "SELECT 1;",
            "001_a.sql": "SELECT 1;",
            "README.md": "notes",
            "schema.sql.bak": "nothing",
        }
        (tmp_path / "old.sql").mkdir()

        found = load_migrations(folder(tmp_path, files), dialect="postgresql")

        assert [str(migration) for migration in found] == ["001_a", "9_b", "10_c"]
        assert found.get("9") is not None

    def test_an_empty_folder(self, tmp_path: Path) -> None:
        assert len(load_migrations(tmp_path, dialect="sqlite")) == 0

    def test_a_missing_folder(self, tmp_path: Path) -> None:
        with pytest.raises(MigrationFileError, match="folder is missing"):
            load_migrations(tmp_path / "db", dialect="postgresql")

    def test_a_file_in_its_place(self, tmp_path: Path) -> None:
        path = tmp_path / "migrations"
        path.write_text("SELECT 1;")
        with pytest.raises(MigrationFileError, match="not a folder"):
            load_migrations(path, dialect="postgresql")

    @pytest.mark.parametrize(
        "name", ["add_email.sql", "1.sql", "1_.sql", "1-add.sql", "1a_b.sql", "١_x.sql", "_x.sql"]
    )
    def test_a_name_that_does_not_match(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(MigrationFileError, match=r"is not VERSION_name\.sql"):
            load_migrations(folder(tmp_path, {name: "SELECT 1;"}), dialect="postgresql")

    def test_a_version_that_is_taken(self, tmp_path: Path) -> None:
        files = {"7_a.sql": "SELECT 1;", "07_b.sql": "SELECT 1;"}
        with pytest.raises(MigrationFileError, match="version 7 is taken by 07_b"):
            load_migrations(folder(tmp_path, files), dialect="postgresql")

    @pytest.mark.parametrize(
        ("files", "says"),
        [
            ({"2_b.sql": "-- pilotage: requires=1\nSELECT 1;"}, "there is no such migration"),
            (
                {"1_a.sql": "SELECT 1;", "2_b.sql": "SELECT 1;\n-- pilotage: requires=1/contract"},
                "2_b.sql:2: it requires 1/contract, but 1_a.sql has no `-- contract`",
            ),
            ({"2_b.sql": "-- pilotage: requires=2\nSELECT 1;"}, "requires itself"),
            (
                {
                    "3_s.sql": "-- pilotage: replaces=1..2\nSELECT 1;",
                    "4_b.sql": "-- pilotage: requires=2/contract\nSELECT 1;",
                },
                "it requires 2/contract, but 3_s replaces it\n  next:  require 3/expand instead",
            ),
            (
                {
                    "20260101000000_a.sql": "SELECT 1;",
                    "20260202000000_b.sql": "-- pilotage: requires=20260101000001\nSELECT 1;",
                },
                "did you mean 20260101000000/expand?",
            ),
            (
                {"1_a.sql": "SELECT 1;", "3_s.sql": "-- pilotage: replaces=1..2\nSELECT 1;"},
                "3_s.sql:1: it replaces 1..2, but 1_a.sql is still there",
            ),
            (
                {"3_a.sql": "SELECT 1;", "4_s.sql": "-- pilotage: replaces=1..2\nSELECT 1;"},
                "3_a.sql stands between them and the squash",
            ),
            (
                {"2_s.sql": "-- pilotage: replaces=1..2\nSELECT 1;"},
                "version 2 does not come after 2",
            ),
        ],
    )
    def test_what_files_say_of_each_other(
        self, tmp_path: Path, files: dict[str, str], says: str
    ) -> None:
        with pytest.raises(MigrationFileError) as caught:
            load_migrations(folder(tmp_path, files), dialect="postgresql")

        assert says in str(caught.value)

    def test_a_squash_directly_after_what_it_replaces(self, tmp_path: Path) -> None:
        files = {
            "9_s.sql": "-- pilotage: replaces=1..8\nCREATE TABLE t (a int);",
            "10_b.sql": "-- pilotage: requires=9\nALTER TABLE t ADD b int;",
        }

        ships = load_migrations(folder(tmp_path, files), dialect="postgresql").ships()

        assert ships.replaces == (("1", "8"),)
        assert ships.covers("5")
        assert ships.ships_contract("9")
