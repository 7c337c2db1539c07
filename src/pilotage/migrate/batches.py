"""One batch of a backfill: a window of the table's key, changed in a transaction that stores the cursor.

The first batch of a statement goes step by step, since it is tried whether the statement leaves alone what
it has changed. The others, where a dialect can send statements together, are two round trips: from BEGIN to the
change, with a look for the window of the batch after it; then, since only now it is known how many rows
were changed, the cursor and COMMIT. See decision 139.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from pilotage.errors import NotConverging
from pilotage.migrate.dialects.base import Call, Walk, Window
from pilotage.migrate.ends import changes_again
from pilotage.migrate.pacing import BatchSize
from pilotage.migrate.sql import Batchable, Statement
from pilotage.migrate.state import Cursor
from pilotage.migrate.work import Work

_TOO_LARGE = 1.25
"""A window that was looked up is used for a batch of up to so many times the rows that are wanted now."""


@dataclass(frozen=True, slots=True)
class Ahead:
    """The window that was looked up for the batch after a key, and how many rows it was to have."""

    after: list[str] | None
    rows: int
    window: Window


@dataclass(slots=True)
class Step:
    """A statement of the section, how its table is walked (None: it limits itself), and its rows.

    ``tried``: it was seen to leave alone what it has changed.
    """

    statement: Statement
    batch: Batchable
    size: BatchSize
    walk: Walk | None = None
    estimate: int | None = None
    tried: bool = False
    ahead: Ahead | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """What a batch did: the cursor after it, the rows that it spanned and changed, its seconds, and how
    many of these it spent on its rows."""

    cursor: Cursor
    spanned: int
    changed: int
    on_rows: float
    seconds: float


class Batches:
    """The batches of one run. ``endless(step, what)`` makes the error of a statement without an end."""

    def __init__(
        self, work: Work, version: str, *, endless: Callable[[Step, str], NotConverging]
    ) -> None:
        self._work = work
        self._version = version
        self._endless = endless

    async def one(
        self, step: Step, cursor: Cursor, *, lock: float | None, total: float, suspect: bool
    ) -> Done | None:
        """Run the batch after ``cursor``; None: nothing is left.

        ``lock``, ``total``: limits in seconds. ``suspect``: try again whether the statement ends.

        Raises
        ------
        StatementError
            It failed, and was rolled back.
        NotConverging
            The statement changes its own rows again; the batch was rolled back.
        """
        began = time.monotonic()
        done: Done | None
        ahead = None
        if step.tried and not suspect and self._work.around is None:
            ahead = await self._ahead(step, cursor, lock=lock, total=total)
        if ahead is not None and step.walk is not None:
            done = await self._together(step, step.walk, cursor, ahead, lock=lock, total=total)
        else:
            done = await self._stepwise(step, cursor, lock=lock, total=total, suspect=suspect)
        return done and replace(done, seconds=time.monotonic() - began)

    # -- in two round trips -----------------------------------------------------------------------------

    async def _ahead(
        self, step: Step, cursor: Cursor, *, lock: float | None, total: float
    ) -> Window | None:
        """The next window, if it can be told in one question: not the one at the end of a pass."""
        work, walk, known, rows = self._work, step.walk, step.ahead, step.size.rows
        if walk is None or not work.dialect.pipelines or cursor.position == walk.end:
            return None
        if known and known.after == cursor.position and known.rows <= rows * _TOO_LARGE:
            return known.window
        opening = work.dialect.opening(work.session, lock=lock, total=total, durable=False)
        question = work.dialect.ahead(walk, cursor.position, rows)
        *_, answer, _ = await work.dialect.together(
            work.session, [*opening, question, Call("COMMIT")]
        )
        return work.dialect.read_ahead(walk, cursor.position, rows, answer)

    async def _together(
        self,
        step: Step,
        walk: Walk,
        cursor: Cursor,
        window: Window,
        *,
        lock: float | None,
        total: float,
    ) -> Done:
        work, dialect = self._work, self._work.dialect
        position, rows = window.cursor, step.size.rows
        before = [*dialect.opening(work.session, lock=lock, total=total, durable=False)]
        looks = position is not None and position != walk.end
        if looks:  # before a row is locked
            before.append(dialect.ahead(walk, position, rows))
        change = Call(step.batch.render(window.predicate))
        *_, asked, changed = await dialect.together(
            work.session, [*before, change], early=len(before) - 1
        )
        after = _after(cursor, position, changed=changed.changed, spanned=window.rows)
        row = work.state.cursor_row(self._version, after)
        await dialect.together(work.session, dialect.closing(row))
        following = dialect.read_ahead(walk, position, rows, asked) if looks else None
        step.ahead = Ahead(position, rows, following) if following else None
        return Done(after, window.rows, changed.changed, changed.at - asked.at, 0.0)

    # -- step by step ------------------------------------------------------------------------------------

    async def _stepwise(
        self, step: Step, cursor: Cursor, *, lock: float | None, total: float, suspect: bool
    ) -> Done | None:
        work, session = self._work, self._work.session
        async with work.dialect.batch(session, lock=lock, total=total):
            began = time.monotonic()
            text = step.statement.text
            if step.walk is None:
                changed = spanned = await work.execute(step.statement)
                position = None
            else:
                window = await work.dialect.window(
                    session, step.walk, cursor.position, step.size.rows
                )
                if window is None:
                    return None
                text = step.batch.render(window.predicate)
                changed = await work.execute(step.statement, text)
                position, spanned = window.cursor, window.rows
            on_rows = time.monotonic() - began
            if (
                changed
                and step.walk is not None
                and (suspect or not step.tried)
                and await changes_again(session, text, changed)
            ):
                raise self._endless(step, "the rows that it has just changed")
            await work.dialect.become_self(session)
            after = _after(cursor, position, changed=changed, spanned=spanned)
            await work.state.put_cursor(session, self._version, after)
        return Done(after, spanned, changed, on_rows, 0.0)


def _after(cursor: Cursor, position: list[str] | None, *, changed: int, spanned: int) -> Cursor:
    return replace(
        cursor,
        position=position,
        pass_rows=cursor.pass_rows + changed,
        total_rows=cursor.total_rows + changed,
        scanned=cursor.scanned + spanned,
    )
