"""``pilotage hazards``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from pilotage.cli.options import Settings, common, json_option
from pilotage.errors import UsageError

if TYPE_CHECKING:
    from pilotage.config import Config
    from pilotage.hazards.lint import Report
    from pilotage.linting.files import Asked, Given
    from pilotage.trace import Trace

FORMATS = ("text", "json", "sarif", "github")


@click.command("hazards")
@click.argument("files", nargs=-1, metavar="[FILES]…")
@click.option(
    "--dialect",
    metavar="NAME",
    help="postgresql, mysql or sqlite; by default that of the project's database.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default="text",
    show_default=True,
    help="For people, for programs, for code scanning, or as notes on a pull request.",
)
@click.option(
    "--fail-on",
    metavar="CLASS,…",
    default="all",
    show_default=True,
    help="Which findings make the exit status: classes, `error`, `all` or `none`.",
)
@click.option("--only", metavar="RULE,…", default="", help="Only these rules or classes.")
@click.option("--ignore", metavar="RULE,…", default="", help="Not these rules or classes.")
@click.option(
    "--database",
    metavar="NAME",
    help="Ask a database (of `databases:`, or a variable with a URL) for types, sizes and what is applied.",
)
@click.option(
    "--schema",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="Take types and constraints from a schema dump.",
)
@click.option("--fix", is_flag=True, help="Write the rewrites that leave nothing to decide.")
@click.option("--diff", is_flag=True, help="Show what --fix would change, and write nothing.")
@click.option(
    "--allow-dirty", is_flag=True, help="Fix also files with changes that git could not bring back."
)
@click.option(
    "--trace",
    "tracing",
    is_flag=True,
    help="Run the halves on a clone, and measure their locks, rewrites and scans.",
)
@click.option(
    "--trace-on",
    metavar="NAME",
    help="Make the clone on this server, named like --database; by default on an embedded one.",
)
@click.option(
    "--sample",
    metavar="ROWS",
    type=click.IntRange(min=0),
    default=0,
    help="Copy about so many rows of each table of --database into the clone.",
)
@json_option
@common
def command(
    settings: Settings,
    *,
    files: tuple[str, ...],
    dialect: str | None,
    form: str,
    database: str | None,
    schema: str | None,
    fix: bool,
    diff: bool,
    allow_dirty: bool,
    tracing: bool,
    trace_on: str | None,
    sample: int,
    **which: str,
) -> None:
    """Find what in migrations would stop traffic, break running code, or lose data.

    FILES are SQL files or folders, - for standard input; without any, the project's migrations. A
    finding has its place, the reason, and the SQL to write instead; `-- pilotage: allow=RULE because …`
    in the file lets it pass.

    With --database or --schema the verdict knows the tables: one that is small, new or empty
    stops nobody. Halves that are applied are not judged.

    With --trace they also run, on a clone of the --database, of the --schema, or of what the files
    before them make: which locks each statement really takes, and for how long. The database is only
    read.

    Exit status: 0 nothing found; else the sum over the classes that were found of 4 availability,
    8 old-code, 16 new-code, 32 data-loss, 64 runtime-failure (a file that cannot be read, or a half that
    fails on the clone, too).
    """
    from dataclasses import replace
    from pathlib import Path

    from pilotage.cli.pages import hazards as pages
    from pilotage.hazards.choice import chosen, status
    from pilotage.hazards.lint import Lint, lint
    from pilotage.linting.files import Asked, given

    form = "json" if settings.as_json else form
    wanted = chosen(only=which["only"], ignore=which["ignore"])
    failing = which["fail_on"]
    status((), failing)  # a wrong value is told before anything is read
    asked = Asked(files, dialect, database, Path(schema) if schema else None)
    config = _config(settings, needed=not (files and dialect) or bool(database) or fix)
    what = given(asked, config)
    how = Lint(
        what.dialect,
        known=what.known,
        applied=what.applied,
        judged=what.judged,
        folder=what.folder,
        wanted=wanted,
        fixing=fix or diff,
        proposing=form == "sarif",
    )
    report = lint(what.sources, how)
    notes = list(what.notes)
    found = None
    if tracing or trace_on is not None:
        from pilotage.wiring.tracing import with_measures

        found = _trace(what, asked, config, on=trace_on, rows=sample)
        report = replace(
            report,
            findings=tuple(
                finding
                for finding in with_measures(
                    report.findings, found, known=what.known, allowed=report.allowed
                )
                if wanted(finding)
            ),
        )
    elif sample:
        raise UsageError("--sample is for --trace, which makes a clone to copy rows into")
    if fix and not diff:
        notes += _write(report, config, allow_dirty=allow_dirty)
    if diff:
        click.echo(pages.diff(report), nl=False)
    elif form == "text":
        if found is not None:
            from pilotage.cli.pages.trace import page

            click.echo("\n".join(page(found)))
        pages.show(report, quiet=settings.quiet, notes=notes)
    else:
        click.echo(_machine(form, report, found))
        _tell(notes)
    ended = status(report.findings, failing)
    if ended:
        raise click.exceptions.Exit(ended)


def _config(settings: Settings, *, needed: bool) -> Config | None:
    """The project's configuration, where something is left open that it says; None without a project."""
    if not needed:
        return None
    from pathlib import Path

    from pilotage.config.load import NAMES

    if settings.config_file is None and not any(Path(name).is_file() for name in NAMES):
        return None
    from pilotage.cli.project import configuration

    return configuration(settings)


def _write(report: Report, config: Config | None, *, allow_dirty: bool) -> list[str]:
    from pilotage.linting.fixing import write

    return write(report.fixes, config, allow_dirty=allow_dirty)


def _trace(what: Given, asked: Asked, config: Config | None, *, on: str | None, rows: int) -> Trace:
    import sys

    from pilotage.cli.running import run
    from pilotage.wiring.tracing import traced

    if rows and asked.database is None:
        raise UsageError(
            "--sample copies rows of a database, and none is named",
            next="name it: --database NAME",
        )
    if sys.stderr.isatty():
        click.echo("tracing …", err=True)
    return run(traced(what, asked, config, on=on, rows=rows))


def _machine(form: str, report: Report, found: Trace | None = None) -> str:
    import json

    if form == "json":
        findings = [finding.to_json() for finding in report.findings]
        if found is None:
            # A line each: quick to write for thousands, and to read for grep.
            lines = (json.dumps(finding, ensure_ascii=False) for finding in findings)
            return "[" + ",".join(f"\n  {line}" for line in lines) + "\n]"
        for finding, told in zip(report.findings, findings, strict=True):
            statement = found.at(finding.file, finding.line)
            told["trace"] = statement.to_json() if statement else None
        whole = {"findings": findings, "trace": found.to_json()}
        return json.dumps(whole, indent=2, ensure_ascii=False)
    from pathlib import Path

    from pilotage.hazards.formats import sarif, workflow_commands

    if form == "github":
        return "\n".join(workflow_commands(report.findings, root=Path.cwd()))
    from importlib.metadata import version

    log: dict[str, Any] = sarif(
        report.findings,
        version=version("pilotage"),
        root=Path.cwd(),
        proposals=report.proposals,
    )
    return json.dumps(log, indent=2, ensure_ascii=False)


def _tell(notes: list[str]) -> None:
    for note in notes:
        click.echo(f"note: {note}", err=True)
