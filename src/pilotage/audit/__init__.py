"""Who did what, when, and how it ended: a line for each command that changes anything.

The history of the deploy state is what deploys decide by: releases, and how each deploy ended, swapped
under the lock and cut off after a while. This is what people read afterwards: *every* command, also one
that was refused or takes no lock, only ever appended. Nothing decides by it, so the two cannot disagree
about anything that matters.
"""

from __future__ import annotations

from pilotage.audit.audit import Audit, Table
from pilotage.audit.entry import Entry, Line, joined
from pilotage.audit.hosts import HostLog, LocalLog, ShellLog

__all__ = ["Audit", "Entry", "HostLog", "Line", "LocalLog", "ShellLog", "Table", "joined"]
