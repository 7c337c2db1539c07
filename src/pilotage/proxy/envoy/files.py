"""The files that Envoy watches: written beside and renamed into place, the old one kept for the way back."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pilotage.host.files import dump_json, read_json, write_atomic
from pilotage.model import Route
from pilotage.proxy.envoy.config import discovery, read_endpoints, same_content


@dataclass(frozen=True, slots=True)
class EnvoyFiles:
    """``KIND/KIND.json`` below one directory. Written by a caller who holds the fence."""

    directory: Path

    def path(self, kind: str) -> Path:
        """One file."""
        return self.directory / kind / f"{kind}.json"

    def _kept(self, kind: str) -> Path:
        return self.directory / f"{kind}.previous.json"

    def version(self, kind: str) -> str | None:
        """The version in a file, or None when there is no file, or none that can be read."""
        content = self._read(kind)
        return content["version_info"] if content else None

    def route(self) -> tuple[str, Route] | None:
        """The version and the route of the endpoints' file, or None when there is none."""
        content = self._read("eds")
        if content is None:
            return None
        return content["version_info"], read_endpoints(content["resources"][0])

    def _read(self, kind: str) -> dict[str, Any] | None:
        try:
            content = read_json(self.path(kind))
        except (OSError, ValueError):
            return None
        return content if content and isinstance(content.get("version_info"), str) else None

    def write(self, kind: str, resource: Mapping[str, Any], *, anew: bool = False) -> str:
        """Put a resource in place, unless the file says the same already; returns its version.

        ``anew``: under a new version in any case, because Envoy does not have the old one in force.

        Raises
        ------
        OSError
            It cannot be written; the file is what it was.
        """
        self.path(kind).parent.mkdir(mode=0o700, exist_ok=True)
        old = self._read(kind)
        number = int(old["version_info"].partition("-")[0]) + 1 if old else 1
        content = discovery(resource, number=number)
        kept = self._kept(kind)
        kept.unlink(missing_ok=True)
        if old is not None and same_content(old, content) and not anew:
            return str(old["version_info"])
        # A second name for the old file, because going back must not need space on the disk.
        with contextlib.suppress(FileNotFoundError):
            kept.hardlink_to(self.path(kind))
        write_atomic(self.path(kind), dump_json(content))
        return str(content["version_info"])

    def restore(self, kind: str) -> str | None:
        """Put the file back that the last `write` replaced; its version, or None when there is none.

        Raises
        ------
        OSError
            It cannot be renamed.
        """
        with contextlib.suppress(FileNotFoundError):
            self._kept(kind).rename(self.path(kind))
        return self.version(kind)
