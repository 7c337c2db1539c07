"""``--hosts``, ``--roles``, ``--primary``: the options, and what they select."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from pilotage.config import Config
    from pilotage.config.select import Place

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Selectors:
    """What the command line asked for."""

    hosts: str | None = None
    roles: str | None = None
    primary: bool = False

    @property
    def wanted_roles(self) -> tuple[str, ...]:
        """What ``--roles`` names, as hooks are told of it."""
        return tuple(filter(None, (name.strip() for name in (self.roles or "").split(","))))

    def of(self, config: Config) -> tuple[Place, ...]:
        """The roles on hosts that are meant."""
        from pilotage.config.select import select

        return select(config, hosts=self.hosts, roles=self.roles, primary=self.primary)

    def asked(self, config: Config) -> tuple[Place, ...]:
        """The same, but nothing where nothing is selected, or everything."""
        found = self.of(config)
        every = sum(len(role.hosts) for role in config.roles)
        return found if len(found) < every else ()

    def hosts_of(self, config: Config) -> tuple[str, ...] | None:
        """The hosts of the roles that are meant, as hooks are told of them; None where nothing was asked for."""
        if self == Selectors():
            return None
        return tuple(dict.fromkeys(place.host for place in self.of(config)))

    def among(self, config: Config, every: Iterable[str]) -> tuple[str, ...]:
        """Those of these hosts that are meant, where it is about hosts as such."""
        from pilotage.config.select import select_hosts

        return select_hosts(config, every, hosts=self.hosts, roles=self.roles, primary=self.primary)

    def part(self, config: Config, every: Iterable[str]) -> tuple[str, ...] | None:
        """The same, but None where nothing was asked for."""
        return None if self == Selectors() else self.among(config, every)


def selecting(function: F) -> F:
    """Add the options; the function gets ``selectors``."""

    @wraps(function)
    def wrapper(
        *args: Any, hosts: str | None, roles: str | None, primary: bool, **more: Any
    ) -> Any:
        return function(*args, selectors=Selectors(hosts, roles, primary), **more)

    options = (
        click.option("--hosts", metavar="A,B*", help="Only on these hosts."),
        click.option("-r", "--roles", metavar="A,B*", help="Only of these roles."),
        click.option(
            "-p", "--primary", is_flag=True, help="Only the primary role, on its first host."
        ),
    )
    for option in reversed(options):
        wrapper = option(wrapper)
    return wrapper  # type: ignore[return-value]
