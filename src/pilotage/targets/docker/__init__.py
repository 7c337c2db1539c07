"""`target: docker`: instances are containers on Docker hosts, driven by the ``docker`` program over SSH.

Nothing of pilotage's is installed on a host. What an instance is, is its container: it is created before
the gate and started after it, and its labels say the rest.
"""

from pilotage.targets.docker.spec import DockerRole, DockerService, Logging
from pilotage.targets.docker.target import DockerTarget, Images
from pilotage.targets.shared.health import AliveHealth, CommandHealth, Health, HttpHealth

__all__ = [
    "AliveHealth",
    "CommandHealth",
    "DockerRole",
    "DockerService",
    "DockerTarget",
    "Health",
    "HttpHealth",
    "Images",
    "Logging",
]
