"""The command line: one file a command, and no logic of deploys.

Start-up is kept light: a command's module is imported when the command runs, and what talks to
databases, files and terminals is imported in the command (``tests/unit/cli/test_startup.py``).
"""

from __future__ import annotations

import gc
from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; ``argv`` is without the program's name. Returns the exit status.

    0: done. 1: failed or refused, and what was left is said. 2: wrong usage or configuration.
    """
    # Imports, files and parse trees are many objects that stay: looking for cycles among them every
    # 700 new ones, as Python does, would be a tenth of what a short command costs.
    gc.set_threshold(200_000, 20, 20)
    from pilotage.cli.app import run

    try:
        return run(argv)
    finally:
        gc.freeze()  # nor at the end, where all of it goes with the process
