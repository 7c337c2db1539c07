"""Every entry of the catalogue of hazards has a rule."""

from __future__ import annotations

from pilotage.errors import UsageError
from pilotage.hazards import RULES
from pilotage.hazards.rule import FRAMEWORKS
from pilotage.migrate.sql.grammar import grammar

OUT_OF_ORDER = 92  # of several files: `pilotage.hazards.order`
ENTRIES = {
    "postgresql": range(1, 68),
    "mysql": range(68, 89),
    "sqlite": range(89, 92),
    "any": range(92, 95),
}


def known(dialect: str) -> bool:
    """Whether the dialect can be read; its entries are asked for from then on."""
    try:
        return dialect == "any" or bool(grammar(dialect))
    except UsageError:
        return False


def test_every_entry_has_a_rule() -> None:
    wanted = {n for dialect, numbers in ENTRIES.items() if known(dialect) for n in numbers}
    covered = {number for rule in RULES for number in rule.numbers} | {OUT_OF_ORDER}

    assert wanted - covered == set()
    assert covered <= {n for numbers in ENTRIES.values() for n in numbers}


def test_the_rule_is_for_the_dialect_of_its_entry() -> None:
    wrong = [
        (rule.id, number)
        for rule in RULES
        for number in rule.numbers
        for dialect, numbers in ENTRIES.items()
        if number in numbers
        and dialect != "any"
        and not (rule.is_for(dialect) or number in (79, 90) or rule.dialects == FRAMEWORKS)
    ]

    assert wrong == []
