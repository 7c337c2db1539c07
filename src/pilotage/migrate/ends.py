"""Whether a backfill ends.

A statement that changes the rows again that it has just changed never does: that is tried out on the
first batch, which is then taken back. One that only something else keeps busy (code that writes rows as
before) is told from it by its passes, which do not shrink.
"""

from __future__ import annotations

from pilotage.migrate.dialects.base import Session

PASSES = 5
"""So many passes are looked at to judge whether they still shrink."""

TRIALS = 5
"""So many times the first batch is run again; a statement that needs several steps a row may shrink."""


def stands_still(history: list[int], *, final: bool) -> bool:
    """Whether the passes no longer shrink. The final run is the more patient one.

    Running code that writes rows as before leaves a few for each pass, now more, now fewer. The
    run before the contract half takes those, so the first run need not wait for a lucky pass.
    """
    if len(history) < PASSES:
        return False
    if final:
        return history == sorted(history)
    return max(history[-2:]) >= min(history[:-2])


async def changes_again(session: Session, text: str, changed: int) -> bool:
    """Whether a batch that has just changed rows does so again, however often; it is taken back.

    Runs inside the batch's transaction.
    """
    await session.execute("SAVEPOINT pilotage_again")
    for _ in range(TRIALS):
        if await session.execute(text) < changed:
            again = False
            break
    else:
        again = True
    await session.execute("ROLLBACK TO SAVEPOINT pilotage_again")
    return again
