"""Where a host is and how one gets in: its name, the project's ``ssh:`` and OpenSSH's configuration as one.

What the project says counts before what ``~/.ssh/config`` says; the user is ``root`` where nobody says.
"""

from __future__ import annotations

import getpass
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pilotage.errors import ConfigError
from pilotage.secret import Secret
from pilotage.shell import ssh_config
from pilotage.shell.ssh_config import HostOptions

PORT = 22

_NAME = re.compile(
    r"(?:ssh://)?(?:(?P<user>[^@/]+)@)?(?:\[(?P<v6>[0-9A-Fa-f:.%]+)\]|(?P<host>[^\[\]@/]+?))"
    r"(?::(?P<port>\d+))?/?"
)


@dataclass(frozen=True, slots=True)
class SshSettings:
    """What the project says of SSH (Kamal's ``ssh:`` and ``sshkit:``); None where it says nothing.

    ``jump``: hosts to go through, ``user@host:port``, with commas between. ``keys``: files;
    ``key_data``: the keys themselves. ``files``: OpenSSH's configuration. ``starts``: connections that
    are made at once. ``limit``: seconds for one connection, from the look-up to the log-in. ``trace``: a
    file where every remote call is written down.
    """

    user: str | None = None
    port: int | None = None
    jump: str | None = None
    proxy_command: str | None = None
    keys_only: bool = False
    keys: tuple[str, ...] = ()
    key_data: tuple[Secret, ...] = ()
    files: tuple[Path, ...] = ()
    starts: int = 30
    dns_retries: int = 3
    limit: float = 10.0
    trace: Path | None = None


@dataclass(frozen=True, slots=True)
class Address:
    """One host, as it is connected to.

    ``name``: as it was given. ``known_as``: what `known_hosts` calls it. ``jumps``: the hosts that it is
    reached through, first to last. ``identities``: files of keys, in order; None: OpenSSH's defaults.
    """

    name: str
    hostname: str
    port: int
    user: str
    known_as: str
    known_hosts: tuple[Path, ...]
    jumps: tuple[str, ...] = ()
    proxy_command: str | None = None
    identities: tuple[str, ...] | None = None
    certificates: tuple[str, ...] = ()
    identities_only: bool = False
    agent: str | None = None
    bind: str | None = None
    family: str = "any"
    algorithms: tuple[tuple[str, str], ...] = ()

    @property
    def place(self) -> str:
        """``user@host:port``, for messages."""
        host = f"[{self.hostname}]" if ":" in self.hostname else self.hostname
        return f"{self.user}@{host}" + ("" if self.port == PORT else f":{self.port}")


def split_name(name: str) -> tuple[str | None, str, int | None]:
    """User, host and port of ``user@host:port``, ``[::1]:port``, ``::1`` or ``ssh://user@host:port``.

    Raises
    ------
    ConfigError
        It is none of these.
    """
    if name.count(":") > 1 and "[" not in name and "//" not in name:
        user, _, host = name.rpartition("@")
        return user or None, host, None
    found = _NAME.fullmatch(name)
    if not found:
        raise ConfigError(f"`{name}` is not a host: it reads user@host:port")
    port = int(found["port"]) if found["port"] else None
    return found["user"], found["v6"] or found["host"], port


def resolve(name: str, settings: SshSettings) -> Address:
    """The address of a host of the project.

    Raises
    ------
    ConfigError
        The name, or a line of OpenSSH's configuration, cannot be read.
    """
    user, host, port = split_name(name)
    user, port = user or settings.user, port or settings.port
    options = ssh_config.read(host, settings.files, user=user)
    address = _address(name, options, user=user, port=port, default_user="root", settings=settings)
    if settings.jump or settings.proxy_command:
        command = settings.proxy_command
        return replace(
            address,
            jumps=_jumps(settings.jump, user="root") if settings.jump else (),
            proxy_command=_expanded(command, address) if command else None,
        )
    return address


def resolve_jump(name: str, settings: SshSettings) -> Address:
    """The address of a host that others are reached through: the project's user and port are not its own."""
    user, host, port = split_name(name)
    options = ssh_config.read(host, settings.files, user=user)
    return _address(
        name, options, user=user, port=port, default_user=getpass.getuser(), settings=settings
    )


def _address(
    name: str,
    options: HostOptions,
    *,
    user: str | None,
    port: int | None,
    default_user: str,
    settings: SshSettings,
) -> Address:
    user = user or options.one("user") or default_user
    port = port or _port(options)

    def paths(keyword: str, default: Sequence[str]) -> tuple[Path, ...]:
        found = options.many(keyword)
        return tuple(
            Path(options.expand(path, port=port, user=user))
            for path in (default if found is None else found)
        )

    def expanded(keyword: str) -> tuple[str, ...] | None:
        found = options.many(keyword)
        if found is None:
            return None
        return tuple(options.expand(path, port=port, user=user) for path in found)

    named = tuple(options.expand(key, port=port, user=user) for key in settings.keys)
    written = expanded("identityfile")
    if named or settings.key_data:
        # The project's keys stand in the place of those that the user has by default.
        identities: tuple[str, ...] | None = (
            named if settings.keys_only else named + (written or ())
        )
    else:
        identities = written
    agent = options.one("identityagent")
    command = options.one("proxycommand")
    jump = options.one("proxyjump")
    return Address(
        name=name,
        hostname=options.hostname,
        port=port,
        user=user,
        known_as=options.one("hostkeyalias")
        or (options.hostname if port == PORT else f"[{options.hostname}]:{port}"),
        known_hosts=(
            *paths("userknownhostsfile", ("~/.ssh/known_hosts", "~/.ssh/known_hosts2")),
            *paths("globalknownhostsfile", ("/etc/ssh/ssh_known_hosts",)),
        ),
        jumps=_jumps(jump) if jump and not command else (),
        proxy_command=options.expand(command, port=port, user=user) if command else None,
        identities=identities,
        certificates=expanded("certificatefile") or (),
        identities_only=settings.keys_only or options.flag("identitiesonly"),
        agent=options.expand(agent, port=port, user=user)
        if agent and agent != "SSH_AUTH_SOCK"
        else ("" if "identityagent" in options.values and not agent else None),
        bind=options.one("bindaddress"),
        family=(options.one("addressfamily") or "any").lower(),
        algorithms=tuple(
            (argument, value)
            for keyword, argument in (
                ("kexalgorithms", "kex_algs"),
                ("ciphers", "encryption_algs"),
                ("macs", "mac_algs"),
            )
            if (value := options.one(keyword))
        ),
    )


def _port(options: HostOptions) -> int:
    written = options.one("port") or str(PORT)
    if not written.isdecimal() or not 0 < int(written) < 65536:
        raise ConfigError(f"OpenSSH's configuration gives {options.original} the port `{written}`")
    return int(written)


def _jumps(written: str, *, user: str | None = None) -> tuple[str, ...]:
    hops = tuple(hop.strip() for hop in written.split(",") if hop.strip())
    return hops if user is None else tuple(hop if "@" in hop else f"{user}@{hop}" for hop in hops)


def _expanded(command: str, address: Address) -> str:
    for token, value in (
        ("%h", address.hostname),
        ("%p", str(address.port)),
        ("%r", address.user),
        ("%%", "%"),
    ):
        command = command.replace(token, value)
    return command
