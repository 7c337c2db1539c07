"""Every hazard and directive is in the reference, and every file shown there is right."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pilotage.hazards import RULES, Severity, check
from pilotage.hazards.check import IDS
from pilotage.migrate import directives
from pilotage.migrate.loader import parse_migration
from pilotage.migrate.sections import SECTIONS
from pilotage.migrate.sql.grammar import grammar

REFERENCE = Path(__file__).parents[3] / "docs" / "reference"
HAZARDS = (REFERENCE / "hazards.md").read_text()
MIGRATIONS = (REFERENCE / "migrations.md").read_text()


def examples(text: str) -> Iterator[tuple[str, str]]:
    """The SQL files in a page: name and text."""
    for block in text.split('```sql title="')[1:]:
        name, _, rest = block.partition('"\n')
        yield name, rest.partition("```")[0]


def table(title: str) -> str:
    """The part of the page of hazards under a heading."""
    return HAZARDS.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_every_rule_is_in_its_table(rule: object) -> None:
    assert isinstance(rule, type(RULES[0]))
    title = "Errors" if rule.severity is Severity.ERROR else "Warnings"

    assert f"\n| `{rule.id}` |" in table(title)


def test_no_rule_is_documented_that_is_not_there() -> None:
    rows = [line.split("`")[1] for line in HAZARDS.splitlines() if line.startswith("| `")]
    classes = {str(rule.class_) for rule in RULES} | {"new-code", "runtime-failure"}

    assert set(rows) - classes == IDS - {"out-of-order"}


@pytest.mark.parametrize("key", directives.known())
def test_every_directive(key: str) -> None:
    row = next(line for line in MIGRATIONS.splitlines() if line.startswith(f"| `{key}"))
    sections = directives.sections_of(key)

    assert row.split("|")[2].strip() == ("all" if sections == SECTIONS else ", ".join(sections))


@pytest.mark.parametrize("section", SECTIONS)
def test_every_section(section: str) -> None:
    assert f"| `-- {section}` |" in MIGRATIONS


@pytest.mark.parametrize(
    ("name", "text"), [*examples(MIGRATIONS), *examples(HAZARDS)], ids=lambda value: value[:20]
)
def test_every_file_that_is_shown(name: str, text: str) -> None:
    migration = parse_migration(text, path=Path(name), dialect="postgresql")

    errors = [
        finding
        for finding in check(migration, dialect="postgresql")
        if finding.severity is Severity.ERROR
    ]
    assert errors == []


def test_there_are_files_to_look_at() -> None:
    assert len([*examples(MIGRATIONS), *examples(HAZARDS)]) == 4
    assert grammar("postgresql").split(next(examples(MIGRATIONS))[1])
