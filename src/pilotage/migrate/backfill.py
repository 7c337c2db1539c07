"""Backfills: the ``-- backfill`` section, run in batches until a whole pass changes no row.

Each statement is run over its table in windows of a key, at most 5,000 rows at a time, each window in a
transaction of its own that also stores the cursor; so a run that is killed resumes where it was, and
does no row twice. Rows that other sessions write behind the cursor are the next pass's.

A pass that was resumed never counts as the one that changed nothing: what was written behind its
cursor while nobody ran it would be missed.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace

from pilotage.errors import DatabaseError, HalfFailed, LockUnavailable, NotConverging
from pilotage.events import BackfillProgress, HalfRetried, Note
from pilotage.migrate import sql
from pilotage.migrate.attempts import Attempts, watched
from pilotage.migrate.dialects.base import StatementError, Trouble, Walk
from pilotage.migrate.migration import Migration, Section
from pilotage.migrate.sql import Batchable, Statement
from pilotage.migrate.state import Cursor
from pilotage.migrate.work import Work, failed, statements_of, where
from pilotage.model import Half, HalfRef

_PASSES = 5
"""So many passes are looked at to judge whether they still shrink."""
_REPEAT_FACTOR = 10
_REPEAT_ROWS = 100_000


@dataclass(slots=True)
class _Step:
    """A statement of the section, how its table is walked (None: it limits itself), and its rows."""

    statement: Statement
    batch: Batchable
    walk: Walk | None = None
    estimate: int | None = None


class Backfill:
    """One run of a migration's backfill."""

    def __init__(self, work: Work, migration: Migration, *, final: bool) -> None:
        assert migration.backfill is not None
        self._work = work
        self._migration = migration
        self._section: Section = migration.backfill
        self._final = final
        self._ref = HalfRef(migration.version, Half.EXPAND)
        self._steps: list[_Step] = []
        self._cursor = Cursor(self._section.checksum, final, 1, 0, None, 0, 0)
        self._began = time.monotonic()
        self._changed_here = 0
        self._lock = self._section.directives.lock_timeout or work.settings.lock_timeout
        self._total = self._section.directives.timeout or work.settings.timeout

    async def run(self) -> None:
        """Run it to its end, or raise with the cursor kept."""
        if not await self._begin():
            return None
        await self._prepare_steps()
        history: list[int] = []
        whole = self._cursor.statement == 0 and self._cursor.position is None
        while True:
            suspect = len(history) >= _PASSES and self._stands_still(history)
            await self._pass(suspect=suspect)
            changed = self._cursor.pass_rows
            if whole and not changed:
                return await self._finish()
            if whole:
                history = [*history, changed][-_PASSES:]
            if suspect:
                self._stagnates(history)
                return await self._finish()
            whole = True
            self._cursor = replace(
                self._cursor,
                number=self._cursor.number + 1,
                statement=0,
                position=None,
                pass_rows=0,
                scanned=0,
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
                step = _Step(statement, sql.batched(statement.text, work.dialect.name))
            if step.batch.kind != "repeat":
                try:
                    await self._measure(step)
                except StatementError as error:
                    raise self._failed(step, error) from error
            self._steps.append(step)

    async def _measure(self, step: _Step) -> None:
        work = self._work
        key = await work.dialect.key(work.session, step.batch.table)
        if key is None:
            raise HalfFailed(
                f"the table {step.batch.table} has no key to walk by: neither a primary key nor a "
                "unique key without NULLs",
                where=where(self._migration, self._section, step.statement),
                state="nothing was changed",
                next="limit the statement itself: … WHERE … IN (SELECT … WHERE … LIMIT 5000); it is "
                "repeated until it changes no row",
            )
        step.walk = Walk(step.batch.table, key, step.batch.qualifier)
        step.estimate = await work.dialect.estimate(work.session, step.batch.table)

    # -- one pass ------------------------------------------------------------------------------

    async def _pass(self, *, suspect: bool) -> None:
        for index in range(self._cursor.statement, len(self._steps)):
            step = self._steps[index]
            if index != self._cursor.statement:
                self._cursor = replace(self._cursor, statement=index, position=None, scanned=0)
            before, most = self._cursor.pass_rows, await self._most(step)
            while await self._batch(step, suspect=suspect):
                changed = self._cursor.pass_rows - before
                if most is not None and changed > most:
                    raise self._endless(step, f"{changed} rows, and goes on")
                if self._work.settings.batch_pause:
                    await asyncio.sleep(self._work.settings.batch_pause)

    async def _most(self, step: _Step) -> int | None:
        """More rows than this a statement that limits itself cannot have to do; None for others."""
        if step.walk is not None:
            return None
        rows = await self._work.dialect.total_rows(self._work.session)
        return _REPEAT_FACTOR * rows + _REPEAT_ROWS

    async def _batch(self, step: _Step, *, suspect: bool) -> bool:
        """One batch; False when there was none left."""
        attempts = Attempts(lock=self._lock, total=self._total)
        after: list[Cursor | None] = [None]
        rows = [0]

        async def once() -> None:
            after[0], rows[0] = await self._transaction(step, attempts, suspect=suspect)

        work = self._work
        try:
            async with watched(work.dialect, work.session, attempts):
                await attempts.run(
                    once,
                    on_retry=lambda number, pause, why: work.emit(
                        HalfRetried(half=str(self._ref), attempt=number, wait=pause, why=why)
                    ),
                    on_exhausted=lambda error: self._no_lock(step, attempts, error),
                )
        except StatementError as error:
            raise self._failed(step, error) from error
        cursor = after[0]
        if cursor is None:
            return False
        self._changed_here += cursor.total_rows - self._cursor.total_rows
        self._cursor = cursor
        self._tell(step)
        return step.walk is not None or rows[0] > 0

    async def _transaction(
        self, step: _Step, attempts: Attempts, *, suspect: bool
    ) -> tuple[Cursor | None, int]:
        """The cursor after the batch (None: nothing left), and the rows that it spans."""
        work, cursor = self._work, self._cursor
        session = work.session
        async with work.dialect.bounded(session, lock=attempts.wait, total=attempts.remaining):
            if step.walk is None:
                changed = spanned = await work.execute(step.statement)
                position = None
            else:
                window = await work.dialect.window(
                    session,
                    step.walk,
                    cursor.position,
                    work.settings.batch_rows,
                )
                if window is None:
                    return None, 0
                text = step.batch.render(window.predicate)
                changed = await work.execute(step.statement, text)
                if suspect and changed:
                    await self._prove_convergent(step, text, changed)
                position, spanned = window.cursor, window.rows
            await work.dialect.become_self(session)
            after = replace(
                cursor,
                position=position,
                pass_rows=cursor.pass_rows + changed,
                total_rows=cursor.total_rows + changed,
                scanned=cursor.scanned + spanned,
            )
            await work.state.put_cursor(session, self._migration.version, after)
        return after, spanned

    # -- does it end? ----------------------------------------------------------------------------

    async def _prove_convergent(self, step: _Step, text: str, changed: int) -> None:
        """Run the batch once more and take it back: a convergent statement now finds nothing."""
        session = self._work.session
        await session.execute("SAVEPOINT pilotage_again")
        again = await session.execute(text)
        await session.execute("ROLLBACK TO SAVEPOINT pilotage_again")
        if again >= changed:
            raise self._endless(step, "the rows that it has just changed")

    def _endless(self, step: _Step, what: str) -> NotConverging:
        return NotConverging(
            f"the backfill of {self._migration.version} does not end: run again, it changes {what}",
            where=where(self._migration, self._section, step.statement),
            state=f"{self._cursor.total_rows} rows were changed so far; the expand half is not "
            "finished",
            next="add a WHERE that is false for the rows already done, for example `WHERE "
            "new_column IS DISTINCT FROM …`",
        )

    def _stands_still(self, history: list[int]) -> bool:
        """Whether the passes no longer shrink. The final run is the more patient one.

        Running code that writes rows as before leaves a few for each pass, now more, now fewer. The
        run before the contract half takes those, so the first run need not wait for a lucky pass.
        """
        if self._final:
            return history == sorted(history)
        return max(history[-2:]) >= min(history[:-2])

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

    # -- records and words -----------------------------------------------------------------------

    async def _finish(self) -> None:
        work = self._work
        done = replace(self._cursor, finished=True)
        async with work.session.transaction():
            await work.state.put_cursor(work.session, self._migration.version, done)
            await work.state.finish_half(
                work.session, self._ref, self._migration.checksum(Half.EXPAND)
            )
        self._report(fraction=1.0, eta=0.0)

    def _tell(self, step: _Step) -> None:
        fraction = eta = None
        if self._cursor.number > 1:
            fraction = 1.0  # later passes only look for what was written in the meantime
        elif step.estimate:
            share = min(self._cursor.scanned / step.estimate, 1.0)
            fraction = (self._cursor.statement + share) / len(self._steps)
            if fraction:
                eta = (time.monotonic() - self._began) * (1 - fraction) / fraction
        self._report(fraction=fraction, eta=eta)

    def _report(self, *, fraction: float | None, eta: float | None) -> None:
        seconds = max(time.monotonic() - self._began, 1e-6)
        self._work.emit(
            BackfillProgress(
                version=self._migration.version,
                rows=self._cursor.total_rows,
                rate=self._changed_here / seconds,
                fraction=fraction,
                eta=eta,
            )
        )

    def _state(self) -> str:
        return (
            f"{self._cursor.total_rows} rows were changed; the cursor is kept, and the next run "
            "resumes from it"
        )

    def _failed(self, step: _Step, error: StatementError) -> HalfFailed:
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

    def _no_lock(self, step: _Step, attempts: Attempts, error: StatementError) -> DatabaseError:
        return LockUnavailable(
            f"a batch of the backfill of {self._migration.version} did not get its locks in "
            f"{attempts.number} attempts over {attempts.total:g} s: {attempts.why(error)}",
            where=where(self._migration, self._section, step.statement),
            state=self._state(),
            next="end the session in the way, or try again at a quieter time",
        )
