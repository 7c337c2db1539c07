"""The ``-- down`` section: taking an expand half back."""

from __future__ import annotations

import time

from pilotage.errors import DatabaseError, HalfFailed, LockUnavailable, UsageError
from pilotage.events import HalfFinished, HalfRetried, HalfStarted, HalfStatement
from pilotage.migrate.attempts import Attempts, watched
from pilotage.migrate.dialects.base import StatementError
from pilotage.migrate.half import runs_whole
from pilotage.migrate.migration import Migration
from pilotage.migrate.sql import Statement
from pilotage.migrate.work import Work, failed, statements_of, where
from pilotage.model import HalfRef, expand


class Revert:
    """One run of a ``-- down`` section."""

    def __init__(self, work: Work, migration: Migration) -> None:
        if migration.down is None:
            raise UsageError(
                f"{migration} has no `-- down` section",
                where=str(migration.path),
                state="nothing was changed",
                next="write one, or undo it with a new migration",
            )
        self._work = work
        self._migration = migration
        self._section = migration.down
        self._ref: HalfRef = expand(migration.version)
        self._title = f"{migration.version}/down"
        self._statements = statements_of(self._section, migration, work.dialect)
        directives = self._section.directives
        self._attempts = Attempts(
            lock=directives.lock_timeout or work.settings.lock_timeout,
            total=directives.timeout or work.settings.timeout,
        )
        self._whole = runs_whole(self._section, self._statements, work.dialect.name)
        self._done = 0

    async def run(self) -> None:
        """Run it; the row of the expand half goes with its last statement."""
        work = self._work
        if await work.state.half(work.session, self._ref) is None:
            return
        started = time.monotonic()
        name, count = self._migration.name, len(self._statements)
        work.emit(HalfStarted(half=self._title, name=name, statements=count))
        whole = self._whole
        async with watched(work.dialect, work.session, self._attempts):
            try:
                await self._attempts.run(
                    self._in_transaction if whole else self._one_by_one,
                    on_retry=lambda number, pause, why: work.emit(
                        HalfRetried(half=self._title, attempt=number, wait=pause, why=why)
                    ),
                    on_exhausted=self._no_lock,
                )
            except StatementError as error:  # at COMMIT, or of a statement of our own
                first = self._statements[0] if self._statements else Statement("", 0, 1)
                raise self._failed(first, error) from error
        work.emit(HalfFinished(half=self._title, name=name, seconds=time.monotonic() - started))

    async def _in_transaction(self) -> None:
        session = self._work.session
        self._done = 0
        attempts = self._attempts
        async with self._work.dialect.change(session, lock=attempts.wait, total=attempts.remaining):
            for statement in self._statements:
                await self._execute(statement)
            await self._work.dialect.become_self(session)
            await self._forget()

    async def _one_by_one(self) -> None:
        session = self._work.session
        await self._work.dialect.limit(
            session, lock=self._attempts.wait, total=self._attempts.remaining, local=False
        )
        for statement in self._statements[self._done :]:
            await self._execute(statement)
        await session.reset()
        async with session.transaction():
            await self._forget()

    async def _execute(self, statement: Statement) -> None:
        began = time.monotonic()
        try:
            work = self._work
            await work.session.execute(await work.dialect.to_run(work.session, statement.text))
        except StatementError as error:
            if error.trouble.passes:
                raise
            raise self._failed(statement, error) from error
        self._done += 1
        self._work.emit(
            HalfStatement(
                half=self._title,
                number=self._done,
                statements=len(self._statements),
                seconds=time.monotonic() - began,
            )
        )

    async def _forget(self) -> None:
        work = self._work
        await work.state.delete_half(work.session, self._ref)
        await work.state.delete_cursor(work.session, self._migration.version)
        await work.state.delete_intent(work.session, self._ref)

    def _failed(self, statement: Statement, error: StatementError) -> HalfFailed:
        title = f"{self._title} failed"
        return failed(
            self._migration, self._section, statement, error, title=title, state=self._state()
        )

    def _state(self) -> str:
        if self._whole or not self._done:
            return f"{self._ref} is applied as before"
        return f"the first {self._done} statements of the down section have run"

    def _no_lock(self, error: StatementError) -> DatabaseError:
        attempts = self._attempts
        statement = self._statements[min(self._done, len(self._statements) - 1)]
        return LockUnavailable(
            f"{self._title} did not get its lock in {attempts.number} attempts over "
            f"{attempts.total:g} s: {attempts.why(error)}",
            where=where(self._migration, self._section, statement),
            state=self._state(),
            next="end the session in the way, or try again at a quieter time",
        )
