"""GitHub's workflow commands: a line that becomes an annotation of the pull request.

https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from pilotage.hazards.finding import Finding


def workflow_commands(findings: Iterable[Finding], *, root: Path | None = None) -> Iterator[str]:
    """One ``::error`` or ``::warning`` a finding. Files are named as seen from ``root``."""
    for finding in findings:
        message = finding.message
        if finding.measured:
            message += f"\n\nMeasured: {finding.measured}"
        if finding.rewrite:
            message += f"\n\nWrite it like this:\n{finding.rewrite.rstrip()}"
        properties = {
            "file": relative(finding.file, root),
            "line": str(finding.line),
            "col": str(finding.column),
            "title": f"{finding.rule} ({finding.class_})",
        }
        told = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
        yield f"::{finding.severity} {told}::{_data(message)}"


def relative(path: Path, root: Path | None) -> str:
    """The path as seen from ``root``, with forward slashes; as it is where it lies elsewhere."""
    if root is not None and path.is_absolute() and path.is_relative_to(root):
        path = path.relative_to(root)
    return path.as_posix()


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
