"""Where a framework says what it has applied: its own table, or a command that prints JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from pilotage.errors import DatabaseError
from pilotage.migrate.dialects.base import Dialect, Session
from pilotage.migrate.engines.truth import Reading

FRESH = 3.0
"""Seconds for which a command's answer is believed: a deploy looks often, and a command takes its time."""


class Reader(Protocol):
    """Whoever knows what is applied.

    ``grouped``: versions are ``group.name``, and those of groups that the project does not have (of
    installed packages) are none of its business.
    """

    @property
    def grouped(self) -> bool:
        """See above."""
        ...

    async def ask(self, *, now: bool) -> None:
        """Get ready to `read`, outside of any transaction. ``now``: nothing remembered will do."""
        ...

    async def read(self, dialect: Dialect, session: Session) -> Reading:
        """What is applied; nothing where the framework has never been here.

        Raises
        ------
        StatementError, DatabaseError
            It cannot be asked.
        """
        ...


@dataclass(frozen=True, slots=True)
class TableReader:
    """A table of the framework's, whose ``columns`` are joined with a dot."""

    table: str
    columns: tuple[str, ...]
    heads: bool = False

    @property
    def grouped(self) -> bool:
        """When there is more than the version."""
        return len(self.columns) > 1

    async def ask(self, *, now: bool) -> None:
        """The table is always asked anew."""

    async def read(self, dialect: Dialect, session: Session) -> Reading:
        """Its rows, as the search path finds it."""
        if not await dialect.has_table(session, "", self.table):
            return Reading(frozenset(), self.heads)
        rows = await session.query(f"SELECT {', '.join(self.columns)} FROM {self.table}")  # noqa: S608
        return Reading(frozenset(".".join(map(str, row)) for row in rows), self.heads)


def schema_migrations() -> TableReader:
    """Rails (and dbmate, Phoenix, golang-migrate's older kin): a row for each version."""
    return TableReader("schema_migrations", ("version",))


def alembic_version() -> TableReader:
    """Alembic: a row for each head."""
    return TableReader("alembic_version", ("version_num",), heads=True)


def django_migrations() -> TableReader:
    """Django: a row for each migration of each app."""
    return TableReader("django_migrations", ("app", "name"))


class CommandReader:
    """A command that prints ``{"version": …, "applied": […]}``; either may be left out.

    ``applied`` lists every version. Without it everything up to ``version`` is applied.
    """

    grouped = False

    def __init__(self, line: str, run: Callable[[str], Awaitable[str]]) -> None:
        self._line = line
        self._run = run
        self._answer = Reading(frozenset())
        self._asked_at: float | None = None

    async def ask(self, *, now: bool) -> None:
        """Run it, unless it was just now."""
        if not now and self._asked_at and time.monotonic() - self._asked_at < FRESH:
            return
        self._answer = self._parsed(await self._run(self._line))
        self._asked_at = time.monotonic()

    async def read(self, dialect: Dialect, session: Session) -> Reading:
        """What it said."""
        return self._answer

    def _parsed(self, text: str) -> Reading:
        try:
            told: Any = json.loads(text)
        except ValueError as error:
            raise self._wrong("it is not JSON") from error
        if not isinstance(told, dict) or not told.keys() & {"version", "applied"}:
            raise self._wrong("there is neither `version` nor `applied` in it")
        listed, version = told.get("applied"), told.get("version")
        if listed is not None:
            if not isinstance(listed, list):
                raise self._wrong("`applied` is no list")
            return Reading(frozenset(str(one) for one in listed))
        return Reading(frozenset() if version in (None, "") else frozenset({str(version)}), True)

    def _wrong(self, why: str) -> DatabaseError:
        return DatabaseError(
            f"what the status command printed cannot be used: {why}",
            where=f"`{self._line}`",
            state="so nobody knows what is applied; nothing was changed",
            next='it should print {"version": "…", "applied": ["…"]} and nothing else',
        )
