"""Writes a line when a command begins and one when it ends, in the database and on every host."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from pilotage.audit.entry import Line
from pilotage.audit.hosts import HostLog
from pilotage.errors import PilotageError, Refused
from pilotage.events import Emit, Note

LIMIT = 10.0
"""Seconds that a line may take: what is written down must not hold up what is done."""


class Table(Protocol):
    """The lines of a service in its database."""

    async def append(self, lines: Sequence[Line]) -> bool:
        """Append; False where there is no table yet, and none is made for this.

        Raises
        ------
        DatabaseError
            The database refused.
        """
        ...

    async def last(self, count: int) -> list[Line]:
        """The newest lines, in the order in which they were written."""
        ...


@dataclass(frozen=True, slots=True)
class Audit:
    """Where the lines go. ``table`` None: the service has no database."""

    hosts: HostLog | None
    table: Table | None
    emit: Emit

    @asynccontextmanager
    async def command(
        self,
        command: str,
        *,
        who: Callable[[], str],
        origin: str,
        tell: Callable[[str], str],
    ) -> AsyncIterator[None]:
        """Write that ``command`` begins, and at the end of the block how it ended.

        ``tell`` masks what must not be written down. A line that cannot be written is a warning, at the
        end, and nothing else.
        """
        began = Line(secrets.token_hex(8), time.time(), who(), origin, tell(command))
        # Beside what is done, so that it costs no round trips of its own; at the end it is waited for.
        beginning = asyncio.create_task(self._begin(began))
        result, detail = "done", ""
        try:
            yield
        except PilotageError as error:
            result = _result(error)
            detail = tell(error.what)
            raise
        except asyncio.CancelledError:
            result = "interrupted"
            raise
        except BaseException as error:
            result, detail = _left(error)
            raise
        finally:
            ended = replace(began, at=time.time(), result=result, detail=detail)
            await asyncio.shield(self._end(began, ended, beginning))

    async def _begin(self, began: Line) -> tuple[bool, list[str]]:
        trouble = await self._on_hosts(began, create=True)
        # What the database says now is not told: it may be what this command starts. See `_end`.
        return await self._in_table((began,), []), trouble

    async def _end(
        self, began: Line, ended: Line, beginning: asyncio.Task[tuple[bool, list[str]]]
    ) -> None:
        kept, trouble = await beginning
        trouble += await self._on_hosts(ended, create=False)
        # Its tables may have been made meanwhile, by the first deploy.
        await self._in_table((ended,) if kept else (began, ended), trouble)
        for why in dict.fromkeys(trouble):
            self.emit(Note(text=f"the audit was not written: {why}", level="warning"))

    async def _on_hosts(self, line: Line, *, create: bool) -> list[str]:
        if self.hosts is None:
            return []
        try:
            async with asyncio.timeout(LIMIT):
                return list(await self.hosts.append(line.to_bytes(), create=create))
        except TimeoutError:
            return [f"the hosts did not take it within {LIMIT:g} s"]

    async def _in_table(self, lines: Sequence[Line], trouble: list[str]) -> bool:
        if self.table is None:
            return True
        try:
            async with asyncio.timeout(LIMIT):
                return await self.table.append(lines)
        except TimeoutError:
            trouble.append(f"the database did not take it within {LIMIT:g} s")
        except PilotageError as error:
            trouble.append(error.what)
        return False

    async def last(self, count: int) -> list[Line]:
        """The newest lines: of the database, or of the hosts where there is none."""
        if self.table is not None:
            return await self.table.last(count)
        if self.hosts is None:
            return []
        text = await self.hosts.tail(count)
        return [line for line in map(Line.from_bytes, text.splitlines()) if line]


def _result(error: PilotageError) -> str:
    if error.interruption:
        return "interrupted"
    return "refused" if isinstance(error, Refused) else "failed"


def _left(error: BaseException) -> tuple[str, str]:
    """A command that ends by an exception of the command line's says its exit status that way."""
    status = getattr(error, "exit_code", None)
    if isinstance(status, int):
        return ("done", f"exit status {status}" if status else "")
    return "failed", type(error).__name__
