"""The last answer, kept and renewed: at most one look a second and process, however many probes come.

A look is made in a thread of its own, never in the probe's. A probe that finds the answer older than a second
asks for a look and waits for it, but no longer than half a second after the look began; then it is
given what is known. So a database that hangs costs the first probes half a second, and the others nothing.

While probes come, the thread and its session stay; a few seconds after the last probe both are gone. All of it
belongs to the process that uses it: a server that forks its workers may have loaded the application
before.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field, replace

from pilotage.errors import PilotageError
from pilotage.health.look import Look, LookError, look
from pilotage.health.settings import Settings
from pilotage.health.shipped import Shipped
from pilotage.health.verdict import Verdict, body, judge

MAX_AGE = 1.0
"""Seconds after which an answer is looked up anew, and at the least between two looks."""

PATIENCE = 0.5
"""Seconds that a probe waits for a look that has begun: kubelet gives up after 1."""

LIMIT = 5.0
"""Seconds after which a look that has not ended is broken off."""

_LINGER = 5.0
"""Seconds that the session is kept for the next look."""

log = logging.getLogger("pilotage.health")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a probe is told. ``body`` is JSON, in UTF-8."""

    ready: bool
    body: bytes

    @property
    def status(self) -> int:
        """The HTTP status: 200 or 503."""
        return 200 if self.ready else 503


class Readiness:
    """Whether this instance's release fits the schema.

    Parameters
    ----------
    settings:
        Gives the settings; called in the first look, so that an application can be imported where its
        database is not known (tests, builds). What it raises is told in the answer.
    """

    def __init__(self, settings: Callable[[], Settings] = Settings.of) -> None:
        self._settings = settings
        self._keepers: dict[int, _Keeper] = {}

    def answer(self) -> Answer:
        """The answer, after waiting a moment for a look when the last one is old."""
        keeper = self._keeper()
        looking, wait = keeper.renew()
        if looking is not None and wait > 0:
            with suppress(TimeoutError):
                looking.result(wait)
        return keeper.answer()

    async def answer_async(self) -> Answer:
        """`answer`, without holding up the event loop."""
        keeper = self._keeper()
        looking, wait = keeper.renew()
        if looking is not None and wait > 0:
            await asyncio.wait((asyncio.wrap_future(looking),), timeout=wait)
        return keeper.answer()

    def _keeper(self) -> _Keeper:
        """This process's own; a child has the dictionary of its parent, and never uses its entry."""
        pid = os.getpid()
        keeper = self._keepers.get(pid)
        return keeper or self._keepers.setdefault(pid, _Keeper(self._settings))


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known. ``at``: when the database answered last (``time.monotonic()``)."""

    verdict: Verdict = field(default_factory=Verdict)
    release: str | None = None
    at: float | None = None
    error: str | None = None


class _Keeper:
    """The answer of one process, and the thread that renews it."""

    def __init__(self, settings: Callable[[], Settings]) -> None:
        self._settings = settings
        self._known = _Known()
        self._lock = threading.Condition()
        self._looking: Future[None] | None = None
        self._began = float("-inf")
        self._working = False
        self._look: Look | None = None

    def answer(self) -> Answer:
        """What is known now."""
        known = self._known
        age = None if known.at is None else time.monotonic() - known.at
        told = body(known.verdict, release=known.release, age=age, error=known.error)
        return Answer(known.verdict.ready, json.dumps(told, ensure_ascii=False).encode())

    def renew(self) -> tuple[Future[None] | None, float]:
        """Ask for a look when the last one is old; the look to wait for, and how long (seconds)."""
        with self._lock:
            now = time.monotonic()
            if self._looking is not None:
                if now - self._began > LIMIT and self._look is not None:
                    self._look.abort()
                return self._looking, self._began + PATIENCE - now
            if now - self._began < MAX_AGE:
                return None, 0.0
            self._began = now
            self._looking = Future()
            self._looking.set_running_or_notify_cancel()  # nobody who waits can cancel it
            if self._working:
                self._lock.notify()
            else:
                try:
                    threading.Thread(target=self._work, name="pilotage-health", daemon=True).start()
                except RuntimeError:  # the interpreter is ending, or may have no more threads
                    self._looking = None
                    return None, 0.0
                self._working = True
            return self._looking, PATIENCE

    def _work(self) -> None:
        """Look as often as it is wanted; end when it has not been for a while."""
        made: Look | None = None
        shipped: Shipped | None = None
        while True:
            try:
                if made is None or shipped is None:
                    settings = self._settings()
                    self._known = replace(self._known, release=settings.release)
                    made, shipped = look(settings, witness="readiness"), Shipped(settings)
                self._look = made
                looked = made.ask()
                ships = shipped.by(looked)
                verdict = judge(looked, ships, was_ready=self._known.verdict.ready)
                if shipped.trouble:
                    verdict = replace(verdict, why=f"its migrations are unknown: {shipped.trouble}")
                self._learn(verdict)
            except LookError as error:
                self._fail(str(error), error.detail)
            except PilotageError as error:
                self._fail(error.what, "")
            except Exception as error:  # noqa: BLE001 (a probe is answered whatever happens)
                self._fail(f"the look failed ({type(error).__name__})", "")
            with self._lock:
                done, self._looking = self._looking, None
                assert done is not None
                done.set_result(None)
                self._lock.wait_for(lambda: self._looking is not None, _LINGER)
                if self._looking is None:
                    self._working, self._look = False, None
                    break
        if made is not None:
            made.close()

    def _learn(self, verdict: Verdict) -> None:
        known = self._known
        if verdict.ready != known.verdict.ready or (known.error and not verdict.ready):
            say = log.info if verdict.ready else log.warning
            say("%s: %s", "ready" if verdict.ready else "not ready", verdict.why)
        elif known.error:
            log.info("the database answers again")
        self._known = replace(known, verdict=verdict, at=time.monotonic(), error=None)

    def _fail(self, error: str, detail: str) -> None:
        """Keep the last verdict: what nobody could look at is no evidence of anything."""
        known = self._known
        if error != known.error:
            log.warning("%s; the last answer stays. %s", error, detail)
        verdict = known.verdict
        if known.at is None:
            verdict = replace(verdict, why=f"{error}, and it was never asked before")
        self._known = replace(known, verdict=verdict, error=error)
