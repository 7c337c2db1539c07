"""Durations as PostgreSQL's settings take them, for the rules about time limits."""

from __future__ import annotations

from math import inf

_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def duration(text: str) -> float:
    """A setting such as ``500`` (milliseconds), ``2s`` or ``1 min``, in seconds; no limit is infinite.

    What is no duration counts as none: PostgreSQL will refuse it.
    """
    number = text.rstrip("abcdefghijklmnopqrstuvwxyz ")
    unit = text[len(number) :].strip() or "ms"
    try:
        seconds = float(number) * _UNITS[unit]
    except (KeyError, ValueError):
        return 0.0
    return seconds or inf
