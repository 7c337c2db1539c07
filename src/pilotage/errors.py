"""Everything that pilotage raises on purpose.

::

    PilotageError                 what failed, where, what state was left, what to do next
    ├── UsageError                the command line asks for something that cannot be        (exit 2)
    │   └── ConfigError           a file is wrong; names file, line, key and nearest key    (exit 2)
    │       └── SecretMissing     a secret that the configuration names has no value        (exit 2)
    ├── MigrationFileError        a migration file is wrong; names file and line            (exit 2)
    └── DeployError               the world said no                                         (exit 1)
        ├── Refused               the rule of `pilotage.model.fits`, or a person's lock, forbids it
        │   ├── Misfit            a release would not fit the schema
        │   ├── Blocked           a contract half lacks its proof
        │   ├── StalePlan         the world is no longer the one the plan was made for
        │   └── LeaseHeld         another deployer holds the lease
        ├── LeaseLost             another deployer took the lease over; nothing more is touched
        ├── HookFailed            a program of the project (a hook) cannot be run, or said no
        ├── TargetError           a process, container or pod could not be handled
        │   ├── StartFailed       an instance did not start
        │   ├── Unhealthy         an instance did not become healthy in time
        │   └── HostError         a host could not be made to do something
        │       ├── HostUnreachable   no connection to it could be made; nothing was begun there
        │       │   ├── HostDenied        it lets nobody in with the keys that there are
        │       │   ├── HostKeyUnknown    its key is not known yet; a person accepts it
        │       │   └── HostKeyChanged    its key is another than the known one
        │       ├── HostLost          the link broke: what became of the command is not known
        │       ├── ForwardingForbidden  its sshd forwards no connections
        │       ├── CommandFailed     a command there exited with another status than 0
        │       └── CommandTimeout    a command there took longer than it may
        ├── Worse                 the new release answered worse than it may: errors, or times
        ├── ProxyError            the proxy refused, or did not confirm, a change
        │   └── EdgeUnreachable   an edge, or its host, does not answer
        ├── StoreError            deploy state could not be read or written
        └── DatabaseError         the database refused
            ├── DatabaseUnavailable   no server, wrong password, no such database
            ├── LockUnavailable       the migration lock or a table lock was not granted in time
            ├── PoolerUnsafe          the connection goes through a transaction pooler
            ├── HalfFailed            a migration half failed; says how much of it is applied
            ├── AmbiguousOutcome      a statement may or may not have happened; a person decides
            ├── VerifyFailed          a `-- verify` query returned rows
            ├── NotConverging         a backfill changes rows without end
            └── BackfillBlocked       what a backfill pauses for did not pass

Third-party exceptions are translated at the edge of the module that talks to the third party,
with ``raise … from``, and classified by type or code, never by their text.
The command line alone maps errors to exit statuses (`exit_status`).
"""

from __future__ import annotations

__all__ = [
    "AmbiguousOutcome",
    "BackfillBlocked",
    "Blocked",
    "CommandFailed",
    "CommandTimeout",
    "ConfigError",
    "DatabaseError",
    "DatabaseUnavailable",
    "DeployError",
    "HalfFailed",
    "HookFailed",
    "HostDenied",
    "HostError",
    "HostKeyChanged",
    "HostKeyUnknown",
    "HostLost",
    "HostUnreachable",
    "LeaseHeld",
    "LeaseLost",
    "LockUnavailable",
    "MigrationFileError",
    "Misfit",
    "NotConverging",
    "PilotageError",
    "PoolerUnsafe",
    "ProxyError",
    "Refused",
    "SecretMissing",
    "StalePlan",
    "StartFailed",
    "StoreError",
    "TargetError",
    "Unhealthy",
    "UsageError",
    "VerifyFailed",
    "Worse",
]


class PilotageError(Exception):
    """One failure, told so that a person can act on it.

    Parameters
    ----------
    what:
        What failed, in one sentence, with the cause. Never contains a secret.
    where:
        The place: ``file:line``, a host, an instance, a migration half.
    state:
        What was left as it is now ("the release 4f2a… serves as before").
    next:
        The next command to run, or the change to make.
    """

    exit_status = 1
    interruption = False
    """Whether it was a person, or the system, who ended the command; nothing is wrong with it then."""

    def __init__(self, what: str, *, where: str = "", state: str = "", next: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.state = state
        self.next = next

    def __str__(self) -> str:
        first = f"{self.where}: {self.what}" if self.where else self.what
        return "\n".join(
            line
            for line in (
                first,
                f"  state: {self.state}" if self.state else "",
                f"  next:  {self.next}" if self.next else "",
            )
            if line
        )

    def to_json(self) -> dict[str, str]:
        """The error as an object: ``{error, what, where, state, next}``."""
        return {
            "error": type(self).__name__,
            "what": self.what,
            "where": self.where,
            "state": self.state,
            "next": self.next,
        }


class UsageError(PilotageError):
    """The command line asks for something that cannot be."""

    exit_status = 2


class ConfigError(UsageError):
    """A configuration file is wrong. ``where`` is ``file:line`` and ``key`` its dotted path."""

    def __init__(
        self, what: str, *, where: str = "", key: str = "", state: str = "", next: str = ""
    ) -> None:
        super().__init__(what, where=where, state=state, next=next)
        self.key = key


class SecretMissing(ConfigError):
    """A secret that the configuration names has no value."""


class MigrationFileError(PilotageError):
    """A migration file is wrong. ``where`` is ``file:line``; ``line`` and ``column`` are 0 where not known."""

    exit_status = 2

    def __init__(
        self,
        what: str,
        *,
        where: str = "",
        state: str = "",
        next: str = "",
        line: int = 0,
        column: int = 0,
    ) -> None:
        super().__init__(what, where=where, state=state, next=next)
        self.line = line
        self.column = column


class DeployError(PilotageError):
    """The world said no."""


class Refused(DeployError):
    """Pilotage will not do it, and nothing was touched."""


class Misfit(Refused):
    """A release would not fit the schema."""


class Blocked(Refused):
    """A contract half lacks its proof: something older may still be running."""


class StalePlan(Refused):
    """The world is no longer the one that the plan was made for."""


class LeaseHeld(Refused):
    """Another deployer holds the lease."""


class LeaseLost(DeployError):
    """Another deployer took the lease over; this one touches nothing more."""


class HookFailed(DeployError):
    """A hook of the project cannot be run, or did not end with 0: nothing after it is done."""


class TargetError(DeployError):
    """A process, container or pod could not be handled."""


class StartFailed(TargetError):
    """An instance did not start."""


class Unhealthy(TargetError):
    """An instance did not become healthy in time, or stopped being so."""


class HostError(TargetError):
    """A host could not be made to do something."""


class HostUnreachable(HostError):
    """No connection to a host could be made; nothing was begun there."""


class HostDenied(HostUnreachable):
    """A host lets nobody in with the user and the keys that there are."""


class HostKeyUnknown(HostUnreachable):
    """A host's key is not known yet.

    ``kind`` and ``fingerprint``: of the key. ``line``: what `file`, the user's ``known_hosts``, has to
    say for it to be known.
    """

    def __init__(
        self,
        what: str,
        *,
        where: str = "",
        state: str = "",
        next: str = "",
        kind: str = "",
        fingerprint: str = "",
        line: str = "",
        file: str = "",
    ) -> None:
        super().__init__(what, where=where, state=state, next=next)
        self.kind = kind
        self.fingerprint = fingerprint
        self.line = line
        self.file = file


class HostKeyChanged(HostUnreachable):
    """A host's key is another than the known one: perhaps another machine, or somebody in between."""


class HostLost(HostError):
    """The link to a host broke while a command ran: what became of it is not known."""


class ForwardingForbidden(HostError):
    """A host's sshd does not forward connections for us."""


class CommandFailed(HostError):
    """A command on a host exited with another status than 0.

    ``status``: its exit status. ``err``: what it wrote to its standard error.
    """

    def __init__(
        self,
        what: str,
        *,
        where: str = "",
        state: str = "",
        next: str = "",
        status: int = 1,
        err: bytes = b"",
    ) -> None:
        super().__init__(what, where=where, state=state, next=next)
        self.status = status
        self.err = err


class CommandTimeout(HostError):
    """A command on a host took longer than it may; without a terminal it may still run."""


class Worse(DeployError):
    """The new release answered worse than it may: more errors, or much slower."""


class ProxyError(DeployError):
    """The proxy refused a change, or did not confirm it in time."""


class EdgeUnreachable(ProxyError):
    """An edge, or its host, does not answer: what it does is not known."""


class StoreError(DeployError):
    """Deploy state could not be read or written."""


class DatabaseError(DeployError):
    """The database refused."""


class DatabaseUnavailable(DatabaseError):
    """No server, wrong password, no such database."""


class LockUnavailable(DatabaseError):
    """The migration lock or a table lock was not granted in time."""


class PoolerUnsafe(DatabaseError):
    """The connection goes through a transaction pooler, where a session lock means nothing."""


class HalfFailed(DatabaseError):
    """A migration half failed; ``state`` says how much of it is applied."""


class AmbiguousOutcome(DatabaseError):
    """A statement outside a transaction may or may not have happened; a person decides."""


class VerifyFailed(DatabaseError):
    """A ``-- verify`` query returned rows, so the contract half may not run."""


class NotConverging(DatabaseError):
    """A backfill goes on changing rows without end."""


class BackfillBlocked(DatabaseError):
    """What a backfill pauses for (a replica behind, a long transaction) did not pass in time."""
