"""The methods of Ruby values that the evaluator knows, as plain functions.

Each takes the receiver and its arguments and returns a value; a receiver or an argument of another
type raises `TypeError`, which the evaluator turns into `Unsupported`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any


def to_s(value: Any) -> str:
    """Ruby's ``to_s``."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    raise TypeError


def blank(value: Any) -> bool:
    """ActiveSupport's ``blank?``, which Kamal loads."""
    if isinstance(value, str):
        return not value.strip()
    return value is None or value is False or value == []


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError
    return value


def _sized(value: Any) -> Any:
    if not isinstance(value, (str, list)):
        raise TypeError
    return value


def _integer(value: Any) -> int:
    if isinstance(value, str):
        found = re.match(r"\s*([-+]?\d[\d_]*)", value)
        return int(found[1].replace("_", "")) if found else 0
    if value is None:
        return 0
    return int(value)


def _float(value: Any) -> float:
    if isinstance(value, str):
        found = re.match(r"\s*([-+]?\d[\d_]*(?:\.\d+)?)", value)
        return float(found[1].replace("_", "")) if found else 0.0
    return float(value or 0)


def _chomp(value: Any, suffix: str | None = None) -> str:
    if suffix is not None:
        return _text(value).removesuffix(suffix)
    return re.sub(r"(?:\r\n|\n|\r)\Z", "", _text(value))


def _split(value: Any, separator: str | None = None, limit: int = 0) -> list[str]:
    if separator is None or separator == " ":
        parts = _text(value).split(None, limit - 1 if limit > 0 else -1)
    else:
        parts = _text(value).split(_text(separator), limit - 1 if limit > 0 else -1)
    while not limit and parts and not parts[-1]:
        parts.pop()  # as Ruby does, without a limit
    return parts


def _ends(values: Any, at: int, count: int | None) -> Any:
    if count is None:
        if isinstance(values, str):
            raise TypeError
        return values[at] if values else None
    if at == 0:
        return values[:count]
    return values[-count:] if count else values[:0]


def _first(value: Any, count: int | None = None) -> Any:
    return _ends(_sized(value), 0, 1 if count is None and isinstance(value, str) else count)


def _last(value: Any, count: int | None = None) -> Any:
    return _ends(_sized(value), -1, 1 if count is None and isinstance(value, str) else count)


def _index(value: Any, at: Any, length: int | None = None) -> Any:
    sized = _sized(value)
    if not isinstance(at, int) or isinstance(at, bool):
        raise TypeError
    if not -len(sized) <= at < len(sized):
        return None
    at %= len(sized)
    return sized[at : at + length] if length is not None else sized[at]


def _parameterize(value: Any) -> str:
    return re.sub(r"[^a-z0-9_-]+", "-", _text(value).lower()).strip("-")


def _prefixes(value: Any, *prefixes: str) -> bool:
    return _text(value).startswith(prefixes)


def _suffixes(value: Any, *suffixes: str) -> bool:
    return _text(value).endswith(suffixes)


def _unique(value: Any) -> list[Any]:
    return list(dict.fromkeys(_list(value)))


def _tr(value: Any, old: str, new: str) -> str:
    if "-" in old[1:-1] or "^" in old or "\\" in old + new or not new:
        raise TypeError  # ranges and complements are for Ruby
    padded = new + new[-1] * len(old)
    return _text(value).translate({ord(a): b for a, b in zip(old, padded, strict=False)})


METHODS: Mapping[str, Callable[..., Any]] = {
    "to_s": to_s,
    "to_i": _integer,
    "to_f": _float,
    "to_sym": _text,
    "nil?": lambda value: value is None,
    "blank?": blank,
    "present?": lambda value: not blank(value),
    "presence": lambda value: None if blank(value) else value,
    "empty?": lambda value: not _sized(value),
    "length": lambda value: len(_sized(value)),
    "size": lambda value: len(_sized(value)),
    "strip": lambda value: _text(value).strip(),
    "lstrip": lambda value: _text(value).lstrip(),
    "rstrip": lambda value: _text(value).rstrip(),
    "squish": lambda value: " ".join(_text(value).split()),
    "chomp": _chomp,
    "upcase": lambda value: _text(value).upper(),
    "downcase": lambda value: _text(value).lower(),
    "capitalize": lambda value: _text(value).capitalize(),
    "parameterize": _parameterize,
    "split": _split,
    "lines": lambda value: _text(value).splitlines(keepends=True),
    "start_with?": _prefixes,
    "end_with?": _suffixes,
    "include?": lambda value, item: item in _sized(value),
    "sub": lambda value, old, new: _text(value).replace(_text(old), _text(new), 1),
    "gsub": lambda value, old, new: _text(value).replace(_text(old), _text(new)),
    "tr": _tr,
    "delete_prefix": lambda value, prefix: _text(value).removeprefix(prefix),
    "delete_suffix": lambda value, suffix: _text(value).removesuffix(suffix),
    "first": _first,
    "last": _last,
    "slice": _index,
    "[]": _index,
    "join": lambda value, glue="": glue.join(to_s(item) for item in _list(value)),
    "compact": lambda value: [item for item in _list(value) if item is not None],
    "uniq": _unique,
    "sort": lambda value: sorted(_list(value)),
    "reverse": lambda value: _sized(value)[::-1],
    "freeze": lambda value: value,
}

OF_CONSTANTS = frozenset(
    "fetch key? has_key? member? read exist? file? basename dirname expand_path pwd "  # noqa: SIM905
    "docker_arch load load! overload".split()
)
BLOCK_METHODS = frozenset({"map", "collect", "each", "select", "filter", "reject", "any?", "all?"})
KNOWN = frozenset(METHODS) | BLOCK_METHODS | OF_CONSTANTS
