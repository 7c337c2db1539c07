"""`target: local`: instances are processes of this machine, each in a checkout of its own revision.

No Docker, no root, no daemon of ours: what runs is on record in ``.pilotage/`` beside the
configuration, and outlives the command that started it.
"""

from pilotage.targets.local.hostname import default_host
from pilotage.targets.local.spec import LocalPrepare, LocalRole, LocalService
from pilotage.targets.local.target import LocalTarget
from pilotage.targets.shared.health import AliveHealth, CommandHealth, Health, HttpHealth

__all__ = [
    "AliveHealth",
    "CommandHealth",
    "Health",
    "HttpHealth",
    "LocalPrepare",
    "LocalRole",
    "LocalService",
    "LocalTarget",
    "default_host",
]
