"""Options that every command has, and the `Settings` that they make.

They may stand before the command's name as well as after it; after it wins.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pilotage.cli.instead import without
from pilotage.errors import UsageError

if TYPE_CHECKING:
    from pilotage.secret import Secret

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Settings:
    """How the command line was called, apart from the command's own options.

    ``as_json``: everything on standard output is JSON. ``secrets``: values to mask in whatever is
    told of this run, filled in once they are known. ``connected``: ``pre-connect`` has run. ``command``: the words that name the command;
    ``typed``: everything that was typed after ``pilotage``.
    """

    destination: str | None = None
    config_file: Path | None = None
    verbose: bool = False
    quiet: bool = False
    run_commands: bool = False
    skip_hooks: bool = False
    connected: bool = False
    command: tuple[str, ...] = ()
    typed: tuple[str, ...] = ()
    as_json: bool = False
    secrets: list[Secret] = field(default_factory=list, repr=False)


def _options() -> list[Callable[[Any], Any]]:
    return [
        click.option("-d", "--destination", metavar="NAME", help="staging, production, …"),
        click.option(
            "-c",
            "--config-file",
            metavar="FILE",
            type=click.Path(path_type=Path, dir_okay=False),
            help="The configuration, by default config/deploy.yml or deploy.yml.",
        ),
        click.option("-v", "--verbose", is_flag=True, help="Show every command that runs."),
        click.option("-q", "--quiet", is_flag=True, help="Show results and errors alone."),
        click.option(
            "--allow-erb-commands",
            is_flag=True,
            help="Run the commands that the configuration and the secrets files hold.",
        ),
        click.option("-H", "--skip-hooks", is_flag=True, help="Do not run the project's hooks."),
    ]


def common(function: F) -> F:
    """Add the common options; the function gets one `Settings` as its first argument.

    It stands right above the function, below `json_option`, whose value becomes part of the settings.
    """

    @wraps(function)
    @click.pass_context
    def wrapper(ctx: click.Context, /, **options: Any) -> Any:
        given = {name: options.pop(name) for name in _NAMES}
        settings = _merged(ctx.find_object(Settings) or Settings(), given)
        words = tuple(ctx.command_path.split()[1:])
        settings = replace(settings, as_json=options.pop("as_json", False), command=words)
        return ctx.invoke(function, settings, **options)

    for option in reversed(_options()):
        wrapper = option(wrapper)
    return wrapper  # type: ignore[return-value]


def on_group(function: F) -> F:
    """Add the common options to a group: they are handed to its commands."""

    @wraps(function)
    @click.pass_context
    def wrapper(ctx: click.Context, /, **options: Any) -> Any:
        given = {name: options.pop(name) for name in _NAMES}
        ctx.obj = _merged(ctx.find_object(Settings) or Settings(), given)
        return ctx.invoke(function, **options)

    for option in reversed(_options()):
        wrapper = option(wrapper)
    return wrapper  # type: ignore[return-value]


_NAMES = ("destination", "config_file", "verbose", "quiet", "allow_erb_commands", "skip_hooks")


def _merged(outer: Settings, given: dict[str, Any]) -> Settings:
    return replace(
        outer,
        destination=given["destination"] or outer.destination,
        config_file=given["config_file"] or outer.config_file,
        verbose=given["verbose"] or outer.verbose,
        quiet=given["quiet"] or outer.quiet,
        run_commands=given["allow_erb_commands"] or outer.run_commands,
        skip_hooks=given["skip_hooks"] or outer.skip_hooks,
    )


def json_option(function: F) -> F:
    """``--json``, for a command that has something for machines."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for machines.")(
        function
    )


def grep_option(function: F) -> F:
    """``--grep``, for a command that shows logs; the function gets a compiled ``grep``, or None."""
    function = without(
        "--grep-options",
        "a pattern says all of it",
        "`(?i)PATTERN` for `-i`; for context around a line, pipe what is shown to grep",
    )(function)
    return click.option(
        "-g",
        "--grep",
        metavar="PATTERN",
        callback=_pattern,
        help="Only lines that match this regular expression.",
    )(function)


def last_lines(lines: int | None, *narrowed: object, otherwise: int = 100) -> int | None:
    """How many of the last lines a command shows: those asked for, all where something narrows them (none of these
    is None), else ``otherwise``."""
    if lines is not None or any(it is not None for it in narrowed):
        return lines
    return otherwise


def skip_timestamps(function: F) -> F:
    """``--skip-timestamps``; the function gets ``times``."""
    return click.option(
        "-T",
        "--skip-timestamps",
        "times",
        flag_value=False,
        default=True,
        help="Lines as they were printed.",
    )(function)


def _pattern(
    _ctx: click.Context, _param: click.Parameter, value: str | None
) -> re.Pattern[str] | None:
    try:
        return re.compile(value) if value else None
    except re.error as error:
        raise UsageError(f"--grep {value!r} is not a regular expression: {error}") from error


def deploying(function: F) -> F:
    """Options of every verb that takes the deploy lock."""
    function = click.option(
        "--reason", metavar="TEXT", default="", help="Why, for whoever waits for the lock."
    )(function)
    return click.option(
        "--lock-wait",
        metavar="SECONDS",
        type=click.FloatRange(min=0),
        default=0.0,
        help="How long to wait for another deployer to finish.",
    )(function)
