"""How large a table must be for work on it to be felt, where a database has said how large it is.

Ten thousand rows, or 16 MB, are read in some ten milliseconds: less than what a deploy is allowed to wait
for a lock anyway, so that a warning would cry wolf. What happens to *code* does not depend on any size.
"""

from __future__ import annotations

from dataclasses import replace

from pilotage.hazards.catalogue import Catalogue, Size
from pilotage.hazards.finding import Class, Finding, Severity
from pilotage.migrate.sql import Change
from pilotage.migrate.sql import change as c

SMALL_ROWS = 10_000
SMALL_BYTES = 16 * 1024 * 1024
_UNITS = ("bytes", "kB", "MB", "GB", "TB")


def size_of(change: Change, known: Catalogue) -> Size | None:
    """The size of the table that a change is about; None where nobody said."""
    if isinstance(change, c.Drop) and change.kind == "index":
        index = known.index(change.name)
        return index[0].size if index else None
    name = change.name if isinstance(change, c.Drop | c.Rename) else getattr(change, "table", None)
    table = known.table(name) if name is not None else None
    return table.size if table else None


def harmless(size: Size, class_: Class, severity: Severity) -> bool:
    """Whether a hazard of this kind is none on a table of this size."""
    small = size.rows <= SMALL_ROWS and size.bytes <= SMALL_BYTES
    return small and class_ is Class.AVAILABILITY and severity is Severity.WARNING


def weighed(finding: Finding, size: Size | None) -> Finding:
    """The finding with the size of its table, where that makes it better or worse."""
    matters = finding.class_ in (Class.AVAILABILITY, Class.DATA_LOSS)
    if size is None or not size.rows or not matters:
        return finding
    return replace(finding, message=f"{finding.message} ({told(size)})")


def told(size: Size) -> str:
    """A size in words.

    >>> told(Size(312_000_000, 44 * 2**30)), told(Size(7))
    ('about 312 million rows, 44 GB', 'about 7 rows')
    """
    number, unit = float(size.bytes), 0
    while number >= 1024 and unit < len(_UNITS) - 1:
        number, unit = number / 1024, unit + 1
    weight = f", {number:.3g} {_UNITS[unit]}" if size.bytes else ""
    return f"about {_count(size.rows)} rows{weight}"


def _count(rows: int) -> str:
    for step, word in ((10**9, "billion"), (10**6, "million")):
        if rows >= step:
            return f"{rows / step:.3g} {word}"
    return f"{rows:,}".replace(",", " ")
