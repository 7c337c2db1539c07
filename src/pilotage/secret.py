"""A string that never shows itself: in a log, an event, a traceback or a `repr` it is ``[secret]``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import final

MASK = "[secret]"


@final
class Secret:
    """A value that only `reveal` gives away. Compares by value, hashes, and prints as ``[secret]``."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself, for the place that needs it: a process environment, a connection."""
        return self._value

    def __repr__(self) -> str:
        return MASK

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __bool__(self) -> bool:
        return bool(self._value)

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a Secret is not serialised")


def reveal(value: str | Secret) -> str:
    """The plain text of either."""
    return value.reveal() if isinstance(value, Secret) else value


def mask(text: str, secrets: Iterable[Secret]) -> str:
    """``text`` with every occurrence of a secret (of 4 characters or more) masked.

    Of one with several lines (a key) each line of 8 characters or more as well: output comes by lines.
    """
    hidden = {secret.reveal() for secret in secrets}
    lines = {line.strip() for value in hidden if "\n" in value for line in value.splitlines()}
    for value in sorted((*hidden, *(x for x in lines if len(x) >= 8)), key=len, reverse=True):
        if len(value) >= 4:
            text = text.replace(value, MASK)
    return text
