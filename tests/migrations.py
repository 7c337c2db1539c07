"""Migrations written in a test, without files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pilotage.migrate.migration import Directives, Migration, Migrations, Section


def section(text: str, *, line: int = 1, **directives: Any) -> Section:
    """A section; ``directives`` are those of `Directives`."""
    return Section(text, line, Directives(**directives))


def migration(version: str, name: str = "change", **sections: str | Section) -> Migration:
    """A migration; a section is its text, or a `section`."""
    parts = {
        kind: part if isinstance(part, Section) else section(part)
        for kind, part in sections.items()
    }
    return Migration(version, name, Path(f"db/migrations/{version}_{name}.sql"), **parts)


def migrations(*files: Migration) -> Migrations:
    """All of them."""
    return Migrations({m.version: m for m in files})
