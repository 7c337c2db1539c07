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
        ├── TargetError           a process, container or pod could not be handled
        │   ├── StartFailed       an instance did not start
        │   └── Unhealthy         an instance did not become healthy in time
        ├── Worse                 the new release answered worse than it may: errors, or times
        ├── ProxyError            the proxy refused, or did not confirm, a change
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
    "ConfigError",
    "DatabaseError",
    "DatabaseUnavailable",
    "DeployError",
    "HalfFailed",
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


class TargetError(DeployError):
    """A process, container or pod could not be handled."""


class StartFailed(TargetError):
    """An instance did not start."""


class Unhealthy(TargetError):
    """An instance did not become healthy in time, or stopped being so."""


class Worse(DeployError):
    """The new release answered worse than it may: more errors, or much slower."""


class ProxyError(DeployError):
    """The proxy refused a change, or did not confirm it in time."""


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
