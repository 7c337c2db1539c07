"""Clients that ask without a pause, each on a connection that it keeps, and write down every answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPResponse
from itertools import groupby


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client got; ``status`` 0: no answer, and ``body`` says why. ``at``: when it had asked."""

    at: float
    status: int
    body: str
    retry_after: str | None = None


@dataclass(slots=True)
class Clients:
    """The answers of all clients. Each client's own are in order."""

    port: int
    answers: list[list[Answer]] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    @property
    def all(self) -> list[Answer]:
        """Every answer, by when it was asked for."""
        return sorted((a for mine in self.answers for a in mine), key=lambda a: a.at)

    @property
    def lost(self) -> list[Answer]:
        """What was no answer of the app's own, and no page: resets, 500, 502, an empty 503."""
        return [
            a for a in self.all if a.status != 200 and not (a.status == 503 and "<h1>" in a.body)
        ]

    def phases(self, client: int) -> list[int]:
        """The statuses that a client got one after the other, each once."""
        return [status for status, _ in groupby(a.status for a in self.answers[client])]

    def since(self, moment: float) -> list[Answer]:
        """The answers to what was asked after a moment of ``time.monotonic()``."""
        return [a for a in self.all if a.at > moment]

    def ask(self, mine: list[Answer]) -> None:
        """One client, to the end."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        with closing(connection):
            while not self._over.is_set():
                at = time.monotonic()
                try:
                    connection.request("GET", "/work")
                    mine.append(self._read(at, connection.getresponse()))
                except (OSError, HTTPException) as error:
                    mine.append(Answer(at, 0, repr(error)))
                    connection.close()
                time.sleep(0.01)

    @staticmethod
    def _read(at: float, response: HTTPResponse) -> Answer:
        retry_after = response.getheader("Retry-After")
        return Answer(at, response.status, response.read().decode(), retry_after)

    def until(self, status: int, since: float) -> None:
        """Wait until each client got this status for what it asked after ``since``."""
        give_up = time.monotonic() + 60
        for mine in self.answers:
            while not any(a.status == status and a.at > since for a in reversed(mine)):
                assert time.monotonic() < give_up, f"one got no {status}: {mine[-5:]}"
                time.sleep(0.02)

    def end(self) -> None:
        """No more questions."""
        self._over.set()


@contextmanager
def clients(port: int, number: int = 8) -> Iterator[Clients]:
    """Clients for the length of a ``with`` block."""
    made = Clients(port, [[] for _ in range(number)])
    threads = [threading.Thread(target=made.ask, args=(mine,)) for mine in made.answers]
    for thread in threads:
        thread.start()
    try:
        yield made
    finally:
        made.end()
        for thread in threads:
            thread.join()
