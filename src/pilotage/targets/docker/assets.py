"""Assets of two releases at once: whoever has a page of one release may ask the other for its files.

Each release of a role has a volume with its assets on each host. Before an instance starts, its volume is
filled from its image, and given what the volumes of other releases have that it has not; and they get what is
new. Where both have a file of one name, each keeps its own.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from pilotage.docker import flags
from pilotage.targets.docker import names
from pilotage.targets.docker.spec import DockerRole, DockerService

Argv = tuple[str, ...]

# $1: the folder in the image. `cp -n` of some versions fails where it leaves something out.
_BRIDGE = """\
cp -R "$1"/. /new/ || exit
for old in /old/*; do
  [ -d "$old" ] || continue
  cp -Rn "$old"/. /new/ || :
  cp -Rn /new/. "$old"/ || :
done
"""


def volume(service: DockerService, role: str, revision: str) -> str:
    """The volume of a role's assets at a revision."""
    parts = (service.service, service.destination, role, "assets", revision)
    return names.valid("-".join(part for part in parts if part))


def mounted(service: DockerService, role: DockerRole, name: str, revision: str) -> DockerRole:
    """The role with the volume of its assets among its own; as it is where it has none."""
    if role.assets is None:
        return role
    options = f":{role.asset_options}" if role.asset_options else ""
    mount = f"{volume(service, name, revision)}:{role.assets}{options}"
    return replace(role, volumes=(*role.volumes, mount))


def list_volumes(service: DockerService, role: str | None = None) -> Argv:
    """The names of the volumes of a role's assets; of all roles without one."""
    labels = {**_labels(service), **({"role": role} if role else {})}
    wanted = (word for k, v in labels.items() for word in ("--filter", f"label={k}={v}"))
    return (service.docker, "volume", "ls", "--quiet", *wanted)


def make_volume(service: DockerService, role: str, revision: str) -> Argv:
    """Make the volume, unless it is there."""
    labels = {**_labels(service), "role": role}
    made = (service.docker, "volume", "create", *flags.labels(labels))
    return (*made, volume(service, role, revision))


def bridge(
    service: DockerService,
    role: DockerRole,
    name: str,
    revision: str,
    *,
    image: str,
    others: Collection[str],
) -> Argv:
    """Fill a volume from the image, and exchange with ``others``: by a shell of the image itself."""
    assert role.assets is not None
    mounts = [f"{volume(service, name, revision)}:/new"]
    mounts += [f"{other}:/old/{number}" for number, other in enumerate(sorted(others))]
    return (
        *(service.docker, "run", "--rm", "--pull", "never", "--network", "none"),
        *("--user", "0", "--entrypoint", "sh", *flags.volumes(mounts)),
        *(image, "-c", _BRIDGE, "assets", role.assets),
    )


def remove_volumes(service: DockerService, volumes: Collection[str]) -> Argv:
    """Remove volumes; Docker keeps those that a container has."""
    return (service.docker, "volume", "rm", *sorted(volumes))


def surplus(volumes: Collection[str], keep: Collection[str]) -> tuple[str, ...]:
    """The volumes of revisions that are not in ``keep``."""
    return tuple(name for name in volumes if name.rpartition("-")[2] not in keep)


def _labels(service: DockerService) -> dict[str, str]:
    return {
        "service": service.service,
        "destination": service.destination or "",
        names.PART: "assets",
    }
