"""What the verbs on single migrations share: they show their events, and end in one result."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import click

from pilotage.cli import text
from pilotage.cli.failure import Interrupted
from pilotage.cli.options import Settings
from pilotage.cli.project import opened
from pilotage.cli.render import renderer
from pilotage.cli.render.lines import print_json
from pilotage.cli.running import run, told
from pilotage.config import Config
from pilotage.errors import PilotageError, UsageError
from pilotage.events import Emit, Note
from pilotage.migrate.database import DatabaseSchema
from pilotage.migrate.runner import SqlSchema
from pilotage.model import HalfRef
from pilotage.wiring import Project, Use, schema_file


@dataclass(frozen=True, slots=True)
class Done:
    """What a verb did: the halves that it was about, and a sentence."""

    halves: tuple[HalfRef, ...]
    summary: str


Story = Callable[[Project, SqlSchema, Emit], Awaitable[Done]]
"""One verb on an open project, whose database is there to be worked on."""


def act(
    settings: Settings, verb: str, story: Story, *, dump: bool = True, use: Use = Use.LOOK
) -> None:
    """Run a verb that changes the schema or its records, show it, and print its result.

    ``dump``: record the schema afterwards, and bring the schema file up to date. ``use``: whether hosts are asked.

    Raises
    ------
    PilotageError
        It failed or was refused; with ``--json`` the result says so as well.
    """
    began = time.monotonic()
    try:
        with renderer(settings) as show:
            done = run(_tell(settings, show, story, dump=dump, use=use))
    except PilotageError as error:
        if settings.as_json:
            outcome = "interrupted" if isinstance(error, Interrupted) else "failed"
            print_json(_result(verb, outcome, None, began, error), settings)
        raise
    if settings.as_json:
        print_json(_result(verb, "done", done, began, None), settings)
    else:
        click.echo(f"{text.good('✓')} {done.summary}")


async def _tell(settings: Settings, emit: Emit, story: Story, *, dump: bool, use: Use) -> Done:
    async with opened(settings, emit, use=use, deploying=True, changes=True) as project:
        schema = database(project)

        async def left() -> tuple[str, str]:
            unfinished = [r.ref for r in (await schema.view()).rows if r.finished_at is None]
            which = ", ".join(map(str, unfinished))
            state = f"{which} is applied in part" if which else "no half is applied in part"
            return state, "see `pilotage migrate status`; the same command goes on"

        done = await told(story(project, schema, emit), left)
        if dump and done.halves and project.config.migrations is not None:
            await schema_file.write(project.config.migrations.schema, schema, emit)
        return done


def database(project: Project) -> SqlSchema:
    """The schema that our own migrations change.

    Raises
    ------
    UsageError
        The configuration names none, or a framework migrates it.
    """
    schema = any_database(project)
    if isinstance(schema, SqlSchema):
        return schema
    raise not_ours(project.config)


def any_database(project: Project) -> DatabaseSchema:
    """The schema, whoever migrates it.

    Raises
    ------
    UsageError
        The configuration names none.
    """
    schema = project.world.schema
    if isinstance(schema, DatabaseSchema):
        return schema
    raise UsageError(
        "the configuration names no database, so there is nothing to migrate",
        where=str(project.config.path),
        next="name one under `databases:`, for example `databases: {primary: {url: DATABASE_URL}}`",
    )


def not_ours(config: Config, command: str | None = None) -> UsageError:
    """The refusal of a verb that works on SQL files of ours. ``command``: the verb, else the one that
    runs now."""
    verb = command or click.get_current_context().info_name or ""
    engine = config.migrations.engine if config.migrations else ""
    instead = _INSTEAD.get(engine, {}).get(verb)
    return UsageError(
        f"`migrate {verb}` is for SQL files that pilotage runs itself, and these migrations are "
        f"{engine if engine in _INSTEAD else 'of another tool'}'s",
        where=str(config.path),
        state="nothing was touched",
        next=f"`{instead}`"
        if instead
        else "use that tool's own command; a deploy runs what is pending",
    )


_INSTEAD: Mapping[str, Mapping[str, str]] = {
    "rails": {
        "new": "bin/rails generate migration NAME",
        "apply": "bin/rails db:migrate",
        "run": "bin/rails db:migrate:up VERSION=…",
        "down": "bin/rails db:migrate:down VERSION=…",
        "mark": "INSERT INTO schema_migrations (version) VALUES ('…')",
        "baseline": "bin/rails db:schema:dump",
    },
    "alembic": {
        "new": "alembic revision -m NAME",
        "apply": "alembic upgrade head",
        "run": "alembic upgrade REVISION",
        "down": "alembic downgrade REVISION",
        "mark": "alembic stamp REVISION",
        "sql": "alembic upgrade FROM:TO --sql",
    },
    "django": {
        "new": "python manage.py makemigrations",
        "apply": "python manage.py migrate",
        "run": "python manage.py migrate APP NAME",
        "down": "python manage.py migrate APP NAME-BEFORE",
        "mark": "python manage.py migrate APP NAME --fake",
        "sql": "python manage.py sqlmigrate APP NAME",
        "baseline": "python manage.py squashmigrations APP NAME",
    },
}
"""Engine → verb → what does it there."""


def half(given: str) -> HalfRef:
    """``VERSION`` (its expand half) or ``VERSION/contract``, as a person writes it.

    Raises
    ------
    UsageError
        It is neither.
    """
    try:
        return HalfRef.parse(given)
    except ValueError as error:
        raise UsageError(
            f"{given!r} is not VERSION, VERSION/expand or VERSION/contract",
            next="see the versions in `pilotage migrate status`",
        ) from error


def version(given: str) -> str:
    """A bare version.

    Raises
    ------
    UsageError
        It is not one.
    """
    if given.isascii() and given.isdecimal():
        return given
    raise UsageError(
        f"{given!r} is not the version of a migration",
        next="see the versions in `pilotage migrate status`",
    )


def note(emit: Emit, words: str) -> None:
    """Something worth a line."""
    emit(Note(text=words))


def _result(
    verb: str, outcome: str, done: Done | None, began: float, error: PilotageError | None
) -> dict[str, Any]:
    """The last line of ``--json``: one object."""
    return {
        "event": "Result",
        "verb": f"migrate {verb}",
        "outcome": outcome,
        "halves": [str(ref) for ref in done.halves] if done else [],
        "seconds": round(time.monotonic() - began, 3),
        "error": error.to_json() if error else None,
    }
