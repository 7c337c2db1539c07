"""Durations and percentages as people write them: ``500ms``, ``10s``, ``1h30m``, ``10``, ``1%``.

Kamal writes every duration as a whole number of seconds, so a bare number means seconds.
"""

from __future__ import annotations

import re

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_DURATION = re.compile(rf"(?:{_PART.pattern})+")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%")


def parse_duration(value: object) -> float:
    """Seconds from a number (of seconds) or a text such as ``500ms``, ``10s``, ``5m``, ``1h30m``.

    Raises
    ------
    ValueError
        It is neither, or negative.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError("should be a duration, such as 10s or 500ms")  # noqa: TRY004 - one kind
    if isinstance(value, (int, float)):
        if not 0 <= value < float("inf"):
            raise ValueError("should be a duration of 0 or more")
        return float(value)
    text = value.strip().replace("_", "")
    if _NUMBER.fullmatch(text):
        return float(text)
    if not _DURATION.fullmatch(text):
        raise ValueError(f"{value!r} is not a duration; write 500ms, 10s, 5m or 1h")
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))


def parse_percent(value: object) -> float:
    """A share from 0 to 1: ``1%`` is 0.01, and so is 0.01.

    Raises
    ------
    ValueError
        It is neither, or outside of 0 to 100 %.
    """
    if isinstance(value, str) and (found := _PERCENT.fullmatch(value.strip())):
        share = float(found[1]) / 100
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        share = float(value)
    else:
        raise ValueError("should be a percentage, such as 1%")
    if not 0 <= share <= 1:
        raise ValueError("should be between 0% and 100%")
    return share


def format_duration(seconds: float) -> str:
    """The shortest text that `parse_duration` reads back: ``500ms``, ``10s``, ``1h``."""
    if seconds == 0:
        return "0s"
    for unit in ("d", "h", "m", "s"):
        size = _UNITS[unit]
        if seconds >= size and (seconds / size).is_integer():
            return f"{int(seconds / size)}{unit}"
    return f"{seconds * 1000:.12g}ms" if seconds < 1 else f"{seconds:.12g}s"
