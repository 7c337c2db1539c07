"""What a project is opened for."""

from __future__ import annotations

from enum import StrEnum


class Use(StrEnum):
    """What a project is opened for: how much of the configuration must be complete.

    ``look``: nothing is started, so no secret of a role is needed. ``plan``: what would be started is
    worked out, and nothing is written. ``act``: everything. ``database``: the database alone is reached,
    and no host is asked.
    """

    LOOK = "look"
    PLAN = "plan"
    ACT = "act"
    DATABASE = "database"
