"""The files that Envoy watches: written beside and renamed into place, the old one kept for the way back."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pilotage.host.files import dump_json, read_json, write_atomic
from pilotage.proxy.envoy.config import discovery, same_content
from pilotage.proxy.envoy.names import GATE, Resource, path, socket_of
from pilotage.proxy.envoy.state import State


@dataclass(frozen=True, slots=True)
class EnvoyFiles:
    """``KIND/KIND.json`` below one directory. Written by a caller who holds the fence."""

    directory: Path

    def path(self, kind: str) -> Path:
        """One file."""
        return self.directory / path(kind)

    def _kept(self, kind: str) -> Path:
        return self.directory / f"{kind.replace('/', '.')}.previous.json"

    def version(self, kind: str) -> str | None:
        """The version in a file, or None when there is no file, or none that can be read."""
        content = self._read(self.path(kind))
        return content["version_info"] if content else None

    def _read(self, path: Path) -> dict[str, Any] | None:
        try:
            content = read_json(path)
        except (OSError, ValueError):
            return None
        return content if content and isinstance(content.get("version_info"), str) else None

    def resources(self, kind: str) -> list[Resource]:
        """What a file says; nothing when there is none that can be read."""
        found: list[Resource] = (self._read(self.path(kind)) or {}).get("resources", [])
        return found

    def state(self) -> State:
        """What Envoy would do if it were started with these files."""
        clusters = {cluster["name"]: cluster for cluster in self.resources("cds")}
        endpoints = {}
        for name, cluster in clusters.items():
            source = cluster.get("eds_cluster_config", {}).get("eds_config")
            if source:
                content = self._read(self.directory / source["path_config_source"]["path"]) or {}
                for assignment in content.get("resources", ()):
                    endpoints[name] = assignment
        return State(
            listeners={listener["name"]: listener for listener in self.resources("lds")},
            routes=next(iter(self.resources("rds")), None),
            clusters=clusters,
            endpoints=endpoints,
        )

    def write(
        self, kind: str, resources: Sequence[Resource], *, anew: bool = False, keep: bool = True
    ) -> str:
        """Put resources in place, unless the file says the same already; returns its version.

        ``anew``: under a new version in any case, because Envoy does not have the old one in force.
        ``keep``: the file that is replaced is what `restore` brings back.

        Raises
        ------
        OSError
            It cannot be written; the file is what it was.
        """
        self.path(kind).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        old = self._read(self.path(kind))
        number = int(old["version_info"].partition("-")[0]) + 1 if old else 1
        content = discovery(resources, number=number)
        if keep:
            self._keep(kind)
        if old is not None and same_content(old, content) and not anew:
            return str(old["version_info"])
        write_atomic(self.path(kind), dump_json(content))
        return str(content["version_info"])

    def _keep(self, kind: str) -> None:
        # A second name for the old file, because going back must not need space on the disk.
        kept = self._kept(kind)
        kept.unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            kept.hardlink_to(self.path(kind))

    def restore(self, kind: str) -> str | None:
        """Put the file back that `write` kept last; its version, or None when there was none.

        Raises
        ------
        OSError
            It cannot be renamed or removed.
        """
        try:
            self._kept(kind).rename(self.path(kind))
        except FileNotFoundError:
            self.path(kind).unlink(missing_ok=True)
        return self.version(kind)

    def prune(self) -> None:
        """Delete the endpoints of clusters, and the sockets of gates, that are no more.

        Raises
        ------
        OSError
            One cannot be deleted.
        """
        named = {
            cluster["eds_cluster_config"]["eds_config"]["path_config_source"]["path"]
            for cluster in self.resources("cds")
            if "eds_cluster_config" in cluster
        }
        for found in (self.directory / "eds").glob("**/*.json"):
            if str(found.relative_to(self.directory)) not in named:
                found.unlink()
        for folder in (self.directory / "eds").iterdir():
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
        for kept in self.directory.glob("eds.*.previous.json"):
            kept.unlink()
        gates = {socket_of(listener["name"]) for listener in self.resources("lds")}
        for socket in self.directory.glob(socket_of(f"{GATE}*")):
            if socket.name not in gates:
                socket.unlink()
