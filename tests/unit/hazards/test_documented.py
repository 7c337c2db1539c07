"""Every hazard and directive is in the reference, and every file shown there is right."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pilotage.hazards import Class, Severity, check
from pilotage.migrate import directives
from pilotage.migrate.loader import parse_migration
from pilotage.migrate.sections import SECTIONS
from pilotage.migrate.sql.grammar import grammar

REFERENCE = Path(__file__).parents[3] / "docs" / "reference"
HAZARDS = (REFERENCE / "hazards" / "index.md").read_text()
MIGRATIONS = (REFERENCE / "migrations.md").read_text()


def examples(text: str) -> Iterator[tuple[str, str]]:
    """The SQL files in a page: name and text."""
    for block in text.split('```sql title="')[1:]:
        name, _, rest = block.partition('"\n')
        yield name, rest.partition("```")[0]


def test_the_pages_are_what_the_rules_say_of_themselves() -> None:
    script = REFERENCE.parents[1] / "scripts" / "hazards"
    done = subprocess.run(
        [sys.executable, script, "--check"], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout) == (0, ""), "run: .venv/bin/python scripts/hazards"


def test_every_class_is_explained() -> None:
    assert all(f"\n| `{kind}` |" in HAZARDS for kind in Class)


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
