"""Clients that store texts and read them back, without a pause and without a retry."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from pilotage.demo.http1 import BadResponse, Connection, connect, request

CLIENTS = 6
PACE = 0.08  # seconds between two requests of a client: the machine is for the commands
LIMIT = 30.0  # seconds that a request may take: the machine may be busy


@dataclass(slots=True)
class Load:
    """What the clients saw. Times are `time.monotonic`'s."""

    port: int
    requests: int = 0
    failures: list[tuple[float, str]] = field(default_factory=list)
    stored: dict[int, str] = field(default_factory=dict)
    statuses: dict[int, int] = field(default_factory=dict)
    stopping: bool = False

    def failed_since(self, moment: float) -> list[str]:
        """What failed after a moment."""
        return [what for at, what in self.failures if at >= moment]

    def settle(self, requests: int = 100) -> list[str]:
        """Let some more requests be sent; those of them that failed."""
        began, wanted = time.monotonic(), self.requests + requests
        deadline = began + 60
        while self.requests < wanted and time.monotonic() < deadline:
            time.sleep(0.01)
        assert self.requests >= wanted, "the clients stand still"
        return self.failed_since(began)

    async def run(self) -> None:
        """All clients, until somebody sets ``stopping``."""
        await asyncio.gather(*(self._client(number) for number in range(CLIENTS)))

    async def _client(self, number: int) -> None:
        connection: Connection | None = None
        mine: list[int] = []
        turn = 0
        while not self.stopping:
            turn += 1
            sent = time.monotonic()
            try:
                if connection is None or not connection.usable:
                    connection = await connect("127.0.0.1", self.port, limit=LIMIT)
                if turn % 2 or not mine:
                    text = f"client {number} turn {turn}"
                    key = int(await self._ask(connection, "POST", "/", text))
                    self.stored[key] = text
                    mine.append(key)
                else:
                    key = mine[turn % len(mine)]
                    answer = await self._ask(connection, "GET", f"/{key}")
                    if answer != self.stored[key]:
                        self.failures.append(
                            (sent, f"{key} is {answer!r}, not {self.stored[key]!r}")
                        )
            except (TimeoutError, OSError, BadResponse, ValueError) as error:
                self.failures.append((sent, f"{type(error).__name__}: {error}"))
                if connection is not None:
                    connection.close()
                    connection = None
            self.requests += 1
            await asyncio.sleep(PACE)
        if connection is not None:
            connection.close()

    async def _ask(self, connection: Connection, verb: str, path: str, text: str = "") -> str:
        body = text.encode() if verb == "POST" else None
        answer = await connection.send(
            request(verb, path, host=f"127.0.0.1:{self.port}", body=body), limit=LIMIT
        )
        self.statuses[answer.status] = self.statuses.get(answer.status, 0) + 1
        if answer.status != 200:
            raise BadResponse(f"{verb} {path}: status {answer.status}: {answer.body[:200]!r}")
        return answer.body.decode()


@contextmanager
def load(port: int) -> Iterator[Load]:
    """The clients, in a thread of their own, for the length of a ``with`` block."""
    clients = Load(port)
    thread = threading.Thread(target=lambda: asyncio.run(clients.run()), daemon=True)
    thread.start()
    try:
        yield clients
    finally:
        clients.stopping = True
        thread.join(LIMIT + 5)
