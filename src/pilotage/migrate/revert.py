"""The ``-- down`` section: taking an expand half back.

It runs as a half does, in a transaction or statement by statement. How far it came stands in the row of the
expand half, which does not count as applied from the first statement on, and goes with the last.
"""

from __future__ import annotations

from pilotage.errors import UsageError
from pilotage.migrate.half import HalfRun
from pilotage.migrate.migration import Migration, Section
from pilotage.migrate.sql import Statement
from pilotage.migrate.state import StoredHalf
from pilotage.migrate.work import Work, digest
from pilotage.model import REVERTING, Half


class Revert(HalfRun):
    """One run of a ``-- down`` section."""

    def __init__(self, work: Work, migration: Migration) -> None:
        super().__init__(work, migration, Half.EXPAND, release=None, fresh=False)
        self._title = f"{migration.version}/down"
        self._before: StoredHalf | None = None  # the row as it was when nothing was taken back yet

    def _section_of(self, half: Half) -> Section:
        migration = self._migration
        if migration.down is None:
            raise UsageError(
                f"{migration} has no `-- down` section",
                where=str(migration.path),
                state="nothing was changed",
                next="write one, or undo it with a new migration",
            )
        return migration.down

    async def run(self) -> None:
        """Run it, or what an earlier run left of it; the row of the expand half goes with its end."""
        stored = await self._work.state.half(self._work.session, self._ref)
        if stored is None:
            return
        if stored.row.how == REVERTING:
            await self._carry_out(stored)
            return
        self._new, self._before = True, stored
        await self._carry_out(None)

    def _is_over(self, stored: StoredHalf, done: int) -> bool:
        return False  # the row would be gone

    async def _record(self, done: int, *, in_statement: bool = False) -> None:
        """Write how far it is; with the last statement, forget the half."""
        work, ref = self._work, self._ref
        await work.dialect.become_self(work.session)
        if done == len(self._statements) and not in_statement:
            await work.state.delete_half(work.session, ref)
            await work.state.delete_cursor(work.session, ref.version)
            await work.state.delete_intent(work.session, ref)
            return
        await work.state.revert_half(
            work.session,
            ref,
            statements_done=done,
            done_digest=digest(self._statements[:done]),
            in_statement=in_statement,
        )

    async def _take_back(self, statement: Statement, index: int) -> None:
        """Let the half count as applied again, of which nothing is taken back."""
        before, session = self._before, self._work.session
        if before is None or not self._is_untouched(statement, index):
            return
        async with session.transaction():
            await self._work.dialect.become_self(session)
            await self._work.state.restore_half(session, self._ref, before)

    def _by_hand(self) -> str:
        return (
            "finish it by hand, put `SELECT 1` in its place in the `-- down` section, and run the same "
            "command again"
        )

    def _progress(self, index: int) -> str:
        if not index:
            return f"{self._ref} is applied as before"
        return (
            f"the first {index} of {len(self._statements)} statements of {self._title} have run; {self._ref} "
            "does not count as applied"
        )
