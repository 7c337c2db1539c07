"""Plain YAML scalars as Ruby reads them, because the files were written for Ruby.

Kamal loads its files with Psych: YAML 1.1 with ``yes``/``off`` booleans, ``0600`` octal,
``40_000_000``, sexagesimal ``1:30`` and ``:symbols``. Reading ``mode: 0600`` or ``D: yes`` in any other
way would change what reaches a container.
"""

from __future__ import annotations

import re

_NULL = re.compile(r"~|null|", re.IGNORECASE)
_TRUE = re.compile(r"yes|true|on", re.IGNORECASE)
_FALSE = re.compile(r"no|false|off", re.IGNORECASE)
_DECIMAL = re.compile(r"[-+]?(?:0|[1-9][0-9,_]*)")
_OCTAL = re.compile(r"[-+]?0[0-7_,]+")
_HEX = re.compile(r"[-+]?0x[0-9a-fA-F_,]+")
_BINARY = re.compile(r"[-+]?0b[01_,]+")
_FLOAT = re.compile(r"[-+]?(?:[0-9][0-9_,]*)?\.[0-9]+(?:[eE][-+][0-9]+)?|[-+]?[0-9][0-9_,]*\.")
_SIXTY = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9]){1,2}")
_INFINITE = re.compile(r"([-+]?)\.inf", re.IGNORECASE)

Scalar = str | int | float | bool | None


def plain(text: str) -> Scalar:
    """The value of an unquoted scalar."""
    if _NULL.fullmatch(text):
        return None
    if _TRUE.fullmatch(text):
        return True
    if _FALSE.fullmatch(text):
        return False
    if text[0] == ":" and len(text) > 1:
        return text[1:].strip("\"'")
    if text[0] in "+-.0123456789":
        return _number(text)
    return text


def _number(text: str) -> Scalar:
    digits = text.replace("_", "").replace(",", "")
    for pattern, base in ((_DECIMAL, 10), (_OCTAL, 8), (_HEX, 16), (_BINARY, 2)):
        if pattern.fullmatch(text):
            return int(digits, base)
    if _FLOAT.fullmatch(text):
        return float(digits)
    if _SIXTY.fullmatch(text):
        # Psych's own arithmetic: two parts are hours and minutes, and a sign is the first part's alone.
        return sum(int(part) * (3600, 60, 1)[place] for place, part in enumerate(digits.split(":")))
    if found := _INFINITE.fullmatch(text):
        return float(f"{found[1]}inf")
    return text


def to_text(value: str | float | bool) -> str:
    """The text that Ruby's ``to_s`` gives, which is what reaches an environment or a label."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
