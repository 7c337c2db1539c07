"""The hazard linter: what in a migration would stop traffic, break running code, or lose data.

Contract work in an expand half is an error, whose text is the split to make; what only takes a lock is a
warning. ``-- pilotage: allow=<rule> because …`` silences one rule in one section.

Called by the planner before a plan is made, and by ``pilotage migrate`` and ``pilotage lint``. Pure.
"""

from __future__ import annotations

from pilotage.hazards.check import as_error, check, check_all, refuse_contract_work
from pilotage.hazards.finding import Class, Finding, Severity
from pilotage.hazards.framework import check_framework
from pilotage.hazards.order import out_of_order
from pilotage.hazards.rules import RULES

__all__ = [
    "RULES",
    "Class",
    "Finding",
    "Severity",
    "as_error",
    "check",
    "check_all",
    "check_framework",
    "out_of_order",
    "refuse_contract_work",
]
