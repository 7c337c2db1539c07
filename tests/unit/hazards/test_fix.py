"""``--fix``: what it writes, what it leaves as it is, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilotage.hazards.finding import Finding
from pilotage.hazards.fix import Fixed, fix, mechanical
from pilotage.hazards.lint import Lint, lint
from pilotage.hazards.reading import Source

PATH = Path("20260101000000_change.sql")


def found(text: str, dialect: str = "postgresql") -> list[Finding]:
    return list(lint([Source(PATH, text.encode())], Lint(dialect)).findings)


def fixed(text: str, dialect: str = "postgresql") -> Fixed:
    return fix(text, PATH, dialect=dialect, judge=lambda s: found(s.data.decode(), dialect))


def after(text: str) -> str:
    """The fixed text, of which nothing is left to fix, and which stays as it is from then on."""
    result = fixed(text)
    assert result.left == ()
    assert not [f for f in found(result.after) if mechanical(f)]
    assert fixed(result.after).after == result.after
    return result.after


class TestContractWork:
    def test_a_file_of_nothing_else_becomes_a_contract_half(self) -> None:
        assert after("DROP TABLE a; -- old\n") == "-- contract\nDROP TABLE a; -- old\n"
        assert after("-- expand\nDROP TABLE a, b") == "-- contract\nDROP TABLE a, b"

    def test_one_of_several_statements_moves_with_its_comments(self) -> None:
        assert after(
            "-- Jane, 2026\n\nALTER TABLE t ADD COLUMN x int;\n\n"
            "-- nobody reads it,\n-- see the log\nALTER TABLE t DROP COLUMN y; -- really\n"
            "COMMENT ON TABLE t IS 'x;y';\n"
        ) == (
            "-- expand\n-- Jane, 2026\n\nALTER TABLE t ADD COLUMN x int;\n\n"
            "COMMENT ON TABLE t IS 'x;y';\n\n"
            "-- contract\n-- nobody reads it,\n-- see the log\n"
            "ALTER TABLE t DROP COLUMN y; -- really\n"
        )

    def test_it_goes_to_the_contract_half_that_is_there(self) -> None:
        assert (
            after("-- expand\nSELECT 1;\nDROP VIEW v;\n\n-- contract\nDROP TABLE t\n")
            == "-- expand\nSELECT 1;\n\n-- contract\nDROP TABLE t;\nDROP VIEW v;\n"
        )

    def test_one_command_of_several_in_the_authors_words(self) -> None:
        assert after("ALTER TABLE t\n  ADD x int, -- new\n  DROP   COLUMN y,\n  ADD z int;\n") == (
            "-- expand\nALTER TABLE t\n  ADD x int, -- new\n  ADD z int;\n\n"
            "-- contract\nALTER TABLE t DROP   COLUMN y;\n"
        )

    def test_without_a_line_end_and_without_a_semicolon(self) -> None:
        assert after("SELECT 1;\nDROP TABLE t") == (
            "-- expand\nSELECT 1;\n\n-- contract\nDROP TABLE t;\n"
        )

    def test_windows_line_ends_stay(self) -> None:
        assert after("SELECT 1;\r\nDROP TABLE t;\r\n") == (
            "-- expand\r\nSELECT 1;\r\n\r\n-- contract\r\nDROP TABLE t;\r\n"
        )

    def test_a_down_section_stands_against_it(self) -> None:
        text = "-- migrate:up\nDROP TABLE a;\n-- migrate:down\nCREATE TABLE a (i int);\n"
        result = fixed(text)

        assert result.after == text
        assert [(f.rule, "down section" in why) for f, why in result.left] == [("drop-table", True)]

    def test_what_runs_outside_a_transaction_goes_on_doing_so(self) -> None:
        assert after("-- migrate:up transaction:false\nDROP TABLE a;\n") == (
            "-- contract\n-- pilotage: transaction=false\nDROP TABLE a;\n"
        )


class TestLocks:
    def test_an_index_is_built_concurrently(self) -> None:
        text = after("-- why\nCREATE INDEX i ON orders (a) -- fast\n  WHERE a > 0;\n")

        assert "CREATE INDEX CONCURRENTLY i ON orders" in text
        assert "-- fast\n  WHERE a > 0;" in text
        assert "-- pilotage: transaction=false\n" in text

    def test_a_dbmate_marker_says_it_its_own_way(self) -> None:
        assert after("-- migrate:up\nDROP INDEX i;\n") == (
            "-- migrate:up transaction:false\nDROP INDEX CONCURRENTLY i;\n"
        )

    def test_a_constraint_is_validated_on_its_own(self) -> None:
        assert after("ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0 AND b <> 'it''s'); -- x\n") == (
            "-- pilotage: transaction=false\n"
            "ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0 AND b <> 'it''s') NOT VALID;\n"
            "ALTER TABLE t VALIDATE CONSTRAINT c; -- x\n"
        )

    def test_only_the_directive_was_missing(self) -> None:
        text = "ALTER TABLE t ADD CONSTRAINT c CHECK (a>0) NOT VALID;\nALTER TABLE t VALIDATE CONSTRAINT c;\n"

        assert after(text) == "-- pilotage: transaction=false\n" + text

    def test_not_beside_statements_that_want_a_transaction(self) -> None:
        result = fixed("CREATE INDEX i ON t (a);\nINSERT INTO t VALUES (1);\n")

        assert result.before == result.after
        assert "file of its own" in result.left[0][1]


class TestRows:
    def test_an_update_becomes_a_backfill(self) -> None:
        assert after("ALTER TABLE t ADD x int;\nUPDATE t /* all */ SET x = 1;\n") == (
            "-- expand\nALTER TABLE t ADD x int;\n\n"
            "-- backfill\nUPDATE t /* all */ SET x = 1 WHERE x IS DISTINCT FROM 1;\n"
        )

    def test_a_file_of_nothing_else(self) -> None:
        text = after("UPDATE t SET x = 1;\n")

        assert text.startswith("-- expand\nSELECT 1; --")
        assert text.endswith("\n\n-- backfill\nUPDATE t SET x = 1 WHERE x IS DISTINCT FROM 1;\n")

    @pytest.mark.parametrize(
        "reader",
        [
            "CREATE TABLE copy AS SELECT * FROM t",
            "CREATE MATERIALIZED VIEW v AS SELECT * FROM t",
            "INSERT INTO other SELECT x FROM t",
            "DELETE FROM other WHERE y IN (SELECT x FROM t)",
            "SELECT f()",
            "ALTER TABLE t ADD CONSTRAINT positive CHECK (x > 0)",
            "CREATE TRIGGER r BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f()",
        ],
    )
    @pytest.mark.parametrize(
        "writer", ["UPDATE t SET x = 1", "ALTER TABLE t ADD u uuid DEFAULT gen_random_uuid()"]
    )
    def test_rows_are_not_written_behind_what_counts_on_them(
        self, writer: str, reader: str
    ) -> None:
        result = fixed(f"{writer};\n{reader};\n")

        assert writer in result.after
        assert "which may count on them" in str(result.left)

    def test_rows_are_written_behind_what_does_not(self) -> None:
        text = after("UPDATE t SET x = 1;\nUPDATE t SET y = x;\nCREATE VIEW v AS SELECT 1;\n")

        assert "CREATE VIEW" in text.partition("-- backfill")[0]
        assert text.index("SET x = 1") < text.index("SET y = x")
        assert text.index("-- backfill") < text.index("SET x = 1")

    def test_rows_are_not_written_behind_a_backfill_of_the_authors(self) -> None:
        text = "-- expand\nUPDATE t SET x = 1;\n-- backfill\nUPDATE t SET y = x WHERE y IS NULL;\n"
        result = fixed(text)

        assert result.after == text
        assert "a backfill of its own" in result.left[0][1]

    def test_a_volatile_default_in_steps(self) -> None:
        assert after("ALTER TABLE t ADD u uuid DEFAULT gen_random_uuid();\n") == (
            "-- expand\nALTER TABLE t ADD COLUMN u uuid;\n"
            "ALTER TABLE t ALTER COLUMN u SET DEFAULT gen_random_uuid();\n\n"
            "-- backfill\nUPDATE t SET u = gen_random_uuid() WHERE u IS NULL;\n"
        )

    def test_not_null_stays_in_the_end(self) -> None:
        text = after("ALTER TABLE t ADD u uuid NOT NULL DEFAULT gen_random_uuid();\n")

        assert text.index("-- backfill") < text.index("-- contract") < text.index("SET NOT NULL")


class TestNothing:
    @pytest.mark.parametrize(
        "text",
        [
            "SELECT 1;\n",
            "-- pilotage: allow=drop-table because old\nDROP TABLE t;\n",
            "DROP TABEL t;\n",
            "ALTER TABLE t RENAME a TO b;\n",
            "ALTER TABLE t ALTER a SET NOT NULL;\n",
            "DO $$ BEGIN DROP TABLE t; END $$;\n",
        ],
    )
    def test_is_written(self, text: str) -> None:
        assert fixed(text).after == text


STATEMENTS = (
    "DROP TABLE a",
    "ALTER TABLE t DROP COLUMN b, ADD c int",
    "CREATE INDEX i{n} ON t (c)",
    "ALTER TABLE t ADD CONSTRAINT k{n} CHECK (c > 0)",
    "UPDATE t SET c = {n}",
    "ALTER TABLE t ADD x{n} int",
    "COMMENT ON TABLE t IS '-- contract; {n}'",
    "INSERT INTO t VALUES ({n})",
    "DROP VIEW v{n}",
    "ALTER TABLE t\n  ADD y{n} int, -- note {n}\n  DROP COLUMN z{n}",
    "ALTER TABLE t DROP COLUMN z{n}, -- note {n}\n  ADD y{n} int /* {n} */",
    "ALTER TABLE t\n  DROP COLUMN z{n} /* {n} */,\n  DROP COLUMN x,\n  ADD y{n} int",
)
COMMENTS = ("", "-- note {n}\n", "/* {n} */ ", "\n\n")
ENDS = (";\n", "; -- after {n}\n", ";", " ;\n\n")


@st.composite
def files(draw: st.DrawFn) -> str:
    """Files of statements, comments and line ends of all kinds."""
    count = draw(st.integers(1, 5))
    parts = [draw(st.sampled_from(("", "-- expand\n", "-- migrate:up\n")))]
    for n in range(count):
        choices = (COMMENTS, STATEMENTS, ENDS)
        parts += [draw(st.sampled_from(some)).format(n=n) for some in choices]
    text = "".join(parts)
    return text.replace("\n", "\r\n") if draw(st.booleans()) else text


@given(files())
@settings(max_examples=120, deadline=None)
def test_any_file(text: str) -> None:
    """It ends; twice is once; no comment is lost; what is fixed is gone, and no error is new."""
    result = fixed(text)

    assert fixed(result.after).after == result.after
    before, now = found(text), found(result.after)
    assert not {f.rule for f in now} - {f.rule for f in before}
    fixable = [f for f in now if mechanical(f)]
    assert {(f.message, f.rewrite) for f in fixable} == {
        (f.message, f.rewrite) for f, _ in result.left
    }
    for n in range(5):
        for comment in (f"-- note {n}", f"/* {n} */", f"-- after {n}"):
            assert result.after.count(comment) == text.count(comment)
    if not before:
        assert result.after == text
    assert ("\r\n" in text) == ("\r\n" in result.after) or not result.changed
    assert result.after.replace("\r\n", "").count("\n") == (
        0 if "\r\n" in text else result.after.count("\n")
    )
