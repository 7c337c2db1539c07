"""The hazards of a framework's files, which are Python or Ruby and not SQL."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator

from pilotage.hazards.catalogue import Catalogue
from pilotage.hazards.finding import Finding
from pilotage.hazards.rewrites import Rewriter
from pilotage.hazards.rule import HalfContext, finding_of
from pilotage.hazards.rules import rules_for
from pilotage.migrate.directives import apply, words
from pilotage.migrate.migration import Directives, Migration, Section
from pilotage.migrate.sql import SqlError
from pilotage.model import Half, HalfRef

LANGUAGES = {".py": "python", ".rb": "ruby"}
_PREFIX = "# pilotage:"


def check_framework(
    migrations: Iterable[Migration], *, only: Container[HalfRef] | None = None
) -> tuple[Finding, ...]:
    """The hazards of a framework's migrations; ``only``: of these halves.

    A comment ``# pilotage: allow=live-models because …`` in a file lets it pass. A file in another
    language than Python or Ruby has none.

    Raises
    ------
    MigrationFileError
        Such a comment says something that is not known.
    """
    return tuple(
        finding
        for migration in migrations
        for half in Half
        if only is None or HalfRef(migration.version, half) in only
        for finding in check_file(migration, half)
    )


def check_file(migration: Migration, half: Half) -> Iterator[Finding]:
    """The hazards of one file. Raises `MigrationFileError` as `check_framework` does."""
    section = migration.section(half)
    language = LANGUAGES.get(migration.path.suffix)
    if section is None or language is None:
        return
    _, of_half = rules_for(language, half)
    around = (migration, half, section, language, Catalogue(), Catalogue(), Rewriter(), ())
    context = HalfContext(*around)
    allowed = _directives(migration, section).allow
    for rule in of_half:
        if rule.check_half and rule.id not in allowed:
            for hazard in rule.check_half(context):
                yield finding_of(rule, hazard, 0, context)


def _directives(migration: Migration, section: Section) -> Directives:
    given = Directives()
    for number, line in enumerate(section.text.splitlines(), 1):
        comment = line.strip()
        if comment.startswith(_PREFIX):
            try:
                for word in words(comment.removeprefix(_PREFIX), number):
                    given = apply(given, word)
            except SqlError as error:
                raise error.at(migration.path, 1) from error
    return given
