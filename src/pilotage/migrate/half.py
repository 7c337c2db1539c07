"""Running the statements of one half, inside a transaction or statement by statement.

Called by `pilotage.migrate.runner` with the migration lock held. What runs is always the author's own
text.

In a transaction the half and its row are one: there is no state between. Without one
(``transaction=false``), every statement that *can* run in a transaction is committed together with the
count of statements done, so only a statement that cannot (CREATE INDEX CONCURRENTLY, VACUUM) or that
may commit by itself (CALL, DO) can ever be in doubt after a crash; the row says so before it begins.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence

from pilotage.errors import (
    AmbiguousOutcome,
    DatabaseError,
    HalfFailed,
    LockUnavailable,
    MigrationFileError,
    Refused,
)
from pilotage.events import HalfFinished, HalfRetried, HalfStarted, HalfStatement, Note
from pilotage.migrate import catalogue, sql
from pilotage.migrate.attempts import Attempts, watched
from pilotage.migrate.dialects.base import OWN_PATIENCE, StatementError, Trouble
from pilotage.migrate.migration import Migration, Section
from pilotage.migrate.progress import progressing
from pilotage.migrate.sql import Effect, Statement
from pilotage.migrate.sql.online import Step, plain
from pilotage.migrate.state import StoredHalf
from pilotage.migrate.violations import told_of_rows, violates
from pilotage.migrate.work import Work, digest, failed, steps_of, where
from pilotage.model import REVERTING, Half, HalfRef


def _is_setting(statement: Statement) -> bool:
    return statement.text.split(None, 1)[0].upper() in ("SET", "PRAGMA", "USE")


def _line(statement: Statement) -> str:
    return " ".join(statement.text.split())


def runs_bare(statement: str, dialect: str) -> bool:
    """Whether a statement of a half without a transaction runs in none, and not in one of its own."""
    return (
        bool(sql.needs_no_transaction(statement, dialect))
        or bool(sql.commits(statement, dialect))
        or may_commit(statement)
    )


def runs_whole(section: Section, statements: Sequence[Statement], dialect: str) -> bool:
    """Whether the statements of a section are one transaction: unless it says no, or one of them commits
    by itself, as every definition of MySQL does."""
    return section.directives.transaction and not any(
        sql.commits(statement.text, dialect) for statement in statements
    )


def may_commit(statement: str) -> bool:
    """Whether it may commit by itself, so that an error does not mean that nothing happened.

    Asked of the text, and broadly: a DO block that only *mentions* one of the words is treated with
    more care than it needs.
    """
    text = statement.upper()
    if text.startswith("DO"):
        return any(word in text for word in ("COMMIT", "ROLLBACK", "CALL", "EXECUTE"))
    return text.startswith(("CALL", "EXECUTE", "BEGIN"))


class HalfRun:
    """One half, being applied."""

    def __init__(
        self, work: Work, migration: Migration, half: Half, *, release: str | None, fresh: bool
    ) -> None:
        self._work = work
        self._migration = migration
        self._ref = HalfRef(migration.version, half)
        self._title = str(self._ref)
        self._release = release
        self._fresh = fresh
        self._done = 0
        self._new = False  # whether this run is the first to write of it
        self._section = self._section_of(half)
        self._statements = steps_of(self._section, migration, work.dialect.name)
        self._at = 0  # the place of the one at work
        directives = self._section.directives
        settings = work.settings
        self._attempts = Attempts(
            lock=directives.lock_timeout or settings.lock_timeout,
            total=directives.timeout or settings.timeout,
        )

    def _section_of(self, half: Half) -> Section:
        return self._migration.section(half) or Section("", 1)

    async def run(self) -> None:
        """Apply it, or finish what an earlier run began; return at once when it is applied."""
        stored = await self._work.state.half(self._work.session, self._ref)
        self._new = stored is None
        if stored is not None and stored.row.how == REVERTING:
            raise self._taken_back(stored)
        if stored is not None and stored.row.how == "opened":
            stored = None
        await self._carry_out(stored)

    def _taken_back(self, stored: StoredHalf) -> Refused:
        return Refused(
            f"{self._ref} is being taken back: that was begun, and has not ended",
            where=str(self._migration.path),
            state=f"{stored.row.statements_done} statements of its `-- down` section are done",
            next=f"pilotage migrate down {self._ref.version}, then the same command again",
        )

    async def _carry_out(self, stored: StoredHalf | None) -> None:
        """Run what ``stored`` does not say is done."""
        work = self._work
        done = self._done = self._already_done(stored)
        if stored is not None and self._is_over(stored, done):
            return
        started = time.monotonic()
        work.emit(
            HalfStarted(
                half=self._title,
                name=self._migration.name,
                statements=len(self._statements),
                done=done,
            )
        )
        total = len(self._statements)
        async with (
            watched(work.dialect, work.session, self._attempts),
            progressing(work, self._title, total, lambda: self._at + 1),
        ):
            try:
                if runs_whole(self._section, self._statements, work.dialect.name):
                    await self._attempts.run(
                        self._whole, on_retry=self._retried, on_exhausted=self._nothing_applied
                    )
                else:
                    await self._one_by_one(stored, done)
            except StatementError as error:  # at COMMIT, or of a statement of our own
                first = self._statements[0] if self._statements else plain(Statement("", 0, 1))
                raise self._failed(first, error, state=self._progress(self._done)) from error
        work.emit(
            HalfFinished(
                half=self._title, name=self._migration.name, seconds=time.monotonic() - started
            )
        )

    def _is_over(self, stored: StoredHalf, done: int) -> bool:
        """Whether nothing is left to do, not even to write that it is finished (see `Series`)."""
        if done < len(self._statements) or stored.in_statement:
            return False
        unfilled = self._ref.half is Half.EXPAND and self._migration.backfill is not None
        return unfilled or stored.row.finished_at is not None

    def _already_done(self, stored: StoredHalf | None) -> int:
        """How many statements an earlier run has done; they must still be the same."""
        if stored is None:
            return 0
        if stored.row.finished_at is not None:
            return len(self._statements)
        done = stored.row.statements_done
        if digest(self._statements[:done]) != stored.done_digest:
            raise MigrationFileError(
                f"{self._title} is applied in part ({done} statements), and these statements were "
                "edited since",
                where=f"{self._migration.path}:{self._section.line}",
                state=f"the first {done} statements are applied as they were",
                next="restore their text (git checkout), and change only what follows them",
            )
        return done

    # -- in a transaction ----------------------------------------------------------------------

    async def _whole(self) -> None:
        work = self._work
        session = work.session
        attempts = self._attempts
        async with work.dialect.change(session, lock=attempts.wait, total=attempts.remaining):
            for number, statement in list(enumerate(self._statements, start=1))[self._done :]:
                began = time.monotonic()
                self._at = number - 1
                try:
                    await work.execute(statement)
                except StatementError as error:
                    if error.trouble.passes:
                        raise
                    raise self._failed(
                        statement, error, state=self._progress(self._done)
                    ) from error
                if not session.in_transaction:
                    raise self._ended_transaction(statement)
                self._tell(number, began)
            await self._record(len(self._statements))

    def _ended_transaction(self, statement: Statement) -> HalfFailed:
        return HalfFailed(
            f"{self._title}: a statement ended the transaction that the half runs in",
            where=where(self._migration, self._section, statement),
            state="the statements before it, and it, are committed; the half is not recorded",
            next="take COMMIT or ROLLBACK out, undo by hand what is committed, and run again; "
            "or `-- pilotage: transaction=false`",
        )

    # -- statement by statement ------------------------------------------------------------------

    async def _one_by_one(self, stored: StoredHalf | None, done: int) -> None:
        work = self._work
        session = work.session
        in_doubt = stored is not None and stored.in_statement
        if stored is None:
            async with session.transaction():
                await self._record(0)
        for statement in self._statements[:done]:
            if _is_setting(statement):  # the session that had it is gone
                await session.execute(statement.text)
        # Of a statement that was under way, all steps are looked for: somebody may have taken one back.
        first = done - self._statements[done].number + 1 if done < len(self._statements) else done
        for index in range(done if in_doubt else first, len(self._statements)):
            statement = self._statements[index]
            began = time.monotonic()
            self._at = index
            before = index < done
            made = not in_doubt and await work.dialect.has_made(session, statement, by_name=before)
            if before and (made or statement.kind == "plain"):
                continue
            if made:
                work.emit(Note(text=f"{self._title}: there already, not run: {_line(statement)}"))
                async with session.transaction():
                    await self._record(index + 1)
            elif in_doubt and await self._happened(statement, index):
                async with session.transaction():
                    await self._record(index + 1)
            elif runs_bare(statement.text, self._work.dialect.name):
                await self._bare(statement, index)
            else:
                await self._committed(statement, index)
            in_doubt = False
            self._tell(index + 1, began)
        if done == len(self._statements):  # none at all, or all done and only the row was left
            async with session.transaction():
                await self._record(done)

    async def _committed(self, statement: Step, index: int) -> None:
        """A statement and the count of statements done, in one transaction."""
        work = self._work
        attempts = self._attempts

        async def once() -> None:
            async with work.dialect.change(
                work.session, lock=attempts.wait, total=attempts.remaining
            ):
                await work.execute(statement)
                if not work.session.in_transaction:
                    raise self._ended_transaction(statement)
                await self._record(index + 1)

        await self._attempt(once, statement, index)

    async def _bare(self, statement: Step, index: int) -> None:
        """A statement in no transaction: marked before it, counted after it."""
        work = self._work
        session = work.session
        effects = catalogue.effects_of(statement, work.dialect)
        # A concurrent build waits for every older snapshot under lock_timeout too, while it holds
        # no lock that anyone queues behind: it gets the whole of the time, not a short wait.
        alone = sql.needs_no_transaction(statement.text, work.dialect.name)
        lock = None if alone else self._attempts.wait

        async def once() -> None:
            async with session.transaction():
                await self._record(index, in_statement=True)
            await self._repair(effects)
            await work.dialect.limit(
                session, lock=lock, total=self._attempts.remaining, local=False
            )
            try:
                text = await work.dialect.to_run(session, statement.text)
                await work.execute(statement, text)
            except StatementError as error:
                if error.trouble is Trouble.LOST:
                    raise
                await work.dialect.limit(session, lock=OWN_PATIENCE, total=None, local=False)
                await self._repair(effects)
                if may_commit(statement.text):
                    raise StatementError(str(error), position=error.position) from error
                async with session.transaction():
                    await self._record(index)
                raise
            await work.dialect.limit(session, lock=OWN_PATIENCE, total=None, local=False)
            # IF NOT EXISTS passes over an index that another session is building, or left INVALID.
            for effect in effects if alone else ():
                if await work.dialect.holds(session, effect) is False:
                    raise StatementError(f"it reported success, but not so: {effect}")
            async with session.transaction():
                await self._record(index + 1)

        await self._attempt(once, statement, index)

    async def _repair(self, effects: Sequence[Effect]) -> None:
        """Drop what the statement left INVALID when it broke off before."""
        work = self._work
        dropped = [
            str(effect) for effect in effects if await work.dialect.repair(work.session, effect)
        ]
        if not effects:
            dropped = await work.dialect.sweep(work.session)
        for what in dropped:
            work.emit(Note(text=f"dropped what an earlier attempt left INVALID: {what}"))

    async def _attempt(
        self, once: Callable[[], Awaitable[None]], statement: Step, index: int
    ) -> None:
        try:
            await self._attempts.run(
                once,
                on_retry=self._retried,
                on_exhausted=lambda error: self._part_applied(statement, index, error),
            )
        except DatabaseError:
            await self._take_back(statement, index)
            raise
        except StatementError as error:
            if error.trouble is not Trouble.LOST:
                await self._take_back(statement, index)
            if violates(statement, error):
                raise await self._violated(statement, error, index) from error
            raise self._failed(
                statement, error, state=self._progress(index), next=self._how_on(statement, error)
            ) from error

    async def _take_back(self, statement: Statement, index: int) -> None:
        """Forget a half of which nothing is done: a contract half that failed at once breaks nobody."""
        session = self._work.session
        if not self._is_untouched(statement, index):
            return
        async with session.transaction():
            await self._work.dialect.become_self(session)
            await self._work.state.delete_half(session, self._ref)

    def _is_untouched(self, statement: Statement, index: int) -> bool:
        """Whether nothing was done at all when this statement failed."""
        first = not index and self._new
        return first and not may_commit(statement.text) and self._work.session.usable

    async def _violated(self, step: Step, error: StatementError, index: int) -> HalfFailed:
        """The error of rows that a step does not pass."""
        return await told_of_rows(
            self._work,
            step,
            error,
            title=f"{self._title} failed",
            where=where(self._migration, self._section, step),
            state=self._progress(index),
        )

    def _how_on(self, statement: Step, error: StatementError) -> str:
        if error.trouble is Trouble.LOST:
            return "run the same command again: it looks in the catalogue whether the statement is done"
        if error.trouble is Trouble.TIMEOUT:
            return (
                "give the half more time (`-- pilotage: timeout=6h`, before the first section), then run "
                "the same command again: it resumes with this statement"
            )
        what = "correct the statement"
        if error.trouble is Trouble.TAKEN and statement.name:
            what = f"something else is called {statement.name}: rename that, or write another name here"
        return f"{what}, then run the same command again: it resumes with it"

    async def _happened(self, statement: Statement, index: int) -> bool:
        """Whether a statement that was begun in an earlier run has happened; False: run it again.

        Raises
        ------
        AmbiguousOutcome
            The catalogue cannot tell.
        """
        work = self._work
        if not runs_bare(statement.text, self._work.dialect.name):
            return False  # it is committed together with its count, which does not count it
        effects = catalogue.effects_of(statement, work.dialect)
        if not effects:
            return False  # VACUUM, REINDEX: what they leave behind is swept before they run again
        await self._repair(effects)
        seen = [await work.dialect.holds(work.session, effect) for effect in effects]
        if all(seen):
            work.emit(Note(text=f"{self._title}: statement {index + 1} was done before the crash"))
            return True
        if all(found is False for found in seen):
            return False
        raise AmbiguousOutcome(
            f"{self._title}: statement {index + 1} of {len(self._statements)} was begun and never "
            f"reported, and the catalogue cannot tell whether it happened: {_line(statement)[:200]}",
            where=where(self._migration, self._section, statement),
            state=self._progress(index),
            next=f"see whether {' and '.join(map(str, effects))}; {self._by_hand()}",
        )

    def _by_hand(self) -> str:
        return (
            "finish the half by hand (this statement if it did not happen, and what follows it), then: "
            f"pilotage migrate mark {self._ref}"
        )

    # -- records and words -----------------------------------------------------------------------

    async def _record(self, done: int, *, in_statement: bool = False) -> None:
        """Write the row; with the last statement, also that the half is applied."""
        work, ref, migration = self._work, self._ref, self._migration
        await work.dialect.become_self(work.session)
        complete = done == len(self._statements) and not in_statement
        expand = ref.half is Half.EXPAND
        await work.state.put_half(
            work.session,
            ref,
            name=migration.name,
            checksum=migration.checksum(ref.half),
            release=self._release,
            statements_done=done,
            done_digest=digest(self._statements[:done]),
            in_statement=in_statement,
            finished=complete and not (expand and migration.backfill),
        )
        if complete and not expand:
            await work.state.delete_intent(work.session, ref)
        if complete and expand and self._fresh and migration.replaces and not migration.contract:
            await work.state.put_half(
                work.session,
                HalfRef(ref.version, Half.CONTRACT),
                name=migration.name,
                checksum=migration.checksum(Half.CONTRACT),
                release=self._release,
                finished=True,
            )

    def _tell(self, number: int, began: float) -> None:
        self._work.emit(
            HalfStatement(
                half=self._title,
                number=number,
                statements=len(self._statements),
                seconds=time.monotonic() - began,
            )
        )

    def _retried(self, attempt: int, pause: float, why: str) -> None:
        self._work.emit(HalfRetried(half=self._title, attempt=attempt, wait=pause, why=why))

    def _progress(self, index: int) -> str:
        if not index:
            return f"nothing of {self._ref} is applied"
        return (
            f"the first {index} of {len(self._statements)} statements of {self._title} are applied"
        )

    def _failed(
        self, statement: Statement, error: StatementError, *, state: str, next: str = ""
    ) -> HalfFailed:
        again = ""
        if error.trouble is Trouble.LOST:
            again = "run the same command again: the row says whether it was committed"
            state = f"the connection was lost; {state}, unless it was committed at that moment"
        return failed(
            self._migration,
            self._section,
            statement,
            error,
            title=f"{self._title} failed",
            state=state,
            next=next or again,
        )

    def _nothing_applied(self, error: StatementError) -> DatabaseError:
        return self._no_lock(self._section.line, self._progress(self._done), error)

    def _part_applied(
        self, statement: Statement, index: int, error: StatementError
    ) -> DatabaseError:
        line = self._section.line + statement.line - 1
        return self._no_lock(line, self._progress(index), error)

    def _no_lock(self, line: int, state: str, error: StatementError) -> DatabaseError:
        attempts = self._attempts
        return LockUnavailable(
            f"{self._title} did not get its lock in {attempts.number} attempts over "
            f"{attempts.total:g} s: {attempts.why(error)}",
            where=f"{self._migration.path}:{line}",
            state=state,
            next="end the session in the way, or try again at a quieter time "
            "(limits: lock_timeout and timeout)",
        )
