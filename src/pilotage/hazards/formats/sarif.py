"""SARIF 2.1.0: what GitHub's code scanning, GitLab and editors read.

https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pilotage.hazards.finding import Finding, Severity
from pilotage.hazards.formats.github import relative
from pilotage.hazards.lint import why

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)


def sarif(
    findings: Sequence[Finding],
    *,
    version: str,
    root: Path | None = None,
    proposals: Mapping[Finding, tuple[str, str]] | None = None,
) -> dict[str, Any]:
    """A log with one run. ``proposals``: finding → the text of its file, and with it alone fixed.

    Files are named as seen from ``root``, which is where code scanning looks for them.
    """
    ids = list(dict.fromkeys(finding.rule for finding in findings))
    first = {finding.rule: finding for finding in reversed(findings)}
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "pilotage",
                        "version": version,
                        "rules": [_rule(first[rule]) for rule in ids],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "results": [
                    _result(finding, ids.index(finding.rule), root, (proposals or {}).get(finding))
                    for finding in findings
                ],
            }
        ],
    }


def _rule(finding: Finding) -> dict[str, Any]:
    reason = why(finding.rule)
    return {
        "id": finding.rule,
        "name": "".join(word.title() for word in finding.rule.split("-")),
        "shortDescription": {"text": finding.rule.replace("-", " ").capitalize()},
        "fullDescription": {"text": reason},
        "help": {"text": _help(finding, reason), "markdown": _help_in_markdown(finding, reason)},
        "defaultConfiguration": {"level": str(finding.severity)},
        "properties": {"tags": [str(finding.class_)]},
    }


def _help(finding: Finding, reason: str) -> str:
    instead = f"\n\nInstead, for example:\n{finding.rewrite}" if finding.rewrite else ""
    return f"{reason}{instead}\n\nWhere it is safe: {_allow(finding.rule)}"


def _help_in_markdown(finding: Finding, reason: str) -> str:
    instead = (
        f"\n\nInstead, for example:\n\n```sql\n{finding.rewrite}```" if finding.rewrite else ""
    )
    return f"{reason}{instead}\n\nWhere it is safe: `{_allow(finding.rule)}`"


def _allow(rule: str) -> str:
    return f"-- pilotage: allow={rule} because …"


def _result(
    finding: Finding, index: int, root: Path | None, fix: tuple[str, str] | None
) -> dict[str, Any]:
    artifact = {"uri": quote(relative(finding.file, root))}
    text = finding.message
    if finding.rewrite:
        text += f"\n\nWrite it like this:\n{finding.rewrite.rstrip()}"
    said = f"{finding.rule}\n{artifact['uri']}\n{finding.message}"
    result: dict[str, Any] = {
        "ruleId": finding.rule,
        "ruleIndex": index,
        "level": "error" if finding.severity is Severity.ERROR else "warning",
        "message": {"text": text},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": artifact,
                    "region": {"startLine": finding.line, "startColumn": finding.column},
                },
            }
        ],
        # The same hazard after lines were added above it.
        "partialFingerprints": {
            "hazard/v1": hashlib.sha256(said.encode()).hexdigest()[:32],
        },
        "properties": {
            "class": str(finding.class_),
            "half": str(finding.half),
            **({"measured": finding.measured} if finding.measured else {}),
        },
    }
    if fix:
        result["fixes"] = [
            {
                "description": {"text": "what `pilotage hazards --fix` writes"},
                "artifactChanges": [
                    {"artifactLocation": artifact, "replacements": list(replacements(*fix))}
                ],
            }
        ]
    return result


def replacements(before: str, after: str) -> Iterable[dict[str, Any]]:
    """The lines that differ, as SARIF says it: regions of ``before`` and what goes in their place."""
    from difflib import SequenceMatcher

    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    for tag, i1, i2, j1, j2 in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            continue
        start, end = _place(old, i1), _place(old, i2)
        region = {
            "startLine": start[0],
            "startColumn": start[1],
            "endLine": end[0],
            "endColumn": end[1],
        }
        yield {"deletedRegion": region, "insertedContent": {"text": "".join(new[j1:j2])}}


def _place(lines: Sequence[str], index: int) -> tuple[int, int]:
    """Line and column, from 1, of the beginning of a line, or of the end of all."""
    if index < len(lines) or not lines or lines[-1].endswith("\n"):
        return index + 1, 1
    return len(lines), len(lines[-1]) + 1
