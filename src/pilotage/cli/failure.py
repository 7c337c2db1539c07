"""How a run that failed is told: one block on standard error, and never a traceback."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterable
from copy import copy
from typing import TYPE_CHECKING

import click

from pilotage.cli import text
from pilotage.errors import PilotageError

if TYPE_CHECKING:
    from pilotage.secret import Secret


class Interrupted(PilotageError):
    """A person, or the system, ended the command; nothing is wrong with what it did."""

    interruption = True


def show(error: PilotageError, secrets: Iterable[Secret] = ()) -> None:
    """Print an error: what, where, what was left, what to do next.

    Wrapped for a terminal; in a log file each part stays on a line of its own, to be found by grep.
    """
    from pilotage.secret import mask

    hidden = tuple(secrets)
    told = copy(error)
    for name in ("what", "where", "state", "next", "key"):
        if hasattr(error, name):
            setattr(told, name, mask(getattr(error, name), hidden))
    width = None if sys.stderr.isatty() else math.inf
    click.echo("\n".join(text.block("✗", told, width=width)), err=True)


def show_crash(error: BaseException, secrets: Iterable[Secret] = ()) -> None:
    """Print one line on an error that nobody foresaw, and write its traceback to a file."""
    from pilotage.secret import mask

    secrets = tuple(secrets)
    path = _write_traceback(error, secrets)
    told = PilotageError(
        f"pilotage itself failed: {type(error).__name__}: {mask(str(error), secrets)}",
        where=f"{path} has the traceback" if path else "",
        state="what had begun may be half done; the same command takes up what is left",
        next="see `pilotage status`, and report the traceback",
    )
    show(told, secrets)


def _write_traceback(error: BaseException, secrets: tuple[Secret, ...]) -> str | None:
    import tempfile
    import traceback

    from pilotage.secret import mask

    text = "".join(traceback.format_exception(error))
    try:
        handle, path = tempfile.mkstemp(prefix="pilotage-crash-", suffix=".txt")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(mask(text, secrets))
    except OSError:
        return None
    return path


def broken_pipe() -> int:
    """Whoever read our output went away (`pilotage logs | head`): that is no failure of ours."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    return 1
