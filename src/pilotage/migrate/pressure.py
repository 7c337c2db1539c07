"""Who suffers while a backfill runs, and what people say of it: looked at twice a second.

From sessions of its own, beside the work, because a batch's locks are gone once it has ended. The
backfill reads `Pressure.reasons` between two batches; what cannot be told here (another database, a
role without the privilege) is said once and then left out.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TypeVar

from pilotage.errors import DatabaseError, PilotageError
from pilotage.events import Note
from pilotage.migrate.dialects.base import Dialect, Session, StatementError, Trouble
from pilotage.migrate.lag import Lag
from pilotage.migrate.settings import BackfillSettings
from pilotage.migrate.throttles import Throttle, Throttles
from pilotage.migrate.work import Work

_EVERY = 0.5  # seconds between two looks
_QUERY_LIMIT = 10.0  # seconds that a look's statement may take
_REMEMBERED = 5.0  # seconds that somebody counts as at work: what he does may be short
_FALSE = (None, False, 0, "", "0", "f", "false")
_UNTOLD = {
    "position": "how far the log is written, and so how far replicas are behind,",
    "replication": "how far replicas are behind that are not configured",
    "lock_wait": "who waits for a lock",
    "long_transaction": "how long other roles' transactions last (grant pg_read_all_stats, or PROCESS)",
    "dead_rows": "how far behind vacuum is",
}
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a backfill pauses. ``signal``: which setting says so, or ``paused`` for a person."""

    signal: str
    words: str


class Pressure:
    """What speaks against going on with one backfill.

    ``reasons`` and ``throttle`` are those of the last look; ``looked`` is set after the first and after
    every later one.
    """

    def __init__(self, work: Work, version: str, settings: BackfillSettings) -> None:
        self._work = work
        self._version = version
        self._settings = settings
        self._lags: dict[str, Lag] = {}
        self._untold: set[str] = set()
        self._replica_sessions: dict[int, Session] = {}
        self.tables: tuple[str, ...] = ()
        self.reasons: tuple[Reason, ...] = ()
        self.throttle = Throttle()
        self._at_work: float | None = None  # when others were last seen at work
        self.failure: PilotageError | None = None
        self.looked = asyncio.Event()

    @property
    def alone(self) -> bool:
        """Whether nobody else is at work in the database, as far as can be told."""
        seen = self._at_work
        return seen is None or time.monotonic() - seen > _REMEMBERED

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Look, again and again, for the length of the block; the first look is over when it begins."""
        task = asyncio.create_task(self._watch())
        try:
            await self.looked.wait()
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def next_look(self, within: float) -> None:
        """Wait for the look after this moment, at most ``within`` seconds."""
        self.looked.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self.looked.wait(), within)

    async def _watch(self) -> None:
        """Look until it is cancelled; a lost session is opened again."""
        told = ""
        try:
            while self.failure is None:
                try:
                    await self._connected()
                except (StatementError, DatabaseError) as error:  # what was last seen stays true
                    if str(error) != told:
                        told = str(error)
                        words = f"nobody can look who suffers from the backfill: {told}"
                        self._work.emit(Note(text=words))
                self.looked.set()
                await asyncio.sleep(_EVERY)
        finally:
            self.looked.set()

    async def _connected(self) -> None:
        work = self._work
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._leave_replicas)
            session = await stack.enter_async_context(work.dialect.session())
            await work.dialect.limit(session, lock=1.0, total=_QUERY_LIMIT, local=False)
            throttles = Throttles(work.dialect, await work.dialect.home(session), work.stream)
            told = None
            while self.failure is None:
                self.throttle = await throttles.get(session, self._version)
                await self._look_for_others(session)
                found = [reason async for reason in self._reasons(session)]
                self.reasons = tuple(dict.fromkeys(found))
                words = "; ".join(r.words for r in self.reasons if r.signal != "paused")
                if words != told and (words or told or self.throttle.waits_for):
                    await throttles.wait_for(session, self._version, words)
                told = words
                self.looked.set()
                await asyncio.sleep(_EVERY)

    async def _look_for_others(self, session: Session) -> None:
        if self._settings.duty is None:
            others = await self._work.dialect.others_at_work(session, (self._work.session, session))
            if others is not False:
                self._at_work = time.monotonic()

    async def _reasons(self, session: Session) -> AsyncIterator[Reason]:
        settings, dialect, own = self._settings, self._work.dialect, (self._work.session, session)
        if self.throttle.paused_by:
            yield Reason("paused", _paused(self.throttle, self._version))
        if settings.replication_lag is not None:
            async for reason in self._lag(session, settings.replication_lag):
                yield reason
        if settings.lock_wait is not None:
            waits = await self._ask("lock_wait", dialect.longest_wait(session, own))
            for wait in waits or ():
                if wait.seconds > settings.lock_wait:
                    why = "for this backfill" if wait.for_us else "for a lock"
                    yield Reason("lock_wait", f"{wait.who} waits {why} since {_s(wait.seconds)}")
        if settings.long_transaction is not None:
            open_ones = await self._ask(
                "long_transaction", dialect.oldest_transaction(session, own)
            )
            for one in open_ones or ():
                if one.seconds > settings.long_transaction:
                    yield Reason(
                        "long_transaction",
                        f"{one.who} is in a transaction since {_s(one.seconds)}, so no dead row "
                        "can be removed",
                    )
        if settings.dead_rows is not None or settings.wraparound:
            for table in self.tables:
                async for reason in self._vacuum(session, table):
                    yield reason
        if settings.pause_when is not None and await self._users_own(session, settings.pause_when):
            yield Reason("pause_when", "`pause_when` returns true")

    # -- replicas --------------------------------------------------------------------------------

    async def _lag(self, session: Session, limit: float) -> AsyncIterator[Reason]:
        work = self._work
        now, position = (
            time.monotonic(),
            await self._ask("position", work.dialect.position(session)),
        )
        if not position:
            return
        for index, replica in enumerate(work.replicas):
            lag = self._lags.setdefault(replica.where, Lag())
            lag.note(now, position)
            try:
                behind = await lag.seconds(now, self._replayed_by(index, replica))
            except (StatementError, DatabaseError) as error:
                await self._leave_replica(index)
                yield Reason(
                    "replication_lag", f"the replica {replica.where} cannot be asked: {error}"
                )
                continue
            if behind > limit:
                yield Reason(
                    "replication_lag", f"the replica {replica.where} is {_s(behind)} behind"
                )
        lag = self._lags.setdefault("", Lag())
        lag.note(now, position)
        names: list[str] = []

        async def all_have(place: str) -> bool:
            found = await self._ask("replication", work.dialect.standbys_behind(session, place))
            names[:] = found or []
            return not names

        behind = await lag.seconds(now, all_have)
        if behind > limit:
            yield Reason(
                "replication_lag", f"the replica {' and '.join(names)} is {_s(behind)} behind"
            )

    def _replayed_by(self, index: int, replica: Dialect) -> Callable[[str], Awaitable[bool]]:
        async def ask(position: str) -> bool:
            session = self._replica_sessions.get(index)
            if session is None:
                session = self._replica_sessions[index] = await replica.connect()
            return await replica.has_replayed(session, position) is not False

        return ask

    async def _leave_replica(self, index: int) -> None:
        session = self._replica_sessions.pop(index, None)
        if session is not None:
            await session.close()

    async def _leave_replicas(self) -> None:
        for index in list(self._replica_sessions):
            await self._leave_replica(index)

    # -- vacuum, and the user's own query ----------------------------------------------------------

    async def _vacuum(self, session: Session, table: str) -> AsyncIterator[Reason]:
        found = await self._ask("dead_rows", self._work.dialect.vacuum(session, table))
        if found is None:
            return
        limit = self._settings.dead_rows
        if limit is not None and found.dead is not None and found.dead > limit:
            yield Reason("dead_rows", found.words)
        if self._settings.wraparound and found.wraparound:
            yield Reason("wraparound", f"a vacuum against wraparound runs on {table}")

    async def _users_own(self, session: Session, query: str) -> bool:
        try:
            async with session.transaction(snapshot=True):
                rows = await session.query_some(query, 1)
        except StatementError as error:
            if error.trouble is Trouble.LOST:
                raise
            self.failure = DatabaseError(
                f"`pause_when` of the backfill of {self._version} failed: {error}",
                where=self._work.dialect.where,
                state="the backfill stopped between two batches; its cursor is kept",
                next="correct `migrations.backfill.pause_when`, a query that the migrator's role may "
                f"run within {_QUERY_LIMIT:g} s, then run the same command again",
            )
            return False
        return bool(rows) and rows[0][0] not in _FALSE

    async def _ask(self, signal: str, answer: Awaitable[_T | None]) -> _T | None:
        """The answer; that there is none is said once."""
        try:
            found = await answer
        except StatementError as error:
            if error.trouble is Trouble.LOST:
                raise
            found = None
        except DatabaseError:  # a server that, as it is set up, has no such thing
            found = None
        if found is None and signal not in self._untold and self._work.dialect.names_blockers:
            self._untold.add(signal)
            self._work.emit(
                Note(
                    text=f"backfill {self._version}: {_UNTOLD[signal]} cannot be seen here, so it "
                    "does not pause for it"
                )
            )
        return found


def _paused(throttle: Throttle, version: str) -> str:
    reason = f" ({throttle.reason})" if throttle.reason else ""
    return (
        f"paused by {throttle.paused_by}{reason}; `pilotage migrate resume {version}` has it go on"
    )


def _s(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else f"{seconds / 60:.0f} min"
