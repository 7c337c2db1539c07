"""What squawk and we find in squawk's own bad examples; and what of it is left where tables are known."""

from __future__ import annotations

import json
import subprocess
from copy import deepcopy
from pathlib import Path

from benchmarks.hazards.cases import CASES, ON, Case
from benchmarks.measure import table
from benchmarks.peers import program
from pilotage.hazards.catalogue import Catalogue, Size
from pilotage.hazards.finding import Class
from pilotage.hazards.lint import Lint, Source, lint
from pilotage.migrate.sql import changes

_NOT_OF_THE_STATEMENT = frozenset(
    {
        "require-timeout-settings",
        "require-lock-timeout",
        "require-statement-timeout",
        "prefer-robust-stmts",
    }
)
"""What squawk says of every file that sets no time limits, and of every statement without IF EXISTS.
Pilotage sets the limits itself, and records each statement."""


def by_squawk(sql: str) -> set[str]:
    """The rules of squawk, as it comes, that have something to say of the last statement's lines."""
    line = [program("squawk"), "--reporter", "json", "--stdin-filepath", "1_a.sql"]
    done = subprocess.run(line, input=sql, capture_output=True, text=True, check=False)
    last = sql.rstrip().count("\n") if sql.startswith(ON) else 0
    found = {one["rule_name"] for one in json.loads(done.stdout) if one["line"] >= last}
    return found - _NOT_OF_THE_STATEMENT


def by_us(sql: str, known: Catalogue | None = None, *, locks: bool = False) -> set[str]:
    """Ours, without a look at any database, or with ``known``. ``locks``: only what is about locks."""
    how = Lint("postgresql", known=deepcopy(known) if known else Catalogue())
    last = sql.rstrip().count("\n") + 1 if sql.startswith(ON) else 1
    findings = lint([Source(Path("1_a.sql"), sql.encode())], how).findings
    return {
        finding.rule
        for finding in findings
        if finding.line >= last and (finding.class_ is Class.AVAILABILITY or not locks)
    }


def emptied() -> Catalogue:
    """What a database would say in which the tables of the cases are there, and empty."""
    known = Catalogue(server=(16, 0), complete=True)
    for change in changes(ON, "postgresql"):
        known.apply(change)
    for each in known.tables.values():
        each.size = Size(0)
    return known


def measure(cases: tuple[Case, ...] = CASES) -> str:
    """The table, case by case, and its sums."""
    rows = []
    sums = dict.fromkeys(("squawk", "ours", "both", "new squawk", "new ours"), 0)
    empty = dict.fromkeys(("squawk", "ours"), 0)
    hurts = [case for case in cases if case.harm != "style"]
    known = emptied()
    for case in cases:
        theirs, ours = by_squawk(case.sql), by_us(case.sql)
        quiet = theirs and case.harm == "lock"
        new, new_ours = set[str](), set[str]()
        held = by_us(case.sql, known, locks=True)
        if case.harm in ("lock", "code") and "recipe" in case.sql.split(";")[0]:
            new, new_ours = by_squawk(ON + case.sql), by_us(ON + case.sql)
            sums["new squawk"] += bool(new)
            sums["new ours"] += bool(new_ours)
        if quiet:
            empty["squawk"] += 1
            empty["ours"] += bool(held)
        if case.harm != "style":
            sums["squawk"] += bool(theirs)
            sums["ours"] += bool(ours)
            sums["both"] += bool(theirs and ours)
        rows.append(
            [
                f"`{case.rule}`",
                case.harm,
                _words(theirs),
                _words(ours),
                _words(held) if case.harm == "lock" else "",
                f"{len(new)} / {len(new_ours)}" if new or new_ours else "",
            ]
        )
    style = [case for case in cases if case.harm == "style"]
    style_found = sum(bool(by_us(case.sql)) for case in style)
    head = (
        f"{len(cases)} bad statements, one for each rule of squawk's documentation. Of the {len(hurts)} that can "
        f"do harm squawk, as it comes, finds {sums['squawk']} and the linter {sums['ours']}, without a database; "
        f"{sums['both']} are found by both. The other {len(style)} are matters of taste in a new table, of which "
        f"the linter says {style_found} (a key that will overflow). Where a database says that the table is empty, "
        f"squawk's {empty['squawk']} findings about locks are false alarms, and the linter has {empty['ours']} "
        f"of them. Where the file itself makes the table, squawk still has something to say of "
        f"{sums['new squawk']} statements, the linter of {sums['new ours']}."
    )
    columns = [
        "case",
        "harm",
        "squawk",
        "pilotage",
        "… of locks, table is empty",
        "table is new: squawk / pilotage",
    ]
    return f"{head}\n\n{table(columns, rows)}"


def _words(rules: set[str]) -> str:
    return ", ".join(sorted(rules)) or "–"
