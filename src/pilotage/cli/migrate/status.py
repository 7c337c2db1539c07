"""``pilotage migrate status``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from pilotage.cli.options import Settings, common, json_option

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pilotage.migrate.report import HalfReport, MigrationReport
    from pilotage.migrate.throttles import BackfillReport
    from pilotage.model import SchemaView


@click.command("status")
@json_option
@common
def command(settings: Settings) -> None:
    """Show where every migration stands, half by half.

    The files are those of the worktree. Names what needs a look: files that were edited after they
    were applied, files that are gone or look renamed, halves that are applied in part, and, where
    the configuration has a schema file, what the database has drifted from.
    """
    from pilotage.cli.migrate.acting import any_database
    from pilotage.cli.project import opened
    from pilotage.cli.render.lines import print_json, warnings
    from pilotage.cli.running import run
    from pilotage.detached import half_of
    from pilotage.migrate.report import counts, relative, report
    from pilotage.migrate.runner import SqlSchema
    from pilotage.wiring import Use
    from pilotage.wiring.goals import worktree_files

    async def look() -> tuple[SchemaView, tuple[MigrationReport, ...], dict[str, Any]]:
        from pilotage.wiring import schema_file

        async with opened(settings, warnings(settings), use=Use.LOOK) as project:
            schema = any_database(project)
            migrations = await worktree_files(project)
            view = await schema.view()
            reports = relative(report(view, migrations), str(project.config.root))
            configured = project.config.migrations
            assert configured is not None
            compared = schema_file.Compared(skipped="a framework's own command migrates it")
            backfills: tuple[BackfillReport, ...] = ()
            if isinstance(schema, SqlSchema):
                backfills = await schema.backfills() if view.exists else ()
                compared = await schema_file.compare(configured.schema, schema, view)
            instances = sorted(
                (await project.world.target.observe()).instances,
                key=lambda i: (len(i.id), i.id),  # by their numbers
            )
            about = {
                "runs": [
                    {
                        "half": str(half_of(i)),
                        "instance": i.id,
                        "host": i.host,
                        "release": i.release,
                        "by": i.by,
                        "life": str(i.life),
                        "started_at": i.started_at,
                        "detail": i.detail,
                    }
                    for i in instances
                    if half_of(i) is not None
                ],
                "stream": configured.stream,
                "engine": configured.engine,
                "database": schema.where,
                "dialect": schema.dialect,
                "drift": compared.diff if not compared.skipped else None,
                "backfills": backfills,
            }
            return view, reports, about

    view, reports, about = run(look())
    if settings.as_json:
        print_json(
            {
                **about,
                "backfills": [one.to_json() for one in about["backfills"]],
                "exists": view.exists,
                "fresh": view.fresh,
                "counts": counts(reports),
                "migrations": [one.to_json() for one in reports],
                "intents": [
                    {"half": str(i.ref), "revert": i.revert, "token": i.token} for i in view.intents
                ],
            },
            settings,
            pretty=True,
        )
        return
    for line in _page(view, reports, about):
        click.echo(line)


def _page(
    view: SchemaView, reports: tuple[MigrationReport, ...], about: dict[str, Any]
) -> Iterator[str]:
    from pilotage.cli import text
    from pilotage.migrate.report import counts

    numbers = ", ".join(f"{text.count(n)} {what}" for what, n in counts(reports).items())
    yield f"{text.heading(about['stream'])} in {about['database']}"
    yield f"{text.plural(len(reports), 'migration')}: {numbers}" if reports else "no migrations"
    if not view.exists:
        yield "the database, or pilotage's tables in it, are not there yet"
    elif not view.known:
        yield f"{about['engine']} migrates it, and nothing says what it has applied (`status: …`)"
    elif view.fresh:
        yield "a database of its own: no instance has used it, so expand and contract run together"
    yield ""
    rows = [
        (str(half.ref), one.name, _mark(half), _when(half))
        for one in reports
        for half in one.halves
    ]
    yield from text.columns(rows)
    for backfill in about["backfills"]:
        yield ""
        yield from text.wrapped(_backfill(backfill), indent=4, first=f"  {text.warn('»')} ")
    troubles = [(one.version, one.trouble) for one in reports if one.trouble]
    if troubles:
        yield ""
        for version, trouble in troubles:
            yield from text.wrapped(f"{version} {trouble}", indent=4, first=f"  {text.bad('!')} ")
    if about["drift"]:
        yield f"  {text.bad('!')} the schema has drifted: `pilotage migrate verify` shows how"
    yield from _runs(view, about["runs"])
    for intent in view.intents:
        what = "take back" if intent.revert else "apply"
        yield f"  {text.warn('!')} somebody is about to {what} {intent.ref}"


def _runs(view: SchemaView, runs: list[dict[str, Any]]) -> Iterator[str]:
    """The last detached run of each half that is not applied by now."""
    from pilotage.cli import text
    from pilotage.model import HalfRef

    last = {run["half"]: run for run in runs}
    for half, run in last.items():
        if view.applied.has(HalfRef.parse(half)):
            continue
        name = half.removesuffix("/expand")
        if run["life"] == "dead":
            yield (
                f"  {text.bad('!')} the detached run of {half} {run['detail']}: "
                f"`pilotage migrate follow {name}` shows what it said"
            )
        else:
            since = f" since {text.clock(run['started_at'])}" if run["started_at"] else ""
            by = f" for {run['by']}" if run["by"] else ""
            yield (
                f"  {text.good('▸')} {half} of {run['release']} runs{by} in {run['instance']}{since}: "
                f"`pilotage migrate follow {name}`"
            )


def _backfill(report: BackfillReport) -> str:
    """How far a backfill is, and why it is not further."""
    from pilotage.cli import text

    said = report.throttle
    if report.number:
        which = "before contract, " if report.final else ""
        share = f"{report.fraction:.0%}, " if report.fraction is not None else ""
        words = [f"backfill {report.version}: {which}pass {report.number}, {share}"
                 f"{text.plural(report.rows, 'row')} changed"]  # fmt: skip
        if report.eta is not None:
            words.append(f"{text.seconds(report.eta)} of work left")
        if report.updated_at is not None:
            words.append(f"last batch {text.clock(report.updated_at)}")
    else:
        words = [f"backfill {report.version}: not begun"]
    if said.paused_by:
        reason = f" ({said.reason})" if said.reason else ""
        since = f" since {text.clock(said.paused_at)}" if said.paused_at else ""
        words.append(f"paused by {said.paused_by}{since}{reason}")
    if said.waits_for:
        words.append(f"waits: {said.waits_for}")
    if said.duty is not None:
        words.append(f"works {said.duty:.0%} of the time at most")
    if said.rate is not None:
        words.append(f"{said.rate:g} rows a second at most")
    return "; ".join(words)


def _mark(half: HalfReport) -> str:
    from pilotage.cli import text
    from pilotage.migrate.report import Standing

    match half.standing:
        case Standing.APPLIED | Standing.REPLACED:
            how = half.row.how if half.row else "applied"
            word = str(half.standing) if half.standing is Standing.REPLACED else how
            return text.good(word)
        case Standing.STARTED:
            done = half.row.statements_done if half.row else 0
            return text.bad(f"started, {text.plural(done, 'statement')} done")
        case Standing.REVERTING:
            done = half.row.statements_done if half.row else 0
            return text.bad(f"being taken back, {text.plural(done, 'statement')} done")
        case Standing.BACKFILLING | Standing.HELD | Standing.OUT_OF_BAND:
            return text.warn(str(half.standing))
        case _:
            return str(half.standing)


def _when(half: HalfReport) -> str:
    from pilotage.cli import text

    if half.row is None or half.row.finished_at is None:
        return ""
    by = f" by {half.row.release}" if half.row.release else ""
    return text.dim(f"{text.clock(half.row.finished_at)}{by}")
