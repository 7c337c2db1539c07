"""The start gate of a container, and the session that shows that its process is there.

Nobody is left to take a registration back once the command has taken this process over. So the start does
not register: it opens a database session that carries the release's name, *then* reads what is announced,
and leaves the session's socket open when it becomes the command. The kernel closes the socket when the
last process that has it ends, however that happens, and the server then ends the session. Of a start and of
an intent at least one sees the other, as with a registration (decision 086).
"""

from __future__ import annotations

import os
from contextlib import suppress

from pilotage.entrypoint.place import Place
from pilotage.health.look import Look, Looked, LookError, PostgresLook, look
from pilotage.health.verdict import Verdict, judge
from pilotage.model import Release


class Door:
    """One container's start gate. ``works``: the command works as soon as it runs."""

    def __init__(self, place: Place, release: Release, *, works: bool = False) -> None:
        self._ships = release.ships
        self._works = works
        self.look: Look = look(place.settings(release), witness="entrypoint")

    def admit(self) -> Verdict:
        """Whether the release may start now. Raises `LookError`.

        On a database that nothing used before, it is first recorded that instances run from now on:
        contract halves then wait for their proof. The read that decides comes after that.
        """
        looked = self.look.ask()
        if looked.fresh and looked.stream and self._judge(looked).ready:
            self.look.mark_first_start(looked.stream)
            looked = self.look.ask()
        return self._judge(looked)

    def _judge(self, looked: Looked) -> Verdict:
        return judge(looked, self._ships, works=self._works)

    def close(self) -> None:
        """End the session."""
        self.look.close()

    def leave_open(self) -> None:
        """Let the session outlive `os.execve`; it ends with the process."""
        if isinstance(self.look, PostgresLook) and self.look.connection is not None:
            os.set_inheritable(self.look.connection.fileno(), True)


class Turn:
    """Which one of several starts prepares: an advisory lock, tried and never waited for.

    It saves nineteen of twenty the work of finding out that there is none. It guards nothing: the
    deploy lock and the migration lock do.
    """

    def __init__(self, place: Place, release: Release, door: Door) -> None:
        self._place = place
        url = place.migration_url
        self._own = look(place.settings(release, url=url), witness="entrypoint") if url else None
        self._look = self._own or door.look

    def take(self) -> bool:
        """Whether it is ours; where there are no such locks, it always is. Raises `LookError`."""
        return self._look.try_lock(f"pilotage entrypoint {self._place.stream}")

    def is_recorded(self, release: Release) -> bool:
        """Whether the deploy state knows what the release ships, so that its sessions are understood."""
        assert release.ships is not None
        try:
            ships = self._look.recorded(self._place.service or "", release.id)
        except LookError:
            return False
        return bool(ships == release.ships.to_json())

    def pass_on(self) -> None:
        """Let the next one have it: a door's session lives on, and would keep the lock."""
        if self._own is not None:
            self._own.close()
        else:
            with suppress(LookError):
                self._look.unlock()
