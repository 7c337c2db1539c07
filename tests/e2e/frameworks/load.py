"""Requests at a steady rate on kept-alive connections, from threads; never retried."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection

CONNECTIONS = 6
INTERVAL = 0.06  # seconds between two requests of a connection: 100 requests a second in all
LIMIT = 20.0  # seconds that a request may take: the machine may be busy


@dataclass(slots=True)
class Load:
    """What was answered: release → how often; and what went wrong."""

    answers: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def send(self, port: int) -> None:
        """Requests, one after the other, until told to stop."""
        connection = HTTPConnection("127.0.0.1", port, timeout=LIMIT)
        while not self.stop.wait(INTERVAL):
            began = time.monotonic()
            try:
                connection.request("GET", "/")
                response = connection.getresponse()
                body = response.read().decode()
                if response.status == 200:
                    self.answers[body.split()[0]] += 1
                else:
                    self.failures.append(f"status {response.status}: {body[:200]}")
            except OSError as error:
                took = time.monotonic() - began
                self.failures.append(f"{type(error).__name__} after {took:.1f} s: {error}")
                connection.close()
        connection.close()


@contextmanager
def load(port: int) -> Iterator[Load]:
    """Requests for the length of the block."""
    running = Load()
    threads = [threading.Thread(target=running.send, args=(port,)) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    try:
        yield running
    finally:
        running.stop.set()
        for thread in threads:
            thread.join()
