"""Which ports of a host a role asks for, in Docker's words: ``8080:80``, ``127.0.0.1:8080:80/udp``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

_EVERYWHERE = ("", "0.0.0.0", "[::]")  # noqa: S104 (compared with, not listened on)


@dataclass(frozen=True, slots=True)
class Published:
    """One port of a host. ``address``: of the host; ``port``: as it was written, a number or a range."""

    port: str
    address: str = ""
    protocol: str = "tcp"

    @classmethod
    def of(cls, text: str) -> Self | None:
        """Of one ``--publish``; None where Docker chooses the port."""
        ports, _, protocol = text.partition("/")
        before, colon, _ = ports.rpartition(":")
        address, _, port = before.rpartition(":")
        if not colon or not port:
            return None
        return cls(port, "" if address in _EVERYWHERE else address, protocol or "tcp")

    def meets(self, other: Published) -> bool:
        """Whether only one of the two can have it."""
        same = (self.port, self.protocol) == (other.port, other.protocol)
        return same and (self.address == other.address or "" in (self.address, other.address))

    def __str__(self) -> str:
        address = f"{self.address}:" if self.address else ""
        return f"{address}{self.port}" + ("" if self.protocol == "tcp" else f"/{self.protocol}")


def published(options: Mapping[str, Any]) -> tuple[Published, ...]:
    """The ports of a role's ``options``."""
    written = [
        text
        for name in ("publish", "p")
        if (given := options.get(name)) is not None
        for text in (given if isinstance(given, list | tuple) else [given])
    ]
    found = (Published.of(str(text)) for text in written)
    return tuple(port for port in found if port is not None)
