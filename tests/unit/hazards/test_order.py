"""A pending expand half that is older than an applied contract half."""

from __future__ import annotations

from pathlib import Path

import pytest

from pilotage.hazards import Severity, out_of_order
from pilotage.migrate.loader import parse_migration
from pilotage.migrate.migration import Migration
from pilotage.model import Applied


def migration(version: int, text: str = "-- expand\nSELECT 1;") -> Migration:
    return parse_migration(text, path=Path(f"{version}_x.sql"), dialect="sqlite")


def applied(*, expanded: str = "", contracted: str = "") -> Applied:
    return Applied(expanded=frozenset(expanded.split()), contracted=frozenset(contracted.split()))


def test_a_branch_that_was_merged_late() -> None:
    files = [migration(8), migration(9), migration(10), migration(12)]

    findings = out_of_order(files, applied(expanded="8 10", contracted="10"))

    assert [(f.where, f.rule, f.severity) for f in findings] == [
        ("9_x.sql:2", "out-of-order", Severity.ERROR)
    ]
    assert "9/expand is pending, but the newer 10/contract is applied" in findings[0].message


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("SELECT 1;", applied()),
        ("SELECT 1;", applied(expanded="10")),
        ("SELECT 1;", applied(contracted="8")),
        ("SELECT 1;", applied(contracted="9")),
        ("SELECT 1;", applied(expanded="9", contracted="10")),
        ("-- contract\nSELECT 1;", applied(contracted="10")),
        (
            "-- pilotage: allow=out-of-order because it adds a table\nSELECT 1;",
            applied(contracted="10"),
        ),
        ("-- pilotage: replaces=1..8\nSELECT 1;", applied(expanded="1 2", contracted="10")),
    ],
)
def test_what_is_in_order(text: str, state: Applied) -> None:
    assert out_of_order([migration(9, text)], state) == ()
