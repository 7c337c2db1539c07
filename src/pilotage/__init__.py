"""Pilotage: deploys a web app and its database schema together, from one release to the next.

The public API, and nothing else. The rule and what it judges::

    from pilotage import Applied, Ships, fits

A deploy from Python, as the command line does it::

    from pilotage.deploy import deploy  # and rollback, contract, console, forget_host
    from pilotage.observe import observe

    config = load_config()
    async with open_project(config, emit=print, use=Use.ACT) as project:
        await project.world.schema.prepare()
        revision = await project.revision(None)
        goal = await goal_of(project, revision.sha, await observe(project.world))
        plan = await deploy(project.world, goal, Claim("me"), print)

Every failure is a `PilotageError`. Names are imported when they are first used, so that importing the
package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "pilotage.config": ("load_config",),
    "pilotage.errors": ("PilotageError",),
    "pilotage.events": ("Emit", "Event"),
    "pilotage.model": (
        "Applied",
        "Fit",
        "Half",
        "HalfRef",
        "Instance",
        "Observed",
        "Release",
        "Ships",
        "Spec",
        "fits",
    ),
    "pilotage.observe": ("World",),
    "pilotage.plan": (
        "Goal",
        "Layout",
        "Plan",
        "Policy",
        "plan_contract",
        "plan_deploy",
        "plan_rollback",
    ),
    "pilotage.secret": ("Secret",),
    "pilotage.store": ("Claim", "Store"),
    "pilotage.wiring": ("Project", "Use", "goal_of", "open_project"),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME)  # noqa: PLE0605 (a list of what is above)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
