"""What `pilotage hazards --trace` runs, on what, and what becomes of it in the findings."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pilotage.errors import PilotageError, UsageError
from pilotage.hazards.catalogue import Catalogue
from pilotage.hazards.finding import TRACED, Class, Finding, Severity
from pilotage.hazards.lint import FAILS
from pilotage.hazards.reading import read
from pilotage.hazards.sizes import SMALL_ROWS, harmless
from pilotage.linting.files import Asked, Given, urls
from pilotage.migrate.migration import Migration, Migrations
from pilotage.migrate.sql.change import Name
from pilotage.model import Half, version_key
from pilotage.secret import Secret
from pilotage.trace import Options, Stops, Trace, TracedStatement, trace
from pilotage.trace.words import WAITS, measured

if TYPE_CHECKING:
    from pilotage.config import Config


async def traced(
    what: Given, asked: Asked, config: Config | None, *, on: str | None, rows: int
) -> Trace:
    """Run the files that are judged on a clone: of the database or the schema that the command line names,
    else of what the files before them make.

    ``on``: the server to make it on, as `Asked.database` names one; None: an embedded one.

    Raises
    ------
    UsageError
        It is no PostgreSQL; two files have one version; no server is installed.
    DatabaseError
        The clone cannot be made.
    """
    if what.dialect != "postgresql":
        raise UsageError(
            f"--trace cannot measure {what.dialect}: it reads the locks of PostgreSQL, in its own words",
            next="leave --trace out: the rules judge the files as well",
        )
    migrations = _migrations(what)
    versions = {
        migration.version
        for migration in migrations
        if what.judged is None or migration.path in what.judged
    }
    source, stream = _source(asked.database, config)
    options = Options(
        server=_server(on, config),
        source=source,
        dump=asked.schema,
        rows=rows,
        stream=stream or "trace",
    )
    return await trace(migrations, versions, options)


def _migrations(what: Given) -> Migrations:
    """Those that can be read: what is wrong with the others is a finding already."""
    found: dict[str, Migration] = {}
    for source in what.sources:
        migration, _ = read(source, dialect=what.dialect)
        if migration is None:
            continue
        other = found.get(migration.version)
        if other is not None:
            raise UsageError(
                f"two files have the version {migration.version}, so nothing says which runs first: "
                f"{other.path} and {migration.path}",
                next="trace the files of one folder of migrations at a time",
            )
        found[migration.version] = migration
    # Files without a number in front run in the order of their names, before the others.
    return Migrations(dict(sorted(found.items(), key=lambda item: version_key(item[0]))))


def _source(name: str | None, config: Config | None) -> tuple[Secret | None, str]:
    if name is None:
        return None, config.migrations.stream if config and config.migrations else ""
    url, migration_url, stream = urls(name, config)
    return migration_url or url, stream


def _server(name: str | None, config: Config | None) -> Secret | None:
    if name is None:
        return None
    url, migration_url, _ = urls(name, config)
    return migration_url or url


def with_measures(
    findings: Sequence[Finding],
    found: Trace,
    *,
    known: Catalogue | None = None,
    allowed: Container[tuple[Path, Half]] = frozenset(),
) -> tuple[Finding, ...]:
    """The findings with what was measured at their places; one more where a half failed, and for each
    statement in which others wait while rows are worked through and that no rule warned of.

    ``known``: how large the tables are; ``allowed``: halves in which a person has allowed such.
    """
    return (
        *(
            replace(finding, measured=measured(statement))
            if (statement := found.at(finding.file, finding.line))
            else finding
            for finding in findings
        ),
        *_unforeseen(findings, found, known or Catalogue(), allowed),
        *_failure(found.error),
    )


def _unforeseen(
    findings: Sequence[Finding],
    found: Trace,
    known: Catalogue,
    allowed: Container[tuple[Path, Half]],
) -> Iterator[Finding]:
    warned = [found.at(f.file, f.line) for f in findings if f.class_ in _SEEN]
    for traced_half in found.halves:
        if traced_half.section not in tuple(Half):
            continue
        half = Half(traced_half.section)
        for statement in traced_half.statements:
            tables = [name for name in _worked_through(statement) if not _is_small(name, known)]
            if not tables or statement in warned or (statement.file, half) in allowed:
                continue
            yield Finding(
                rule=TRACED,
                class_=Class.AVAILABILITY,
                severity=Severity.WARNING,
                file=statement.file,
                line=statement.line,
                column=1,
                message=f"{WAITS[statement.stops]} while {' and '.join(tables)} is worked through: no rule "
                "reads that in the statement, but a trace saw it",
                rewrite="",
                half=half,
                measured=measured(statement),
            )


_SEEN = (Class.AVAILABILITY, Class.DATA_LOSS)


def _worked_through(statement: TracedStatement) -> tuple[str, ...]:
    """The tables that are written anew, or read and not small, while writers or all wait."""
    if statement.stops < Stops.WRITERS:
        return ()
    anew = [r.table for r in statement.rewrites if r.kind != "index"]
    read = [s.relation.table for s in statement.scans or () if s.rows > SMALL_ROWS]
    return tuple(dict.fromkeys((*anew, *read)))


def _is_small(name: str, known: Catalogue) -> bool:
    schema, _, table = name.rpartition(".")
    found = known.table(Name(schema or None, table))
    size = found.size if found else None
    return size is not None and harmless(size, Class.AVAILABILITY, Severity.WARNING)


def _failure(error: PilotageError | None) -> Iterable[Finding]:
    if error is None:
        return
    path, _, line = error.where.rpartition(":")
    yield Finding(
        rule=FAILS,
        class_=Class.RUNTIME_FAILURE,
        severity=Severity.ERROR,
        file=Path(path or error.where),
        line=int(line) if line.isdecimal() else 1,
        column=1,
        message=error.what,
        rewrite="",
        half=Half.CONTRACT if "/contract" in error.what else Half.EXPAND,
    )
