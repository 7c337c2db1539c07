"""The commands for accessories: pure functions, each returns an argv. No secret is in any of them."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence

from pilotage.accessory.spec import AccessorySpec
from pilotage.docker import flags

Argv = tuple[str, ...]


def run(
    spec: AccessorySpec, *, environment: Iterable[str], home: str, docker: str = "docker"
) -> Argv:
    """``docker run``. ``environment``: words that give the container its own."""
    return (
        *(docker, "run", "--name", spec.service, "--detach", "--restart", "unless-stopped"),
        *("--network", spec.network),
        *flags.logging(spec.log_driver, spec.log_options),
        *(("--publish", spec.publish) if spec.publish else ()),
        *environment,
        *_volumes(spec, home),
        *flags.labels({"service": spec.service, **spec.labels}),
        *flags.options(spec.options),
        spec.image,
        *(shlex.split(spec.cmd) if spec.cmd else ()),
    )


def state(name: str, *, docker: str = "docker") -> Argv:
    """Prints the state of the container (``running``, ``exited``, …), or nothing where there is none."""
    named = ("--filter", f"name=^{name}$")
    return (docker, "container", "ls", "--all", *named, "--format", "{{.State}}")


def details(name: str, *, docker: str = "docker") -> Argv:
    """The container, as `docker ps` shows it."""
    return (docker, "container", "ls", "--all", "--filter", f"name=^{name}$")


def start(name: str, *, docker: str = "docker") -> Argv:
    """Start a container that is stopped."""
    return (docker, "container", "start", name)


def stop(name: str, *, docker: str = "docker") -> Argv:
    """Stop it."""
    return (docker, "container", "stop", name)


def remove(name: str, *, docker: str = "docker") -> Argv:
    """Remove a stopped container, with its anonymous volumes."""
    return (docker, "container", "rm", "--volumes", name)


def remove_image(image: str, *, docker: str = "docker") -> Argv:
    """Remove its image."""
    return (docker, "image", "rm", "--force", image)


def pull(image: str, *, docker: str = "docker") -> Argv:
    """Get its image."""
    return (docker, "image", "pull", "--quiet", image)


def prepare(spec: AccessorySpec, *, home: str) -> Argv | None:
    """Make its directories, with their modes and owners; None where there is none."""
    steps = []
    for directory in spec.directories:
        path = directory.at(home, spec.folder)
        steps.append(("mkdir", "-p", path))
        if directory.mode:
            steps.append(("chmod", directory.mode, path))
        if directory.owner:
            steps.append(("chown", directory.owner, path))
    return ("sh", "-c", " && ".join(map(shlex.join, steps))) if steps else None


def own(path: str, owner: str) -> Argv:
    """Give a file its owner."""
    return ("chown", owner, path)


def execute(name: str, argv: Sequence[str], *, terminal: bool, docker: str = "docker") -> Argv:
    """Run a command in the container that runs."""
    return (docker, "exec", *(("--interactive", "--tty") if terminal else ()), name, *argv)


def run_once(
    spec: AccessorySpec,
    argv: Sequence[str],
    *,
    environment: Iterable[str],
    home: str,
    terminal: bool,
    docker: str = "docker",
) -> Argv:
    """Run a command in a new container of its image, beside the one that runs: as that, but for what two
    cannot have at a time."""
    options = {k: v for k, v in spec.options.items() if k not in flags.ONE_AT_A_TIME}
    return (
        *(docker, "run", "--rm", *(("--interactive", "--tty") if terminal else ())),
        *("--network", spec.network),
        *environment,
        *_volumes(spec, home),
        *flags.options(options),
        *(spec.image, *argv),
    )


def logs(
    name: str,
    *,
    since: str | None = None,
    lines: int | None = None,
    follow: bool = False,
    timestamps: bool = True,
    docker: str = "docker",
) -> Argv:
    """What it printed. ``since``: a time, or how long ago (``15m``)."""
    return (
        *(docker, "logs", name),
        *(("--since", since) if since else ()),
        *(("--tail", str(lines)) if lines is not None else ()),
        *(("--timestamps",) if timestamps else ()),
        *(("--follow",) if follow else ()),
    )


def _volumes(spec: AccessorySpec, home: str) -> Argv:
    mounts = (*spec.files, *spec.directories)
    return flags.volumes((*spec.volumes, *(it.volume(home, spec.folder) for it in mounts)))
