"""The story of a trace: a clone is made, brought to where the files begin, and measured."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Container
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pilotage.errors import DatabaseError, HalfFailed, PilotageError
from pilotage.migrate.dialects.postgresql import PostgreSQL
from pilotage.migrate.migration import Migration, Migrations
from pilotage.migrate.settings import RunnerSettings
from pilotage.migrate.sql import SqlError
from pilotage.migrate.sql.postgresql.roles import foreign_roles
from pilotage.model import HalfRef
from pilotage.secret import Secret
from pilotage.trace import clone
from pilotage.trace.postgresql import PostgresObserver
from pilotage.trace.report import Trace, TracedHalf
from pilotage.trace.source import Schema, Source, dumped, make_roles
from pilotage.trace.tracer import TOKEN, Rows, TracedSchema, Tracer

_PATIENCE = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What to trace on.

    ``server``: a database of the server on which clones are made; None: an embedded one. ``source``: the
    database to clone; ``dump``: or a dump of its schema. None: the clone has what the migrations before the
    first traced one make.
    ``rows``: of each table of the source. ``stream``: under whose name the source records halves.
    """

    server: Secret | None = None
    source: Secret | None = None
    dump: Path | None = None
    rows: int = 0
    stream: str = "trace"


@dataclass(slots=True)
class _Told:
    """What is found on the way."""

    server: str = ""
    schema: str = ""
    halves: list[TracedHalf] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


async def trace(
    migrations: Migrations, versions: Container[str], options: Options | None = None
) -> Trace:
    """Measure the pending halves of these versions, in file order; what lies between is run as well.

    A half that fails ends it: `Trace.error` says so, and what came before stays measured.

    Raises
    ------
    UsageError
        No server to run on.
    DatabaseError
        No clone can be made; nothing was measured.
    """
    options = options or Options()
    told = _Told()
    error: PilotageError | None = None
    async with _clone(options, told, _roles(migrations)) as (tracer, known):
        try:
            await _measure(tracer, migrations, versions, known, told)
        except PilotageError as failed:
            error = failed
    return Trace(told.server, told.schema, tuple(told.halves), tuple(told.notes), error)


async def _measure(
    tracer: Tracer,
    migrations: Migrations,
    versions: Container[str],
    known: Schema | None,
    told: _Told,
) -> None:
    applied: Container[HalfRef] = (known.applied if known else None) or frozenset()
    unrecorded = known is not None and known.applied is None
    before: list[Migration] = []
    for migration in migrations:
        if migration.version not in versions:
            # Without a record nobody knows which of them the source has: they are taken as applied.
            before += () if unrecorded else (migration,)
            continue
        if all(ref in applied for ref in migration.halves()):
            told.notes.append(f"{migration} is applied in the source already: not traced")
            continue
        await _bring(tracer, before, applied)
        before = []
        async for half in tracer.trace(migration, applied):
            told.halves.append(half)


async def _bring(tracer: Tracer, migrations: list[Migration], applied: Container[HalfRef]) -> None:
    try:
        await tracer.bring(migrations, applied)
    except PilotageError as error:
        error.what = f"an earlier migration fails on the clone: {error.what}"
        error.state = "nothing but a clone was touched"
        raise


def _roles(migrations: Migrations) -> tuple[str, ...]:
    """Those that the files name and do not make."""
    sections = (
        section for m in migrations for section in (m.expand, m.backfill, m.contract) if section
    )
    try:
        return foreign_roles(section.text for section in sections)
    except SqlError:
        return ()  # running the file says what is wrong with it


@asynccontextmanager
async def _clone(
    options: Options, told: _Told, roles: tuple[str, ...]
) -> AsyncIterator[tuple[Tracer, Schema | None]]:
    """A tracer on a new database that has its schema, and its rows."""
    async with AsyncExitStack() as stack:
        source = Source(options.source, options.stream) if options.source else None
        least = await source.major() if source else None
        server = await stack.enter_async_context(
            clone.given_server(options.server, at_least=least)
            if options.server
            else clone.own_server(at_least=least)
        )
        told.server = str(server)
        url = await stack.enter_async_context(clone.database(server))
        schema = await source.schema() if source else None
        if options.dump and not source:
            schema = await asyncio.to_thread(dumped, options.dump)
        if server.own:
            await make_roles(PostgreSQL(url), {*roles, *(schema.roles if schema else ())})
        settings = RunnerSettings(timeout=_PATIENCE)
        if schema:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="pilotage-trace-"))
            path = Path(folder) / "schema.sql"
            path.write_text(schema.text, encoding="utf-8")
            settings = RunnerSettings(timeout=_PATIENCE, schema_file=path)
            where = source.where if source else str(options.dump)
            _tell_of_source(told, where, schema, server.major, least)
        else:
            told.schema = "what the migrations before it make"
        runner = await stack.enter_async_context(
            TracedSchema(url=url, stream=options.stream, service=options.stream, settings=settings)
        )
        await _load(runner, source.where if source else str(options.dump))
        rows: dict[str, Rows] = {}
        if source and schema and options.rows:
            copied = await source.sample(PostgreSQL(url), rows=options.rows)
            told.schema += f", with {copied} rows of it"
            rows = await _rows(PostgreSQL(url), schema)
        observer = PostgresObserver(PostgreSQL(url))
        stack.push_async_callback(observer.close)
        yield Tracer(runner, observer, rows), schema


def _tell_of_source(told: _Told, where: str, schema: Schema, major: int, least: int | None) -> None:
    told.schema = f"the schema of {where}"
    if least is not None and major != least:
        told.notes.append(f"the source is PostgreSQL {least}: another version may take other locks")
    if schema.applied is None:
        told.notes.append(
            "the source has no record of applied migrations: the files before the traced ones are "
            "taken as applied"
        )


async def _load(runner: TracedSchema, where: str) -> None:
    """Make pilotage's tables, and load the schema of the source."""
    try:
        await runner.prepare()
        await runner.claim(token=TOKEN)
    except HalfFailed as error:
        raise DatabaseError(
            f"the schema of the source cannot be made on the server of the trace: {error.what}",
            where=where,
            state="nothing but a clone was touched",
            next="name a server that has what it needs (extensions, roles, a version as new): "
            "--trace-on postgresql://…",
        ) from error


async def _rows(database: PostgreSQL, schema: Schema) -> dict[str, Rows]:
    """The rows of each table here and in the source, by the name that an observer shows."""
    async with database.session() as session:
        found = await session.query(
            "SELECT n.nspname, c.relname, pg_table_is_visible(c.oid), c.reltuples::bigint"
            " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r'"
        )
    return {
        name if visible else f"{space}.{name}": Rows(here, schema.rows[space, name])
        for space, name, visible, here in found
        if (space, name) in schema.rows
    }
