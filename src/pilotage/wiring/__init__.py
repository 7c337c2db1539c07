"""From a configuration to the ports that the verbs work on, and from a revision to a goal.

The one place that knows every concrete part: which target, which proxy, which database. The command
line, the demo and whatever comes later all start here::

    async with open_project(config, emit=emit, use=Use.ACT) as project:
        revision = await project.revision("HEAD")
        goal = await goal_of(project, revision.sha)
        await deploy(project.world, goal, claim, emit)
"""

from __future__ import annotations

from pilotage.wiring.console import console_job
from pilotage.wiring.goals import (
    commit_goal,
    contract_goal,
    files_of,
    findings,
    goal_of,
    release_before,
    rollback_goal,
    worktree_goal,
)
from pilotage.wiring.hooks import hooks_of
from pilotage.wiring.open import open_project
from pilotage.wiring.project import Project, find_release
from pilotage.wiring.tidy import prune, tidy
from pilotage.wiring.use import Use

__all__ = [
    "Project",
    "Use",
    "commit_goal",
    "console_job",
    "contract_goal",
    "files_of",
    "find_release",
    "findings",
    "goal_of",
    "hooks_of",
    "open_project",
    "prune",
    "release_before",
    "rollback_goal",
    "tidy",
    "worktree_goal",
]
