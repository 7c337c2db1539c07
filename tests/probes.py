"""Probes of a readiness endpoint, and a way to its database that can be cut or stopped."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from pilotage.health import Readiness


def probe(readiness: Readiness) -> dict[str, Any]:
    """One answer, as an object; its status agrees with what it says."""
    answer = readiness.answer()
    told: dict[str, Any] = json.loads(answer.body)
    assert answer.status == (200 if told["ready"] else 503)
    return told


def probe_until(readiness: Readiness, holds: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """Probe until an answer is as wanted; that answer."""
    deadline = time.monotonic() + 30
    while not holds(told := probe(readiness)):
        assert time.monotonic() < deadline, told
        time.sleep(0.05)
    return told


class Way:
    """A TCP way to a server on this machine: open, hanging (nothing passes), or cut (refused)."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open = threading.Event()
        self._open.set()
        self._ends: list[socket.socket] = []
        self.accepted = 0

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.cut()
        self._open.set()

    def hang(self) -> None:
        """Connections are taken, and nothing passes."""
        self._open.clear()

    def go_on(self) -> None:
        """What hung passes."""
        self._open.set()

    def cut(self) -> None:
        """End every connection, and refuse new ones."""
        for end in (self._listener, *self._ends):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._ends.clear()

    def mend(self) -> None:
        """Take connections again, at the same port."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            self.accepted += 1
            far = socket.create_connection(("127.0.0.1", self._target))
            self._ends += (near, far)
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                self._open.wait()
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)
