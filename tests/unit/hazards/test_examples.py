"""Every rule's own examples: what it finds, where, and what it lets pass."""

from __future__ import annotations

from typing import Any

import pytest

from pilotage.hazards import RULES
from pilotage.hazards.examples import findings, place_of
from pilotage.hazards.rule import Example, Rule


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


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_every_rule_has_both(rule: Rule) -> None:
    assert rule.bad
    assert rule.good
