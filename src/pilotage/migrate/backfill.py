"""Backfills: the ``-- backfill`` section, run in batches until a whole pass changes no row.

Each statement is run over its table in windows of a key, each window in a transaction of its own that
also stores the cursor; so a run that is killed resumes where it was, and does no row twice. A pass ends
at the key that was the last when it began: rows that others insert beyond it, or write behind the
cursor, are the next pass's.

A pass that was resumed never counts as the one that changed nothing: what was written behind its
cursor while nobody ran it would be missed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

from pilotage.errors import DatabaseError, HalfFailed, LockUnavailable, NotConverging
from pilotage.events import HalfRetried, Note
from pilotage.migrate import sql
from pilotage.migrate.attempts import Attempts, watched
from pilotage.migrate.backfill_progress import Progress
from pilotage.migrate.batches import Batches, Done, Step
from pilotage.migrate.dialects.base import StatementError, Trouble
from pilotage.migrate.ends import PASSES, stands_still
from pilotage.migrate.migration import Migration, Section
from pilotage.migrate.pacing import BatchSize
from pilotage.migrate.pauses import Pauses
from pilotage.migrate.pressure import Pressure
from pilotage.migrate.settings import BackfillSettings
from pilotage.migrate.state import Cursor
from pilotage.migrate.throttles import Throttles
from pilotage.migrate.work import Work, failed, statements_of, where
from pilotage.model import Half, HalfRef

_REPEAT_FACTOR = 10
_REPEAT_ROWS = 100_000
_BATCH_LIMIT = (20.0, 2.0)
"""A batch is cut off, and split, after so many times its target, and at least so many seconds."""


class Backfill:
    """One run of a migration's backfill."""

    def __init__(self, work: Work, migration: Migration, *, final: bool) -> None:
        assert migration.backfill is not None
        self._work = work
        self._migration = migration
        self._section: Section = migration.backfill
        self._final = final
        self._ref = HalfRef(migration.version, Half.EXPAND)
        self._steps: list[Step] = []
        self._cursor = Cursor(self._section.checksum, final, 1, 0, None, 0, 0)
        self._settings = _settings(work.settings.backfill, self._section)
        self._lock = self._section.directives.lock_timeout or work.settings.lock_timeout
        self._total = self._section.directives.timeout or work.settings.timeout
        self._progress = Progress(migration.version, work.emit)
        self._pressure = Pressure(work, migration.version, self._settings)
        self._batches = Batches(work, migration.version, endless=self._endless)
        self._pauses = Pauses(
            work,
            version=migration.version,
            settings=self._settings,
            pressure=self._pressure,
            state=self._state,
            progress=self._progress,
        )

    async def run(self) -> None:
        """Run it to its end, or raise with the cursor kept."""
        if not await self._begin():
            return
        await self._prepare_steps()
        self._pressure.tables = tuple(
            dict.fromkeys(step.batch.table for step in self._steps if step.walk is not None)
        )
        async with self._pressure.watching():
            await self._pauses.wait_until_clear()
            await self._passes()

    async def _passes(self) -> None:
        history: list[int] = []
        whole = self._cursor.statement == 0 and self._cursor.position is None
        while True:
            suspect = stands_still(history, final=self._final)
            await self._pass(suspect=suspect)
            changed = self._cursor.pass_rows
            if whole and not changed:
                return await self._finish()
            if whole:
                history = [*history, changed][-PASSES:]
            if suspect:
                self._stagnates(history)
                return await self._finish()
            whole = True
            self._cursor = replace(
                self._cursor,
                number=self._cursor.number + 1,
                statement=0,
                position=None,
                end=None,
                pass_rows=0,
                scanned=0,
                estimate=None,
                eta=None,
            )

    async def _begin(self) -> bool:
        """Take up the stored cursor, or start anew; False when there is nothing to do."""
        work = self._work
        stored = await work.state.half(work.session, self._ref)
        if self._migration.expand is not None and stored is None:
            raise HalfFailed(
                f"the backfill of {self._migration.version} cannot run before its expand half",
                where=f"{self._migration.path}:{self._section.line}",
                state="nothing was changed",
                next=f"pilotage migrate run {self._ref}",
            )
        if stored is not None and stored.row.finished_at is not None and not self._final:
            return False
        cursor = await work.state.cursor(work.session, self._migration.version)
        if (
            cursor is not None
            and not cursor.finished
            and cursor.digest == self._section.checksum
            and cursor.final == self._final
        ):
            self._cursor = cursor
        return True

    async def _prepare_steps(self) -> None:
        work = self._work
        for statement in statements_of(self._section, self._migration, work.dialect):
            with sql.located(self._migration.path, self._section.line + statement.line - 1):
                batch = sql.batched(statement.text, work.dialect.name)
            size = BatchSize(self._settings.batch_time, self._settings.batch_rows)
            step = Step(statement, batch, size)
            if batch.kind != "repeat":
                await self._patiently(step, partial(self._measure, step))
            self._steps.append(step)

    async def _measure(self, step: Step) -> None:
        work = self._work
        step.walk = await work.dialect.walk(work.session, step.batch.table, step.batch.qualifier)
        if step.walk is None:
            raise HalfFailed(
                f"the table {step.batch.table} has no key to walk by: neither a primary key nor a "
                "unique key without NULLs",
                where=where(self._migration, self._section, step.statement),
                state="nothing was changed",
                next="limit the statement itself: … WHERE … IN (SELECT … WHERE … LIMIT 5000); it is "
                "repeated until it changes no row",
            )
        step.estimate = await work.dialect.estimate(work.session, step.batch.table)

    # -- one pass ------------------------------------------------------------------------------

    async def _pass(self, *, suspect: bool) -> None:
        for index in range(self._cursor.statement, len(self._steps)):
            step = self._steps[index]
            if index != self._cursor.statement:
                self._cursor = replace(
                    self._cursor,
                    statement=index,
                    position=None,
                    end=None,
                    scanned=0,
                    estimate=None,
                )
            await self._bound(step)
            before, most = self._cursor.pass_rows, await self._most(step)
            while (done := await self._batch(step, suspect=suspect)) is not None:
                changed = self._cursor.pass_rows - before
                if most is not None and changed > most:
                    raise self._endless(step, f"{changed} rows, and goes on")
                await self._pauses.after(done.seconds, done.changed)

    async def _bound(self, step: Step) -> None:
        """Where this pass over the statement's table ends: at its last row of now.

        A cursor whose values are of another key, since the table's was changed meanwhile, says nothing.
        """
        if step.walk is None:
            return
        if self._cursor.key != step.walk.identity:
            self._cursor = replace(
                self._cursor, key=step.walk.identity, position=None, end=None, scanned=0
            )
        if self._cursor.position is None:

            async def look() -> None:
                assert step.walk is not None
                end = await self._work.dialect.last(self._work.session, step.walk)
                self._cursor = replace(self._cursor, end=end, estimate=step.estimate)

            await self._patiently(step, look)
        step.walk = replace(step.walk, end=self._cursor.end)

    async def _most(self, step: Step) -> int | None:
        """More rows than this a statement that limits itself cannot have to do; None for others."""
        if step.walk is not None:
            return None
        rows = await self._work.dialect.total_rows(self._work.session)
        return _REPEAT_FACTOR * rows + _REPEAT_ROWS

    async def _batch(self, step: Step, *, suspect: bool) -> Done | None:
        """One batch; None when there was none left."""
        attempts = Attempts(lock=self._lock, total=self._total)
        done: list[Done | None] = []

        async def once() -> None:
            batch = await self._batches.one(
                step,
                self._cursor,
                lock=attempts.wait,
                total=self._limit(step, attempts),
                suspect=suspect,
            )
            done.append(batch)

        def retried(number: int, pause: float, why: str) -> None:
            step.size.split()  # the rows that nobody holds are done, and only those are waited for
            self._retried(number, pause, why)

        await self._attempt(
            step, attempts, lambda: self._cut_off(step, attempts, once), retried=retried
        )
        batch = done[0]
        if batch is None:
            return None
        step.tried = step.tried or batch.changed > 0
        if step.walk is not None:
            step.size.passed(
                spanned=batch.spanned,
                changed=batch.changed,
                seconds=batch.seconds,
                on_rows=batch.on_rows,
            )
        eta = self._progress.batch(
            batch.cursor,
            [step.estimate for step in self._steps],
            spanned=batch.spanned,
            changed=batch.changed,
            seconds=batch.seconds,
        )
        # Written with the next batch, for whoever asks from elsewhere.
        self._cursor = replace(batch.cursor, eta=eta)
        return batch if step.walk is not None or batch.changed else None

    async def _patiently(self, step: Step, look: Callable[[], Awaitable[None]]) -> None:
        """A look at the table, tried again while somebody has it for himself."""
        work, attempts = self._work, Attempts(lock=self._lock, total=self._total)

        async def once() -> None:
            async with work.dialect.bounded(
                work.session, lock=attempts.wait, total=attempts.remaining
            ):
                await look()

        await self._attempt(step, attempts, once, retried=self._retried)

    def _retried(self, number: int, pause: float, why: str) -> None:
        self._work.emit(HalfRetried(half=str(self._ref), attempt=number, wait=pause, why=why))

    async def _attempt(
        self,
        step: Step,
        attempts: Attempts,
        once: Callable[[], Awaitable[None]],
        *,
        retried: Callable[[int, float, str], None],
    ) -> None:
        try:
            async with watched(self._work.dialect, self._work.session, attempts):
                await attempts.run(
                    once,
                    on_retry=retried,
                    on_exhausted=lambda error: self._no_lock(step, attempts, error),
                )
        except StatementError as error:
            # Where a wait for a lock is counted in whole seconds, the last one ends with the time.
            if error.trouble is Trouble.TIMEOUT and (attempts.number > 1 or attempts.blockers):
                raise self._no_lock(step, attempts, error) from error
            raise self._failed(step, error) from error

    async def _cut_off(
        self, step: Step, attempts: Attempts, once: Callable[[], Awaitable[None]]
    ) -> None:
        """Run a batch; one that runs into its time limit is split, as long as there is time at all."""
        while True:
            try:
                return await once()
            except StatementError as error:
                late = error.trouble is Trouble.TIMEOUT
                if not late or step.walk is None or attempts.remaining < 0.1:
                    raise
                if not step.size.split():
                    raise

    def _limit(self, step: Step, attempts: Attempts) -> float:
        """Seconds that a batch may take: one row alone, or a statement of its own limit, all there is."""
        if step.walk is None or step.size.rows == 1:
            return attempts.remaining
        factor, least = _BATCH_LIMIT
        return min(max(factor * self._settings.batch_time, least), attempts.remaining)

    # -- its end, and words ----------------------------------------------------------------------

    def _endless(self, step: Step, what: str) -> NotConverging:
        return NotConverging(
            f"the backfill of {self._migration.version} does not end: run again, it changes {what}",
            where=where(self._migration, self._section, step.statement),
            state=f"{self._cursor.total_rows} rows were changed so far; "
            + (
                "the contract half is not applied"
                if self._final
                else "the expand half is not finished"
            ),
            next="add a WHERE that is false for the rows already done, for example `WHERE "
            "new_column IS DISTINCT FROM …`",
        )

    def _stagnates(self, history: list[int]) -> None:
        """Each pass finds new rows: old code still writes them. Only the final run must end at 0."""
        rows = ", ".join(str(rows) for rows in history)
        if self._final:
            raise NotConverging(
                f"the backfill of {self._migration.version} does not end: its last passes changed "
                f"{rows} rows, so something still writes rows as the old code did",
                where=f"{self._migration.path}:{self._section.line}",
                state=f"{self._cursor.total_rows} rows were changed so far; the contract half is "
                "not applied",
                next="find what writes them (a trigger, a job, a release that does not set the new "
                "column), or have the database do it",
            )
        self._work.emit(
            Note(
                text=f"backfill {self._migration.version}: its last passes changed {rows} rows, which "
                "running code goes on writing; the run before the contract half takes them"
            )
        )

    async def _finish(self) -> None:
        work = self._work
        done = replace(self._cursor, finished=True)
        throttles = Throttles(work.dialect, await work.dialect.home(work.session), work.stream)
        async with work.session.transaction():
            await work.state.put_cursor(work.session, self._migration.version, done)
            await work.state.finish_half(
                work.session, self._ref, self._migration.checksum(Half.EXPAND)
            )
            await throttles.forget(work.session, self._migration.version)
        self._progress.ended(done)

    def _state(self) -> str:
        return (
            f"{self._cursor.total_rows} rows were changed; the cursor is kept, and the next run "
            "resumes from it"
        )

    def _failed(self, step: Step, error: StatementError) -> HalfFailed:
        again = "run the same command again" if error.trouble is Trouble.LOST else ""
        return failed(
            self._migration,
            self._section,
            step.statement,
            error,
            title=f"the backfill of {self._migration.version} failed",
            state=self._state(),
            next=again,
        )

    def _no_lock(self, step: Step, attempts: Attempts, error: StatementError) -> DatabaseError:
        return LockUnavailable(
            f"a batch of the backfill of {self._migration.version} did not get its locks in "
            f"{attempts.number} attempts over {attempts.total:g} s: {attempts.why(error)}",
            where=where(self._migration, self._section, step.statement),
            state=self._state(),
            next="end the session in the way, or try again at a quieter time",
        )


def _settings(configured: BackfillSettings, section: Section) -> BackfillSettings:
    """As configured, with what the section says instead."""
    given = section.directives
    return replace(
        configured,
        batch_time=given.batch_time or configured.batch_time,
        batch_rows=given.batch_rows or configured.batch_rows,
        duty=given.duty or configured.duty,
    )
