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


def on_config(config: Any) -> Any:
    """Set ``nav``; a section's own page comes first."""
    docs = Path(config["docs_dir"])
    nav: list[Any] = ["index.md"]
    for title, folder in SECTIONS.items():
        pages = sorted(docs.glob(f"{folder}/*.md"), key=lambda p: (p.name != "index.md", p.name))
        nav.append({title: [page.relative_to(docs).as_posix() for page in pages]})
    config["nav"] = nav
    return config
