"""Files judged one by one, whatever is wrong with one of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pilotage.errors import UsageError
from pilotage.hazards.catalogue import Catalogue, Size
from pilotage.hazards.choice import BITS, chosen, status
from pilotage.hazards.finding import Class, Finding, Severity
from pilotage.hazards.lint import Lint, Report, lint
from pilotage.hazards.reading import Source
from pilotage.hazards.sizes import SMALL_ROWS
from pilotage.migrate.sql import changes
from pilotage.model import HalfRef, expand

GOOD = "CREATE TABLE fine (id bigint PRIMARY KEY);\n"


def source(name: str, text: str | bytes) -> Source:
    return Source(Path(name), text if isinstance(text, bytes) else text.encode())


def judged(*files: tuple[str, str | bytes], dialect: str = "postgresql", **how: object) -> Report:
    return lint([source(*file) for file in files], Lint(dialect, **how))  # type: ignore[arg-type]


def places(report: Report) -> list[tuple[str, str, int, int]]:
    return [(f.rule, f.file.name, f.line, f.column) for f in report.findings]


class TestBrokenFiles:
    def test_one_does_not_keep_the_others_from_being_judged(self) -> None:
        report = judged(
            ("1_a.sql", "DROP TABLE a;"),
            ("2_b.sql", "SELECT 1;\nALTER TABEL b;"),
            ("3_c.sql", "DROP TABLE c;"),
        )

        assert places(report) == [
            ("drop-table", "1_a.sql", 1, 1),
            ("syntax-error", "2_b.sql", 2, 7),
            ("drop-table", "3_c.sql", 1, 1),
        ]
        assert report.files == 3

    def test_the_line_is_that_of_the_file_in_any_section(self) -> None:
        report = judged(("1_a.sql", "-- expand\nSELECT 1;\n\n-- contract\nDROP TABEL b;\n"))

        assert places(report) == [("syntax-error", "1_a.sql", 5, 6)]
        assert report.findings[0].half == "contract"

    @pytest.mark.parametrize(
        ("dialect", "text", "sign", "line"),
        [
            ("postgresql", "SELECT 1;\nCREATE TABLE `users` (id int);", "backticks", 2),
            ("postgresql", "CREATE TABLE users (id int) ENGINE=InnoDB;", "ENGINE=", 1),
            ("postgresql", "CREATE TABLE u (id int AUTO_INCREMENT);", "AUTO_INCREMENT", 1),
            ("postgresql", "ALTER TABLE u MODIFY COLUMN a bigint;", "MODIFY COLUMN", 1),
            ("postgresql", "CREATE TABLE u (id integer PRIMARY KEY AUTOINCREMENT);", "SQLite", 1),
            ("sqlite", "CREATE TABLE u (id int) ENGINE=InnoDB;", "MySQL", 1),
            ("sqlite", "CREATE INDEX CONCURRENTLY i ON u (a);", "CONCURRENTLY", 1),
            ("mysql", "SELECT '\\'';\nCREATE INDEX CONCURRENTLY i ON u (a);", "PostgreSQL", 2),
            ("mysql", "CREATE TABLE u (id INTEGER PRIMARY KEY AUTOINCREMENT);", "SQLite", 1),
        ],
    )
    def test_another_databases_sql_is_named_once(
        self, dialect: str, text: str, sign: str, line: int
    ) -> None:
        (finding,) = judged(("1_a.sql", text), dialect=dialect).findings

        assert (finding.rule, finding.line) == ("foreign-sql", line)
        assert sign in finding.message
        assert "--dialect" in finding.message

    @pytest.mark.parametrize(
        ("dialect", "text"),
        [
            ("sqlite", "CREATE TABLE `cars` (engine text); UPDATE cars SET engine = 'x' WHERE 0;"),
            ("postgresql", "INSERT INTO a VALUES ('ENGINE=InnoDB `x` AUTO_INCREMENT');"),
            ("mysql", "CREATE TABLE `u` (a int UNSIGNED) ENGINE=InnoDB -- CONCURRENTLY\n"),
            ("postgresql", "-- no `backticks` with ENGINE=InnoDB\nSELECT 1;"),
        ],
    )
    def test_words_that_mean_nothing_foreign(self, dialect: str, text: str) -> None:
        found = judged(("1_a.sql", text), dialect=dialect).findings

        assert "foreign-sql" not in {finding.rule for finding in found}

    def test_bytes_that_are_no_text(self) -> None:
        (finding,) = judged(("1_a.sql", b"SELECT 1;\n-- \xff\n")).findings

        assert (finding.rule, finding.line) == ("migration-file", 2)

    def test_a_wrong_directive_and_its_line(self) -> None:
        (finding,) = judged(("1_a.sql", "-- pilotage: transacton=false\nSELECT 1;")).findings

        assert (finding.rule, finding.line) == ("migration-file", 1)
        assert "did you mean `transaction`" in finding.message


class TestFiles:
    def test_dbmate_and_files_without_sections(self) -> None:
        report = judged(
            ("1_a.sql", "-- migrate:up\nDROP TABLE a;\n-- migrate:down\nCREATE TABLE a (i int);"),
            ("plain.sql", "\n  DROP TABLE b;"),
        )

        assert places(report) == [
            ("drop-table", "1_a.sql", 2, 1),
            ("drop-table", "plain.sql", 2, 3),
        ]

    def test_a_folder_of_migrations_is_one_whole(self) -> None:
        files = (("1_a.sql", GOOD), ("1_b.sql", "SELECT 1;"), ("c.sql", "SELECT 1;"))

        assert judged(*files).findings == ()
        rules = [(f.rule, f.file.name) for f in judged(*files, folder=True).findings]
        assert rules == [("migration-file", "c.sql"), ("migration-file", "1_b.sql")]

    def test_files_that_are_not_judged_say_what_is_there(self) -> None:
        before = ("1_a.sql", "CREATE TABLE t (a varchar(10)); DROP TABLE u;")
        change = ("2_b.sql", "ALTER TABLE t ALTER a TYPE varchar(20);")

        assert [f.rule for f in judged(change).findings] == ["change-type"]
        report = judged(before, change, judged={Path("2_b.sql")})
        assert ([f.rule for f in report.findings], report.files) == (["widen-type"], 1)

    def test_what_is_applied_is_not_judged(self) -> None:
        report = judged(("1_a.sql", "DROP TABLE a;"), applied=frozenset({expand("1")}))

        assert (report.findings, report.skipped) == ((), (HalfRef.parse("1/expand"),))


class TestAllows:
    def test_one_that_silences_nothing_is_told(self) -> None:
        text = "-- pilotage: allow=drop-table because old\n" + GOOD
        (finding,) = judged(("1_a.sql", text)).findings

        assert (finding.rule, finding.line, finding.severity) == (
            "unused-allow",
            1,
            Severity.WARNING,
        )

    def test_one_that_silences_something_is_not(self) -> None:
        text = "-- pilotage: allow=drop-table because old\nDROP TABLE a;"

        assert judged(("1_a.sql", text)).findings == ()

    def test_one_for_the_whole_file_needs_one_use(self) -> None:
        text = (
            "-- pilotage: allow=create-index because small\n-- expand\nSELECT 1;\n"
            "-- contract\nCREATE INDEX i ON t (a);"
        )

        assert "unused-allow" not in {f.rule for f in judged(("1_a.sql", text)).findings}

    def test_nobody_knows_where_a_database_says_how_large_tables_are(self) -> None:
        text = "-- pilotage: allow=create-index because small\nCREATE INDEX i ON t (a);"
        known = sized(rows=3)

        assert judged(("1_a.sql", text), known=known).findings == ()


def sized(rows: int) -> Catalogue:
    known = Catalogue(complete=True, server=(16, 0))
    for change in changes("CREATE TABLE t (id bigint PRIMARY KEY, a int)", "postgresql"):
        known.apply(change)
    (table,) = known.tables.values()
    table.size = Size(rows, rows * 100)
    return known


class TestSizes:
    INDEX = ("1_a.sql", "CREATE INDEX i ON t (a);")

    @pytest.mark.parametrize("rows", [0, 40, SMALL_ROWS])
    def test_a_small_table_alarms_nobody(self, rows: int) -> None:
        assert judged(self.INDEX, known=sized(rows)).findings == ()

    def test_a_large_one_does_with_its_size(self) -> None:
        (finding,) = judged(self.INDEX, known=sized(300_000_000)).findings

        assert finding.rule == "create-index"
        assert "about 300 million rows, 27.9 GB" in finding.message

    def test_what_breaks_code_does_so_on_any_table(self) -> None:
        drop = ("1_a.sql", "ALTER TABLE t DROP COLUMN a;")

        assert [f.rule for f in judged(drop, known=sized(3)).findings] == ["drop-column"]


def finding(class_: Class, severity: Severity = Severity.WARNING, rule: str = "x") -> Finding:
    return Finding(rule, class_, severity, Path("a.sql"), 1, 1, "", "", expand("1").half)


class TestStatus:
    def test_each_class_has_a_bit_of_its_own(self) -> None:
        assert set(BITS) == set(Class)
        assert [status([finding(c)], "all") for c in Class] == [4, 8, 16, 32, 64]
        assert status([finding(c) for c in Class] * 2, "all") == 124

    def test_which_count(self) -> None:
        found = [finding(Class.DATA_LOSS), finding(Class.OLD_CODE, Severity.ERROR)]

        assert status(found, "none") == 0
        assert status(found, "error") == 8
        assert status(found, "data-loss") == 32
        assert status(found, "data-loss,error") == 40
        assert status([], "all") == 0

    def test_a_class_that_is_none(self) -> None:
        with pytest.raises(UsageError) as error:
            status([], "avialability")
        assert "did you mean availability?" in error.value.next

    def test_only_and_ignore(self) -> None:
        text = "DROP VIEW v;\nCREATE INDEX i ON t (b);"

        def rules(**words: str) -> list[str]:
            return [f.rule for f in judged(("1.sql", text), wanted=chosen(**words)).findings]

        assert rules() == ["drop-view", "create-index"]
        assert rules(only="availability") == ["create-index"]
        assert rules(ignore="availability") == ["drop-view"]
        assert rules(only="drop-view,create-index", ignore="create-index") == ["drop-view"]

    def test_what_cannot_be_read_is_told_unless_it_is_named(self) -> None:
        broken = ("1.sql", "SELEC")

        def rules(**words: str) -> list[str]:
            return [f.rule for f in judged(broken, wanted=chosen(**words)).findings]

        assert rules(only="availability") == ["syntax-error"]
        assert rules(ignore="syntax-error") == []

    def test_a_rule_that_is_none(self) -> None:
        with pytest.raises(UsageError) as error:
            chosen(only="drop-colum")
        assert "did you mean drop-column?" in error.value.next


def test_what_the_loader_refuses_as_well_is_said_once() -> None:
    text = b"CREATE INDEX CONCURRENTLY i ON orders (a);\nBEGIN;\n"
    report = lint([Source(Path("20260101000000_a.sql"), text)], Lint("postgresql"))

    assert [(f.rule, f.line) for f in report.findings] == [
        ("concurrently-in-transaction", 1),
        ("transaction-control", 2),
    ]
