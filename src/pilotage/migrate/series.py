"""Expand halves one after the other, with few round trips: what a new database, or CI, has hundreds of.

Each half is a transaction of its own with its row in it, as `pilotage.migrate.half` has it. They are
sent without waiting for one before the next; the server runs nothing after the first that fails. That
one is rolled back and run again by `HalfRun`, which knows about locks, retries and error messages.

On a database that is *fresh* (nothing was in it, and no instance ever registered) and in which nobody
else is connected, commits do not wait for the disk one by one. Their rows then say that the halves are
not finished, which nobody may take for applied; one last transaction, committed as the server is
configured to, writes that they are. The write-ahead log is a sequence, so what it makes durable makes
everything before it durable as well. Nothing is told as done before that. See
``docs/explanation/durability.md``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from pilotage.errors import DatabaseError, DatabaseUnavailable
from pilotage.events import Event, HalfFinished, HalfRetried, HalfStarted, HalfStatement
from pilotage.migrate import sql
from pilotage.migrate.attempts import Attempts
from pilotage.migrate.dialects.base import OWN_PATIENCE, Call, Session, StatementError, Trouble
from pilotage.migrate.half import HalfRun
from pilotage.migrate.migration import Migration
from pilotage.migrate.sql import Statement
from pilotage.migrate.work import Work, digest, statements_of
from pilotage.model import Half, HalfRef

_AT_ONCE = 64
"""Halves that are sent together: enough that what is asked before them does not count."""


@dataclass(slots=True)
class _Quick:
    """A half that can be sent with others, and what became of it."""

    migration: Migration
    statements: Sequence[Statement]
    calls: Sequence[Call] = ()
    opening: int = 0  # how many of the calls come before the first statement
    began: float = 0.0
    done: bool = False

    @property
    def ref(self) -> HalfRef:
        return HalfRef(self.migration.version, Half.EXPAND)


class Series:
    """The expand halves of some migrations, in their order. ``own``: our sessions of the database."""

    def __init__(
        self, work: Work, *, release: str | None, fresh: bool, own: Sequence[Session]
    ) -> None:
        self._work = work
        self._release = release
        self._fresh = fresh
        self._own = own
        self._unsettled: list[str] = []  # versions whose commit did not wait for the disk
        self._untold: list[Event] = []  # what may be said once they are durable

    async def run(self, migrations: Sequence[Migration], *, seconds: float) -> int:
        """Apply as many as ``seconds`` allow, at least one; how many, from the first, are applied now.

        Raises
        ------
        HalfFailed, LockUnavailable, AmbiguousOutcome
            Of the first that failed. Those before it are applied.
        """
        until = time.monotonic() + seconds
        try:
            versions = [migration.version for migration in migrations]
            known = await self._work.state.known_expands(self._work.session, versions)
            index = 0
            while index < len(migrations) and (not index or time.monotonic() < until):
                quick = list(self._quick(migrations[index : index + _AT_ONCE], known))
                passed = await self._together(quick) if quick else 0
                index += passed
                if passed < _AT_ONCE and index < len(migrations):
                    await self._alone(migrations[index])
                    index += 1
        except BaseException:
            if self._work.session.usable:
                with suppress(StatementError, DatabaseError):
                    await asyncio.shield(self._settle())
            raise
        await self._settle()
        return index

    # -- together ------------------------------------------------------------------------------

    def _quick(self, migrations: Sequence[Migration], known: set[str]) -> Iterator[_Quick]:
        """Those from the first on that hold nothing but plain DDL, and were never begun."""
        dialect = self._work.dialect
        for migration in migrations:
            section = migration.expand
            if (
                not dialect.pipelines
                or section is None
                or not section.directives.transaction
                or migration.backfill is not None
                or migration.replaces
                or migration.version in known
            ):
                return
            statements = statements_of(section, migration, dialect)
            if not all(sql.is_plain(statement.text, dialect.name) for statement in statements):
                return
            yield _Quick(migration, statements)

    async def _together(self, halves: Sequence[_Quick]) -> int:
        """Send halves at once; how many of them are applied, each in a transaction of its own."""
        work = self._work
        durable = not await self._may_relax()
        if durable:
            await self._settle()
        for half in halves:
            self._prepare(half, durable=durable)
        answers = _Answers(self, halves, durable=durable)
        try:
            await work.dialect.pipeline(
                work.session, [call for half in halves for call in half.calls], answers.take
            )
        except StatementError as error:
            if error.trouble is Trouble.LOST:
                raise self._lost(error) from error
            await work.session.execute("ROLLBACK")
            await self._settle()
            if error.trouble.passes:
                await self._pause(answers.current, error)
        return sum(half.done for half in halves)

    async def _may_relax(self) -> bool:
        """Whether nobody could have acted upon what a crash of the server would undo."""
        work = self._work
        return (
            self._fresh
            and await work.state.is_fresh(work.session)
            and await work.dialect.alone(work.session, self._own)
        )

    def _prepare(self, half: _Quick, *, durable: bool) -> None:
        work, migration = self._work, half.migration
        limits = self._limits(migration)
        row = work.state.half_row(
            half.ref,
            name=migration.name,
            checksum=migration.checksum(Half.EXPAND),
            release=self._release,
            statements_done=len(half.statements),
            done_digest=digest(half.statements),
            finished=durable,
        )
        opening = work.dialect.opening(
            work.session, lock=limits.wait, total=limits.remaining, durable=durable
        )
        statements = (Call(statement.text) for statement in half.statements)
        half.opening = len(opening)
        # Plain statements leave the role alone. What they *call* may not: an event trigger, or a function
        # in a DEFAULT, a CHECK or a USING that is evaluated for rows. Then whoever may write the row
        # writes the same row, or it is refused, and `HalfRun` runs the half, which does become itself.
        half.calls = (*opening, *statements, *work.dialect.closing(row, own=False))

    def _limits(self, migration: Migration) -> Attempts:
        assert migration.expand is not None
        directives, settings = migration.expand.directives, self._work.settings
        return Attempts(
            lock=directives.lock_timeout or settings.lock_timeout,
            total=directives.timeout or settings.timeout,
        )

    def committed(self, half: _Quick, *, durable: bool) -> None:
        """A half's COMMIT has passed."""
        half.done = True
        if not durable:
            self._unsettled.append(half.migration.version)

    def tell(self, event: Event, *, durable: bool) -> None:
        """Emit an event; what is not durable yet is only said after `_settle`."""
        if durable:
            self._work.emit(event)
        else:
            self._untold.append(event)

    async def _pause(self, half: _Quick, error: StatementError) -> None:
        """A lock was not granted: let those who queue behind us pass before the next attempt."""
        limits = self._limits(half.migration)
        wait = limits.lock or 0.0
        self._work.emit(
            HalfRetried(half=str(half.ref), attempt=1, wait=wait, why=limits.why(error))
        )
        await asyncio.sleep(wait)

    # -- alone, and the end ----------------------------------------------------------------------

    async def _alone(self, migration: Migration) -> None:
        """A half that has something of its own: by `HalfRun`."""
        await self._settle()
        work = self._work
        try:
            await HalfRun(
                work, migration, Half.EXPAND, release=self._release, fresh=self._fresh
            ).run()
        finally:
            if work.session.usable:
                await work.session.reset()

    async def _settle(self) -> None:
        """Make everything durable by one last commit, as the server is configured to; then say so."""
        if not self._unsettled:
            return
        work, versions = self._work, self._unsettled
        try:
            async with work.session.transaction():
                await work.dialect.limit(work.session, lock=OWN_PATIENCE, total=None, local=True)
                await work.dialect.become_self(work.session)
                changed = await work.state.finish_expands(work.session, versions)
        except StatementError as error:
            if error.trouble is Trouble.LOST:
                raise self._lost(error) from error
            raise
        if changed != len(versions):
            raise DatabaseError(
                f"{len(versions)} halves were applied, and the rows of {changed} of them are there",
                where=work.dialect.where,
                state="somebody else wrote to pilotage_migrations meanwhile",
                next="pilotage migrate status",
            )
        self._unsettled, untold, self._untold = [], self._untold, []
        for event in untold:
            work.emit(event)

    def _lost(self, error: StatementError) -> DatabaseUnavailable:
        left, self._unsettled, self._untold = self._unsettled, [], []
        state = "what was not committed is rolled back"
        if left:
            state = (
                f"the last {len(left)} halves, from {left[0]}/expand on, were run and are not "
                "recorded as applied"
            )
        return DatabaseUnavailable(
            f"the connection to the database was lost: {error}",
            where=self._work.dialect.where,
            state=state,
            next="run the same command again: it looks at what is there and goes on",
        )


class _Answers:
    """Tells the events of halves as the answers to their calls come in."""

    def __init__(self, series: Series, halves: Sequence[_Quick], *, durable: bool) -> None:
        self._series = series
        self._durable = durable
        self._places = [(half, n) for half in halves for n in range(len(half.calls))]
        self._before = 0.0  # when the call before was over
        self.current = halves[0]
        self._start(halves[0])

    def take(self, index: int) -> None:
        """The call ``index`` of all of them has passed."""
        half, place = self._places[index]
        now = time.monotonic()
        number = place - half.opening + 1
        if 1 <= number <= len(half.statements):
            self._tell(
                HalfStatement(
                    half=str(half.ref),
                    number=number,
                    statements=len(half.statements),
                    seconds=now - self._before,
                )
            )
        self._before = now
        if place == len(half.calls) - 1:
            self._series.committed(half, durable=self._durable)
            self._tell(
                HalfFinished(half=str(half.ref), name=half.migration.name, seconds=now - half.began)
            )
            if index + 1 < len(self._places):
                self._start(self._places[index + 1][0])

    def _start(self, half: _Quick) -> None:
        self.current = half
        half.began = self._before = time.monotonic()
        self._tell(
            HalfStarted(
                half=str(half.ref), name=half.migration.name, statements=len(half.statements)
            )
        )

    def _tell(self, event: Event) -> None:
        self._series.tell(event, durable=self._durable)
