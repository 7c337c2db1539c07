"""The schema as text: recorded in the database after every change, and compared, to find drift.

Where the configuration names a schema file (`migrations: {schema: …}`), the verbs by hand write it as
well, and a new, empty database is loaded with it (`pilotage.migrate.create`).
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
from pilotage.plan import Plan
from pilotage.steps import ApplyHalf, Contract
from pilotage.wiring.project import Project


@dataclass(frozen=True, slots=True)
class Compared:
    """``diff``: a unified diff from what is expected to what is; empty when they are alike.

    ``against``: what the database was compared with. ``skipped``: why it was not.
    """

    diff: str = ""
    against: str = ""
    skipped: str = ""


async def record(schema: SqlSchema, emit: Emit) -> str | None:
    """Keep the schema as it is now in the database; None, and a note, where it cannot be dumped."""
    try:
        return await schema.record_dump()
    except DatabaseError as error:
        emit(Note(text=f"the schema was not recorded, so drift will not show: {error.what}"))
        return None


async def record_after(plan: Plan, project: Project, emit: Emit) -> None:
    """`record`, when the plan that was carried out changed the schema."""
    schema = project.world.schema
    changed = any(isinstance(step, (ApplyHalf, Contract)) for step in plan.steps)
    if changed and isinstance(schema, SqlSchema):
        await record(schema, emit)


async def write(path: Path | None, schema: SqlSchema, emit: Emit) -> None:
    """`record`, and bring the file up to date; a note says so, or why it could not be."""
    text = await record(schema, emit)
    if path is None or text is None:
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
        if path is not None and expected is not None and _is_of(expected, view):
            return Compared(await schema.drift(expected), against=path.name)
        recorded = await schema.recorded_dump()
        if recorded is None or not _is_of(recorded, view):
            return Compared(skipped="it was not recorded after its last change")
        return Compared(
            await schema.drift(recorded), against="the schema as it was after its last change"
        )
    except DatabaseError as error:
        return Compared(skipped=error.what)


def _is_of(dump: str, view: SchemaView) -> bool:
    """Whether a dump holds the halves that the database holds."""
    held = {row.ref for row in history.applied_lines(dump)}
    return held == {row.ref for row in view.rows if row.finished_at is not None}
