"""The last of a service on its hosts: accessories, log-ins, the network and folders that nobody else uses."""

from __future__ import annotations

import asyncio
import json
import shlex
from collections.abc import Collection

from pilotage.accessory import Accessories
from pilotage.config import Config
from pilotage.config.select import all_hosts
from pilotage.events import Emit
from pilotage.image import log_out
from pilotage.shell.base import Shell
from pilotage.shell.fenced import state_dir
from pilotage.targets.docker.spec import NETWORK
from pilotage.wiring.accessories import accessory_of
from pilotage.wiring.hosts import open_hosts

_LOGINS = ".docker/config.json"

# Under the lock of whoever makes the network.
_UNUSED = """\
[ -d .pilotage ] || exit 0
exec 8>>.pilotage/network.lock && flock 8 || exit
if [ -z "$("$1" ps --all --quiet --filter "network=$2")" ]; then
  "$1" network rm "$2" >/dev/null 2>&1
  rm -f .pilotage/network.lock
fi
rmdir .pilotage 2>/dev/null
exit 0
"""


async def sweep(config: Config, accessories: Collection[str], emit: Emit) -> tuple[str, ...]:
    """Take ``accessories`` away with their data, log hosts out, and leave nothing that nobody uses.

    Raises
    ------
    HostUnreachable
        Some host cannot be reached; nothing was touched.
    """
    specs = [accessory_of(config, name, whole=False) for name in accessories]
    async with open_hosts(config, all_hosts(config)) as fleet:
        running = Accessories(fleet.shells, emit)
        for spec in specs:
            await running.remove(spec)
        server = config.registry.server if config.registry else None
        folder = state_dir(config.service, config.destination)
        await asyncio.gather(*(_tidy(shell, server, folder) for shell in fleet.shells.values()))
    return tuple(f"{spec.service} is gone, with its data" for spec in specs)


async def _tidy(shell: Shell, server: str | None, folder: str) -> None:
    """``folder``: with the audit of a host that has had accessories alone."""
    await shell.run(("rm", "-rf", "--", folder))
    if await shell.get(_LOGINS) is not None:
        await log_out(shell, server)
        if _is_empty(await shell.get(_LOGINS)):
            docker = _LOGINS.rpartition("/")[0]
            await shell.run(
                ("sh", "-c", f"rm -f {_LOGINS}; rmdir {shlex.quote(docker)} 2>/dev/null || :")
            )
    await shell.run(("sh", "-c", _UNUSED, "sweep", "docker", NETWORK))


def _is_empty(written: bytes | None) -> bool:
    """Whether a configuration of Docker's program says nothing any more."""
    try:
        known = json.loads(written or b"{}")
    except ValueError:
        return False
    return not any(known.values()) if isinstance(known, dict) else False
