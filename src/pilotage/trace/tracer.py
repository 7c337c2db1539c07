"""Runs the halves of migrations on a clone as a deploy would run them, and measures each statement.

The runner of `pilotage.migrate.runner` does the running, with all that it adds: transactions, statements that
run in none, batches of a backfill, ``online`` steps. Around each of the author's statements stands an observer
(`pilotage.trace.observer`).
"""

from __future__ import annotations

import time
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Container,
    Iterable,
    Iterator,
    Mapping,
)
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from pilotage.errors import PilotageError
from pilotage.events import Emit, Event, ignore
from pilotage.migrate.migration import Migration
from pilotage.migrate.runner import SqlSchema
from pilotage.migrate.sql import Statement
from pilotage.migrate.work import Work
from pilotage.model import Half, HalfRef
from pilotage.trace.observer import Held, Measured, Observer
from pilotage.trace.report import Estimate, Lock, Relation, Scan, TracedHalf, TracedStatement, Until

TOKEN = 1
"""The lease token on a clone, which nobody else deploys to."""

_ENOUGH = 1000
"""Fewer rows than this say nothing of more: what does not grow with them outweighs what does."""

_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of a table: in the clone, and in the database that it was cloned from."""

    here: int
    there: int


@dataclass(slots=True)
class _Run:
    """A statement that was run, and its locks that are not given back yet."""

    statement: Statement
    measured: Measured
    clock: float  # seconds of statements before it, in this section
    held: dict[Held, float] = field(default_factory=dict)
    open: bool = True


class TracedSchema(SqlSchema):
    """A clone's schema, whose runner can be watched."""

    watch: Callable[[Work], Work] | None = None

    @asynccontextmanager
    async def _working(self, token: int, emit: Emit) -> AsyncIterator[Work]:
        async with super()._working(token, emit) as work:
            yield work if self.watch is None else self.watch(work)


class Tracer:
    """Measures halves on one clone. ``rows``: by the name under which an observer shows a table."""

    def __init__(
        self, schema: TracedSchema, observer: Observer, rows: Mapping[str, Rows] | None = None
    ) -> None:
        self._schema = schema
        self._observer = observer
        self._rows = rows or {}

    async def bring(self, migrations: Iterable[Migration], applied: Container[HalfRef]) -> None:
        """Apply everything of these files that is not, unmeasured, in file order."""
        batch: list[Migration] = []
        for migration in migrations:
            pending = [ref for ref in migration.halves() if ref not in applied]
            if migration.contract is None and migration.backfill is None and pending:
                batch.append(migration)
                continue
            await self._bring_together(batch)
            batch = []
            for ref in pending:
                await self._schema.apply(
                    migration, ref.half, release=None, token=TOKEN, emit=ignore, fresh=True
                )
                if ref.half is Half.EXPAND:
                    await self._schema.backfill(migration, final=False, token=TOKEN, emit=ignore)
        await self._bring_together(batch)

    async def _bring_together(self, migrations: list[Migration]) -> None:
        while migrations:
            done = await self._schema.apply_some(
                migrations, release=None, token=TOKEN, emit=ignore, fresh=True, seconds=_SECONDS
            )
            migrations = migrations[done:]

    async def trace(
        self, migration: Migration, applied: Container[HalfRef]
    ) -> AsyncIterator[TracedHalf]:
        """Run what is pending of a migration, and yield each section once it is measured.

        Raises
        ------
        PilotageError
            A half failed, as it would in a deploy: with ``file:line``.
        """
        for ref in migration.halves():
            if ref in applied:
                continue
            section = migration.section(ref.half)
            assert section is not None
            async with self._measuring(migration, section.line) as recorded:
                await self._schema.apply(
                    migration, ref.half, release=None, token=TOKEN, emit=recorded.emit
                )
            yield recorded.half(
                ref.version, str(ref.half), transaction=section.directives.transaction
            )
            if ref.half is Half.EXPAND and migration.backfill is not None:
                async with self._measuring(migration, migration.backfill.line) as recorded:
                    await self._schema.backfill(
                        migration, final=False, token=TOKEN, emit=recorded.emit
                    )
                yield recorded.half(ref.version, "backfill", transaction=False)

    @asynccontextmanager
    async def _measuring(self, migration: Migration, line: int) -> AsyncIterator[_Recorder]:
        await self._observer.begin()
        recorder = _Recorder(migration, line, self._observer, self._rows)
        self._schema.watch = recorder.watch
        try:
            yield recorder
        except PilotageError as error:
            error.state = f"nothing but a clone was touched; there, {error.state}"
            raise
        finally:
            self._schema.watch = None
        recorder.ended()


class _Recorder:
    """What was measured in one section so far.

    The seconds for which a lock is held are those of the statements from the one that took it on, and of the
    commit; not those in which the observer looked.
    """

    def __init__(
        self, migration: Migration, line: int, observer: Observer, rows: Mapping[str, Rows]
    ) -> None:
        self._migration = migration
        self._line = line
        self._observer = observer
        self._rows = rows
        self._runs: list[_Run] = []
        self._clock = 0.0
        self._looked = time.monotonic()
        self._in_transaction: Callable[[], bool] = lambda: False

    def watch(self, work: Work) -> Work:
        """The same work, measured."""
        self._in_transaction = lambda: work.session.in_transaction

        async def around(statement: Statement, run: Callable[[], Awaitable[int]]) -> int:
            self.ended()
            measured = await self._observer.measure(work.session, statement.text, run)
            self._runs.append(_Run(statement, measured, self._clock))
            self._clock += measured.seconds
            self._looked = time.monotonic()
            return measured.rows

        return replace(work, around=around)

    def emit(self, event: Event) -> None:
        """The runner tells of something: perhaps a transaction is over."""
        self.ended()

    def ended(self) -> None:
        """Close the locks of a transaction that is over."""
        if self._in_transaction():
            return
        for run in self._runs:
            if run.open:
                commit = time.monotonic() - self._looked
                held = self._clock + commit - run.clock
                run.held = {
                    lock: held if seen is None else seen
                    for lock, seen in run.measured.locks.items()
                }
                run.open = False

    def half(self, version: str, section: str, *, transaction: bool) -> TracedHalf:
        """The section as it was measured."""
        by_statement: dict[tuple[int, str], list[_Run]] = {}
        for run in self._runs:
            key = (run.statement.start, run.statement.text)
            by_statement.setdefault(key, []).append(run)
        batched = section == "backfill"
        statements = [self._statement(runs, batched=batched) for runs in by_statement.values()]
        return TracedHalf(
            version=version,
            section=section,
            transaction=transaction,
            seconds=self._clock,
            statements=tuple(_under(statements) if transaction else statements),
        )

    def _statement(self, runs: list[_Run], *, batched: bool) -> TracedStatement:
        first = runs[0]
        measured = [run.measured for run in runs]
        seconds = sum(one.seconds for one in measured)
        known = all(one.scans is not None for one in measured)
        traced = TracedStatement(
            file=self._migration.path,
            line=self._line + first.statement.line - 1,
            text=first.statement.text,
            seconds=seconds,
            wal=sum(one.wal for one in measured),
            rows=sum(one.rows for one in measured),
            batches=len(runs) if batched else None,
            slowest=max(one.seconds for one in measured),
            locks=_locks(runs),
            rewrites=tuple(dict.fromkeys(r for one in measured for r in one.rewrites)),
            scans=_scans(measured) if known else None,
        )
        return replace(traced, estimate=self._estimate(traced))

    def _estimate(self, traced: TracedStatement) -> Estimate | None:
        """By the table whose rows the statement went through that grows the most."""
        names = {scan.relation.table for scan in traced.scans or ()}
        names |= {relation.table for relation in traced.rewrites}
        best: Estimate | None = None
        for name in sorted(names):
            rows = self._rows.get(name)
            if rows is None or rows.here < _ENOUGH or rows.there <= rows.here:
                continue
            seconds = traced.seconds * rows.there / rows.here
            if best is None or seconds > best.seconds:
                best = Estimate(seconds, rows.there, name)
        return best


def _under(statements: Iterable[TracedStatement]) -> Iterator[TracedStatement]:
    """The statements of one transaction, each with what those before it hold."""
    held: tuple[Lock, ...] = ()
    for statement in statements:
        yield replace(statement, under=held)
        held = (*held, *statement.locks)


def _scans(measured: Iterable[Measured]) -> tuple[Scan, ...]:
    found: dict[Relation, Scan] = {}
    for scan in (scan for one in measured for scan in one.scans or ()):
        before = found.get(scan.relation, Scan(scan.relation, 0, 0))
        found[scan.relation] = Scan(
            scan.relation, before.times + scan.times, before.rows + scan.rows
        )
    return tuple(found.values())


def _locks(runs: list[_Run]) -> tuple[Lock, ...]:
    longest: dict[Held, Lock] = {}
    for run in runs:
        for held, seconds in run.held.items():
            until = Until.TRANSACTION if run.measured.locks[held] is None else Until.STATEMENT
            lock = Lock(held.relation, held.mode, held.stops, until, seconds)
            if held not in longest or seconds > longest[held].seconds:
                longest[held] = lock
    return tuple(longest.values())
