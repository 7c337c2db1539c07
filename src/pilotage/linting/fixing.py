"""Writes what ``--fix`` worked out, and refuses where that would do harm."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pilotage.errors import PilotageError, Refused

if TYPE_CHECKING:
    from pilotage.config import Config
    from pilotage.hazards.fix import Fixed


def write(fixes: Iterable[Fixed], config: Config | None, *, allow_dirty: bool = False) -> list[str]:
    """Write the files that changed, all or none of them; what a person should know of it.

    Raises
    ------
    Refused
        One is applied in the project's database, cannot be written, was changed meanwhile, or has
        changes that git could not bring back. Nothing was written.
    """
    changed = [fixed for fixed in fixes if fixed.changed]
    if not changed:
        return []
    notes = _refuse_applied(changed, config)
    for fixed in changed:
        _refuse_unwritable(fixed)
    if not allow_dirty:
        _refuse_dirty(changed)
    for fixed in changed:
        _replace(fixed)
    return notes


def _refuse_applied(changed: list[Fixed], config: Config | None) -> list[str]:
    if config is None or config.migrations is None or config.migrations.database is None:
        return []
    from pilotage.linting.files import applied_in

    folder = config.migrations.path
    own = [fixed for fixed in changed if fixed.path.absolute().parent == folder]
    if not own:
        return []
    try:
        applied, where = asyncio.run(applied_in(config))
    except PilotageError as error:
        return [
            f"whether these files are applied is not known, for the database was not asked "
            f"({error.what}); an applied file that was edited is refused by the next deploy"
        ]
    for fixed in own:
        version = fixed.path.stem.partition("_")[0]
        if version in applied:
            raise Refused(
                f"{fixed.path.name} is applied, and an applied file is not edited any more",
                where=where,
                state="no file was changed",
                next="write what is left to do into a new migration, or say in the file why it is "
                "safe with an `allow`; --diff shows the fix",
            )
    return []


def _refuse_unwritable(fixed: Fixed) -> None:
    path = fixed.path
    try:
        now = path.read_bytes()
    except OSError as error:
        raise _refusal(path, f"it cannot be written: {error.strerror}") from error
    if now != fixed.before.encode():
        raise _refusal(path, "it was changed while it was being judged", next="run it again")
    # What is written goes beside the file first, and then takes its place.
    if not os.access(path, os.W_OK) or not os.access(path.resolve().parent, os.W_OK):
        raise _refusal(path, "it may not be written", next="make it writable, or look at --diff")


def _refuse_dirty(changed: list[Fixed]) -> None:
    """What is neither committed nor staged would be gone for good if a fix were not wanted."""
    folders = {fixed.path.absolute().parent for fixed in changed}
    for folder in folders:
        with suppress(OSError):
            done = subprocess.run(
                ["git", "diff", "--name-only", "-z", "--relative", "--", "."],
                cwd=folder,
                capture_output=True,
                text=True,
                check=False,
            )
            names = set(done.stdout.split("\0")) if done.returncode == 0 else set()
            for fixed in changed:
                if fixed.path.absolute().parent == folder and fixed.path.name in names:
                    raise _refusal(
                        fixed.path,
                        "it has changes that are neither committed nor staged",
                        next="commit it, or `git add` it; or look at --diff, or say --allow-dirty",
                    )


def _refusal(path: Path, what: str, *, next: str = "") -> Refused:
    return Refused(what, where=str(path), state="no file was changed", next=next)


def _replace(fixed: Fixed) -> None:
    """The new text in place of the old one, never half of it."""
    path = fixed.path.resolve()  # of a link, what it points at
    beside = path.with_name(f".{path.name}.pilotage")
    try:
        beside.write_bytes(fixed.after.encode())
        beside.chmod(path.stat().st_mode & 0o7777)
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise _refusal(fixed.path, f"it cannot be written: {error.strerror}") from error
