"""A hazard that was found in a migration file: what, where, and what to write instead."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from pilotage.model import Half


class Class(StrEnum):
    """What a hazard endangers."""

    AVAILABILITY = "availability"  # locks and rewrites that stop readers or writers
    OLD_CODE = "old-code"  # code that does not know the change
    NEW_CODE = "new-code"  # code that was written for it
    DATA_LOSS = "data-loss"
    RUNTIME_FAILURE = "runtime-failure"  # the half may fail when it runs


class Severity(StrEnum):
    """``error`` is refused until an ``allow`` says why it is right; ``warning`` is shown."""

    ERROR = "error"
    WARNING = "warning"


TRACED = "traced-lock"
"""What no rule reads in a statement, and a trace saw."""
SYNTAX, FOREIGN, FILE = "syntax-error", "foreign-sql", "migration-file"
UNREADABLE = frozenset({SYNTAX, FOREIGN, FILE})
"""Findings of `pilotage.hazards.lint` that no rule makes: SQL that does not parse, SQL of another database,
and what the loader would refuse."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One hazard in one half. ``line`` and ``column`` count from 1, in the file.

    ``rewrite`` is SQL with section markers, ready to paste, or ``""`` where there is none. ``measured``:
    what a trace saw the statement do, or ``""``.
    """

    rule: str
    class_: Class
    severity: Severity
    file: Path
    line: int
    column: int
    message: str
    rewrite: str
    half: Half
    measured: str = ""

    @property
    def where(self) -> str:
        """``file:line``."""
        return f"{self.file}:{self.line}"

    @property
    def unreadable(self) -> bool:
        """Whether it says that (a part of) the file could not be read at all."""
        return self.rule in UNREADABLE

    def to_json(self) -> dict[str, Any]:
        """The finding as an object of strings and numbers."""
        return {
            "rule": self.rule,
            "class": str(self.class_),
            "severity": str(self.severity),
            "file": str(self.file),
            "line": self.line,
            "column": self.column,
            "half": str(self.half),
            "message": self.message,
            "rewrite": self.rewrite,
        }
