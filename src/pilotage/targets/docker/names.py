"""Names and labels of containers: Kamal's, so that either program knows what the other started.

A container is called ``SERVICE-ROLE[-DESTINATION]-VERSION`` and has the labels ``service``, ``role`` and
``destination``. What pilotage adds are labels of its own, by which it finds its instances whatever they are
called: when a name is needed for another one, the old holder is renamed, as Kamal renames it.
"""

from __future__ import annotations

import hashlib
import re

from pilotage.model import Instance
from pilotage.targets.docker.spec import DockerService

INSTANCE = "pilotage.instance"
RELEASE = "pilotage.release"
CONFIG = "pilotage.config"
BY = "pilotage.by"
KIND = "pilotage.kind"
INDEX = "pilotage.index"
REVISION = "pilotage.revision"
TOKEN = "pilotage.token"  # noqa: S105 (the lease's, no password)
"""The lease token that it was created under; a console has none."""
TIMEOUT = "pilotage.timeout"
"""Seconds that a job may run."""
PART = "pilotage.part"
"""On containers that belong to pilotage itself (an edge, a door): no instance is one of these."""

_REPLACED = re.compile(r"_replaced_[0-9a-f]+$")
_RETIRED = re.compile(r"_retired_[0-9a-f]+$")
_ODD = re.compile(r"[^A-Za-z0-9_.-]")


def container_name(service: DockerService, instance: Instance, revision: str) -> str:
    """What the container of an instance with a role is called; of several on a host all but the first
    have their number at the end."""
    parts = (service.service, instance.role, service.destination, revision, instance.index or None)
    return valid("-".join(str(part) for part in parts if part is not None))


def job_name(instance: Instance) -> str:
    """What the container of a job is called: by its id, so that whoever wants the same job finds it."""
    return valid(instance.id)


def valid(name: str) -> str:
    """``name`` as Docker takes it."""
    return re.sub(r"^[^A-Za-z0-9]", "x", _ODD.sub("-", name))


def replaced(name: str, digits: str) -> str:
    """What a container is called once its name belongs to another instance. ``digits``: hexadecimal."""
    return f"{name}_replaced_{digits}"


def retired(name: str, container_id: str) -> str:
    """What a stopped container is called that is kept for its logs."""
    return f"{_REPLACED.sub('', name)}_retired_{container_id[:12]}"


def is_retired(name: str) -> bool:
    """Whether it is one of those."""
    return _RETIRED.search(name) is not None


def kamal_version(name: str, service: str, role: str, destination: str) -> str | None:
    """The version of a container that Kamal started, from its name; None when it is not named like one."""
    prefix = "-".join(part for part in (service, role, destination) if part) + "-"
    bare = _REPLACED.sub("", name)
    return bare.removeprefix(prefix) if bare.startswith(prefix) and bare != prefix else None


def hostname(host: str, instance_id: str) -> str:
    """What a container calls itself: its host, and something of its own; at most 63 characters."""
    digest = hashlib.sha256(instance_id.encode()).hexdigest()[:12]
    return f"{re.sub(r'[^A-Za-z0-9.-]', '-', host)[:50].rstrip('.')}-{digest}"


def labels(
    service: DockerService, instance: Instance, *, revision: str, token: int | None
) -> dict[str, str]:
    """The labels of an instance's container."""
    given = {
        "service": service.service,
        "role": instance.role,
        "destination": service.destination or "",
        INSTANCE: instance.id,
        RELEASE: instance.release,
        CONFIG: instance.config,
        KIND: str(instance.kind),
        INDEX: str(instance.index),
        REVISION: revision,
    }
    if instance.by:
        given[BY] = instance.by
    return given if token is None else given | {TOKEN: str(token)}
