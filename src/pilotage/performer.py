"""Who runs a command, as Kamal says it: the e-mail address that git knows, else the user's name."""

from __future__ import annotations

import getpass
import os
import subprocess
from pathlib import Path

_LIMIT = 5.0  # seconds


def performer(root: Path) -> str:
    """``git config user.email`` in the project, else the name of the user of the system."""
    try:
        asked = subprocess.run(
            ["git", "config", "user.email"],
            cwd=root,
            capture_output=True,
            text=True,
            check=False,
            timeout=_LIMIT,
        )
        email = asked.stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        email = ""
    return email or user()


def user() -> str:
    """The name of the user of the system; its number where it has none."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # an account without a name
        return str(os.getuid())
