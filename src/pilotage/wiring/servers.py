"""What a person does with hosts themselves: accept their keys, run a command on them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pilotage.config import Config
from pilotage.errors import HostError, HostKeyUnknown, HostUnreachable
from pilotage.shell.base import Shell
from pilotage.shell.fleet import Fleet
from pilotage.shell.lines import Lines
from pilotage.wiring.hosts import ssh_settings

Confirm = Callable[[HostKeyUnknown], bool]
OnLine = Callable[[str, str], None]
"""Called with a host and a line that a command wrote there."""


@dataclass(frozen=True, slots=True)
class Trusted:
    """Hosts whose key was known, and hosts whose key is known from now on, with the file."""

    known: tuple[str, ...]
    new: tuple[tuple[str, Path], ...]


async def trust_hosts(config: Config, hosts: Iterable[str], confirm: Confirm) -> Trusted:
    """Write the keys that ``confirm`` says yes to into the user's ``known_hosts``.

    A key that has *changed* is refused here too, and so is a host that is not there. That a host lets
    nobody in does not matter: its key comes first.

    Raises
    ------
    HostUnreachable
        A host has no key to show, or shows another one than before; or `confirm` said no.
    """
    from pilotage.shell.known_hosts import trust

    known: list[str] = []
    new: list[tuple[str, Path]] = []
    async with Fleet(hosts, ssh_settings(config)) as fleet:
        failures = await fleet.failures()
    for host in fleet.shells:
        match failures.get(host):
            case HostKeyUnknown() as unknown:
                if not confirm(unknown):
                    raise HostUnreachable(
                        f"the key {unknown.kind} {unknown.fingerprint} was not accepted",
                        where=host,
                        state="nothing was written for this host",
                        next="ask who runs the host for its fingerprint",
                    )
                new.append((host, trust(unknown)))
            case HostError() as error if not _showed_its_key(error):
                raise error
            case _:
                known.append(host)
    return Trusted(tuple(known), tuple(new))


def _showed_its_key(error: HostError) -> bool:
    from pilotage.errors import HostDenied

    return isinstance(error, HostDenied)


async def run_on_hosts(
    shells: Iterable[Shell], argv: Sequence[str], on_line: OnLine
) -> dict[str, int]:
    """Run a command on every host at once; its exit status by host. ``on_line``: what it writes, as it comes."""

    async def one(shell: Shell) -> tuple[str, int]:
        lines = Lines(lambda line: on_line(shell.host, line))
        status = await shell.stream(argv, lambda _stream, data: lines.feed(data))
        lines.close()
        return shell.host, status

    return dict(await asyncio.gather(*(one(shell) for shell in shells)))
