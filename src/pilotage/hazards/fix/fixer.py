"""Which findings are fixed, one after the other, and whether the file is better for it.

No fix is believed: after each one the file is read and judged again. The finding must be gone and no error
new, else the file stays as it was and the reason is told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pilotage.hazards.finding import FILE, Finding, Severity
from pilotage.hazards.fix.placing import NotMechanical, placed
from pilotage.hazards.reading import Source, read
from pilotage.hazards.rules import BY_ID

Judge = Callable[[Source], list[Finding]]
"""All findings of a file, with the schema before it; changes nothing."""


@dataclass(frozen=True, slots=True)
class Fixed:
    """A file before and after: what was fixed, and what was not although its rewrite is mechanical, and
    why not. ``found``: everything that is found in it afterwards."""

    path: Path
    before: str
    after: str
    fixed: tuple[Finding, ...] = ()
    left: tuple[tuple[Finding, str], ...] = ()
    found: tuple[Finding, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether there is anything to write."""
        return self.before != self.after


def mechanical(finding: Finding) -> bool:
    """Whether its rewrite leaves nothing for a person to decide."""
    rule = BY_ID.get(finding.rule)
    return bool(finding.rewrite) and rule is not None and rule.mechanical


def fix(text: str, path: Path, *, dialect: str, judge: Judge, only: Finding | None = None) -> Fixed:
    """Write every mechanical rewrite into a file's text. ``only``: this one finding's.

    The same again changes nothing: what was fixed is found no more.
    """
    now = text
    fixed: list[Finding] = []
    left: dict[tuple[str, ...], tuple[Finding, str]] = {}
    found = judge(Source(path, text.encode()))
    while True:
        wanted = [f for f in found if mechanical(f) and _whole(f) not in left]
        if only is not None:
            wanted = [f for f in wanted if f == only]
        if not wanted:
            break
        finding = wanted[0]
        try:
            _refuse_two_orders(finding, text, path, dialect)
            new = _one(now, finding, wanted, path, dialect)
            after = judge(Source(path, new.encode()))
            _check(finding, found, after)
        except NotMechanical as reason:
            left[_whole(finding)] = (finding, str(reason))
            continue
        gone = Counter(map(_key, found)) - Counter(map(_key, after))
        fixed += [f for f in wanted if _key(f) in gone]
        now, found = new, after
        left.clear()  # what stood in the way may be gone
    return Fixed(path, text, now, tuple(fixed), tuple(left.values()), tuple(found))


def _refuse_two_orders(finding: Finding, text: str, path: Path, dialect: str) -> None:
    """A backfill, and one that ``text``, the author's, has of its own: their order cannot be known."""
    if "-- backfill" not in finding.rewrite:
        return
    migration, _ = read(Source(path, text.encode()), dialect=dialect)
    if migration is not None and migration.backfill is not None:
        raise NotMechanical(
            "the file has a backfill of its own, and which of the two runs first is yours to say"
        )


def _one(text: str, finding: Finding, wanted: list[Finding], path: Path, dialect: str) -> str:
    bom = "\ufeff" if text.startswith("\ufeff") else ""
    migration, errors = read(Source(path, text.encode()), dialect=dialect)
    broken = [e for e in errors if e.rule != FILE and e.half is finding.half]
    if migration is None or broken:
        raise NotMechanical("the file has errors that must be mended first")
    return bom + placed(text.removeprefix("\ufeff"), migration, finding, wanted, dialect)


def _check(finding: Finding, before: list[Finding], after: list[Finding]) -> None:
    """Refuse a fix that did not help, or that makes something else wrong."""
    was, now = Counter(map(_key, before)), Counter(map(_key, after))
    rules = Counter(f.rule for f in after) - Counter(f.rule for f in before)
    if now[_key(finding)] >= was[_key(finding)]:
        raise NotMechanical("the rewrite would be found again")
    for other in after:
        new = now[_key(other)] > was[_key(other)] and rules[other.rule] > 0
        if new and (other.severity is Severity.ERROR or finding.severity is not Severity.ERROR):
            raise NotMechanical(f"it would lead to another hazard, {other.rule}: {other.message}")


def _key(finding: Finding) -> tuple[str, str]:
    """The same for a finding whose lines moved."""
    return (finding.rule, finding.message)


def _whole(finding: Finding) -> tuple[str, ...]:
    """The same for one that nothing was changed around."""
    return (finding.rule, finding.message, finding.rewrite)
