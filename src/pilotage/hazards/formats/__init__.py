"""Findings for machines: JSON, SARIF for code scanning, GitHub's workflow commands. Pure."""

from __future__ import annotations

from pilotage.hazards.formats.github import workflow_commands
from pilotage.hazards.formats.sarif import sarif

__all__ = ["sarif", "workflow_commands"]
