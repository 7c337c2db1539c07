"""What maintenance, pause, live and resume share: one short action under the lock, and its result."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pilotage.cli.options import Settings
from pilotage.errors import PilotageError, UsageError

if TYPE_CHECKING:
    from pilotage.events import Emit
    from pilotage.maintenance import Changed
    from pilotage.model import Closure
    from pilotage.wiring import Project

LARGEST_PAGE = 256 * 1024
"""Bytes of the largest page: it is kept in the deploy state, which every step of a deploy writes."""

_TYPES = {".txt": "text/plain", ".json": "application/json", ".xml": "application/xml"}

Action = Callable[["Project", "Emit"], Awaitable["Changed"]]


def duration(_ctx: click.Context, _option: click.Parameter, value: str) -> float:
    """The seconds of an option such as ``30s``, ``2m``, or a number of seconds."""
    from pilotage.config.quantity import parse_duration

    try:
        return parse_duration(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def act(settings: Settings, verb: str, action: Action, words: Callable[[Changed], str]) -> None:
    """Run an action under the deploy lock, and say what the edges do now."""
    from pilotage.cli.project import opened
    from pilotage.cli.render.lines import JsonLines, print_json, warnings
    from pilotage.cli.running import run, told
    from pilotage.cli.text import good
    from pilotage.observe import observe
    from pilotage.wiring import Use

    began = time.monotonic()
    emit = JsonLines(settings) if settings.as_json else warnings(settings)

    async def main() -> Changed:
        async with opened(settings, emit, use=Use.LOOK, changes=True) as project:

            async def left() -> tuple[str, str]:
                observed = await observe(project.world)
                wanted = "closed" if observed.front else "open"
                astray = ", ".join(observed.astray)
                late = f"; not so yet: {astray}" if astray else ""
                return f"the edges are to be {wanted}{late}", f"`pilotage {verb}` again"

            return await told(action(project, emit), left)

    try:
        changed = run(main())
    except PilotageError as error:
        if settings.as_json:
            print_json(_result(verb, None, began, error), settings)
        raise
    if settings.as_json:
        print_json(_result(verb, changed, began, None), settings)
    else:
        click.echo(f"{good('✓')} {words(changed)}")


def _result(
    verb: str, changed: Changed | None, began: float, error: PilotageError | None
) -> dict[str, Any]:
    after = changed.after if changed else None
    return {
        "event": "Result",
        "verb": verb,
        "outcome": "failed" if error else "done",
        "changed": changed.changed if changed else False,
        "closure": after.to_json() if after else None,
        "hosts": list(changed.hosts) if changed else [],
        "seconds": round(time.monotonic() - began, 3),
        "error": error.to_json() if error else None,
    }


def read_page(path: Path) -> tuple[str, str]:
    """The text of a page, and its content type, by the file's name.

    Raises
    ------
    UsageError
        It cannot be read, is not UTF-8, is empty or too large.
    """
    state, where = "nothing was changed", str(path)
    try:
        data = path.read_bytes()
        body = data.decode()
    except OSError as error:
        raise UsageError(f"cannot read: {error.strerror}", where=where, state=state) from error
    except UnicodeDecodeError as error:
        raise UsageError(
            f"this is not UTF-8: byte {error.start} is {data[error.start]:#04x}",
            where=where,
            state=state,
            next="save the page as UTF-8",
        ) from error
    if not body.strip():
        raise UsageError("the page is empty", where=where, state=state)
    if len(data) > LARGEST_PAGE:
        raise UsageError(
            f"the page has {len(data)} bytes, and may have {LARGEST_PAGE}",
            where=where,
            state=state,
            next="take large images out of it, or load them from another host",
        )
    return body, f"{_TYPES.get(path.suffix.lower(), 'text/html')}; charset=utf-8"


def replaced(before: Closure | None, mode: str) -> str:
    """What a new closure took the place of, in words; nothing where the edges were open."""
    if before is None:
        return ""
    if before.by == "deploy":
        return "; the deploy with downtime that is unfinished will not end it"
    if before.front.mode == mode:
        return "; it was on already, and is as you say now"
    return f"; the {before.front.mode} by {before.who} is over"
