"""Which database, which stream, which release: from the environment, or as the application says."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pilotage.errors import UsageError
from pilotage.model import release_id
from pilotage.secret import Secret

DEFAULT_FOLDER = Path("db/migrations")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What an instance needs to know of itself in order to ask whether it fits.

    ``stream``: None takes the one that the instance is registered with, else the only one there is.
    ``release``: the release's id. ``instance``: the id under which a deploy registered it.
    ``migrations``: the folder of the release's own files, where that was named.
    """

    database: Secret
    stream: str | None = None
    release: str | None = None
    instance: str | None = None
    migrations: Path | None = None

    @classmethod
    def of(
        cls,
        environ: Mapping[str, str] | None = None,
        *,
        database: str | None = None,
        stream: str | None = None,
        release: str | None = None,
        migrations: str | Path | None = None,
    ) -> Self:
        """What is given, else ``DATABASE_URL``, ``PILOTAGE_STREAM``, ``PILOTAGE_RELEASE`` (or
        ``KAMAL_VERSION``), ``PILOTAGE_INSTANCE`` and ``PILOTAGE_MIGRATIONS``.

        Raises
        ------
        UsageError
            No database is named.
        """
        env = os.environ if environ is None else environ
        url = database or env.get("DATABASE_URL")
        if not url:
            raise UsageError(
                "DATABASE_URL is not set, so nobody can say whether the release fits",
                next="set it, or name the database: pilotage.health.asgi(app, database=…)",
            )
        named = release or env.get("PILOTAGE_RELEASE") or env.get("KAMAL_VERSION")
        folder = migrations or env.get("PILOTAGE_MIGRATIONS")
        return cls(
            database=Secret(url),
            stream=stream or env.get("PILOTAGE_STREAM") or None,
            release=release_id(named) if named else None,
            instance=env.get("PILOTAGE_INSTANCE") or None,
            migrations=Path(folder) if folder else None,
        )
