"""Plain lines, for a log file or a pipe; and JSON lines, for machines."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

import click

from pilotage import events
from pilotage.cli import text
from pilotage.cli.options import Settings
from pilotage.cli.render import words
from pilotage.cli.text import plural, seconds
from pilotage.events import Emit, Event
from pilotage.secret import mask

_PROGRESS_EVERY = 5.0


class PlainLines:
    """One line an event. With ``--quiet``: warnings alone."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._indent = ""
        self._told_progress = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        sys.stdout.flush()

    def __call__(self, event: Event) -> None:
        if self._settings.quiet:
            warnings(self._settings)(event)
            return
        match event:
            case events.Planned():
                steps = plural(len(event.plan.steps), "step")
                self._say(f"{words.title(event)}   ({steps}, plan {event.plan.fingerprint})")
                for note in event.plan.notes:
                    self._say(f"  note: {text.one_line(note, 400)}")
            case events.StepStarted():
                self._indent = "        "
                self._say(f"{_number(event)} {event.step}")
            case events.StepFinished():
                detail = f"  {event.detail}" if event.detail else ""
                self._say(f"{_number(event)} done in {seconds(event.seconds)}{detail}")
                self._indent = ""
            case events.StepFailed():
                self._say(f"{_number(event)} FAILED: {event.error}")
                self._indent = ""
            case events.BackfillProgress() | events.StatementProgress() | events.Watched() if (
                self._told_lately(event)
            ):
                pass
            case _:
                line = words.of(event, verbose=self._settings.verbose)
                if line:
                    self._say(f"{self._indent}{line}")

    def _told_lately(
        self, event: events.BackfillProgress | events.StatementProgress | events.Watched
    ) -> bool:
        """Progress has a line every few seconds, and one at its end."""
        over = isinstance(event, events.BackfillProgress) and event.fraction == 1
        # A clock that was set back meanwhile must not silence it.
        if not over and 0 <= event.at - self._told_progress < _PROGRESS_EVERY:
            return True
        self._told_progress = event.at
        return False

    def _say(self, line: str) -> None:
        click.echo(mask(line, self._settings.secrets))


def _number(event: events.StepStarted | events.StepFinished | events.StepFailed) -> str:
    return f"[{event.index + 1:>2}/{event.total}]"


class JsonLines:
    """One JSON object a line: every event, and nothing else."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        sys.stdout.flush()

    def __call__(self, event: Event) -> None:
        print_json(event.to_json(), self._settings)


def print_json(value: Any, settings: Settings, *, pretty: bool = False) -> None:
    """Print a value as one line of JSON, or ``pretty`` for a person who reads it; secrets masked."""
    indent = 2 if pretty else None
    click.echo(json.dumps(masked(value, settings), indent=indent, ensure_ascii=False))


def print_page(lines: Iterable[str], settings: Settings) -> None:
    """Print a page; styles are left out where the output is no terminal, and secrets masked."""
    for line in lines:
        click.echo(mask(line, settings.secrets))


def warnings(settings: Settings) -> Emit:
    """An `Emit` for commands that only look: what is worth a warning goes to standard error."""

    def emit(event: Event) -> None:
        line = words.of(event) if words.is_warning(event) else None
        if line:
            click.echo(text.warn(mask(f"! {line}", settings.secrets)), err=True)

    return emit


def masked(value: Any, settings: Settings) -> Any:
    """The value with every secret in its strings masked."""
    if isinstance(value, str):
        return mask(value, settings.secrets)
    if isinstance(value, dict):
        return {key: masked(item, settings) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [masked(item, settings) for item in value]
    return value
