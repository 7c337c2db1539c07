"""What the commands of a container's start share: its configuration, and where its progress goes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pilotage.cli.options import Settings
from pilotage.errors import ConfigError

if TYPE_CHECKING:
    from pilotage.config import Config
    from pilotage.events import Emit, Event

_NAMES = ("config/deploy.yml", "deploy.yml")
"""As in `pilotage.config.load`, which is too slow to import in every start of a container."""


def attempt_limit(given: str) -> float:
    """Seconds of ``--timeout``."""
    from pilotage.config.quantity import parse_duration

    try:
        return parse_duration(given)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--timeout") from error


def config_beside(settings: Settings) -> tuple[Config | None, ConfigError | None]:
    """The configuration where the image has one, and why it cannot be read where it has.

    An image need not have any: then the environment says everything. One that was named must be there.
    """
    if settings.config_file is None and not any(Path(name).is_file() for name in _NAMES):
        return None, None
    from pilotage.cli.project import configuration

    try:
        return configuration(settings), None
    except ConfigError as error:
        return None, error


def say_to_stderr(settings: Settings) -> Callable[[str], None]:
    """Lines of progress: standard output belongs to the command that comes."""
    from pilotage.secret import mask

    def say(line: str) -> None:
        if not settings.quiet:
            click.echo(f"pilotage: {mask(line, settings.secrets)}", err=True)

    return say


def emit_to_stderr(settings: Settings) -> Emit:
    """Events as such lines."""
    say = say_to_stderr(settings)

    def emit(event: Event) -> None:
        from pilotage import events
        from pilotage.cli.render import words

        match event:
            case events.StepStarted():
                say(event.step)
            case _:
                line = words.of(event, verbose=settings.verbose)
                if line:
                    say(line)
        sys.stderr.flush()

    return emit
