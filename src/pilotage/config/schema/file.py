"""The whole file: Kamal's keys and pilotage's."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from pilotage.config.schema.base import (
    FLAG,
    FLAG_OR_SECTION,
    SECTION,
    TEXT,
    TEXT_OR_SECTION,
    Flag,
    Labels,
    OneOrMore,
    Options,
    Seconds,
    Section,
    Text,
    Texts,
    Whole,
    wrong,
)
from pilotage.config.schema.kamal import (
    Accessory,
    Boot,
    Builder,
    Env,
    Logging,
    Proxy,
    Registry,
    Ssh,
    Sshkit,
)
from pilotage.config.schema.own import (
    Database,
    Local,
    Migrations,
    RoleHealth,
    Rollout,
    State,
    Target,
)


def _host(value: Any) -> Any:
    """``host``, or ``host: tag``, or ``host: [tag, …]``, as (host, tags)."""
    if isinstance(value, dict):
        if len(value) != 1:
            raise wrong("should be one host with its tags")
        ((host, tags),) = value.items()
        if tags is None or isinstance(tags, dict):
            raise wrong("should be a tag, or a list of tags")
        return (host, tuple(tags) if isinstance(tags, list) else (tags,))
    if isinstance(value, (str, int, float)):
        return (value, ())
    raise wrong("should be a host, or a host with its tags")


Host = Annotated[tuple[Text, Texts], BeforeValidator(_host)]


class Role(Section):
    """A role: the hosts and the command of one kind of instance."""

    hosts: tuple[Host, ...] = Field(default=(), description="Its hosts; each may have tags.")
    cmd: Text | None = Field(default=None, description="Its command; the image's own without it.")
    instances: Whole = Field(
        default=1, description="Instances on each host; pilotage's own key.", ge=1
    )
    overlap: Flag = Field(
        default=True, description="Whether old and new may run at once; pilotage's own key."
    )
    stop_timeout: Seconds | None = Field(
        default=None, description="Time from SIGTERM to SIGKILL; pilotage's own key."
    )
    health: RoleHealth = Field(
        default_factory=RoleHealth,
        description="How it shows that it is well, without traffic; pilotage's own key.",
    )
    options: Options = Field(default={}, description="Further options for `docker run`.")
    labels: Labels = Field(default={}, description="Labels of the container.")
    logging: Logging | None = Field(default=None, description="Docker's logging.")
    proxy: Annotated[Annotated[Flag, FLAG] | Annotated[Proxy, SECTION], FLAG_OR_SECTION] | None = (
        Field(default=None, description="Whether it gets traffic, and what differs for it.")
    )
    env: Env = Field(default_factory=Env, description="Its environment, on top of the root's.")
    asset_path: Text | None = Field(default=None, description="Assets that old and new share.")


class File(Section):
    """``deploy.yml``."""

    service: Text = Field(description="The name of the service.")
    image: Text | None = Field(default=None, description="The image's name.")
    target: Target = Field(default="docker", description="Where instances run; pilotage's own key.")
    servers: dict[str, Role] = Field(default={}, description="Hosts, or roles with their hosts.")
    primary_role: Text = Field(default="web", description="The role that gets the traffic.")
    env: Env = Field(default_factory=Env, description="Environment of every role.")
    proxy: Proxy = Field(default_factory=Proxy, description="The edge.")
    rollout: Rollout = Field(
        default_factory=Rollout, description="How a release takes over; pilotage's own key."
    )
    migrations: Migrations | None = Field(
        default=None, description="The service's migrations; pilotage's own key."
    )
    databases: dict[str, Database] = Field(
        default={}, description="Databases by name; pilotage's own key."
    )
    consumers: OneOrMore = Field(
        default=(), description="Other services that use the tables; pilotage's own key."
    )
    state: State | None = Field(
        default=None, description="Where deploy state is kept; pilotage's own key."
    )
    local: Local = Field(default_factory=Local, description="`target: local`; pilotage's own key.")
    stop_timeout: Seconds | None = Field(
        default=None, description="Time from SIGTERM to SIGKILL, of every role; pilotage's own key."
    )
    labels: Labels = Field(default={}, description="Labels of every container.")
    volumes: Texts = Field(default=(), description="Volumes of every container.")
    logging: Logging = Field(default_factory=Logging, description="Docker's logging.")
    asset_path: Text | None = Field(default=None, description="Assets that old and new share.")
    registry: Registry | None = Field(default=None, description="The registry.")
    builder: Builder | None = Field(default=None, description="How the image is built.")
    accessories: dict[str, Accessory] = Field(
        default={}, description="Services beside the application."
    )
    ssh: Ssh = Field(default_factory=Ssh, description="How hosts are reached.")
    sshkit: Sshkit = Field(default_factory=Sshkit, description="Limits of SSH connections.")
    boot: Boot = Field(default_factory=Boot, description="How many hosts start at a time.")
    aliases: dict[str, Text] = Field(default={}, description="Short names of commands.")
    hooks_path: Text = Field(
        default=".kamal/hooks",
        description="The folder of hooks; those in `.pilotage/hooks` are stronger.",
    )
    hooks_output: (
        Annotated[
            Annotated[Literal["quiet", "verbose"], TEXT]
            | Annotated[dict[str, Literal["quiet", "verbose"]], SECTION],
            TEXT_OR_SECTION,
        ]
        | None
    ) = Field(default=None, description="Whether the output of hooks is shown, or of each hook.")
    secrets_path: Text = Field(default=".kamal/secrets", description="The secrets files' path.")
    error_pages_path: Text | None = Field(default=None, description="The folder of error pages.")
    require_destination: Flag = Field(
        default=False, description="Refuse to run without a destination."
    )
    allow_empty_roles: Flag = Field(default=False, description="Allow roles without hosts.")
    retain_containers: Whole = Field(
        default=5, description="Old containers and images that are kept."
    )
    minimum_version: Text | None = Field(
        default=None, description="The oldest Kamal that reads this file."
    )
    readiness_delay: Seconds = Field(
        default=1.0,
        description="Time to stay running, for instances without traffic or health check; Kamal has 7s.",
    )
    deploy_timeout: Seconds = Field(
        default=30.0, description="Time for an instance to become ready."
    )
    drain_timeout: Seconds = Field(default=30.0, description="Time for requests in flight to end.")
    run_directory: Text = Field(default=".kamal", description="Where files are kept on hosts.")
