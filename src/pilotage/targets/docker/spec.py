"""What the Docker target is told: the service, its hosts, its roles, and how each is run.

Values of this package's own, so that it knows nothing of the configuration file; the wiring converts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pilotage.shell.fenced import state_dir
from pilotage.targets.shared.environment import Environment
from pilotage.targets.shared.health import AliveHealth, Health

NETWORK = "kamal"
"""The network of every container, Kamal's own: its accessories are there under their names."""

RESTART = "unless-stopped"
"""What Docker does with an instance that ended by itself, unless the role's ``options`` say otherwise."""

_REACH = frozenset({"network", "net", "add-host", "dns", "dns-search", "dns-option", "dns-opt"})
"""Options of a role that say what it reaches, and by which names."""


@dataclass(frozen=True, slots=True)
class Logging:
    """Docker's logging of a container; without a driver Docker's own, ten megabytes a file."""

    driver: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DockerRole:
    """How the instances of one role are run.

    ``cmd``: the words of the image's command; none leaves the image its own. ``options``: further options
    of ``docker create``, by their long names; True for one without a value, a list for one that is given
    several times. ``host_env``: the whole environment on hosts that have one of their own (by Kamal's
    tags). ``assets``: a folder in the image whose files of two releases are there at once, ``asset_options``
    how it is mounted (``ro``). ``app_port``: where a container with traffic listens. ``stop_timeout``: seconds.
    """

    cmd: tuple[str, ...] = ()
    traffic: bool = False
    env: Environment = field(default_factory=dict)
    host_env: Mapping[str, Environment] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    volumes: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    logging: Logging = field(default_factory=Logging)
    stop_timeout: float = 30.0
    app_port: int = 80
    assets: str | None = None
    asset_options: str | None = None
    health: Health = field(default_factory=AliveHealth)

    def environment(self, host: str) -> Environment:
        """The environment of its instances on a host."""
        return self.host_env.get(host, self.env)

    def tool(self, program: str, env: Environment) -> DockerRole:
        """How a program in an image of its own is run, whatever that would start by itself.

        It reaches what the role reaches, and has nothing else of it.
        """
        reach = {name: value for name, value in self.options.items() if name in _REACH}
        return DockerRole(
            env=env, options={**reach, "entrypoint": program}, stop_timeout=self.stop_timeout
        )


@dataclass(frozen=True, slots=True)
class DockerService:
    """One service at one destination. ``hosts``: every host, the primary one first.

    ``docker``: the program, ``podman`` where that is what the hosts have.
    """

    service: str
    hosts: tuple[str, ...]
    roles: Mapping[str, DockerRole]
    destination: str | None = None
    docker: str = "docker"

    @property
    def state_dir(self) -> str:
        """Where a host keeps what pilotage knows of this service, relative to the home."""
        return state_dir(self.service, self.destination)
