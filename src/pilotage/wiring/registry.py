"""Where one logs in at the registry: this machine and the hosts. A registry of this machine needs no log-in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pilotage.config import Config
from pilotage.image import LocalRegistry, Login, local_port, log_in, log_out
from pilotage.shell.base import Shell
from pilotage.shell.local import LocalShell
from pilotage.wiring.images import login_of


@dataclass(frozen=True, slots=True)
class RegistryPlaces:
    """``server``: the registry, None for Docker Hub; ``login``: who logs in, None where nobody needs to."""

    shells: tuple[Shell, ...]
    server: str | None
    login: Login | None

    async def log_in(self, shell: Shell) -> None:
        """Log one place in.

        Raises
        ------
        TargetError
            The registry refused, or does not answer.
        """
        if self.login:
            await log_in(shell, self.login)

    async def log_out(self, shell: Shell) -> None:
        """Log one place out."""
        await log_out(shell, self.server)


def registry_places(config: Config, there: Iterable[Shell], *, local: bool) -> RegistryPlaces:
    """This machine (``local``), and hosts that are connected."""
    here = (LocalShell(),) if local else ()
    elsewhere = tuple(shell for shell in there if not (here and isinstance(shell, LocalShell)))
    return RegistryPlaces((*here, *elsewhere), _server(config), login_of(config))


def local_registry(config: Config) -> LocalRegistry | None:
    """The registry of this machine, where the project uses one."""
    port = local_port(_server(config))
    return None if port is None else LocalRegistry(LocalShell(), port)


def _server(config: Config) -> str | None:
    return config.registry.server if config.registry else None
