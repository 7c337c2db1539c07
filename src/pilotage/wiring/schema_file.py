"""The schema file of the configuration (`migrations: {schema: …}`): written after a change, compared.

A new, empty database is loaded with it (`pilotage.migrate.create`).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from pilotage.errors import DatabaseError
from pilotage.events import Emit, Note
from pilotage.migrate import history
from pilotage.migrate.runner import SqlSchema
from pilotage.model import SchemaView


@dataclass(frozen=True, slots=True)
class Compared:
    """``diff``: a unified diff from what is expected to what is; empty when they are alike.

    ``against``: what the database was compared with. ``skipped``: why it was not.
    """

    diff: str = ""
    against: str = ""
    skipped: str = ""


async def write(path: Path | None, schema: SqlSchema, emit: Emit) -> None:
    """Bring the file up to date with the database; a note says so, or why it could not be."""
    if path is None:
        return
    try:
        text = await schema.record_dump()
    except DatabaseError as error:
        emit(Note(text=f"{path.name} was not brought up to date: {error.what}", level="warning"))
        return
    if await asyncio.to_thread(_replace, path, text):
        emit(Note(text=f"wrote the schema to {path.name}"))


def _read(path: Path | None) -> str | None:
    return path.read_text(encoding="utf-8") if path is not None and path.is_file() else None


def _replace(path: Path, text: str) -> bool:
    """Whether it had to be written."""
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    new.write_text(text, encoding="utf-8")
    new.replace(path)
    return True


async def compare(path: Path | None, schema: SqlSchema, view: SchemaView) -> Compared:
    """The database against the schema file, else against what was recorded after its last change.

    A file that holds other halves than the database is not compared: it differs, as it should.
    """
    if not view.exists:
        return Compared(skipped="pilotage's tables are not in the database yet")
    try:
        expected = await asyncio.to_thread(_read, path)
        if path is not None and expected is not None:
            held = {row.ref for row in history.applied_lines(expected)}
            if held == {row.ref for row in view.rows if row.finished_at is not None}:
                return Compared(await schema.drift(expected), against=path.name)
        if path is None:
            return Compared(skipped="the configuration names no schema file")
        return Compared(
            await schema.drift(), against="the schema as it was after the last change by hand"
        )
    except DatabaseError as error:
        return Compared(skipped=error.what)
