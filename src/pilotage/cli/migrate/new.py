"""``pilotage migrate new``."""

from __future__ import annotations

import click

from pilotage.cli.options import Settings, common


@click.command("new")
@click.argument("name", nargs=-1, required=True)
@common
def command(settings: Settings, *, name: tuple[str, ...]) -> None:
    """Write a new migration file, with a comment on each section that it may have.

    Its version is the time, in UTC, and later than that of every other file. Prints the path.
    """
    import os
    import time

    from pilotage.cli.project import configuration
    from pilotage.errors import UsageError
    from pilotage.migrate import scaffold

    config = configuration(settings)
    if config.migrations is None:
        raise UsageError(
            "the configuration names no migrations and no database",
            where=str(config.path),
            next="name a database under `databases:`",
        )
    if config.migrations.framework is not None:
        from pilotage.cli.migrate.acting import not_ours

        raise not_ours(config)
    title = " ".join(name)
    try:
        slug = scaffold.slug(title)
    except ValueError as error:
        raise UsageError(str(error), next="pilotage migrate new add_email_to_users") from error
    folder = config.migrations.path
    folder.mkdir(parents=True, exist_ok=True)
    taken = [p.name.partition("_")[0] for p in folder.glob("*.sql")]
    version = scaffold.next_version(time.time(), [v for v in taken if v.isdecimal()])
    path = folder / f"{version}_{slug}.sql"
    path.write_text(scaffold.text(title, version), encoding="utf-8")
    click.echo(os.path.relpath(path))
