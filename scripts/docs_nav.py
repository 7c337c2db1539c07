"""The navigation of the documentation: five sections in this order, every page of each.

A hook of MkDocs, so that a new page (a decision, a guide) needs no second entry elsewhere.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

SECTIONS = {
    "Tutorial": "tutorial",
    "How-to guides": "how-to",
    "Reference": "reference",
    "Explanation": "explanation",
    "Decisions": "decisions",
}


def _pages(docs: Path, folder: Path) -> list[Any]:
    """The pages of a folder, its own first, then those of the folders in it."""
    pages = sorted(folder.glob("*.md"), key=lambda p: (p.name != "index.md", p.name))
    inside = sorted(path for path in folder.iterdir() if path.is_dir())
    return [
        *(page.relative_to(docs).as_posix() for page in pages),
        *({path.name.capitalize(): _pages(docs, path)} for path in inside),
    ]


def on_config(config: Any) -> Any:
    """Set ``nav``; a section's own page comes first."""
    docs = Path(config["docs_dir"])
    nav: list[Any] = ["index.md"]
    for title, folder in SECTIONS.items():
        nav.append({title: _pages(docs, docs / folder)})
    config["nav"] = nav
    return config
