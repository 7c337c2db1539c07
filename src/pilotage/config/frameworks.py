"""What ``engine: rails | alembic | django`` stand for: the keys of ``engine: command``, filled in.

The commands are lines for ``sh``, run in the release's folder. What they are to apply comes in the
environment: ``PILOTAGE_VERSIONS`` (all, in order), ``PILOTAGE_TARGETS`` (those of them that no other of
them comes after), ``PILOTAGE_VERSION`` (the last), ``PILOTAGE_HALF`` (expand, contract, or all).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

Status = Literal["schema_migrations", "alembic_version", "django_migrations", "command", "none"]
"""What says which versions are applied: a table of the framework's, a command, or nothing."""

Order = Literal["linear", "set"]
"""Whether asking for a version applies all that come before it as well."""


@dataclass(frozen=True, slots=True)
class Commands:
    """Lines for ``sh``. ``fresh``: applies everything, on an empty database; None: like any other."""

    expand: str
    contract: str
    fresh: str | None = None


@dataclass(frozen=True, slots=True)
class Framework:
    """How a framework keeps and applies its migrations; the globs are from the project's folder.

    ``packages``: installed packages have migrations as well, which no file of the project shows.
    """

    files: tuple[str, ...] = ()
    contract_files: tuple[str, ...] = ()
    status: Status = "none"
    order: Order = "linear"
    commands: Commands = field(default_factory=lambda: Commands("", ""))
    packages: bool = False


# `db:migrate` would run whatever is pending; `db:migrate:up` runs one version, and cannot go too far.
_RAILS = (
    "for version in $PILOTAGE_VERSIONS; do VERSION=$version bin/rails db:migrate:up || exit; done"
)

_ALEMBIC = 'for target in $PILOTAGE_TARGETS; do alembic upgrade "$target" || exit; done'

# Packages first: their migrations are in no file of ours, so their newest are always meant.
_DJANGO = """\
python manage.py shell -c '
import os
from django.core.management import call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader
own = os.environ["PILOTAGE_APPS"].split()
for app in sorted(MigrationLoader(connection).migrated_apps.difference(own)):
    call_command("migrate", app, interactive=False)
for target in os.environ["PILOTAGE_TARGETS"].split():
    call_command("migrate", *target.split(".", 1), interactive=False)
'"""

FRAMEWORKS: Mapping[str, Framework] = MappingProxyType(
    {
        "rails": Framework(
            files=("db/migrate/*.rb", "db/post_migrate/*.rb"),
            contract_files=("db/post_migrate/*.rb",),
            status="schema_migrations",
            order="set",
            commands=Commands(_RAILS, _RAILS, "bin/rails db:migrate"),
        ),
        "alembic": Framework(
            files=("alembic/versions/*.py", "migrations/versions/*.py"),
            contract_files=("*_contract*",),
            status="alembic_version",
            commands=Commands(_ALEMBIC, _ALEMBIC, _ALEMBIC),
        ),
        "django": Framework(
            files=("**/migrations/[0-9]*.py",),
            contract_files=("*_contract*",),
            status="django_migrations",
            commands=Commands(_DJANGO, _DJANGO, _DJANGO),
            packages=True,
        ),
        "command": Framework(),
    }
)
