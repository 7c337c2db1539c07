"""A kept-alive HTTP/1.1 connection that hides nothing.

Client libraries retry: some send a request again when a kept-alive connection turns out to be dead.
The load generator counts lost requests, so it has a client of its own that sends each request once and
tells exactly what became of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field


class BadResponse(Exception):
    """The bytes that came back are not an HTTP/1.1 response."""


@dataclass(frozen=True, slots=True)
class Response:
    """One response. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True)
class _Parser:
    """Collects one response; `feed` returns it once it is whole."""

    data: bytearray = field(default_factory=bytearray)

    def feed(self, data: bytes) -> Response | None:
        self.data += data
        head, end, rest = bytes(self.data).partition(b"\r\n\r\n")
        if not end:
            return None
        first, *lines = head.decode("latin-1").split("\r\n")
        version, _, status = first.partition(" ")
        if version != "HTTP/1.1" or not status[:3].isdecimal():
            raise BadResponse(f"not a status line: {first!r}")
        pairs = (line.partition(":") for line in lines)
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        if headers.get("transfer-encoding", "").lower() == "chunked":
            body = _unchunk(rest)
            return None if body is None else Response(int(status[:3]), headers, body)
        length = headers.get("content-length", "")
        if not length.isdecimal():
            raise BadResponse("neither content-length nor chunked: the end of the body is unknown")
        if len(rest) < int(length):
            return None
        if len(rest) > int(length):
            raise BadResponse("more bytes than the response announced")
        return Response(int(status[:3]), headers, rest)


def _unchunk(rest: bytes) -> bytes | None:
    """The body of a chunked response without trailers, or None while it is not whole."""
    body = b""
    while True:
        size, end, rest = rest.partition(b"\r\n")
        if not end:
            return None
        length = int(size.split(b";")[0], 16)
        if len(rest) < length + 2:
            return None
        body += rest[:length]
        rest = rest[length + 2 :]
        if length == 0:
            return body


class Connection(asyncio.Protocol):
    """One connection with at most one request in flight. Open it with `connect`."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[Response] | None = None
        self._parser = _Parser()
        self._closing = False

    @property
    def usable(self) -> bool:
        """Whether a request may be sent: neither side has closed it."""
        return self._transport is not None and not self._closing

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        waiting = self._waiting
        if waiting is None or waiting.done():
            self.close()  # an answer to nothing: this connection can no longer be trusted
            return
        try:
            response = self._parser.feed(data)
        except (BadResponse, ValueError) as error:
            waiting.set_exception(BadResponse(str(error)))
            self.close()
            return
        if response is not None:
            if response.headers.get("connection", "").lower() == "close":
                self.close()
            waiting.set_result(response)

    def eof_received(self) -> bool:
        """Called by asyncio: the other side sends no more, so close ours as well."""
        self._closing = True
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        self._closing = True
        self._transport = None
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(exc or ConnectionResetError("closed before the answer"))

    def close(self) -> None:
        """Close it now."""
        self._closing = True
        if self._transport is not None:
            self._transport.abort()

    async def send(self, request: bytes, *, limit: float) -> Response:
        """Send one request, once, and wait up to ``limit`` seconds for the whole response.

        Raises
        ------
        TimeoutError, OSError, BadResponse
            No response within the limit; the connection broke; it answered nonsense. The connection
            is closed then.
        """
        if not self.usable:
            raise ConnectionResetError("closed already")
        assert self._transport is not None
        self._parser = _Parser()
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        try:
            async with asyncio.timeout(limit):
                return await self._waiting
        except (TimeoutError, OSError, BadResponse):
            self.close()
            raise
        finally:
            self._waiting = None


async def connect(host: str, port: int, *, limit: float) -> Connection:
    """Open a connection.

    Raises
    ------
    TimeoutError, OSError
        It cannot be opened within ``limit`` seconds.
    """
    async with asyncio.timeout(limit):
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(Connection, host, port)
        return connection


def request(method: str, path: str, *, host: str, body: bytes | None = None) -> bytes:
    """The bytes of a request; a body is JSON."""
    head = f"{method} {path} HTTP/1.1\r\nhost: {host}\r\n"
    if body is not None:
        head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
    return f"{head}\r\n".encode() + (body or b"")
