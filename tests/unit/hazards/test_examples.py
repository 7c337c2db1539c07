"""Every rule's own examples: what it finds, where, and what it lets pass."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pilotage.hazards import RULES
from pilotage.hazards.examples import findings, known_before, place_of, text_of
from pilotage.hazards.finding import Finding
from pilotage.hazards.fix import fix
from pilotage.hazards.lint import Lint, lint
from pilotage.hazards.reading import Source
from pilotage.hazards.rule import Example, Rule

PATH = Path("2_example.sql")


def cases(which: str) -> list[Any]:
    return [
        pytest.param(rule, example, id=f"{rule.id}-{number}")
        for rule in RULES
        for number, example in enumerate(getattr(rule, which), 1)
    ]


@pytest.mark.parametrize(("rule", "example"), cases("bad"))
def test_what_is_found(rule: Rule, example: Example) -> None:
    found = [finding for finding in findings(example) if finding.rule == rule.id]

    assert [(finding.line, finding.column) for finding in found] == [place_of(example)]


@pytest.mark.parametrize(("rule", "example"), cases("good"))
def test_what_passes(rule: Rule, example: Example) -> None:
    assert [str(f.message) for f in findings(example) if f.rule == rule.id] == []


# What --fix leaves to a person, and says why: it would be empty without the statement, or make a trigger.
LEFT = {"add-column-rewrite-3", "detach-1"}


@pytest.mark.parametrize(
    ("rule", "example"),
    [case for case in cases("bad") if case.values[0].mechanical and case.id not in LEFT],
)
def test_what_is_mechanical_is_written(rule: Rule, example: Example) -> None:
    def judge(source: Source) -> list[Finding]:
        how = Lint(example.dialect, known=known_before(example))
        return list(lint([source], how).findings)

    result = fix(text_of(example), PATH, dialect=example.dialect, judge=judge)

    assert [why for finding, why in result.left if finding.rule == rule.id] == []
    assert not [f for f in result.found if f.rule == rule.id and f.rewrite]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_every_rule_has_both(rule: Rule) -> None:
    assert rule.bad
    assert rule.good
