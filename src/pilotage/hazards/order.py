"""The order of what is pending against what is applied: a hazard of no single file."""

from __future__ import annotations

from collections.abc import Iterable

from pilotage.hazards.finding import Class, Finding, Severity
from pilotage.migrate.migration import Migration
from pilotage.model import Applied, Half, version_key

OUT_OF_ORDER = "out-of-order"


def out_of_order(migrations: Iterable[Migration], applied: Applied) -> tuple[Finding, ...]:
    """Pending expand halves that are older than an applied contract half (hazard 92).

    Their author wrote them for a schema that still had what the contract removed; a branch that was
    merged late is the usual cause. ``allow=out-of-order because …`` says that it was looked at. A
    squash is no such half: where what it replaces is applied, it is only recorded.
    """
    newest = max(applied.contracted, key=version_key, default=None)
    if newest is None:
        return ()
    return tuple(
        _finding(migration, newest)
        for migration in migrations
        if migration.expand
        and migration.version not in applied.expanded
        and version_key(migration.version) < version_key(newest)
        and OUT_OF_ORDER not in migration.expand.directives.allow
        and not _adopted(migration, applied)
    )


def _adopted(migration: Migration, applied: Applied) -> bool:
    return any(
        int(first) <= int(version) <= int(last)
        for first, last in migration.replaces
        for version in applied.expanded | applied.contracted
    )


def _finding(migration: Migration, newest: str) -> Finding:
    line = migration.expand.line if migration.expand else 1
    return Finding(
        rule=OUT_OF_ORDER,
        class_=Class.RUNTIME_FAILURE,
        severity=Severity.ERROR,
        file=migration.path,
        line=line,
        column=1,
        message=f"{migration.version}/expand is pending, but the newer {newest}/contract is applied: "
        "it was written for a schema that had what that removed",
        rewrite="",
        half=Half.EXPAND,
    )
