"""``-- pilotage: …`` lines: what a migration file says about how it is to be run.

Several words may stand on one line, separated by spaces; ``allow=… because …`` takes the rest of its
line. Nothing here touches a disk or a database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from difflib import get_close_matches

from pilotage.migrate.migration import Directives
from pilotage.migrate.sql import SqlError
from pilotage.model import HalfRef, version_key

PREFIX = "pilotage:"
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True)
class Word:
    """One directive as written: ``key`` or ``key=value``, and its line."""

    key: str
    value: str | None
    line: int


def words(comment: str, line: int) -> Iterator[Word]:
    """The directives after ``-- pilotage:`` on one line.

    Raises
    ------
    SqlError
        A word is unknown (with the nearest known one), or there is none.
    """
    rest = comment.strip()
    if not rest:
        raise SqlError("`-- pilotage:` says nothing", line=line, next=_list_known())
    while rest:
        word, _, rest = rest.partition(" ")
        key, equals, value = word.partition("=")
        if key not in _READERS:
            near = get_close_matches(key, _READERS, n=1)
            raise SqlError(
                f"unknown directive `{key}`",
                line=line,
                next=f"did you mean `{near[0]}`?" if near else _list_known(),
            )
        if key == "allow":
            value, rest = f"{value} {rest}".strip(), ""
        yield Word(key, value if equals else None, line)
        rest = rest.lstrip()


def apply(base: Directives, word: Word) -> Directives:
    """``base`` with one more directive.

    Raises
    ------
    SqlError
        Its value is missing or wrong; says what would be right.
    """
    reader, example, _ = _READERS[word.key]
    name = f"allow={(word.value or '').split(' ')[0]}" if word.key == "allow" else word.key
    try:
        return replace(reader(base, word.value), lines={**base.lines, name: word.line})
    except ValueError as error:
        raise SqlError(
            f"`{word.key}`: {error}", line=word.line, next=f"write `-- pilotage: {example}`"
        ) from error


def check_once(given: Iterable[Word]) -> None:
    """Refuse a directive that one section, or the head of a file, gives twice.

    Raises
    ------
    SqlError
        Two lines say the same key; ``requires``, ``replaces`` and ``allow`` add up instead.
    """
    seen: dict[str, Word] = {}
    for word in given:
        first = seen.setdefault(word.key, word)
        if first is not word and word.key not in _ADD_UP:
            raise SqlError(
                f"`{word.key}` is already given on line {first.line}",
                line=word.line,
                next="keep one of the two",
            )


def holds_in(key: str, section: str) -> bool:
    """Whether a directive means anything in a section."""
    return section in _READERS[key][2]


def sections_of(key: str) -> tuple[str, ...]:
    """The sections in which a directive means something."""
    return _READERS[key][2]


def known() -> tuple[str, ...]:
    """Every directive's key."""
    return tuple(_READERS)


def seconds(text: str) -> float:
    """A duration such as ``500ms``, ``2s``, ``10m`` or ``1h``, in seconds.

    Raises
    ------
    ValueError
        It is none, or not more than zero.
    """
    number = text.rstrip("abcdefghijklmnopqrstuvwxyz")
    unit = text[len(number) :]
    plain = number.replace(".", "", 1)
    if unit not in _UNITS or not (plain.isascii() and plain.isdecimal()) or float(number) == 0:
        raise ValueError(f"{text!r} is not a duration, a number above zero with ms, s, m or h")
    return float(number) * _UNITS[unit]


def _list_known() -> str:
    return "known directives: " + ", ".join(f"`{example}`" for _, example, _ in _READERS.values())


def _needed(value: str | None) -> str:
    if not value:
        raise ValueError("it needs a value")
    return value


def _out_of_band(base: Directives, value: str | None) -> Directives:
    if value is not None:
        raise ValueError("it takes no value")
    return replace(base, out_of_band=True)


def _transaction(base: Directives, value: str | None) -> Directives:
    if value not in ("true", "false"):
        raise ValueError(f"{value or 'nothing'!r} is neither true nor false")
    if base.online and value == "true":
        raise ValueError("`online` runs each of its steps in a transaction of its own")
    return replace(base, transaction=value == "true")


def _online(base: Directives, value: str | None) -> Directives:
    if value is not None:
        raise ValueError("it takes no value")
    if base.transaction and "transaction" in base.lines:
        raise ValueError("each of its steps runs in a transaction of its own: take that one out")
    return replace(base, online=True, transaction=False)


def _lock_timeout(base: Directives, value: str | None) -> Directives:
    return replace(base, lock_timeout=seconds(_needed(value)))


def _timeout(base: Directives, value: str | None) -> Directives:
    return replace(base, timeout=seconds(_needed(value)))


def _batch_time(base: Directives, value: str | None) -> Directives:
    return replace(base, batch_time=seconds(_needed(value)))


def _batch_rows(base: Directives, value: str | None) -> Directives:
    text = _needed(value)
    if not (text.isascii() and text.isdecimal()) or int(text) == 0:
        raise ValueError(f"{text!r} is not a number of rows")
    return replace(base, batch_rows=int(text))


def _duty(base: Directives, value: str | None) -> Directives:
    text = _needed(value)
    number = text.removesuffix("%")
    if number == text or not number.isdecimal() or not 1 <= int(number) <= 100:
        raise ValueError(f"{text!r} is not a share of the time from 1% to 100%")
    return replace(base, duty=int(number) / 100)


def _requires(base: Directives, value: str | None) -> Directives:
    refs = frozenset(HalfRef.parse(part) for part in _needed(value).split(","))
    return replace(base, requires=base.requires | refs)


def _replaces(base: Directives, value: str | None) -> Directives:
    first, dots, last = _needed(value).partition("..")
    last = last if dots else first
    if not all(v.isascii() and v.isdecimal() for v in (first, last)):
        raise ValueError(f"{value!r} is not a range of versions")
    if version_key(first) > version_key(last):
        raise ValueError(f"the range {value} is empty: it runs backwards")
    return replace(base, replaces=(*base.replaces, (first, last)))


def _new_data(base: Directives, value: str | None) -> Directives:
    if value != "breaks-old":
        raise ValueError(f"{value or 'nothing'!r} is not `breaks-old`")
    return replace(base, breaks_old=True)


def _allow(base: Directives, value: str | None) -> Directives:
    rule, because, reason = _needed(value).partition(" because ")
    rule, reason = rule.strip(), reason.strip()
    if not because or not reason:
        raise ValueError("it needs a reason, for the next reader")
    if not rule or " " in rule:
        raise ValueError(f"{rule!r} is not the name of one hazard")
    return replace(base, allow={**base.allow, rule: reason})


_Reader = Callable[[Directives, str | None], Directives]
_ADD_UP = frozenset({"requires", "replaces", "allow"})
_HALVES = ("expand", "contract")
_RUN = (*_HALVES, "down")
_ALL = ("expand", "backfill", "verify", "contract", "down")

# key → (reader, example, the sections in which it means something)
_READERS: dict[str, tuple[_Reader, str, tuple[str, ...]]] = {
    "out-of-band": (_out_of_band, "out-of-band", _HALVES),
    "online": (_online, "online", _HALVES),
    "transaction": (_transaction, "transaction=false", _RUN),
    "lock_timeout": (_lock_timeout, "lock_timeout=2s", _ALL),
    "timeout": (_timeout, "timeout=10m", _ALL),
    "batch_time": (_batch_time, "batch_time=50ms", ("backfill",)),
    "batch_rows": (_batch_rows, "batch_rows=1000", ("backfill",)),
    "duty": (_duty, "duty=50%", ("backfill",)),
    "requires": (_requires, "requires=20260102030405/contract", _HALVES),
    "replaces": (_replaces, "replaces=20260101000000..20260201000000", ("expand",)),
    "new-data": (_new_data, "new-data=breaks-old", _HALVES),
    "allow": (_allow, "allow=drop-column because nobody reads it", _ALL),
}
