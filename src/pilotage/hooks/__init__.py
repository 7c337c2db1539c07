"""A project's own programs, run at the moments of a deploy: Kamal's hooks, and ``post-failure``.

Who calls: the command line around a command (``pre-connect``, ``pre-build``, ``post-deploy``,
``post-failure``), and `pilotage.execute` for the steps of a plan that are hooks. What each gets stands in
``docs/reference/hooks.md``.
"""

from __future__ import annotations

from pilotage.hooks.environment import Command, environment
from pilotage.hooks.hooks import OWN_FOLDER, Hook, Hooks, none

__all__ = ["OWN_FOLDER", "Command", "Hook", "Hooks", "environment", "none"]
