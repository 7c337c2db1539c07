"""The steps of a plan, as frozen data. `describe` is what a person reads; `pilotage.deploy` runs them.

A step names *what* is to be true afterwards, so that running it again is harmless.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any

from pilotage.model import Front, Half, HalfRef, Instance
from pilotage.verdict import Limits


@dataclass(frozen=True, slots=True)
class Step:
    """The root of all steps."""

    @property
    def kind(self) -> str:
        """The name of the step's class."""
        return type(self).__name__

    def describe(self) -> str:
        """One line for a person."""
        raise NotImplementedError

    def to_json(self) -> dict[str, Any]:
        """``{"kind": …, "describe": …, …}``."""
        values = {f.name: _plain(getattr(self, f.name)) for f in fields(self)}
        return {"kind": self.kind, "describe": self.describe(), **values}


def _plain(value: Any) -> Any:
    if isinstance(value, HalfRef):
        return str(value)
    if isinstance(value, Instance):
        return value.id
    if isinstance(value, (Front, Limits)):
        return value.to_json()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


@dataclass(frozen=True, slots=True)
class Fetch(Step):
    """Make the release available where it will run, before anything is changed."""

    revision: str

    def describe(self) -> str:
        return f"fetch {self.revision[:12]} where it will run"


@dataclass(frozen=True, slots=True)
class RunHook(Step):
    """Run a program of the project, here. ``path``: where it is, as it is shown."""

    hook: str
    path: str

    def describe(self) -> str:
        return f"run the hook {self.hook}: {self.path}"


@dataclass(frozen=True, slots=True)
class EnsureProxy(Step):
    """Have a proxy running on every host, with the front that the deploy state wants."""

    def describe(self) -> str:
        return "make sure that the proxy runs"


@dataclass(frozen=True, slots=True)
class CloseEdges(Step):
    """Let the edge of every host answer new requests itself; what is in flight goes on.

    ``front``: what it does then. ``person``: who has closed the edges already, whose front stays.
    """

    hosts: tuple[str, ...]
    front: Front
    person: str = ""

    def describe(self) -> str:
        hosts = ", ".join(self.hosts)
        if self.person:
            return f"MAINTENANCE on {hosts}: {self.person} closed the edges, and they stay so"
        return f"MAINTENANCE on {hosts}: new requests are answered with {self.front.status}"


@dataclass(frozen=True, slots=True)
class OpenEdges(Step):
    """Take away the front of a deploy with downtime, once an instance of every host is healthy."""

    hosts: tuple[str, ...]

    def describe(self) -> str:
        where = f" on {', '.join(self.hosts)}" if self.hosts else ""
        return f"LIVE{where}: the maintenance ends"


@dataclass(frozen=True, slots=True)
class Contract(Step):
    """Write the intents, look again, prove, backfill again, verify, then apply contract halves.

    ``optional``: when the proof is lacking the halves stay held and the plan goes on.
    """

    refs: tuple[HalfRef, ...]
    names: tuple[str, ...] = ()
    optional: bool = False

    def describe(self) -> str:
        halves = ", ".join(f"{ref.version} {name}".rstrip() for ref, name in zip_names(self))
        held = " (or hold it, if something older turns up)" if self.optional else ""
        return f"prove that nothing older runs, then contract {halves}{held}"


def zip_names(step: Contract | RunFramework) -> Iterable[tuple[HalfRef, str]]:
    """The halves of a step with the names of their files."""
    names = step.names or ("",) * len(step.refs)
    return zip(step.refs, names, strict=True)


@dataclass(frozen=True, slots=True)
class ApplyHalf(Step):
    """Apply an expand half, once. ``fresh``: on a database that no instance has used yet."""

    ref: HalfRef
    name: str = ""
    fresh: bool = False

    def describe(self) -> str:
        assert self.ref.half is Half.EXPAND
        return f"expand {self.ref.version} {self.name}"


@dataclass(frozen=True, slots=True)
class RunFramework(Step):
    """Have a framework's own command apply these halves, in one run.

    No ``refs``: the command is run all the same, for what pilotage cannot see in files. ``fresh``: on a
    database that no instance has used yet, where contract halves are among them.
    """

    refs: tuple[HalfRef, ...] = ()
    names: tuple[str, ...] = ()
    framework: str = ""
    command: str = ""
    fresh: bool = False

    def describe(self) -> str:
        if not self.refs:
            return f"run {self.framework} for the release: {self.command}"
        halves = ", ".join(f"{ref.version} {name}".rstrip() for ref, name in zip_names(self))
        verb = "apply" if self.fresh else "expand"
        return f"{verb} {halves}, by one run of {self.framework}"


@dataclass(frozen=True, slots=True)
class Backfill(Step):
    """Run a backfill in batches until it changes no row; the expand half is finished then."""

    version: str
    name: str = ""

    def describe(self) -> str:
        return f"backfill {self.version} {self.name}, in batches"


@dataclass(frozen=True, slots=True)
class AwaitReplicas(Step):
    """Wait until every read replica has replayed the expand halves: only then are they done."""

    count: int

    def describe(self) -> str:
        return f"wait until {self.count} read replica{'s' * (self.count > 1)} replayed it"


@dataclass(frozen=True, slots=True)
class Adopt(Step):
    """Record a squash migration as applied: all that it replaces is."""

    version: str
    name: str = ""

    def describe(self) -> str:
        return f"adopt {self.version} {self.name}: all that it replaces is applied"


@dataclass(frozen=True, slots=True)
class Forget(Step):
    """Delete the records of dead instances, and registrations that nobody stands behind."""

    instances: tuple[Instance, ...] = ()
    registrations: tuple[str, ...] = ()

    def describe(self) -> str:
        names = [i.id for i in self.instances]
        names += [r for r in self.registrations if r not in names]
        return f"forget what no longer runs: {', '.join(names)}"


@dataclass(frozen=True, slots=True)
class Start(Step):
    """Start instances through the gate: recorded, registered, judged, and only then launched."""

    instances: tuple[Instance, ...]
    revision: str

    def describe(self) -> str:
        return f"start {_count(self.instances)} of {self.revision[:12]}{_no_traffic(self)}"


@dataclass(frozen=True, slots=True)
class StartFirst(Start):
    """Start an instance alone and wait until it is healthy: what its image runs before it serves, a
    migration say, is then run once. ``limit``: seconds until it listens, apart from those of its health.
    """

    limit: float = 0.0

    def describe(self) -> str:
        host = self.instances[0].host
        return (
            f"start {_count(self.instances)} of {self.revision[:12]} on {host} first, alone, and wait until "
            f"healthy: its entrypoint has {self.limit:g} s to prepare the database"
        )


def _no_traffic(step: Start) -> str:
    return ", without traffic" if any(i.kind == "traffic" for i in step.instances) else ""


@dataclass(frozen=True, slots=True)
class Check(Step):
    """Wait until every one of these instances is healthy."""

    instances: tuple[Instance, ...]

    def describe(self) -> str:
        return f"wait until {_count(self.instances)} healthy"


@dataclass(frozen=True, slots=True)
class Open(Step):
    """Record that new data which older code cannot read may be written from now on."""

    versions: tuple[str, ...]

    def describe(self) -> str:
        return (
            f"from here on old code cannot read new data ({', '.join(self.versions)}): "
            "no way back after this"
        )


@dataclass(frozen=True, slots=True)
class Canary(Step):
    """Give the new instances a share of the new requests, and watch how the release answers.

    ``share``: 0…1. ``against``: the release that gets the rest. ``seconds``: how long it is watched.
    """

    release: str
    instances: tuple[Instance, ...]
    share: float
    against: str
    seconds: float
    limits: Limits = field(default_factory=Limits)

    def describe(self) -> str:
        hosts = dict.fromkeys(i.host for i in self.instances)
        return (
            f"CANARY {self.share * 100:g} % of new requests to {self.release} on "
            f"{', '.join(hosts)}, watched for {self.seconds:g} s: {_asked(self.limits, self.against)}"
        )


@dataclass(frozen=True, slots=True)
class Watch(Step):
    """After the switch: watch how the release answers. ``against``: the release before it, or None."""

    release: str
    against: str | None
    seconds: float
    limits: Limits = field(default_factory=Limits)

    def describe(self) -> str:
        return (
            f"watch {self.release} for {self.seconds:g} s: {_asked(self.limits, self.against)}, "
            "or the traffic goes back"
        )


def _asked(limits: Limits, against: str | None) -> str:
    parts = [f"at most {limits.max_error_rate * 100:g} % errors"]
    if limits.max_p99_ratio is not None and against is not None:
        parts.append(f"p99 at most {limits.max_p99_ratio:g} × that of {against}")
    return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Switch(Step):
    """Send new requests to these instances, on all of their hosts; old ones finish what they have.

    ``rest``: hosts that have not switched once this is done, so that two releases serve.
    """

    release: str
    instances: tuple[Instance, ...]
    rest: tuple[str, ...] = ()

    def describe(self) -> str:
        hosts = dict.fromkeys(i.host for i in self.instances)
        still = f", not yet on {', '.join(self.rest)}" if self.rest else ""
        return f"SWITCH new requests to {self.release} on {', '.join(hosts)}{still}"


@dataclass(frozen=True, slots=True)
class Confirm(Step):
    """After the switch: the new instances are still healthy. ``rest``: hosts that have not switched."""

    instances: tuple[Instance, ...]
    rest: tuple[str, ...] = ()

    def describe(self) -> str:
        return "verify the switch: every new instance is still healthy"


@dataclass(frozen=True, slots=True)
class Drain(Step):
    """Wait until old instances have no request in flight, or the limit (seconds)."""

    instances: tuple[Instance, ...]
    limit: float

    def describe(self) -> str:
        return f"drain {_count(self.instances)}, at most {self.limit:g} s"


@dataclass(frozen=True, slots=True)
class Stop(Step):
    """Stop instances, and take back their registrations."""

    instances: tuple[Instance, ...]

    def describe(self) -> str:
        return f"stop {_count(self.instances)} of {_releases(self.instances)}"


@dataclass(frozen=True, slots=True)
class Finish(Step):
    """Record the end: ``release`` is what runs now (None: nothing does, after a failed first deploy)."""

    release: str | None

    def describe(self) -> str:
        return f"record {self.release} as what runs now" if self.release else "record the end"


@dataclass(frozen=True, slots=True)
class Wait(Step):
    """Let some seconds pass before the next hosts take their turn."""

    seconds: float

    def describe(self) -> str:
        return f"wait {self.seconds:g} s before the next hosts"


@dataclass(frozen=True, slots=True)
class Soak(Step):
    """Wait, before a contract that is `auto`. ``until``: Unix time, or None for from now on."""

    seconds: float
    until: float | None = None

    def describe(self) -> str:
        return f"soak for {self.seconds:g} s before the contract"


def _count(instances: tuple[Instance, ...]) -> str:
    roles: dict[str, int] = {}
    for instance in instances:
        roles[instance.role or "unknown"] = roles.get(instance.role or "unknown", 0) + 1
    return " and ".join(f"{count} × {role}" for role, count in roles.items()) or "nothing"


def _releases(instances: tuple[Instance, ...]) -> str:
    return ", ".join(dict.fromkeys(i.release for i in instances))
