"""One attempt to connect: what asyncssh is asked for, and what it means when it is refused.

What asyncssh or the system raises becomes one `HostUnreachable`, by its class.
"""

from __future__ import annotations

import asyncio
import errno
import os
import shlex
import socket
import tempfile
from dataclasses import dataclass
from typing import Any

import asyncssh

from pilotage.errors import ConfigError, HostDenied, HostError, HostUnreachable
from pilotage.shell.address import Address
from pilotage.shell.keys import Offer
from pilotage.shell.known_hosts import Known, refusal

KEEPALIVE = 4.0
UNANSWERED = 2
"""A link is dead when `UNANSWERED` + 1 questions, one each `KEEPALIVE` seconds, got no answer: 12 s."""

_FAMILIES = {"inet": socket.AF_INET, "inet6": socket.AF_INET6}


class Witness(asyncssh.SSHClient):
    """Remembers the key that a host showed, when it is not a trusted one."""

    def __init__(self) -> None:
        self.offered: asyncssh.SSHKey | None = None

    def validate_host_public_key(
        self, host: str, addr: str, port: int, key: asyncssh.SSHKey
    ) -> bool:
        self.offered = key
        return False


class Said:
    """A proxy command, and what it writes to its standard error, for the message of its failure.

    asyncssh takes that for a part of the connection, and its end for the end of it: so the command gets a
    file, and a shell beside it keeps the pipe.
    """

    def __init__(self) -> None:
        self._file = tempfile.NamedTemporaryFile()  # noqa: SIM115 (closed by `close`)

    def argv(self, command: str) -> list[str]:
        """The command, run by a shell, as OpenSSH runs it."""
        return ["/bin/sh", "-c", f"{{ {command}\n}} 2>{shlex.quote(self._file.name)}; exit $?"]

    def quoted(self) -> str:
        """Its last line, as the end of a sentence."""
        lines = self._file.read().decode(errors="replace").strip().splitlines()
        return f": {lines[-1]}" if lines else ""

    def close(self) -> None:
        """Take the file away; the command may go on writing to it."""
        self._file.close()


class Transient(Exception):
    """Not made, and perhaps made in a moment. ``told``: what to say when not."""

    def __init__(self, told: HostUnreachable) -> None:
        super().__init__(told.what)
        self.told = told


@dataclass(slots=True)
class Attempt:
    """One attempt. ``limit``: seconds for all of it. ``said``: where a proxy command is used."""

    address: Address
    known: Known
    offer: Offer
    witness: Witness
    said: Said | None
    limit: float

    async def connect(
        self, tunnel: asyncssh.SSHClientConnection | None
    ) -> asyncssh.SSHClientConnection:
        """The connection. Raises what asyncssh, or the system, raises."""
        async with asyncio.timeout(self.limit):
            connection, _ = await asyncssh.create_connection(
                lambda: self.witness, self.address.hostname, **self._options(tunnel)
            )
            return connection

    def told(self, error: BaseException) -> Exception:
        """The error of a connection that was not made, by the class of what was raised."""
        address, unreachable = self.address, self._unreachable
        match error:
            case asyncssh.HostKeyNotVerifiable() if self.witness.offered is not None:
                return refusal(address, self.known, self.witness.offered)
            case asyncssh.HostKeyNotVerifiable():
                return unreachable(
                    f"the certificate of {address.place} is not trusted: {error.reason}",
                    "see `@cert-authority` in the user's known_hosts",
                )
            case asyncssh.PermissionDenied():
                return self._denied()
            # The last two: it was closed while we wrote to it.
            case asyncssh.ConnectionLost() | ConnectionResetError() | BrokenPipeError():
                if self.said is not None:
                    return unreachable(
                        f"the proxy command ended before the log-in{self.said.quoted()}",
                        f"try it: `{address.proxy_command}`",
                    )
                return Transient(
                    unreachable(
                        f"{address.place} closed the connection before the log-in",
                        "see the log of its sshd (MaxStartups, fail2ban); then run this again",
                    )
                )
            case asyncssh.KeyExchangeFailed():
                return unreachable(
                    f"{address.place} and we have no algorithm in common: {error.reason}",
                    "update its sshd",
                )
            case asyncssh.DisconnectError():
                return unreachable(
                    f"{address.place} ended the connection: {error.reason}",
                    "see the log of its sshd; then run this again",
                )
            case asyncssh.ChannelOpenError():
                return unreachable(
                    f"{' → '.join(address.jumps)} does not reach {address.place}: {error.reason}",
                    "see whether that host is up, and reachable from there",
                )
            case socket.gaierror():
                told = unreachable(
                    f"the name {address.hostname} has no address ({error.strerror})",
                    "see the name under `servers:`, and the resolver",
                )
                return Transient(told) if error.errno == socket.EAI_AGAIN else told
            case TimeoutError():
                return unreachable(
                    f"{address.place} did not answer within {self.limit:g} s",
                    "see whether it is up (`ping`), and whether a firewall drops the port",
                )
            case ConnectionRefusedError():
                return unreachable(
                    f"nothing listens at {address.place}", "see whether its sshd runs, and the port"
                )
            case OSError():
                return unreachable(
                    f"{address.place} cannot be reached: "
                    f"{error.strerror or os.strerror(error.errno or errno.EIO)}",
                    "see the network between",
                )
            case ValueError():
                return ConfigError(f"OpenSSH's configuration for {address.name}: {error}")
        return HostError(f"{type(error).__name__}: {error}", where=address.name)

    def _unreachable(self, what: str, next: str) -> HostUnreachable:
        return HostUnreachable(
            what, where=self.address.name, state="nothing was begun there", next=next
        )

    def _denied(self) -> HostDenied:
        address, offer = self.address, self.offer
        offered = ", ".join(offer.names) or "no key at all"
        left = f"; left out: {', '.join(offer.left_out)}" if offer.left_out else ""
        return HostDenied(
            f"{address.place} lets nobody in with what was offered: {offered}{left}",
            where=address.name,
            state="nothing was begun there",
            next=f"put a public key into ~{address.user}/.ssh/authorized_keys of the host, or name the "
            "right user or key under `ssh:`",
        )

    def _options(self, tunnel: asyncssh.SSHClientConnection | None) -> dict[str, Any]:
        """asyncssh's arguments: every one that could come from a file or the environment is given here."""
        address, known, offer, said = self.address, self.known, self.offer, self.said
        command = address.proxy_command
        return {
            "port": address.port,
            "config": None,
            "tunnel": tunnel,
            "proxy_command": said.argv(command) if said and command else None,
            "family": _FAMILIES.get(address.family, socket.AF_UNSPEC),
            "local_addr": (address.bind, 0) if address.bind else None,
            "known_hosts": known.trusted,
            "server_host_key_algs": known.algorithms,
            "x509_trusted_certs": None,
            "username": address.user,
            "client_keys": offer.keys or None,
            "agent_path": None,
            "password_auth": False,
            "kbdint_auth": False,
            "host_based_auth": False,
            "gss_auth": False,
            "gss_kex": False,
            "preferred_auth": "publickey",
            "env": {},
            "send_env": [],
            "request_pty": False,
            "compression_algs": None,
            "connect_timeout": self.limit,
            "login_timeout": self.limit,
            "keepalive_interval": KEEPALIVE,
            "keepalive_count_max": UNANSWERED,
            **dict(address.algorithms),
        }
