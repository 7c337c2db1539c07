"""``--fix``: writes a finding's rewrite into its file, where that leaves nothing to decide. Pure: text in, text out."""

from __future__ import annotations

from pilotage.hazards.fix.fixer import Fixed, fix, mechanical

__all__ = ["Fixed", "fix", "mechanical"]
