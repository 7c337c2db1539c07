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

# $1: docker, $2: the revisions that are kept; then the command that lists the volumes.
_PRUNE = """\
docker=$1 keep=$2
shift 2
for volume in $("$@"); do
  case " $keep " in *" ${volume##*-} "*) continue ;; esac
  "$docker" volume rm "$volume" >/dev/null 2>&1
done
:
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


def prune(service: DockerService, keep: Collection[str]) -> Argv:
    """Remove the volumes of revisions that are not in ``keep``; Docker keeps those that a container has."""
    given = (service.docker, " ".join(sorted(keep)))
    return ("sh", "-c", _PRUNE, "prune", *given, *list_volumes(service))


def _labels(service: DockerService) -> dict[str, str]:
    return {
        "service": service.service,
        "destination": service.destination or "",
        names.PART: "assets",
    }
