"""``pilotage hazards`` as it is called: files, formats, exit statuses, ``--fix``."""

from __future__ import annotations

import io
import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from pilotage.cli import main
from pilotage.errors import Refused
from pilotage.hazards.fix import Fixed
from pilotage.linting import fixing

DROP = "ALTER TABLE t DROP COLUMN a;\n"
INDEX = "CREATE INDEX i ON t (a);\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: str, text: str) -> Path:
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text.encode())
    return file


def project(folder: str = "db/migrations", url: str = "sqlite:///app.db") -> None:
    write(
        "config/deploy.yml",
        "service: shop\ntarget: local\nservers: {web: {cmd: 'true'}}\n"
        f"databases: {{primary: {{url: '{url}'}}}}\nmigrations: {{path: {folder}}}\n",
    )


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*words: str, dialect: str | None = "postgresql") -> tuple[int, str, str]:
        options = ["--dialect", dialect] if dialect else []
        status = main(["hazards", *options, *words])
        said = capsys.readouterr()
        return status, said.out, said.err

    return call


class TestText:
    def test_a_finding_has_its_place_its_reason_and_the_rewrite(self, run: Run) -> None:
        write("a.sql", "\n" + DROP)
        status, out, _ = run("a.sql")

        assert status == 8
        assert out.startswith("a.sql:2:15  error drop-column  old-code, expand\n")
        assert "  t.a is dropped while old code still uses it" in out
        assert "\n  why: " in out
        assert "\n    -- contract\n" in out
        assert "1 error and 0 warnings in 1 file: 1 old-code" in out
        assert "\x1b" not in out

    def test_quietly_one_line_each(self, run: Run) -> None:
        write("a.sql", DROP + INDEX)
        _, out, _ = run("-q", "a.sql")

        lines = out.splitlines()
        assert {line.partition(": ")[0] for line in lines} == {"a.sql:1:15", "a.sql:2:1"}
        assert lines[0].startswith("a.sql:1:15: drop-column (old-code) t.a is dropped")

    def test_nothing_found(self, run: Run) -> None:
        write("a.sql", "CREATE TABLE t (a int);")

        assert run("a.sql") == (0, "✓ no hazards in 1 file\n", "")


class TestFiles:
    def test_folders_are_read_to_their_depth_and_in_order(self, run: Run) -> None:
        for name in ("m/10_b.sql", "m/9_a.sql", "m/sub/1_c.sql", "m/notes.txt"):
            write(name, DROP)
        _, out, _ = run("--json", "m")

        assert [f["file"] for f in json.loads(out)] == ["m/9_a.sql", "m/10_b.sql", "m/sub/1_c.sql"]

    def test_standard_input(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        given = io.TextIOWrapper(io.BytesIO(DROP.encode()))
        monkeypatch.setattr(sys, "stdin", given)
        status, out, _ = run("-", "--format", "json")

        assert (status, json.loads(out)[0]["file"]) == (8, "<stdin>")

    def test_one_file_is_judged_with_what_its_folder_has_before_it(self, run: Run) -> None:
        write("m/1_a.sql", "CREATE TABLE t (a varchar(10));")
        write("m/2_b.sql", "ALTER TABLE t ALTER a TYPE varchar(20);")
        write("m/3_c.sql", DROP)

        alone = json.loads(run("--json", "m/2_b.sql")[1])
        whole = json.loads(run("--json", "m")[1])
        assert alone == [f for f in whole if f["file"] == "m/2_b.sql"]
        assert {f["rule"] for f in alone}.isdisjoint({"change-type"})

    def test_the_projects_folder_without_any(self, run: Run) -> None:
        project()
        write("db/migrations/20260101000000_a.sql", DROP)
        status, out, _ = run("--json", dialect=None)

        assert status == 8
        assert json.loads(out)[0]["file"] == "db/migrations/20260101000000_a.sql"

    def test_in_the_projects_folder_names_matter(self, run: Run) -> None:
        project()
        write("db/migrations/nonsense.sql", "SELECT 1;")
        status, out, _ = run("--json", dialect=None)

        assert (status, json.loads(out)[0]["rule"]) == (64, "migration-file")

    @pytest.mark.parametrize(
        ("words", "dialect", "said"),
        [
            ((), "postgresql", "there is no project here"),
            (("none.sql",), "postgresql", "No such file"),
            (("a.sql",), None, "--dialect postgresql"),
            (("a.sql",), "oracle", "no SQL dialect"),
            (("a.sql", "--fail-on", "x"), "postgresql", "there is no class"),
            (("a.sql", "--only", "drop-colum"), "postgresql", "did you mean drop-column?"),
            (("a.sql", "--database", "NOWHERE"), "postgresql", "no database is called"),
            (
                ("a.sql", "--database", "postgresql://me:geheim@h/d"),
                "postgresql",
                "does not belong on a command line",
            ),
            (("a.sql", "--schema", "none.sql"), "postgresql", "none.sql"),
        ],
    )
    def test_wrong_usage(
        self, run: Run, words: tuple[str, ...], dialect: str | None, said: str
    ) -> None:
        write("a.sql", DROP)
        status, out, err = run(*words, dialect=dialect)

        assert (status, out) == (2, "")
        assert said in err
        assert "geheim" not in err


class TestStatus:
    @pytest.mark.parametrize(
        ("words", "status"),
        [
            ((), 12),
            (("--fail-on", "none"), 0),
            (("--fail-on", "error"), 8),
            (("--fail-on", "availability,data-loss"), 4),
            (("--only", "availability"), 4),
            (("--ignore", "drop-column"), 4),
        ],
    )
    def test_says_which_classes(self, run: Run, words: tuple[str, ...], status: int) -> None:
        write("a.sql", DROP + INDEX)

        assert run(*words, "a.sql")[0] == status


class TestSchema:
    def test_a_dump_says_what_types_columns_have(self, run: Run) -> None:
        write("schema.sql", "SET x = 1;\n\\restrict abc\nCREATE TABLE public.t (a varchar(10));\n")
        write("a.sql", "ALTER TABLE t ALTER a TYPE varchar(20);")

        assert "change-type" in run("a.sql")[1]
        assert "change-type" not in run("--schema", "schema.sql", "a.sql")[1]

    def test_what_it_holds_is_not_judged(self, run: Run) -> None:
        write(
            "schema.sql",
            "CREATE TABLE t (b int);\n-- pilotage: applied 20260101000000/expand abc x\n",
        )
        write("m/20260101000000_x.sql", DROP)
        status, out, _ = run("--schema", "schema.sql", "m")

        assert status == 0
        assert "1 half applied already" in out

    def test_one_that_is_none(self, run: Run) -> None:
        write("schema.sql", "hello")
        write("a.sql", DROP)
        status, _, err = run("--schema", "schema.sql", "a.sql")

        assert status == 2
        assert "schema.sql:1" in err


class TestDatabase:
    def test_it_says_what_is_small_and_what_is_there(self, run: Run) -> None:
        with closing(sqlite3.connect("app.db")) as database:
            database.execute("CREATE TABLE t (a int)")
            database.execute("CREATE TABLE full (a int)")
        write("a.sql", "UPDATE t SET a = 1 WHERE a = 2; UPDATE full SET a = 1;")

        _, out, _ = run("--database", "sqlite:///app.db", "--json", "a.sql", dialect="sqlite")
        assert "full" in " ".join(f["message"] for f in json.loads(out))

    def test_of_another_kind(self, run: Run) -> None:
        write("a.sql", DROP)
        status, _, err = run("--database", "sqlite:///app.db", "a.sql")

        assert status == 2
        assert "--dialect sqlite" in err


def git(*words: str) -> None:
    subprocess.run(
        ["git", "-c", "user.name=x", "-c", "user.email=x@x", *words],
        check=True,
        capture_output=True,
    )


class TestFix:
    def test_it_is_written_and_what_is_left_decides(self, run: Run) -> None:
        file = write("a.sql", "SELECT 1;\n" + DROP)
        file.chmod(0o640)
        status, out, _ = run("--fix", "a.sql")

        assert status == 0
        assert "1 hazard fixed; no hazards in 1 file" in out
        assert file.read_text() == "-- expand\nSELECT 1;\n\n-- contract\n" + DROP
        assert file.stat().st_mode & 0o777 == 0o640
        assert [p.name for p in Path().iterdir()] == ["a.sql"]
        before = file.stat().st_mtime_ns
        assert run("--fix", "a.sql")[0] == 0
        assert file.stat().st_mtime_ns == before

    def test_a_diff_shows_it_first(self, run: Run) -> None:
        file = write("a.sql", DROP)
        status, out, _ = run("--diff", "a.sql")

        assert file.read_text() == DROP
        assert out == f"--- a/a.sql\n+++ b/a.sql\n@@ -1 +1,2 @@\n+-- contract\n {DROP}"
        assert status == 0  # of what would be left

    def test_what_is_not_fixed_says_why(self, run: Run) -> None:
        write("a.sql", INDEX + "INSERT INTO t VALUES (1);\n")
        status, out, _ = run("--fix", "a.sql")

        assert status == 4
        assert "a.sql:1: create-index not fixed: it must run outside a transaction" in out

    def test_not_over_changes_that_git_does_not_have(self, run: Run) -> None:
        file = write("a.sql", "SELECT 1;\n")
        git("init", "-q")
        git("add", ".")
        git("commit", "-qm", "x")
        file.write_text(DROP)

        status, _, err = run("--fix", "a.sql")
        assert (status, file.read_text()) == (1, DROP)
        assert "neither committed nor staged" in err
        git("add", ".")
        assert run("--fix", "a.sql")[0] == 0
        assert file.read_text() != DROP

    def test_unless_one_says_so(self, run: Run) -> None:
        file = write("a.sql", "SELECT 1;\n")
        git("init", "-q")
        git("add", ".")
        file.write_text(DROP)

        assert run("--fix", "--allow-dirty", "a.sql")[0] == 0
        assert file.read_text() != DROP

    def test_all_files_or_none(self, run: Run) -> None:
        first, second = write("a.sql", DROP), write("b.sql", DROP)
        git("init", "-q")
        git("add", "b.sql")
        second.write_text(DROP + DROP)

        assert run("--fix", ".")[0] == 1
        assert first.read_text() == DROP

    def test_not_over_what_somebody_wrote_meanwhile(self) -> None:
        file = write("a.sql", "SELECT 2;")
        with pytest.raises(Refused) as error:
            fixing.write([Fixed(file, "SELECT 1;", "SELECT 3;")], None)

        assert "changed while" in error.value.what
        assert file.read_text() == "SELECT 2;"

    def test_what_is_gone(self) -> None:
        with pytest.raises(Refused) as error:
            fixing.write([Fixed(Path("none.sql"), "SELECT 1;", "SELECT 3;")], None)
        assert "cannot be written" in error.value.what

    def test_a_link_stays_one(self, run: Run) -> None:
        file = write("real.sql", DROP)
        Path("a.sql").symlink_to(file)

        assert run("--fix", "a.sql")[0] == 0
        assert Path("a.sql").is_symlink()
        assert file.read_text() == "-- contract\n" + DROP

    def test_of_an_unreachable_database_it_says_so(self, run: Run) -> None:
        project(url="postgresql://localhost:1/none")
        file = write("db/migrations/20260101000000_a.sql", DROP)
        status, out, _ = run("--fix")

        assert status == 0
        assert "not known" in out
        assert file.read_text() == "-- contract\n" + DROP
