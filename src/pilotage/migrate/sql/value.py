"""The base of `pilotage.migrate.sql.change.Change`: what a frozen dataclass of named fields is, without its price.

A dataclass writes and compiles six functions for each class. There are forty kinds of changes, a migration has
three or four of them, and to define all was a fifth of what a short ``pilotage hazards`` did
(``docs/decisions/192-what-the-linter-costs.md``). Here one set of functions serves every kind.
"""

from __future__ import annotations

from collections.abc import Set
from inspect import get_annotations
from typing import Any, ClassVar, NoReturn, Self, dataclass_transform


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Value:
    """Fields are annotations, as in a dataclass; a default is the class's own attribute, until it is given.

    All of them are named where one is made. Values are equal when they are of one class and all their
    fields are.
    """

    _fields: ClassVar[tuple[str, ...]] = ()
    _known: ClassVar[Set[str]] = frozenset()
    _needed: ClassVar[Set[str]] = frozenset()

    def __init_subclass__(cls) -> None:
        cls._fields = (*cls._fields, *get_annotations(cls))
        cls._known = frozenset(cls._fields)
        cls._needed = frozenset(name for name in cls._fields if not hasattr(cls, name))

    def __init__(self, **given: Any) -> None:
        if not self._needed <= given.keys() <= self._known:
            wrong = sorted(self._needed - given.keys() or given.keys() - self._known)
            raise TypeError(f"{type(self).__name__}: missing or unknown: {', '.join(wrong)}")
        self.__dict__.update(given)

    def but(self, **new: Any) -> Self:
        """The same with other values in these fields."""
        return type(self)(**{**self.__dict__, **new})

    def _values(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in self._fields)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._values() == other._values()

    def __hash__(self) -> int:
        return hash((type(self), self._values()))

    def __repr__(self) -> str:
        fields = (f"{name}={getattr(self, name)!r}" for name in self._fields)
        return f"{type(self).__name__}({', '.join(fields)})"

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"cannot assign to {name!r}: {type(self).__name__} is frozen")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"cannot delete {name!r}: {type(self).__name__} is frozen")
