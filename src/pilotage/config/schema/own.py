"""What pilotage adds to Kamal's format."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag

from pilotage.config.quantity import parse_duration, parse_percent
from pilotage.config.schema.base import (
    BRANCH,
    SECTION,
    Flag,
    HostLimit,
    OneOrMore,
    Seconds,
    Section,
    Share,
    Text,
    UrlOrName,
    Whole,
    one_or_more,
    wrong,
)


def _ratio(value: object) -> object:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0:
        return float(value)
    raise wrong("should be a number above 0, such as 2.0")


def shares(value: object) -> object:
    """Ascending shares of the requests, also of what is written as one value."""
    written = value if isinstance(value, (list, tuple)) else [value]
    try:
        found = tuple(parse_percent(item) for item in written)
    except ValueError as error:
        raise wrong(str(error)) from error
    if not all(0 < share < 1 for share in found):
        raise wrong("should be above 0% and below 100%")
    if any(one >= other for one, other in pairwise(found)):
        raise wrong("should be ascending, such as [5%, 25%]")
    return found


class Rollout(Section):
    """How a release takes over."""

    strategy: Literal["fleet", "rolling"] = Field(
        default="fleet",
        description="`fleet`: all instances, then one switch. `rolling`: hosts take turns.",
    )
    limit: HostLimit | None = Field(
        default=None,
        description="Hosts that take their turn together: a number, or a percentage. With one, and no "
        "`strategy`, it is `rolling`; `rolling` without one: 1.",
    )
    wait: Seconds = Field(default=0.0, description="Time between two turns.")
    verify: Seconds = Field(
        default=3.0,
        description="How long a release is watched after the switch, before workers start; `0` for not.",
    )
    max_error_rate: Share = Field(
        default=0.01, description="Share of failed requests above which the switch is taken back."
    )
    max_p99_ratio: Annotated[float, BeforeValidator(_ratio)] | None = Field(
        default=None,
        description="Taken back when the p99 is more than this multiple of the old release's.",
    )
    min_requests: Whole = Field(
        default=50,
        ge=1,
        description="Requests that a judgement takes; with fewer the release is unverified.",
    )
    canary: Annotated[tuple[float, ...], BeforeValidator(shares)] = Field(
        default=(),
        description="Shares of the requests that the new release gets first, ascending.",
    )
    step: Seconds = Field(default=60.0, description="How long it is watched at each of them.")


def _some_seconds(value: object) -> object:
    try:
        seconds = parse_duration(value)
    except ValueError as error:
        raise wrong(str(error)) from error
    return _above_zero(seconds)


def _above_zero(seconds: float) -> float:
    if seconds <= 0:
        raise wrong("should be more than 0")
    return seconds


def _off_or_seconds(value: object) -> object:
    if value is False or value == "off":
        return None
    try:
        seconds = parse_duration(value)
    except ValueError as error:
        raise wrong(f"{error}; or `off`") from error
    return _above_zero(seconds)


def _off_or_ratio(value: object) -> object:
    return None if value is False or value == "off" else _ratio(value)


def _duty(value: object) -> object:
    try:
        share = parse_percent(value)
    except ValueError as error:
        raise wrong(str(error)) from error
    if share < 0.01:
        raise wrong("should be 1% to 100%")
    return share


SomeSeconds = Annotated[float, BeforeValidator(_some_seconds)]
SecondsOrOff = Annotated[float | None, BeforeValidator(_off_or_seconds)]
RatioOrOff = Annotated[float | None, BeforeValidator(_off_or_ratio)]


class Backfill(Section):
    """How backfills leave room for others; each signal that one pauses for can be `off`."""

    batch_time: SomeSeconds = Field(
        default=0.1, description="What a batch is to take; its size follows."
    )
    batch_rows: Whole = Field(default=20_000, ge=1, description="Rows that a batch spans at most.")
    duty: Annotated[float, BeforeValidator(_duty)] | None = Field(
        default=None,
        description="Share of the time that it works; without it 80% while others are at work in the "
        "database, else all of it.",
    )
    replication_lag: SecondsOrOff = Field(
        default=10.0, description="Pauses while a replica is further behind."
    )
    lock_wait: SecondsOrOff = Field(
        default=0.5, description="Pauses while a session waits longer than this for a lock."
    )
    long_transaction: SecondsOrOff = Field(
        default=600.0, description="Pauses while a transaction has been open for longer."
    )
    dead_rows: RatioOrOff = Field(
        default=10.0,
        description="Pauses while the table has more dead rows than so many times what autovacuum waits "
        "for.",
    )
    wraparound: Flag = Field(
        default=True, description="Pauses while a vacuum against wraparound runs on the table."
    )
    pause_when: Text | None = Field(
        default=None, description="Pauses while the first value of this query is true."
    )
    longest_pause: SomeSeconds = Field(
        default=3600.0, description="Gives up after so long a pause that no person asked for."
    )


class StatusCommand(Section):
    """A command that says what a framework has applied."""

    command: Text = Field(
        description='Prints `{"version": …, "applied": […]}`; run where the service runs.'
    )


StatusTable = Literal["schema_migrations", "alembic_version", "django_migrations", "none"]


def _status(value: object) -> str:
    return f"{BRANCH}section" if isinstance(value, (dict, StatusCommand)) else f"{BRANCH}table"


class Commands(Section):
    """How a framework's migrations are applied: lines for `sh`, run in a folder of the release."""

    expand: Text | None = Field(
        default=None, description="Applies `$PILOTAGE_VERSIONS`, which are expand halves."
    )
    contract: Text | None = Field(
        default=None, description="Applies contract halves; `expand` without it."
    )
    fresh: Text | None = Field(
        default=None, description="Applies everything there is, on an empty database."
    )


Engine = Literal["sql", "alembic", "django", "rails", "command", "entrypoint", "none"]


class Migrations(Section):
    """Where the migrations are and how they run."""

    path: Text = Field(default="db/migrations", description="The folder of migration files.")
    engine: Engine = Field(
        default="sql",
        description="Who reads and runs them; `entrypoint`: the image itself, before it serves; `none`: "
        "there are none.",
    )
    stream: Text | None = Field(
        default=None, description="Who owns the files; the service without it."
    )
    database: Text | None = Field(
        default=None, description="A name under `databases`; the only one."
    )
    lock_timeout: Seconds = Field(default=0.5, description="Wait for a table lock, per attempt.")
    timeout: Seconds = Field(
        default=3600.0,
        description="Time for one half, retries included; for an entrypoint, until the application listens.",
    )
    contract: Literal["next", "auto", "manual"] = Field(
        default="next",
        description="When contract halves run: next deploy, after `soak`, or by hand.",
    )
    soak: Seconds = Field(default=600.0, description="How long `auto` waits after a deploy.")
    image: Text | None = Field(
        default=None,
        description="An image that has pilotage in it, for runs that are detached on Docker hosts.",
    )
    large_table: Whole = Field(
        default=10_000_000,
        ge=1,
        description="Rows from which on `plan` suggests to run a half apart from the deploy.",
    )
    schema_: Text | None = Field(
        default=None,
        alias="schema",
        description="A file that holds the whole schema, loaded and dumped.",
    )
    seed: Text | None = Field(default=None, description="A SQL file for a new database.")
    backfill: Backfill = Field(
        default_factory=Backfill, description="How backfills leave room for others."
    )
    files: OneOrMore = Field(
        default=(), description="Not `sql`: globs of the files, each of which is a version."
    )
    contract_files: OneOrMore = Field(
        default=(), description="Not `sql`: globs of those among them that are contract halves."
    )
    status: (
        Annotated[
            Annotated[StatusTable, Tag(f"{BRANCH}table")] | Annotated[StatusCommand, SECTION],
            Discriminator(_status),
        ]
        | None
    ) = Field(default=None, description="Not `sql`: what says which versions are applied.")
    order: Literal["linear", "set"] | None = Field(
        default=None,
        description="Not `sql`: whether asking for a version applies those before it as well.",
    )
    commands: Commands = Field(
        default_factory=Commands, description="Not `sql`: how they are applied."
    )


class Database(Section):
    """A database. Each value is a URL, or the name of a secret or of an environment variable."""

    url: UrlOrName = Field(description="The application's connection.")
    migration_url: UrlOrName | None = Field(
        default=None, description="The migrator's connection; `url`."
    )
    replicas: Annotated[tuple[UrlOrName, ...], BeforeValidator(one_or_more)] = Field(
        default=(), description="Read replicas that expand waits for."
    )
    via: Text | None = Field(
        default=None,
        description="A host of the service that leads there by SSH, where this machine does not reach the "
        "database; `primary` is the first host of the primary role. For `target: docker`.",
    )


class Local(Section):
    """`target: local`."""

    prepare: Text | None = Field(
        default=None, description="A command run once in the checkout of a revision."
    )


class RoleHealth(Section):
    """How an instance without traffic shows that it is well."""

    cmd: Text | None = Field(
        default=None, description="A command that must exit with 0; alive after `delay` without it."
    )
    delay: Seconds | None = Field(
        default=None, description="Time to stay alive before it counts; else `readiness_delay`."
    )
    interval: Seconds = Field(default=1.0, description="Time between two runs of the command.")
    timeout: Seconds = Field(default=5.0, description="Time for one run of the command.")


Target = Literal["local", "docker", "kubernetes"]
State = Literal["database", "target"]
