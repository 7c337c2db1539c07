"""Which findings are wanted, and what they make of the exit status."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from difflib import get_close_matches

from pilotage.errors import UsageError
from pilotage.hazards.check import IDS
from pilotage.hazards.finding import Class, Finding, Severity
from pilotage.hazards.lint import WHY

BITS = {
    Class.AVAILABILITY: 4,
    Class.OLD_CODE: 8,
    Class.NEW_CODE: 16,
    Class.DATA_LOSS: 32,
    Class.RUNTIME_FAILURE: 64,
}
"""What each class adds to the exit status. 1 and 2 mean what they mean everywhere; 128 and more, signals."""

_CLASSES = frozenset(str(each) for each in Class)
_ALWAYS = frozenset({"error", "all", "none"})


def chosen(*, only: str = "", ignore: str = "") -> Callable[[Finding], bool]:
    """Whether a finding is wanted, by its rule or its class; lists are separated by commas.

    What could not be read is wanted always, unless ``ignore`` names it: nothing else is known of it.

    Raises
    ------
    UsageError
        There is no such rule or class; names the nearest.
    """
    known = IDS | frozenset(WHY) | _CLASSES
    wanted, unwanted = _words(only, known), _words(ignore, known)

    def is_wanted(finding: Finding) -> bool:
        names = {finding.rule, str(finding.class_)}
        if unwanted & names:
            return False
        return not wanted or bool(wanted & names) or finding.unreadable

    return is_wanted


def status(findings: Iterable[Finding], failing: str) -> int:
    """The exit status: the sum of `BITS` over the classes of the findings that count.

    ``failing``: classes, ``error`` (whatever a deploy would refuse), ``all`` or ``none``.

    Raises
    ------
    UsageError
        There is no such class.
    """
    words = _words(failing, _CLASSES | _ALWAYS) - {"none"}
    counted = {
        finding.class_
        for finding in findings
        if "all" in words
        or str(finding.class_) in words
        or ("error" in words and finding.severity is Severity.ERROR)
    }
    return sum(BITS[each] for each in counted)


def _words(text: str, known: Iterable[str]) -> frozenset[str]:
    words = frozenset(word.strip() for word in text.split(",") if word.strip())
    for word in sorted(words - frozenset(known)):
        near = get_close_matches(word, sorted(known), n=1)
        raise UsageError(
            f"there is no hazard or class {word!r}"
            if len(frozenset(known)) > len(_CLASSES | _ALWAYS)
            else f"there is no class {word!r}",
            next=f"did you mean {near[0]}?" if near else "classes: " + ", ".join(sorted(_CLASSES)),
        )
    return words
