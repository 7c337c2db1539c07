"""Judges files one by one, whatever is wrong with one of them: what ``pilotage hazards`` shows.

A deploy refuses a folder at its first broken file, and rightly; whoever writes migrations wants to hear of
everything at once. So what the loader would refuse becomes a finding here, with its line, and the other
files are judged as if it were not there. Pure: files come in as bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path

from pilotage.errors import MigrationFileError
from pilotage.hazards.catalogue import Catalogue
from pilotage.hazards.check import check
from pilotage.hazards.finding import FILE, FOREIGN, SYNTAX, TRACED, Class, Finding, Severity
from pilotage.hazards.fix import Fixed, fix, mechanical
from pilotage.hazards.reading import Source, finding_of, read
from pilotage.hazards.rules import BY_ID
from pilotage.migrate.loader import together
from pilotage.migrate.migration import Migration
from pilotage.model import Half, HalfRef

UNUSED = "unused-allow"
FAILS = "fails-on-clone"

WHY = {
    SYNTAX: "The database would refuse the whole half.",
    FOREIGN: "A half is written for one database; this one would refuse it.",
    FILE: "Pilotage refuses the file before it touches anything.",
    "unknown-hazard": "An `allow` of a hazard that does not exist silences nothing.",
    FAILS: "A trace ran the half as a deploy would, and it failed.",
    TRACED: "A trace saw others wait while rows were worked through, and no rule reads that in the statement.",
    UNUSED: "An `allow` that silences nothing today would silence something unseen tomorrow.",
    "out-of-order": "It was written for a schema that still had what the newer contract half removed.",
}
"""Why what is no rule's finding is one: id → one line."""


@dataclass(frozen=True, slots=True)
class Report:
    """What was found, in the order of the files.

    ``files``: how many were judged; ``skipped``: halves of them that were not, because they are applied.
    ``fixes``: what became of the files with something to fix, where that was asked for; ``proposals``:
    what fixing one finding alone would make of its file. ``allowed``: halves in which an ``allow`` kept out
    what a trace would see.
    """

    findings: tuple[Finding, ...]
    files: int = 0
    skipped: tuple[HalfRef, ...] = ()
    fixes: tuple[Fixed, ...] = ()
    proposals: Mapping[Finding, tuple[str, str]] = field(default_factory=dict)
    allowed: frozenset[tuple[Path, Half]] = frozenset()


@dataclass(frozen=True, slots=True)
class Lint:
    """How files are judged.

    ``known``: what a database or a dump says of the schema before them; it is changed. ``applied``: halves
    that are not judged any more. ``judged``: judge only these files; the others say what was there before.
    ``folder``: they are one folder of migrations, so that their names and versions matter. ``wanted``: which
    findings count. ``fixing``, ``proposing``: also work out the rewritten files.
    """

    dialect: str
    known: Catalogue = field(default_factory=Catalogue)
    applied: Container[HalfRef] = frozenset()
    judged: Container[Path] | None = None
    folder: bool = False
    wanted: Callable[[Finding], bool] = lambda _: True
    fixing: bool = False
    proposing: bool = False


# What the loader refuses as well: the rule says it better, with what to write instead.
_ALSO_REFUSED = frozenset(
    {"ambiguous-statement", "concurrently-in-transaction", "transaction-control"}
)


def lint(sources: Iterable[Source], how: Lint) -> Report:
    """Judge files in their order.

    Raises
    ------
    UsageError
        There is no such dialect.
    """
    findings: list[Finding] = []
    migrations: list[Migration] = []
    skipped: list[HalfRef] = []
    fixes: list[Fixed] = []
    proposals: dict[Finding, tuple[str, str]] = {}
    allowed: set[tuple[Path, Half]] = set()
    files = 0
    for source in sources:
        if how.judged is not None and source.path not in how.judged:
            _learn(source, how)
            continue
        files += 1
        before = deepcopy(how.known) if how.fixing or how.proposing else None
        migration, found = _judge(source, how.known, how)
        if migration is not None:
            migrations.append(migration)
            allowed.update((source.path, half) for half in Half if _allows_locks(migration, half))
            skipped += [ref for ref in migration.halves() if ref in how.applied]
        if before is not None and migration is not None:
            fixed = _fix(source, found, before, how, proposals)
            if fixed is not None:
                fixes.append(fixed)
                found = list(fixed.found)
        findings += found
    if how.folder:
        findings += [f for f in _together(migrations) if how.wanted(f)]
    return Report(
        tuple(findings), files, tuple(skipped), tuple(fixes), proposals, frozenset(allowed)
    )


def _allows_locks(migration: Migration, half: Half) -> bool:
    section = migration.section(half)
    return section is not None and any(
        rule == TRACED or (rule in BY_ID and BY_ID[rule].class_ is Class.AVAILABILITY)
        for rule in section.directives.allow
    )


def _judge(source: Source, known: Catalogue, how: Lint) -> tuple[Migration | None, list[Finding]]:
    migration, findings = read(source, dialect=how.dialect, folder=how.folder)
    if migration is None:
        return None, findings
    silenced: set[tuple[Half, str]] = set()
    only = {ref for ref in migration.halves() if ref not in how.applied}
    try:
        found = check(migration, dialect=how.dialect, known=known, only=only, silenced=silenced)
        # A database that says how large tables are may be why there is nothing to silence.
        if known.server is None and not findings:
            found += tuple(_unused_allows(migration, only, silenced))
        told = {finding.line for finding in found if finding.rule in _ALSO_REFUSED}
        findings = [f for f in findings if f.rule != FILE or f.line not in told]
        findings += found
    except MigrationFileError as error:
        if not findings:  # the errors of reading say the same, where there were any
            findings.append(finding_of(error, source.path))
    return migration, [finding for finding in findings if how.wanted(finding)]


def _learn(source: Source, how: Lint) -> None:
    """Take in what a file does that is not judged."""
    migration, _ = read(source, dialect=how.dialect)
    if migration is not None:
        with suppress(MigrationFileError):
            check(migration, dialect=how.dialect, known=how.known, only=frozenset())


def _fix(
    source: Source,
    found: list[Finding],
    before: Catalogue,
    how: Lint,
    proposals: dict[Finding, tuple[str, str]],
) -> Fixed | None:
    def judge(changed: Source) -> list[Finding]:
        return _judge(changed, deepcopy(before), how)[1]

    fixable = [finding for finding in found if mechanical(finding)]
    if not fixable:
        return None
    text = source.data.decode()
    if how.proposing:
        for finding in fixable:
            one = fix(text, source.path, dialect=how.dialect, judge=judge, only=finding)
            if one.changed:
                proposals[finding] = (one.before, one.after)
    return fix(text, source.path, dialect=how.dialect, judge=judge) if how.fixing else None


def _together(migrations: list[Migration]) -> Iterator[Finding]:
    try:
        together(migrations)
    except MigrationFileError as error:
        path = Path(error.where.rpartition(":")[0])
        yield finding_of(error, path)


def _unused_allows(
    migration: Migration, judged: Container[HalfRef], silenced: set[tuple[Half, str]]
) -> Iterator[Finding]:
    """An ``allow`` that silences nothing; one before the first section holds for all of them."""
    lines: dict[tuple[str, int], set[Half]] = {}
    for half in Half:
        section = migration.section(half)
        if section is None or HalfRef(migration.version, half) not in judged:
            continue
        for rule in section.directives.allow:
            if rule in BY_ID:
                line = section.directives.lines.get(f"allow={rule}", section.line)
                lines.setdefault((rule, line), set()).add(half)
    for (rule, line), halves in lines.items():
        if not any((half, rule) in silenced for half in halves) and not migration.replaces:
            yield Finding(
                rule=UNUSED,
                class_=Class.RUNTIME_FAILURE,
                severity=Severity.WARNING,
                file=migration.path,
                line=line,
                column=1,
                message=f"nothing here is {rule}, so this `allow` silences nothing: take it out",
                rewrite="",
                half=min(halves),
            )


def why(rule: str) -> str:
    """Why a finding is one, on one line."""
    found = BY_ID.get(rule)
    return found.why if found else WHY[rule]
