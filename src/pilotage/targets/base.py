"""The target protocol: what the executor needs of a place where instances run.

Small on purpose, and without optional methods. Implemented by `pilotage.targets.local` and
`pilotage.targets.memory`; one contract suite (``tests/contract``) holds them all to this text.

Every mutation carries the lease token of the deployer. A host keeps the highest token that it has
seen and refuses a lower one with `pilotage.errors.LeaseLost`: a deployer that slept through its
lease changes nothing when it wakes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from pilotage.model import Host, Instance
from pilotage.secret import Secret

Gate = Callable[[], Awaitable[None]]
"""Called once an instance is recorded on its host and before its process exists; raises to refuse."""

OnOutput = Callable[[str], None]
"""Called with each line that a command prints, without its newline."""

SOON = 2.0
"""Seconds after which a start takes long: from then on it is shown what the instance prints."""


OnWritten = Callable[[bool, bytes], None]
"""Called with what a command writes, byte for byte, as it comes; true for its standard error."""


class Document(Protocol):
    """One small JSON document that is swapped whole: the ground under the Store."""

    async def read(self) -> tuple[int, dict[str, Any]]:
        """Its version (0 when it was never written) and its body.

        Raises
        ------
        StoreError
            It cannot be read, or is not a document of pilotage.
        """
        ...

    async def write(self, body: dict[str, Any], *, expected: int) -> bool:
        """Write ``body`` as version ``expected + 1``; False when the version is not ``expected``.

        Raises
        ------
        StoreError
            It cannot be written. It then holds what it held before.
        """
        ...

    async def now(self) -> float:
        """The Unix time of the clock that leases on this document are measured by."""
        ...


@dataclass(frozen=True, slots=True)
class TargetView:
    """What a target sees: its hosts, and the instances recorded on those that answer."""

    hosts: tuple[Host, ...]
    instances: tuple[Instance, ...]


@dataclass(frozen=True, slots=True)
class Job:
    """One command of a release, to be run in an instance of its own.

    ``interactive``: the caller's input and output are the command's, with ``terminal`` as a terminal; it
    dies with the caller. ``written``: what an interactive command writes goes there instead, unmasked, and
    it reads nothing. ``detached``: it is launched, and nobody waits for its end.
    ``timeout``: seconds, or None for no limit. ``env``: variables of this command alone, over those of
    its role. ``image``: where the target runs images, another one than the release's; nothing of the role is in it then.
    """

    instance: Instance
    revision: str
    argv: tuple[str, ...]
    interactive: bool = False
    terminal: bool = False
    written: OnWritten | None = None
    detached: bool = False
    timeout: float | None = None
    env: Mapping[str, str | Secret] = field(default_factory=dict)
    image: str | None = None


class Target(Protocol):
    """A place where instances run."""

    @property
    def state(self) -> Document:
        """A document kept at the target, for the Store of a service without a database."""
        ...

    async def highest(self) -> int:
        """The highest token that any host that answers has seen; 0 before the first."""
        ...

    async def observe(self, *, token: int | None = None) -> TargetView:
        """Ask every host. Never raises for a host that does not answer: it is ``reachable=False``.

        Dead instances are listed (``Life.DEAD``) until they are stopped. ``token``: observe with
        authority: every host that answers first raises its fence to it, so what an earlier deployer
        has not begun there by now, it never will.

        Raises
        ------
        LeaseLost
            A host has seen a higher token.
        """
        ...

    async def fetch(self, revision: str) -> None:
        """Make the release available where it will run: check it out, pull it. Idempotent.

        Raises
        ------
        TargetError
            It cannot be had; nothing was changed.
        """
        ...

    async def start(self, instance: Instance, revision: str, *, token: int, gate: Gate) -> Instance:
        """Record the instance on its host, await ``gate()``, then launch it; do not wait for health.

        The order matters: an instance that may come to life is always visible to `observe`. When
        the gate raises, the record is taken back and the error goes on. When an instance of this id
        is alive already, it is returned and nothing is started. Returns it with its address.

        Raises
        ------
        LeaseLost
            The host has seen a higher token.
        StartFailed
            It could not be launched; the record is taken back.
        """
        ...

    async def check(self, instance: Instance, *, limit: float | None = None) -> float:
        """Wait until the instance is healthy; return the seconds that it took.

        ``limit``: seconds; None means the configured one. 0 asks once.

        Raises
        ------
        Unhealthy
            It was not healthy within the limit, or died; says why, with its last lines of output.
        """
        ...

    async def boot(
        self,
        instance: Instance,
        revision: str,
        *,
        limit: float,
        token: int,
        gate: Gate,
        output: OnOutput,
    ) -> Instance:
        """`start` and `check` of an instance that may have much to do before it serves: to migrate.

        Until it is healthy nothing starts it again: what it runs before it serves, it runs once. It has
        ``limit`` seconds until it listens, and from then on the time of its check. When it takes long,
        what it prints goes to ``output``. An instance of this id that is alive already is joined.

        Raises
        ------
        Unhealthy
            As `check`.
        LeaseLost, StartFailed
            As `start`.
        """
        ...

    async def stop(self, instance: Instance, *, token: int) -> bool:
        """End the instance (SIGTERM, grace, SIGKILL) and forget its record. Idempotent.

        Returns True when it had to be killed.

        Raises
        ------
        LeaseLost
            The host has seen a higher token.
        TargetError
            It is still alive, or the host does not answer.
        """
        ...

    async def run_once(self, job: Job, *, token: int | None, gate: Gate, output: OnOutput) -> int:
        """Run one command in an instance of its own, as `start` does; return its exit status.

        A job whose instance id is running already is *joined*: its output is followed and its exit
        status returned; one that has ended is not run again, its recorded status is returned.
        ``token`` is None for a console, which needs no lease. Of a detached job the status is 0 once it is
        launched; its record stays, and with it what it printed.
        """
        ...


class Logs(Protocol):
    """What instances printed, as their host keeps it. Secrets are masked."""

    async def last_lines(
        self, id: str, *, lines: int | None = 10, since: str | None = None
    ) -> tuple[str, ...]:
        """The last lines of an instance, also after it was stopped; none when nothing is known of it.

        ``lines``: how many, None for all. ``since``: only from this time on, a timestamp or how long ago
        (``42m``).

        Raises
        ------
        UsageError
            ``since``, and what is printed here has no times.
        """
        ...

    async def follow(
        self, id: str, output: OnOutput, *, lines: int | None = None, since: str | None = None
    ) -> None:
        """Give the lines of an instance to ``output`` until it ends; of those that are there already the
        last ``lines``, None for all, ``since`` as in `last_lines`."""
        ...
