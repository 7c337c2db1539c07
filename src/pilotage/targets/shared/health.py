"""How an instance shows that it is well, and one question to it over HTTP.

A probe answers with an empty string for yes, or with the reason for no. Whoever asks decides how often,
and until when; nothing here waits longer than one question may take.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[str, int], Awaitable[Connection]]
"""Opens a connection to a host and a port, from where the instance can be reached."""


@dataclass(frozen=True, slots=True)
class HttpHealth:
    """Healthy once ``GET path`` answers with ``status``; None means any 2xx.

    ``host``: the Host header, by default the address. ``interval``, ``timeout`` (of one request) and
    ``limit`` (of the whole wait) are seconds.
    """

    path: str = "/up"
    host: str | None = None
    status: int | None = None
    interval: float = 0.1
    timeout: float = 5.0
    limit: float = 30.0


@dataclass(frozen=True, slots=True)
class AliveHealth:
    """Healthy once it has been alive for ``delay`` seconds.

    ``limit``: seconds of the whole wait, where something may begin anew: a container that Docker
    restarts, or one that has a health check of Docker's own, which is then waited for instead.
    """

    delay: float = 1.0
    limit: float = 30.0


@dataclass(frozen=True, slots=True)
class CommandHealth:
    """Healthy once the command, run as the instance is (its folder, its environment), exits with 0."""

    cmd: str
    interval: float = 1.0
    timeout: float = 10.0
    limit: float = 30.0


Health = HttpHealth | AliveHealth | CommandHealth


@dataclass(slots=True)
class Patience:
    """How long an instance is waited for: ``seconds``; where it has ``quiet`` seconds to begin with, from
    its first connection on. One that never listens has the longer of the two.
    """

    seconds: float
    quiet: float = 0.0
    _began: float = field(default_factory=time.monotonic)
    _heard: float | None = None

    @property
    def passed(self) -> float:
        """Seconds that it was waited for by now."""
        return time.monotonic() - self._began

    @property
    def unheard(self) -> bool:
        """Whether nothing ever listened."""
        return self._heard is None

    @property
    def overdue(self) -> bool:
        """Whether one with nothing to begin with would have been given up by now."""
        return self.passed >= self.seconds

    @property
    def given(self) -> float:
        """Seconds that it has, in the part of the wait that it is in."""
        waits = self.quiet and self._heard is None
        return max(self.quiet, self.seconds) if waits else self.seconds

    @property
    def left(self) -> float:
        """Seconds until the wait is over."""
        since = self._heard if self.quiet and self._heard is not None else self._began
        return since + self.given - time.monotonic()

    def hearing(self, connect: Connect) -> Connect:
        """``connect``, with an ear for the first time that something listens."""

        async def connected(host: str, port: int) -> Connection:
            connection = await connect(host, port)
            if self._heard is None:
                self._heard = time.monotonic()
            return connection

        return connected


async def probe_http(
    health: HttpHealth, address: str, connect: Connect = asyncio.open_connection
) -> str:
    """Ask ``GET path`` and look at the status line only: no client library, 1 ms a question."""
    try:
        async with asyncio.timeout(health.timeout):
            return await _get(health, address, connect)
    except TimeoutError:
        return f"GET {health.path} gave no answer within {health.timeout:g} s"
    except ConnectionRefusedError:
        return f"nothing listens on {address}"
    except OSError as error:
        return f"GET {health.path}: {error.strerror or error}"


async def _get(health: HttpHealth, address: str, connect: Connect) -> str:
    host, _, port = address.rpartition(":")
    reader, writer = await connect(host, int(port))
    try:
        writer.write(
            (
                f"GET {health.path} HTTP/1.1\r\nHost: {health.host or address}\r\n"
                "User-Agent: pilotage\r\nAccept: */*\r\nConnection: close\r\n\r\n"
            ).encode()
        )
        try:
            line = await reader.readline()
        except ValueError:
            line = b"too long a line"
    finally:
        writer.close()  # its end is not waited for: over SSH that is one round trip more
    if not line:
        return f"GET {health.path}: the connection was closed without an answer"
    words = line.split()
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        return f"GET {health.path}: the answer is not HTTP"
    status = int(words[1])
    fine = 200 <= status < 300 if health.status is None else status == health.status
    return "" if fine else f"GET {health.path} answered {status}"
