"""A question to a release: one short command in a container of its own, for what it prints.

It changes nothing, so it needs no lease, no record and no name; it is gone when it has answered.
"""

from __future__ import annotations

from pilotage.model import Kind
from pilotage.shell.fenced import Command, Ran
from pilotage.targets.docker import commands, names
from pilotage.targets.docker.environment import given
from pilotage.targets.docker.host import DockerHost
from pilotage.targets.docker.spec import DockerRole
from pilotage.targets.shared.environment import Environment


async def newest_revision(host: DockerHost) -> str | None:
    """The revision of the newest container on the host, whatever became of it; None where there is none."""
    containers = (await host.look()).containers
    ours = [c for c in containers if names.REVISION in c.labels and names.KIND in c.labels]
    instances = [c for c in ours if c.labels[names.KIND] != Kind.TOOL]
    newest = max(instances, key=lambda c: c.created, default=None)
    return newest.labels[names.REVISION] if newest else None


async def ask(
    host: DockerHost, role: DockerRole, line: str, env: Environment, *, image: str, limit: float
) -> Ran:
    """What a line for ``sh`` prints in a container of ``image``. ``limit``: seconds.

    Raises
    ------
    TargetError
        The host does not answer, or it took longer.
    """
    ways = given({**role.environment(host.name), **env}, host.secrets)
    argv = commands.ask(
        host.service, role, image=image, environment=ways.words, argv=("sh", "-c", line)
    )
    question = Command(argv, env=ways.exported, lines=ways.lines)
    return await host.run((question,), fenced=False, limit=limit)
