"""Runs the rules over the halves of migrations."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from difflib import get_close_matches

from pilotage.errors import MigrationFileError
from pilotage.hazards.catalogue import Catalogue
from pilotage.hazards.finding import TRACED, Class, Finding, Severity
from pilotage.hazards.order import OUT_OF_ORDER
from pilotage.hazards.rewrites import rewriter
from pilotage.hazards.rule import Context, HalfContext, Rule, finding_of
from pilotage.hazards.rules import RULES, rules_for
from pilotage.hazards.sizes import harmless, size_of, weighed
from pilotage.migrate.migration import Migration, Section
from pilotage.migrate.sql import Change, Statement, grammar, located
from pilotage.migrate.sql.online import has_steps
from pilotage.model import Half, HalfRef

IDS = frozenset({*(rule.id for rule in RULES), OUT_OF_ORDER, TRACED})


def check(
    migration: Migration,
    *,
    dialect: str,
    known: Catalogue | None = None,
    only: Container[HalfRef] | None = None,
    silenced: set[tuple[Half, str]] | None = None,
) -> tuple[Finding, ...]:
    """The hazards of one migration, in the order of the file, but for those that it allows.

    ``known`` is the schema before it; rules that need a column's type say less without it. It is brought
    up to date with the migration. A squash has no hazards: it runs on an empty database, and everywhere
    else it is only recorded. ``only``: judge these halves alone; a ``known`` that is complete has the
    others already. ``silenced`` is filled with the hazards that an ``allow`` kept out of the result.

    Raises
    ------
    MigrationFileError
        Its SQL cannot be read.
    """
    known = Catalogue() if known is None else known
    complete = known.complete
    made = Catalogue()
    findings: list[Finding] = []
    for half in Half:
        section = migration.section(half)
        if section is None:
            continue
        judged = only is None or HalfRef(migration.version, half) in only
        if not judged and complete:
            continue
        with located(migration.path, section.line):
            if judged:
                findings += _unknown_allows(migration, half, section)
            findings += _check_half(
                migration,
                half,
                section,
                dialect=dialect,
                known=known,
                made=made,
                judged=judged and not migration.replaces,
                silenced=set() if silenced is None else silenced,
            )
    return tuple(findings)


def check_all(
    migrations: Iterable[Migration],
    *,
    dialect: str,
    known: Catalogue | None = None,
    only: Container[HalfRef] | None = None,
) -> tuple[Finding, ...]:
    """The hazards of all migrations in their order, each judged with what those before it define.

    ``only``: judge these halves alone (those that are pending, for example). ``known``: what a database or
    a dump says before them; see `check`.
    """
    known = Catalogue() if known is None else known
    return tuple(
        finding
        for migration in migrations
        for finding in check(migration, dialect=dialect, known=known, only=only)
    )


def refuse_contract_work(
    migrations: Iterable[Migration], *, dialect: str, only: Container[HalfRef] | None = None
) -> None:
    """Refuse what is no expand work in an expand half.

    Raises
    ------
    MigrationFileError
        The first finding that is an error; its text has the SQL to write instead.
    """
    for finding in check_all(migrations, dialect=dialect, only=only):
        if finding.severity is Severity.ERROR:
            raise as_error(finding)


def as_error(finding: Finding) -> MigrationFileError:
    """A finding as the error that refuses it."""
    steps = []
    if finding.rewrite:
        indented = "\n".join(f"    {line}".rstrip() for line in finding.rewrite.splitlines())
        steps.append(f"write it like this:\n\n{indented}\n")
    if finding.rule in IDS:
        steps.append(
            f"or, if it is safe, say why: `-- pilotage: allow={finding.rule} because …`"
            if steps
            else f"if it is safe, say why: `-- pilotage: allow={finding.rule} because …`"
        )
    return MigrationFileError(
        f"{finding.message} ({finding.rule}, in the {finding.half} half)",
        where=finding.where,
        state="nothing was touched",
        next="\n  ".join(steps),
    )


def _check_half(
    migration: Migration,
    half: Half,
    section: Section,
    *,
    dialect: str,
    known: Catalogue,
    made: Catalogue,
    judged: bool,
    silenced: set[tuple[Half, str]],
) -> Iterator[Finding]:
    reader = grammar(dialect)
    pairs: list[tuple[Statement, Change]] = [
        (statement, change)
        for statement in reader.split(section.text)
        for change in reader.changes(statement.text)
    ]
    by_change, of_half = rules_for(reader.dialect, half) if judged else ({}, ())
    allowed = section.directives.allow
    around = (migration, half, section, reader.dialect, known, made, rewriter(dialect), pairs)
    for index, (statement, change) in enumerate(pairs):
        rules = _judging(by_change.get(type(change), ()), change, known)
        if rules:
            context = Context(*around, index)
            begin = statement.start + change.offset
            # Its locks are what the steps of `online` are for; what it means to other code stays.
            safe = section.directives.online and has_steps(change, dialect)
            size = size_of(change, known) if known.server else None
            for rule in rules:
                for hazard in rule.check(change, context):
                    if rule.id in allowed:
                        silenced.add((half, rule.id))
                    elif safe and rule.class_ is Class.AVAILABILITY:
                        continue
                    elif size is None or not harmless(size, rule.class_, rule.severity):
                        yield weighed(finding_of(rule, hazard, begin, context), size)
        known.apply(change)
        if not _may_be_there(change):
            made.apply(change)
    whole = HalfContext(*around)
    for rule in of_half:
        for hazard in rule.check_half(whole) if rule.check_half else ():
            if rule.id in allowed:
                silenced.add((half, rule.id))
            else:
                yield finding_of(rule, hazard, 0, whole)


def _judging(rules: tuple[Rule, ...], change: Change, known: Catalogue) -> tuple[Rule, ...]:
    """Those of the rules that look at a change: all, but for a definition that was written anew as a whole
    (MySQL's MODIFY).

    Of that only at what it changes. Where the definition before is not known, nobody can tell: then the rules
    of the dialect alone look at it, which know that.
    """
    if not change.restated:
        return rules
    before = known.restated(change)
    if before is None:
        return tuple(rule for rule in rules if rule.dialects is not None)
    return () if before else rules


def _may_be_there(change: Change) -> bool:
    """Whether the change makes something that running code may have known before it."""
    return bool(getattr(change, "if_not_exists", False) or getattr(change, "replace", False))


def _unknown_allows(migration: Migration, half: Half, section: Section) -> Iterator[Finding]:
    """An ``allow`` of a hazard that does not exist silences nothing, and its author should know."""
    for rule in section.directives.allow:
        if rule in IDS:
            continue
        near = get_close_matches(rule, sorted(IDS), n=1)
        yield Finding(
            rule="unknown-hazard",
            class_=Class.RUNTIME_FAILURE,
            severity=Severity.ERROR,
            file=migration.path,
            line=section.directives.lines.get(f"allow={rule}", section.line),
            column=1,
            message=f"no hazard is called {rule!r}"
            + (f"; did you mean {near[0]}?" if near else ""),
            rewrite="",
            half=half,
        )
