"""The pauses of a backfill: the rest after each batch, and the wait while something speaks against it.

In a pause it holds the migration lock and nothing else: no transaction is open, no row is locked. No
time limit runs against it, but one: what does not pass by itself ends the run, with the cursor kept. A
person's own pause lasts until that person, or another, ends it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from pilotage.errors import BackfillBlocked, DatabaseError
from pilotage.events import BackfillHeld, BackfillResumed
from pilotage.migrate.backfill_progress import Progress
from pilotage.migrate.dialects.base import StatementError
from pilotage.migrate.pacing import WITH_OTHERS, rest
from pilotage.migrate.pressure import Pressure
from pilotage.migrate.settings import BackfillSettings
from pilotage.migrate.work import Work

_TELL_AGAIN = 30.0  # seconds: the same reasons, with the numbers of then
_LONGEST_SLEEP = 0.5  # seconds: a pause, or a new throttle, is noticed within so much
_KEEP_ALIVE = 10.0  # seconds: an idle session may be ended by its server or by a firewall


class Pauses:
    """Between two batches of one backfill. ``state()`` says, for an error, what state is left."""

    def __init__(
        self,
        work: Work,
        *,
        version: str,
        settings: BackfillSettings,
        pressure: Pressure,
        state: Callable[[], str],
        progress: Progress,
    ) -> None:
        self._work = work
        self._version = version
        self._settings = settings
        self._pressure = pressure
        self._state = state
        self._progress = progress

    async def after(self, seconds: float, rows: int) -> None:
        """The rest after a batch, then the wait for what speaks against the next one."""
        began = time.monotonic()
        while True:
            throttle = self._pressure.throttle
            said, rate = throttle.duty or self._settings.duty, throttle.rate
            duty = said or (1.0 if self._pressure.alone else WITH_OTHERS)
            left = began + rest(seconds, rows=rows, duty=duty, rate=rate) - time.monotonic()
            if left <= 0 or self._pressure.reasons:
                break
            await asyncio.sleep(min(left, _LONGEST_SLEEP))
        await self.wait_until_clear()

    async def wait_until_clear(self) -> None:
        """Wait while there is a reason to pause; say which, and that it is over.

        Raises
        ------
        BackfillBlocked
            The reasons, other than a person's, did not pass.
        DatabaseError
            The user's own query failed.
        """
        pressure = self._pressure
        began = told_at = alive_at = time.monotonic()
        alone_since: float | None = None
        told: tuple[str, ...] = ()
        while True:
            if pressure.failure is not None:
                raise pressure.failure
            if not pressure.reasons:
                break
            now = time.monotonic()
            person = pressure.throttle.paused_by
            alone_since = None if person else alone_since or now
            if alone_since is not None and now - alone_since > self._settings.longest_pause:
                raise self._blocked(now - alone_since)
            signals = tuple(reason.signal for reason in pressure.reasons)
            if signals != told or now - told_at >= _TELL_AGAIN:
                told, told_at = signals, now
                why = tuple(reason.words for reason in pressure.reasons)
                self._work.emit(BackfillHeld(version=self._version, why=why, paused_by=person))
            if now - alive_at >= _KEEP_ALIVE:
                alive_at = now
                await self._keep_alive()
            await pressure.next_look(_LONGEST_SLEEP)
        if told:
            seconds = time.monotonic() - began
            self._progress.paused(seconds)
            self._work.emit(BackfillResumed(version=self._version, seconds=seconds))

    async def _keep_alive(self) -> None:
        try:
            await self._work.session.query("SELECT 1")
        except StatementError as error:
            raise DatabaseError(
                f"the session of the backfill of {self._version} was lost while it paused: {error}",
                where=self._work.dialect.where,
                state=self._state(),
                next="run the same command again",
            ) from error

    def _blocked(self, seconds: float) -> BackfillBlocked:
        why = "; ".join(reason.words for reason in self._pressure.reasons)
        signals = ", ".join(sorted({reason.signal for reason in self._pressure.reasons}))
        return BackfillBlocked(
            f"the backfill of {self._version} gave up after a pause of {seconds:.0f} s: {why}",
            where=self._work.dialect.where,
            state=self._state(),
            next="see to it, then run the same command again; or set another limit for "
            f"{signals} under `migrations: backfill:`",
        )
