"""Carries out on a host what `pilotage.targets.docker.assets` says: fills volumes."""

from __future__ import annotations

from pilotage.errors import StartFailed
from pilotage.shell.fenced import Command
from pilotage.targets.docker import assets
from pilotage.targets.docker.host import ACT_LIMIT, DockerHost
from pilotage.targets.docker.spec import DockerRole


async def bridge_assets(
    host: DockerHost, role: DockerRole, name: str, revision: str, *, image: str, token: int
) -> None:
    """Have the assets of a release of the role ``name``, and those of others, in one place.

    Raises
    ------
    StartFailed
        They could not be copied; says why, in the words of who tried.
    """
    service = host.service
    listed = await host.run((Command(assets.list_volumes(service, name)),))
    others = set(listed.last.out.split()) - {assets.volume(service, name, revision)}
    parts = (
        Command(assets.make_volume(service, name, revision)),
        Command(assets.bridge(service, role, name, revision, image=image, others=others)),
    )
    ran = await host.run(parts, token=token, limit=ACT_LIMIT)
    if not ran.finished:
        raise StartFailed(
            host.masked(f"the assets of {role.assets} could not be copied:{ran.words}"),
            where=f"{name} on {host.name}",
            state="it was not started",
            next="`asset_path` names a folder of the image, which needs `sh` and `cp`",
        )
