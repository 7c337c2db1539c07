"""Names by which a host's Docker knows the containers of instances, whoever asks for them."""

from __future__ import annotations

import hashlib
import re

_FOUND = re.compile(r"-container-([0-9a-f]{12})$")


def found_id(service: str, role: str, container_id: str) -> str:
    """The instance id of a container that pilotage did not start: it stays when the container is renamed."""
    return f"{service}-{role}-container-{container_id[:12]}"


def network_alias(instance_id: str) -> str:
    """What an instance's container is called on its network, wherever Docker puts it there.

    Docker gives every container the beginning of its id as a name, which is how one is asked for that
    pilotage did not start.
    """
    found = _FOUND.search(instance_id)
    return found[1] if found else f"i{hashlib.sha256(instance_id.encode()).hexdigest()[:12]}"
