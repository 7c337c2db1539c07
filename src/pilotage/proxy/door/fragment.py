"""What one service wants of the door of a host, as its file there says it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from pilotage.secret import Secret


@dataclass(frozen=True, slots=True)
class Acme:
    """Where certificates come from. ``ca``: the directory's URL, None for Let's Encrypt; ``root``: the PEM
    of the authority that signed the CA's own certificate; ``email``: whom it tells of a problem."""

    ca: str | None = None
    root: str | None = None
    email: str | None = None


@dataclass(frozen=True, slots=True)
class OwnCertificate:
    """A chain and its key, as PEM."""

    chain: str
    key: Secret

    @property
    def name(self) -> str:
        """Of its files, which another certificate does not have: so that the door sees it change."""
        text = f"{self.chain}\0{self.key.reveal()}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Fragment:
    """One service on one host.

    ``service``: with its destination. ``upstream``: its edge, as ``HOST:PORT`` on the network.
    ``names``: host names, ``*.example.org`` among them; none: whatever no other service asks for.
    ``prefixes``: paths; none: all of them. ``tls``: HTTPS; with ``certificate`` its own one (the name of
    its files), else one by ACME. ``timeout``: seconds to the head of a response. ``largest_body``: of a
    request, in bytes. ``pages``: by status, what is answered when the edge does not.
    """

    service: str
    upstream: str
    names: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    strip: bool = True
    tls: bool = False
    certificate: str | None = None
    acme: Acme = field(default_factory=Acme)
    redirect: bool = True
    forward_headers: bool = True
    timeout: float = 30.0
    largest_body: int | None = None
    pages: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """An object."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`. Raises `TypeError` or `KeyError` for what is no fragment."""
        known = dict(data)
        known["names"], known["prefixes"] = tuple(known["names"]), tuple(known["prefixes"])
        known["acme"] = Acme(**known["acme"])
        return cls(**known)


@dataclass(frozen=True, slots=True)
class DoorSettings:
    """The door's own container (``proxy.run``), the same for every service of a host.

    ``publish``: whether its ports are the host's. ``bind``: addresses, none for all. ``metrics``: a port of
    the host's loopback. ``options``: words for ``docker run``. ``program``: ``docker`` or ``podman``.
    """

    http: int = 80
    https: int = 443
    publish: bool = True
    bind: tuple[str, ...] = ()
    metrics: int | None = None
    debug: bool = False
    log_size: str = "10m"
    image: str = "caddy:2"
    options: tuple[str, ...] = ()
    program: str = "docker"
