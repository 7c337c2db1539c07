"""Rows that do not obey a constraint or a unique index that a step of ``online`` makes, told to a person.

The server's own words quote what is in the row; here rows are named by their primary key alone.
"""

from __future__ import annotations

from pilotage.errors import HalfFailed
from pilotage.migrate.dialects.base import StatementError, Trouble
from pilotage.migrate.sql.online import Step
from pilotage.migrate.work import Work

_SHOWN = 5


def violates(step: Step, error: StatementError) -> bool:
    """Whether rows are what stood in the way of a step."""
    return step.kind != "plain" and error.trouble in (Trouble.DUPLICATE, Trouble.VIOLATED)


async def told_of_rows(
    work: Work, step: Step, error: StatementError, *, title: str, where: str, state: str
) -> HalfFailed:
    """The error, with a few of the rows, the query for all of them, and what was left."""
    found = await work.dialect.offenders(work.session, step, _SHOWN)
    what, following = f"{title}: {error.message}", "correct the rows"
    if found is not None:
        if found.rows:
            what += f"; for example, by {found.key}: {', '.join(found.rows)}"
        following += f" (to find them: {found.query})"
    if step.kind == "validate":
        state += (
            f"; the constraint {step.name} is there and NOT VALID: rows that are written from now on "
            "obey it"
        )
    return HalfFailed(
        what,
        where=where,
        state=state,
        next=f"{following}, then run the same command again: it goes on with this step",
    )
