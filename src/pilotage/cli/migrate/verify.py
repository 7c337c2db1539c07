"""``pilotage migrate verify``."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import click

from pilotage.cli.options import Settings, common, json_option

if TYPE_CHECKING:
    from pilotage.errors import PilotageError
    from pilotage.migrate.database import DatabaseSchema
    from pilotage.migrate.runner import SqlSchema
    from pilotage.model import SchemaView
    from pilotage.wiring import Project


class Check(NamedTuple):
    """One thing that was looked at; ``error`` is what was wrong with it."""

    name: str
    error: PilotageError | None = None
    note: str = ""


@click.command("verify")
@json_option
@common
def command(settings: Settings) -> int:
    """Check files, data and schema, and change nothing.

    Whether applied files are as they were; whether the `-- verify` queries of contract halves that
    are still to come return no row; and, where the configuration has a schema file, whether the
    database is as it says. Exit status 1 when anything is not as it should be.
    """
    from pilotage.cli import text
    from pilotage.cli.migrate.acting import any_database
    from pilotage.cli.project import opened
    from pilotage.cli.render.lines import print_json, warnings
    from pilotage.cli.running import run
    from pilotage.secret import mask
    from pilotage.wiring import Use

    async def look() -> list[Check]:
        async with opened(settings, warnings(settings), use=Use.LOOK) as project:
            return await _checks(project, any_database(project))

    checks = run(look())
    failures = [check for check in checks if check.error is not None]
    if settings.as_json:
        found = [
            {"check": c.name, "ok": c.error is None, "note": c.note or None,
             "error": c.error.to_json() if c.error else None}
            for c in checks
        ]  # fmt: skip
        print_json({"ok": not failures, "checks": found}, settings, pretty=True)
        return 1 if failures else 0
    for check in checks:
        if check.error is None:
            note = f" ({check.note})" if check.note else ""
            click.echo(mask(f"{text.good('✓')} {check.name}{note}", settings.secrets))
        else:
            click.echo(mask("\n".join(text.block("✗", check.error)), settings.secrets))
    return 1 if failures else 0


async def _checks(project: Project, schema: DatabaseSchema) -> list[Check]:
    from pilotage.errors import PilotageError
    from pilotage.migrate.report import report
    from pilotage.migrate.runner import SqlSchema
    from pilotage.wiring.goals import check, worktree_files

    migrations = await worktree_files(project)
    view = await schema.view()
    name = f"{len(migrations)} files read, and as they were applied"
    try:
        check(project, migrations, view)
        files = Check(name)
    except PilotageError as error:
        files = Check(name, error)
    found = [files]
    for one in report(view, migrations):
        if one.path is None and one.trouble:
            where = f"{one.version}_{one.name}"
            found.append(Check(where, PilotageError(f"{one.trouble}", where=where)))
    if not isinstance(schema, SqlSchema):
        return found
    for migration in migrations:
        if migration.verify is None or migration.version in view.applied.contracted:
            continue
        name = f"{migration}: its data is ready for contract"
        if migration.expand and migration.version not in view.applied.expanded:
            found.append(Check(f"{migration}: not expanded yet, so not verified"))
            continue
        try:
            await schema.verify(migration)
            found.append(Check(name))
        except PilotageError as error:
            found.append(Check(name, error))
    return [*found, await _drift(project, schema, view)]


async def _drift(project: Project, schema: SqlSchema, view: SchemaView) -> Check:
    from pilotage.errors import PilotageError
    from pilotage.wiring import schema_file

    migrations = project.config.migrations
    compared = await schema_file.compare(migrations.schema if migrations else None, schema, view)
    if compared.skipped:
        return Check("the schema was not compared", note=compared.skipped)
    if not compared.diff:
        return Check(f"no drift from {compared.against}")
    return Check(
        "drift",
        PilotageError(
            f"the schema has drifted from {compared.against}:\n{compared.diff.rstrip()}",
            where=schema.where,
            next="put the change into a migration, or take it back; `pilotage migrate mark` "
            "records a migration that was run by hand",
        ),
    )
