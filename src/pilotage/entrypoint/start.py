"""A container's start, from its command line to the command itself, which then *is* this process.

Called by ``pilotage entrypoint`` and ``pilotage wait``. Everything up to the command is bounded by one time
limit, says what it waits for, and ends on a signal.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import NoReturn

from pilotage.entrypoint.door import Door, Turn
from pilotage.entrypoint.match import Duty
from pilotage.entrypoint.place import Place
from pilotage.entrypoint.signals import Signals
from pilotage.errors import (
    Blocked,
    DatabaseUnavailable,
    DeployError,
    LeaseHeld,
    LeaseLost,
    LockUnavailable,
    Misfit,
    PilotageError,
)
from pilotage.events import Emit
from pilotage.health.look import LookError
from pilotage.health.verdict import Verdict
from pilotage.migrate.migration import Migrations
from pilotage.model import Release, release_id, session_name
from pilotage.store import Claim

Say = Callable[[str], None]
"""Called with each line of progress."""

TTL = 15.0
"""Seconds that the deploy lock of a start lives without a heartbeat: after SIGKILL the others wait for it."""

_POLL = (0.1, 0.5)
_REPEAT = 15.0
_PASSING = (Blocked, DatabaseUnavailable, LeaseHeld, LeaseLost, LockUnavailable)
"""What may be otherwise in a moment: somebody else is at it, or the database is not up yet."""


class NotRun(PilotageError):
    """The command could not be run. The exit status is a shell's: 127 not found, 126 not a program."""


class _Patience:
    """Waits, with growing pauses, and says what for: at first, when it changes, and now and then."""

    def __init__(self, limit: float, say: Say) -> None:
        self._limit = limit
        self._say = say
        self._began = self._told_at = time.monotonic()
        self._told = ""
        self._pause = _POLL[0]

    def wait(self, why: str, failure: DeployError) -> None:
        """Pause; raises ``failure`` when the limit is over."""
        now = time.monotonic()
        waited = now - self._began
        if waited >= self._limit:
            failure.what = f"{failure.what} (waited {waited:.0f} s)"
            raise failure
        if why != self._told or now - self._told_at >= _REPEAT:
            since = f" ({waited:.0f} s)" if why == self._told else ""
            self._say(f"waiting{since}: {why}")
            self._told, self._told_at = why, now
        pause = self._pause * random.uniform(0.7, 1.3)  # noqa: S311
        self._pause = min(self._pause * 1.4, _POLL[1])
        time.sleep(min(pause, self._began + self._limit - now))


def wait_until_it_fits(
    place: Place, *, limit: float, say: Say, works: bool = False
) -> tuple[Release, Door]:
    """Wait until the image's release fits the schema; the release, and its door, which is open.

    Raises
    ------
    Misfit
        It does not fit within ``limit`` seconds, or never will.
    DatabaseUnavailable
        The database did not answer within ``limit`` seconds.
    """
    release, _ = _release(place)
    patience = _Patience(limit, say)
    with ExitStack() as stack:
        door = Door(place, release, works=works)
        stack.callback(door.close)
        while True:
            try:
                verdict = door.admit()
            except LookError as error:
                patience.wait(_why(error), _unavailable(error))
                continue
            if verdict.ready:
                stack.pop_all()
                return release, door
            failure = _misfit(release, verdict.why)
            if verdict.permanent:
                raise failure
            patience.wait(verdict.why, failure)


def prepare_or_wait(
    place: Place, claim: Claim, *, limit: float, signals: Signals, say: Say, emit: Emit
) -> tuple[Release, Door]:
    """Bring the schema to the image's release, unless somebody else is at it: then wait for them.

    Returns what `wait_until_it_fits` returns.

    Raises
    ------
    Misfit
        The release does not fit and cannot be made to.
    PilotageError
        Preparing failed, or was not possible within ``limit`` seconds.
    """
    place.named()
    release, files = _release(place)
    patience = _Patience(limit, say)
    with ExitStack() as stack:
        door = Door(place, release)
        keep = stack.enter_context(ExitStack())
        keep.callback(door.close)
        turn = Turn(place, release, door)
        stack.callback(turn.pass_on)
        prepared = False
        while True:
            try:
                verdict = door.admit()
                known = verdict.ready and turn.is_recorded(release)
                ours = not known and not verdict.permanent and turn.take()
            except LookError:
                # Perhaps there is no database yet: preparing makes it, or says what is wrong.
                verdict, known, ours = Verdict(), False, True
            if known:
                keep.pop_all()
                return release, door
            failure = _misfit(release, verdict.why)
            if verdict.permanent:
                raise failure
            if prepared or not ours:
                why = verdict.why if ours else "another start prepares the database"
                patience.wait(why, failure)
            if ours:
                prepared = _prepare(
                    place, release, files, claim, signals=signals, emit=emit, patience=patience
                )


def _prepare(
    place: Place,
    release: Release,
    files: Migrations,
    claim: Claim,
    *,
    signals: Signals,
    emit: Emit,
    patience: _Patience,
) -> bool:
    """Prepare; False, after a pause, when something that passes stood in the way."""
    from pilotage.entrypoint.prepare import prepare

    try:
        signals.run(prepare(place, release, files, claim, emit))
    except _PASSING as error:
        patience.wait(error.what, error)
        return False
    return True


def _release(place: Place) -> tuple[Release, Migrations]:
    """What this image is. Raises `MigrationFileError` where its files are wrong, or not there."""
    from pilotage.migrate.loader import load_migrations

    files = load_migrations(place.folder, dialect=place.dialect)
    return place.release(files), files


def _misfit(release: Release, why: str) -> Misfit:
    return Misfit(
        f"release {release.id} may not start: {why}",
        state="nothing was started",
        next="see `pilotage status`, or deploy a release that fits",
    )


def _unavailable(error: LookError) -> DatabaseUnavailable:
    return DatabaseUnavailable(
        _why(error), state="nothing was started", next="start the database, or correct DATABASE_URL"
    )


def _why(error: LookError) -> str:
    return f"{error}: {error.detail}" if error.detail else str(error)


# ----------------------------------------------------------------------------------------------
# The command itself
# ----------------------------------------------------------------------------------------------


def start(
    argv: Sequence[str],
    environ: Mapping[str, str],
    place: Place,
    duty: Duty,
    claim: Claim,
    *,
    limit: float,
    say: Say,
    emit: Emit,
) -> NoReturn:
    """Prepare or wait, then become the command.

    An instance that a deploy started only waits: the deploy has prepared, registered and judged it.
    """
    with Signals() as signals:
        if duty is Duty.PREPARE and place.instance is None:
            release, door = prepare_or_wait(
                place, claim, limit=limit, signals=signals, say=say, emit=emit
            )
        else:
            works = duty is Duty.WAIT and place.instance is None
            release, door = wait_until_it_fits(place, limit=limit, say=say, works=works)
        if place.instance is None:
            door.leave_open()
    become(argv, named(environ, release.id))


def named(environ: Mapping[str, str], release: str) -> dict[str, str]:
    """The environment, with the release in the names of the database sessions that will be opened."""
    from pilotage.host.application_name import ours_first, with_application_name

    name = session_name(release)
    given = {key: with_application_name(value, name) for key, value in environ.items()}
    return given | {"PGAPPNAME": ours_first(name, environ.get("PGAPPNAME", ""))}


def straight(argv: Sequence[str], environ: Mapping[str, str]) -> NoReturn:
    """Become a command that is no business of ours. Where the environment names the release, its
    database sessions do as well: a console of an old release is something a contract half must see."""
    release = environ.get("PILOTAGE_RELEASE") or environ.get("KAMAL_VERSION")
    if release and "PGAPPNAME" not in environ:
        environ = {**environ, "PGAPPNAME": session_name(release_id(release))}
    become(argv, environ)


def become(argv: Sequence[str], environ: Mapping[str, str]) -> NoReturn:
    """Replace this process by the command.

    Raises
    ------
    NotRun
        There is no such program, or it is none.
    """
    # Python ignores these two, and what is ignored stays so in the next program.
    for name in ("SIGPIPE", "SIGXFSZ"):
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execvpe(argv[0], list(argv), dict(environ))  # noqa: S606 (no shell is meant)
    except OSError as error:
        failure = NotRun(f"{argv[0]}: {error.strerror}", state="nothing runs")
        failure.exit_status = 127 if isinstance(error, FileNotFoundError) else 126
        raise failure from error
