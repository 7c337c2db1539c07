"""Secrets out of password managers, by each vendor's own command line: what `secrets fetch` does.

An adapter is a thin wrapper: which command lines, and where in what they print the values stand. The
command lines are those of Kamal 2.11, with two differences: whether a program is there is looked up in
``PATH``, and a session's token never stands in an argv.
"""

from __future__ import annotations

from pilotage.vaults.fetch import ADAPTERS, extract, fetch, shell_escaped
from pilotage.vaults.words import answer, is_ours

__all__ = ["ADAPTERS", "answer", "extract", "fetch", "is_ours", "shell_escaped"]
