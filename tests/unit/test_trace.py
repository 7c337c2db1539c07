"""Traces in words, as JSON and as a page; and what is refused before anything runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest

from pilotage import embedded
from pilotage.cli import main
from pilotage.cli.pages.trace import page
from pilotage.errors import DatabaseUnavailable, HalfFailed
from pilotage.hazards import Class
from pilotage.hazards.catalogue import Catalogue, Size
from pilotage.hazards.finding import TRACED, Finding
from pilotage.hazards.lint import FAILS
from pilotage.migrate.sql import changes
from pilotage.migrate.sql.change import Name
from pilotage.migrate.sql.postgresql.roles import foreign_roles
from pilotage.model import Half
from pilotage.trace import Stops, Trace, TracedHalf, TracedStatement
from pilotage.trace.report import Estimate, Lock, Relation, Scan, Until
from pilotage.trace.words import heaviest, measured
from pilotage.wiring.tracing import with_measures

ORDERS = Relation("orders", "table", "orders")
INDEX = Relation("orders_pkey", "index", "orders")
ALL = Lock(ORDERS, "ACCESS EXCLUSIVE", Stops.EVERYBODY, Until.TRANSACTION, 0.031)
WRITERS = Lock(ORDERS, "SHARE", Stops.WRITERS, Until.TRANSACTION, 0.031)
READER = Lock(INDEX, "ACCESS SHARE", Stops.NOBODY, Until.TRANSACTION, 0.031)
REWRITE = TracedStatement(
    file=Path("2_a.sql"),
    line=3,
    text="ALTER TABLE orders\n  ALTER n TYPE bigint",
    seconds=0.03,
    wal=700_000,
    locks=(WRITERS, ALL, READER),
    rewrites=(ORDERS, INDEX),
    scans=(Scan(ORDERS, 2, 6000),),
    estimate=Estimate(300.0, 30_000_000, "orders"),
)


def found(*statements: TracedStatement, **changes: object) -> Trace:
    half = TracedHalf("2", "contract", transaction=True, seconds=0.03, statements=statements)
    trace = Trace("PostgreSQL 18.4, embedded", "the schema of db/schema.sql", (half,))
    return replace(trace, **changes)  # type: ignore[arg-type]


def told(trace: Trace) -> str:
    return click.unstyle("\n".join(page(trace)))


def test_of_each_table_the_heaviest_lock_is_told() -> None:
    assert heaviest(REWRITE.locks) == (ALL,)
    assert heaviest((READER,)) == ()


def test_a_statement_in_one_line() -> None:
    assert measured(REWRITE) == (
        "ACCESS EXCLUSIVE on orders for 31 ms, readers and writers wait; orders written anew; orders read 2 "
        "times, 6 000 rows; 30 ms of work; about 5 min 0 s with the 30 000 000 rows that orders has in the "
        "source (an estimate, from the time that a row took here)"
    )


def test_a_statement_under_the_lock_of_another() -> None:
    later = replace(REWRITE, locks=(), rewrites=(), estimate=None, under=(ALL,))

    assert later.stops is Stops.EVERYBODY
    assert later.is_felt
    assert measured(later).startswith(
        "under ACCESS EXCLUSIVE on orders, held since an earlier statement; orders read 2 times"
    )
    assert "(under ACCESS EXCLUSIVE from above)" in told(found(REWRITE, later))


def test_a_page() -> None:
    text = told(found(REWRITE, notes=("the source is PostgreSQL 15",)))

    assert "measured on PostgreSQL 18.4, embedded" in text
    assert "the schema of db/schema.sql" in text
    assert "2/contract  one transaction, 30 ms of work" in text
    row = next(line for line in text.splitlines() if "ALTER TABLE" in line)
    assert row.split()[0] == "3"
    assert "ACCESS EXCLUSIVE on orders  31 ms  30 ms" in row
    assert "orders written anew; orders read 2 times, 6 000 rows; 700.0 kB of log" in text
    assert "an estimate" in text
    assert "note: the source is PostgreSQL 15" in text
    assert max(map(len, text.splitlines())) <= 110


def test_a_backfill_without_rows_says_that_nothing_was_measured() -> None:
    half = TracedHalf("2", "backfill", transaction=False, seconds=0.0, statements=())

    assert "nothing was measured" in told(Trace("x", "y", (half,)))


def test_what_the_server_cannot_say_is_null() -> None:
    statement = replace(REWRITE, scans=None, estimate=None).to_json()

    assert statement["scans"] is None
    assert statement["estimate"] is None
    assert statement["batches"] is None


def test_a_half_that_fails_is_a_finding() -> None:
    error = HalfFailed(
        "2/contract failed: no such column",
        where="db/2_a.sql:4",
        state="nothing",
        next="correct it",
    )

    (finding,) = with_measures((), found(error=error))

    assert (finding.rule, finding.class_) == (FAILS, Class.RUNTIME_FAILURE)
    assert finding.where == "db/2_a.sql:4"
    assert str(finding.half) == "contract"
    assert "no such column" in told(found(error=error))


def test_what_no_rule_warns_of_is_a_finding() -> None:
    (finding,) = with_measures((), found(REWRITE))

    assert (finding.rule, finding.class_, finding.line) == (TRACED, Class.AVAILABILITY, 3)
    assert finding.message.startswith("readers and writers wait while orders is worked through")
    assert "orders written anew" in finding.measured


def test_it_is_none_where_a_rule_warns_or_a_person_allows_or_the_table_is_small() -> None:
    warned = replace(with_measures((), found(REWRITE))[0], rule="rewrite-type", line=4, measured="")
    of_code = replace(warned, class_=Class.OLD_CODE)
    small, large = Catalogue(), Catalogue()
    for known, rows in ((small, 9), (large, 90_000)):
        for change in changes("CREATE TABLE orders (n int)", "postgresql"):
            known.apply(change)
        table = known.table(Name(None, "orders"))
        assert table is not None
        table.size = Size(rows)
    read = replace(REWRITE, rewrites=())  # 6,000 rows
    unseen = replace(REWRITE, locks=(READER,))

    def rules(*given: Finding, of: TracedStatement = REWRITE, **more: Any) -> list[str]:
        return [finding.rule for finding in with_measures(given, found(of), **more)]

    assert rules(warned) == ["rewrite-type"]
    assert rules(of_code) == ["rewrite-type", TRACED]
    assert rules(known=small) == []
    assert rules(known=large) == [TRACED]
    assert rules(allowed={(REWRITE.file, Half.CONTRACT)}) == []
    assert rules(allowed={(REWRITE.file, Half.EXPAND)}) == [TRACED]
    assert rules(of=read) == rules(of=unseen) == []


def test_a_folder_that_no_server_can_be_made_in(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnavailable, match="cannot make its files") as caught:
        embedded.start(tmp_path / "is" / "not" / "there", "pilotage")

    assert "TMPDIR" in caught.value.next


def test_roles_that_a_trace_must_make() -> None:
    texts = (
        "GRANT SELECT ON t TO app, PUBLIC, CURRENT_USER; CREATE ROLE mine",
        "ALTER TABLE t OWNER TO mine; GRANT readers TO app",
        "CREATE POLICY p ON t TO guests USING (true)",
    )

    assert foreign_roles(texts) == ("app", "guests", "readers")


# -- what is refused -----------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("1_a.sql").write_text("CREATE TABLE t (a int);\n")
    return "1_a.sql"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--trace", "--dialect", "sqlite"], "--trace cannot measure sqlite"),
        (["--trace", "--dialect", "mysql"], "--trace cannot measure mysql"),
        (["--trace-on", "mysql://u@h/d", "--dialect", "postgresql"], "a trace on mysql"),
        (["--sample", "5", "--dialect", "postgresql"], "--sample is for --trace"),
        (["--trace", "--sample", "5", "--dialect", "postgresql"], "copies rows of a database"),
        (["--trace-on", "NOWHERE", "--dialect", "postgresql"], "no database is called 'NOWHERE'"),
        (
            ["--trace-on", "postgresql://u:pw@h/d", "--dialect", "postgresql"],
            "a password does not belong on a command line",
        ),
        (["--trace-on", "sqlite:///x.db", "--dialect", "postgresql"], "a trace on sqlite"),
    ],
)
def test_what_is_refused(
    file: str, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["hazards", *words, file]) == 2

    assert said in " ".join(capsys.readouterr().err.split())


def test_two_files_of_one_version(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("other").mkdir()
    Path("other/1_b.sql").write_text("SELECT 1;\n")

    status = main(["hazards", "--trace", "--dialect", "postgresql", file, "other/1_b.sql"])

    assert status == 2
    assert "two files have the version 1" in capsys.readouterr().err
