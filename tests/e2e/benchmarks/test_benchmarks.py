"""The benchmarks run: each on a few things, once. How long it takes is nobody's business here."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from benchmarks import deploys, measure, migrations, planning, startup
from benchmarks.hazards import found, speed
from benchmarks.hazards.cases import CASES
from benchmarks.online import backfill, changes, locks, mysql_locks, stalls

pytestmark = pytest.mark.e2e


def test_startup_measures_what_is_installed() -> None:
    text = startup.measure((("pilotage", "--version"),), 1, peer="pilotage --version")
    assert "| pilotage --version | **1.00** |" in text
    assert "python -c pass" in text


def test_planning_measures_every_part_at_two_sizes() -> None:
    text = planning.measure(20, 30, 1)
    for part in ("all pending", "all applied", "new database", "the page", "the linter"):
        assert part in text


@pytest.mark.parametrize("kind", migrations.KINDS)
def test_migrations_are_applied_by_every_tool_that_is_installed(kind: str) -> None:
    text = migrations.measure(kind, 3, 1)
    for name in ("runner, in use", "runner, empty", "pilotage migrate apply, empty"):
        assert f"| {name} |" in text


def test_backfills_are_measured_beside_one_update_and_killed() -> None:
    with migrations.server() as running:
        text = backfill.page(backfill.measure_rates(running, 3000, 1))
        assert "| one UPDATE |" in text
        assert "| pilotage, as configured by default |" in text
        assert "| pilotage, as configured by default |" in backfill.measure_load(running, 3000, 1)
        assert "none done twice" in backfill.measure_kills(running, 1, 3000, 7)


def test_deploys_lose_no_request() -> None:
    text = asyncio.run(deploys.measure(2, 200, 40.0))
    (line,) = [line for line in text.splitlines() if line.startswith("| 2 deploys")]
    assert "| **0** |" in line


def test_changes_under_load_are_made_both_ways(tmp_path: Path) -> None:
    names = ("ADD COLUMN", "int → bigint")
    chosen = [change for change in locks.CHANGES if change.name in names]
    kept = stalls.Kept(tmp_path / "kept.jsonl", {"scale": 1})
    case = changes.Case("prepared", read=False)
    with locks.rig(scale=1, rate=50, clients=2) as rig:
        changes.measure_all(changes.courses(rig, [case], rounds=1, alone=1.0), chosen, kept)
    text = stalls.page(kept.measured, lock_timeout=locks.LOCK_TIMEOUT)
    for name in names:
        for way in ("plain", "pilotage"):
            assert f"| {name}, {way} |" in text
    # The plain statement also breaks prepared statements: the result type of a cached plan changes.
    (ours,) = [line for line in text.splitlines() if line.startswith(f"| {names[1]}, pilotage")]
    assert ours.split("|")[-3].strip() == "0"  # failed


def test_changes_of_mariadb_are_made_both_ways(tmp_path: Path) -> None:
    chosen = [change for change in mysql_locks.CHANGES if change.name == "FOREIGN KEY"]
    kept = stalls.Kept(tmp_path / "kept.jsonl", {"rows": 5000})
    case = changes.Case("text protocol", read=True)
    with mysql_locks.rig(rows=5000, rate=50, clients=4) as rig:
        changes.measure_all(changes.courses(rig, [case], rounds=1, alone=1.0), chosen, kept)
    plain, ours = (
        next(one for one in kept.measured if one.change == "FOREIGN KEY" and one.way == way)
        for way in ("plain", "pilotage")
    )
    assert plain.slow  # it waits for the reader, and everybody waits behind it
    assert (ours.failed, ours.error) == (0, "")


def test_what_was_measured_before_an_interruption_is_not_measured_again(tmp_path: Path) -> None:
    path = tmp_path / "kept.jsonl"
    one = stalls.Measured("simple", 0, "ADD COLUMN", "plain", 1.0, 5.0, 4.0, 0, 0)
    stalls.Kept(path, {"scale": 1}).add(one)
    with path.open("a") as file:
        file.write('{"case": "sim')  # killed in the middle of a line

    assert stalls.Kept(path, {"scale": 1}).measured == [one]
    assert one.key in stalls.Kept(path, {"scale": 1})
    assert stalls.Kept(path, {"scale": 2}).measured == []  # of another size
    stalls.Kept(path, {"scale": 2}).forget()
    assert not path.exists()


def test_the_linter_is_run_beside_squawk() -> None:
    text = speed.measure(5, 1)
    for name in ("squawk", "pilotage hazards", "pilotage hazards --json"):
        assert f"| {name} |" in text


def test_every_case_is_judged_by_both() -> None:
    text = found.measure()
    assert all(f"`{case.rule}`" in text for case in CASES)
    for case in CASES:
        if case.harm != "style" and found.by_squawk(case.sql):
            assert found.by_us(case.sql), case.rule
        if case.harm == "lock" and "recipe" in case.sql and "VACUUM" not in case.sql:
            assert found.by_us(case.sql, found.emptied(), locks=True) == set(), case.rule


def test_a_section_replaces_the_one_of_an_earlier_run(tmp_path: Path) -> None:
    results = tmp_path / "RESULTS.md"
    measure.write("one", "One", "first", results=results)
    measure.write("two", "Two", "second", results=results)
    measure.write("one", "One", "third", results=results)
    text = results.read_text()
    assert "first" not in text
    assert text.index("third") < text.index("second")
    assert text.count("## ") == 2
