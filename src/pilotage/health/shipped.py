"""What a release ships, found out once: it never changes while the release runs."""

from __future__ import annotations

from pathlib import Path

from pilotage.errors import PilotageError
from pilotage.health.look import Looked
from pilotage.health.settings import DEFAULT_FOLDER, Settings
from pilotage.migrate.dialects import dialect_name
from pilotage.model import Ships


class Shipped:
    """The folder that was named; else what the release is registered with; else ``db/migrations``.

    ``trouble``: why the files could not be read, in words, or "".
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._ships: Ships | None = None
        self.trouble = ""

    def by(self, looked: Looked) -> Ships | None:
        """What the release ships, or None when nobody knows."""
        if self._ships is None and not self.trouble:
            named = self._settings.migrations
            if named is not None:
                self._ships = self._of(named)
            elif looked.ships is not None:
                self._ships = looked.ships
            elif DEFAULT_FOLDER.is_dir():
                self._ships = self._of(DEFAULT_FOLDER)
        return self._ships

    def _of(self, folder: Path) -> Ships | None:
        from pilotage.migrate.loader import load_migrations

        try:
            return load_migrations(folder, dialect=dialect_name(self._settings.database)).ships()
        except PilotageError as error:
            self.trouble = f"{error.where}: {error.what}"
            return None
