"""Where the project's programs stand among the steps of a plan.

Kamal runs ``pre-deploy`` under the lock before anything changes, and ``pre-app-boot`` and ``post-app-boot``
around the containers. A framework's migrations, which Kamal knows nothing of, come between the first two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pilotage.plan.plan import Plan
from pilotage.steps import Finish, RunHook, Start, Step

PRE_DEPLOY, PRE_APP_BOOT, POST_APP_BOOT = "pre-deploy", "pre-app-boot", "post-app-boot"


def with_hooks(plan: Plan, hooks: Mapping[str, str]) -> Plan:
    """The plan with the hooks that there are, if it has anything to do. ``hooks``: name → path.

    ``pre-deploy`` is the first step; ``pre-app-boot`` comes before the first new instance starts, if any
    does; ``post-app-boot`` before the end is recorded, when everything that had to start, take the
    traffic or stop has.
    """
    if not plan.steps or not hooks:
        return plan
    starts = [i for i, step in enumerate(plan.steps) if isinstance(step, Start)]
    ends = [i for i, step in enumerate(plan.steps) if isinstance(step, Finish)]
    at: dict[int, list[str]] = {0: [PRE_DEPLOY]}
    for name, found in ((PRE_APP_BOOT, starts[:1]), (POST_APP_BOOT, ends[-1:])):
        for index in found:
            at.setdefault(index, []).append(name)
    barred, steps = plan.point_of_no_return, list[Step]()
    for index, step in enumerate(plan.steps):
        steps += (RunHook(name, hooks[name]) for name in at.get(index, ()) if name in hooks)
        if index == plan.point_of_no_return:
            barred = len(steps)
        steps.append(step)
    return replace(plan, steps=tuple(steps), point_of_no_return=barred)
