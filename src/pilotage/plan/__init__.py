"""Plans: what is left to do, as data. Pure: what is comes in as `Observed`, and nothing is touched.

A plan is made for the whole way from what is observed to what is wanted, so after a crash the same
command observes, plans what is left, and finishes. The planner only emits steps that keep the one
rule true: `rule.walk` plays every plan through before it is returned.

``goal`` what is asked for · ``plan`` the plan as data · ``verbs`` deploy, rollback, contract, return ·
``running`` which instances · ``booting`` what a person starts and stops · ``undoing`` the way back of these ·
``trial`` what is watched · ``halves`` which migration halves · ``framework`` the same for those of a framework · ``groups`` which hosts
take turns · ``parts`` some places alone · ``rule`` what forbids a plan.
"""

from pilotage.plan.booting import plan_boot, plan_stop
from pilotage.plan.goal import Goal, Layout, Policy, instance_id
from pilotage.plan.groups import Rolling
from pilotage.plan.plan import Plan
from pilotage.plan.undoing import plan_undo
from pilotage.plan.verbs import (
    as_before,
    current,
    plan_contract,
    plan_deploy,
    plan_return,
    plan_rollback,
    served_where,
    serves,
)

__all__ = [
    "Goal",
    "Layout",
    "Plan",
    "Policy",
    "Rolling",
    "as_before",
    "current",
    "instance_id",
    "plan_boot",
    "plan_contract",
    "plan_deploy",
    "plan_return",
    "plan_rollback",
    "plan_stop",
    "plan_undo",
    "served_where",
    "serves",
]
