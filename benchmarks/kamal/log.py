"""What was measured, in a file as it comes: a run that was interrupted goes on from it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(slots=True)
class Log:
    """What was measured: a JSON object a line, ``what`` and ``tool`` and figures."""

    path: Path
    rows: list[dict[str, Any]] = field(default_factory=list)

    def add(self, what: str, tool: str, **figures: Any) -> None:
        """One more."""
        row = {"what": what, "tool": tool, "load": round(os.getloadavg()[0], 1), **figures}
        self.rows.append(row)
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(f"  {what}, {tool}: {figures}", flush=True)

    def of(self, what: str, tool: str, figure: str) -> list[Any]:
        """The figures of one kind, in the order in which they came."""
        return [
            row[figure]
            for row in self.rows
            if row["what"] == what and row["tool"] == tool and figure in row
        ]
