"""Docker's commands as data: pure functions, each returns an argv. None holds a secret.

``docker`` is the name of the program; podman takes the same words.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from pilotage.docker import flags
from pilotage.shell import network
from pilotage.targets.docker import names
from pilotage.targets.docker.containers import FORMAT
from pilotage.targets.docker.spec import NETWORK, RESTART, DockerRole, DockerService

Argv = tuple[str, ...]

UNDER_WAY = ("created", "running", "paused", "restarting")
"""Of a container that lives, or is about to."""

_FREE = '"$1" container inspect "$2" >/dev/null 2>&1 || exit 0; exec "$1" rename "$2" "$3"'


# -- looking ---------------------------------------------------------------------------------


def list_all(service: DockerService) -> Argv:
    """The ids of every container of the service, Kamal's too, whatever became of them."""
    return (
        *(service.docker, "ps", "--all", "--quiet", "--no-trunc"),
        *("--filter", f"label=service={service.service}"),
    )


def list_one(service: DockerService, container: str) -> Argv:
    """The id of a container, if it is there."""
    return (
        *(service.docker, "ps", "--all", "--quiet", "--no-trunc"),
        *("--filter", f"id={container}"),
    )


def list_created(service: DockerService, container: str) -> Argv:
    """The id of a container, as long as it was only created."""
    return (
        *(service.docker, "ps", "--all", "--quiet", "--no-trunc"),
        *("--filter", f"id={container}", "--filter", "status=created"),
    )


def list_under_way(service: DockerService, instance_id: str) -> Argv:
    """The ids of an instance's containers, but those that have ended."""
    return (
        *(service.docker, "ps", "--all", "--quiet", "--no-trunc"),
        *("--filter", f"label={names.INSTANCE}={instance_id}"),
        *(word for status in UNDER_WAY for word in ("--filter", f"status={status}")),
    )


def inspect(service: DockerService, *ids: str) -> Argv:
    """What is to be known of containers, a line each, for `containers.parse`."""
    return (service.docker, "inspect", "--type", "container", "--format", FORMAT, *ids)


# -- an instance's life ----------------------------------------------------------------------


def create(
    service: DockerService,
    role: DockerRole,
    *,
    image: str,
    name: str,
    hostname: str,
    alias: str,
    environment: Iterable[str],
    labels: Mapping[str, str],
) -> Argv:
    """An instance's container, not started. ``alias``: its further name on the network, by which the edge
    finds it. ``environment``: words of `environment.given`."""
    return (
        *(service.docker, "create", "--pull", "never", "--name", name, "--hostname", hostname),
        *_network(role, alias if role.traffic else None),
        *("--restart", restart_policy(role)),
        *_made_with(role, environment, labels, without={"restart", "name", "detach", "rm"}),
        image,
        *role.cmd,
    )


def create_job(
    service: DockerService,
    role: DockerRole,
    *,
    image: str,
    name: str,
    hostname: str,
    environment: Iterable[str],
    labels: Mapping[str, str],
    argv: Iterable[str],
    interactive: bool = False,
    terminal: bool = False,
) -> Argv:
    """A job's container, not started: as an instance's, but for what two cannot have at a time."""
    return (
        *(service.docker, "create", "--pull", "never", "--name", name, "--hostname", hostname),
        *_attached(interactive=interactive, terminal=terminal),
        *_network(role),
        *_made_with(role, environment, labels, without=flags.ONE_AT_A_TIME),
        image,
        *argv,
    )


def ask(
    service: DockerService,
    role: DockerRole,
    *,
    image: str,
    environment: Iterable[str],
    argv: Iterable[str],
) -> Argv:
    """Run a command in a container that is gone afterwards, for what it writes."""
    labels = {names.PART: "question"}
    return (
        *(service.docker, "run", "--rm", "--pull", "never"),
        *_network(role),
        *_made_with(role, environment, labels, without=flags.ONE_AT_A_TIME),
        image,
        *argv,
    )


def start(service: DockerService, container: str) -> Argv:
    """Start a container that was created."""
    return (service.docker, "start", container)


def start_attached(service: DockerService, container: str, *, reads: bool = True) -> Argv:
    """Start it, and be its output; with ``reads`` its input, too."""
    return (service.docker, "start", "--attach", *(("--interactive",) if reads else ()), container)


def restart_always(service: DockerService, role: DockerRole, container: str) -> Argv:
    """Have Docker start it again from now on when it ends, as the role says."""
    return (service.docker, "update", "--restart", restart_policy(role), container)


def restart_policy(role: DockerRole) -> str:
    """What Docker does when an instance of the role ends by itself."""
    return str(role.options.get("restart", RESTART))


def signal(service: DockerService, container: str, name: str) -> Argv:
    """Send a signal; Docker takes it that the container is not to be restarted."""
    return (service.docker, "kill", "--signal", name, container)


def wait(service: DockerService, container: str, *, limit: float | None = None) -> Argv:
    """Wait until it has ended, and write its exit status. After ``limit`` seconds: exit status 124."""
    waiting = (service.docker, "wait", container)
    return waiting if limit is None else ("timeout", str(max(1, math.ceil(limit))), *waiting)


def rename(service: DockerService, container: str, name: str) -> Argv:
    """Give it another name."""
    return (service.docker, "rename", container, name)


def free_name(service: DockerService, name: str, other: str) -> Argv:
    """Rename whatever container has a name; done where none has."""
    return ("sh", "-c", _FREE, "free", service.docker, name, other)


def remove(service: DockerService, *containers: str) -> Argv:
    """Remove containers that do not run, with their volumes that have no name."""
    return (service.docker, "rm", "--volumes", *containers)


def end(service: DockerService, container: str) -> Argv:
    """Kill and remove it, whatever it does."""
    return (service.docker, "rm", "--force", "--volumes", container)


def execute(service: DockerService, container: str, cmd: str, *, limit: float) -> Argv:
    """Run a line for the shell in a running container. After ``limit`` seconds: exit status 124."""
    whole = str(max(1, math.ceil(limit)))
    return ("timeout", whole, service.docker, "exec", container, "sh", "-c", cmd)


def enter(
    service: DockerService,
    container: str,
    argv: Iterable[str],
    *,
    environment: Iterable[str] = (),
    interactive: bool = False,
    terminal: bool = False,
) -> Argv:
    """Run a command in a running container, beside what runs there. ``environment``: as for `create`."""
    return (
        *(service.docker, "exec", *_attached(interactive=interactive, terminal=terminal)),
        *environment,
        container,
        *argv,
    )


# -- what it printed -------------------------------------------------------------------------


def logs(
    service: DockerService,
    container: str,
    *,
    lines: int | None = None,
    since: str | None = None,
    follow: bool = False,
) -> Argv:
    """What it printed: the last ``lines``, or all; ``since`` a time; with what comes until it ends."""
    return (
        *(service.docker, "logs"),
        *(("--follow",) if follow else ()),
        *(("--since", since) if since is not None else ()),
        *(("--tail", str(lines)) if lines is not None else ()),
        container,
    )


# -- the host --------------------------------------------------------------------------------


def version(service: DockerService) -> Argv:
    """The version of Docker's server, as far as there is one that answers."""
    return (service.docker, "version", "--format", "{{.Server.Version}}")


def ensure_network(service: DockerService) -> Argv:
    """Make the network where it is missing; writes nothing where it is there."""
    return network.ensure_network(service.docker, NETWORK)


def show_containers(service: DockerService) -> Argv:
    """The containers of the service at its destination, for a person."""
    destination = ("--filter", f"label=destination={service.destination or ''}")
    labels = ("--filter", f"label=service={service.service}")
    return (service.docker, "ps", "--all", *labels, *destination)


# -- words -----------------------------------------------------------------------------------


def _attached(*, interactive: bool, terminal: bool) -> Argv:
    return (*(("--interactive",) if interactive else ()), *(("--tty",) if terminal else ()))


def _network(role: DockerRole, alias: str | None = None) -> Argv:
    if {"network", "net"} & set(role.options):
        return ()
    return ("--network", NETWORK, *(("--network-alias", alias) if alias else ()))


def _made_with(
    role: DockerRole,
    environment: Iterable[str],
    labels: Mapping[str, str],
    *,
    without: Iterable[str],
) -> Argv:
    left_out = frozenset(without)
    return (
        *environment,
        *flags.logging(role.logging.driver, role.logging.options),
        *flags.volumes(role.volumes),
        *flags.labels({**role.labels, **labels}),
        *flags.options({k: v for k, v in role.options.items() if k not in left_out}),
    )
