"""The files that Envoy watches: what they say, what would have to be written, and the way back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from pilotage.host.files import dump_json
from pilotage.proxy.envoy.admin import Standing
from pilotage.proxy.envoy.config import discovery, same_content
from pilotage.proxy.envoy.names import GATE, Resource, endpoints_of, path, socket_of
from pilotage.proxy.envoy.place import Held
from pilotage.proxy.envoy.state import State


@dataclass(slots=True)
class EnvoyFiles:
    """``KIND/KIND.json`` below one place, read once: nobody else writes while the fence is held.

    Any failure of the place is an `OSError`.
    """

    place: Held
    contents: dict[str, bytes]
    names: set[str]
    _kept: dict[str, bytes | None] = field(default_factory=dict)

    @classmethod
    async def read(cls, place: Held) -> Self:
        """The files as they are."""
        listing = await place.read()
        return cls(place, dict(listing.contents), set(listing.names))

    def version(self, kind: str) -> str | None:
        """The version in a file, or None when there is no file, or none that can be read."""
        content = self._content(path(kind))
        return content["version_info"] if content else None

    def _content(self, name: str) -> dict[str, Any] | None:
        try:
            content = json.loads(self.contents.get(name, b"null"))
        except ValueError:
            return None
        said = isinstance(content, dict) and isinstance(content.get("version_info"), str)
        return content if said else None

    def resources(self, kind: str) -> list[Resource]:
        """What a file says; nothing when there is none that can be read."""
        found: list[Resource] = (self._content(path(kind)) or {}).get("resources", [])
        return found

    def state(self) -> State:
        """What Envoy would do if it were started with these files."""
        clusters = {cluster["name"]: cluster for cluster in self.resources("cds")}
        endpoints = {}
        for name, cluster in clusters.items():
            source = cluster.get("eds_cluster_config", {}).get("eds_config")
            if source:
                content = self._content(source["path_config_source"]["path"]) or {}
                for assignment in content.get("resources", ()):
                    endpoints[name] = assignment
        return State(
            listeners={listener["name"]: listener for listener in self.resources("lds")},
            routes=next(iter(self.resources("rds")), None),
            clusters=clusters,
            endpoints=endpoints,
        )

    def in_force(self, standing: Mapping[str, Standing]) -> bool:
        """Whether what Envoy does is what these files say: it names the version of each, which names its content."""
        return all(
            standing.get(kind, Standing()).version == self.version(kind) for kind in self.kinds()
        )

    def kinds(self) -> tuple[str, ...]:
        """Those that Envoy reads."""
        named = (it["name"] for it in self.resources("cds") if "eds_cluster_config" in it)
        return ("lds", "cds", "rds", *map(endpoints_of, named))

    def next(
        self, kind: str, resources: Sequence[Resource], *, anew: bool = False
    ) -> dict[str, Any] | None:
        """The content that a file must be given, or None when it says the same already.

        ``anew``: under a new version in any case, because Envoy does not have the old one in force.
        """
        old = self._content(path(kind))
        number = int(old["version_info"].partition("-")[0]) + 1 if old else 1
        content = discovery(resources, number=number)
        return None if same_content(old, content) and not anew else content

    async def write(self, contents: Mapping[str, Mapping[str, Any]], *, keep: bool = True) -> None:
        """Put the contents of kinds in place, in the order given.

        ``keep``: what is replaced is what `restore` brings back, unless an older one is kept already.
        """
        fresh = [kind for kind in contents if keep and kind not in self._kept]
        for kind in fresh:
            self._kept[kind] = self.contents.get(path(kind))
        await self.put(
            {path(kind): dump_json(content) for kind, content in contents.items()},
            keep={path(kind): kept_name(kind) for kind in fresh},
        )

    async def put(self, files: Mapping[str, bytes], *, keep: Mapping[str, str]) -> None:
        """Write files by their names. What was not seen to be written may or may not be there."""
        await self.place.write(files, keep=keep)
        for name, kept in keep.items():
            (self.names.add if name in self.contents else self.names.discard)(kept)
        self.contents.update(files)
        self.names.update(files)

    async def restore(self) -> dict[str, str | None]:
        """Put everything back that `write` kept, the last first; the versions, None for no file."""
        kept = dict(reversed(self._kept.items()))
        self._kept.clear()
        await self.place.restore(
            {path(kind): None if old is None else kept_name(kind) for kind, old in kept.items()}
        )
        for kind, content in kept.items():
            self.names.discard(kept_name(kind))
            if content is None:
                self.contents.pop(path(kind), None)
                self.names.discard(path(kind))
            else:
                self.contents[path(kind)] = content
        return {kind: self.version(kind) for kind in kept}

    def forget(self) -> None:
        """What was written until now stays."""
        self._kept.clear()

    @property
    def changed(self) -> bool:
        """Whether there is something to put back."""
        return bool(self._kept)

    async def prune(self) -> None:
        """Delete the endpoints of clusters, and the sockets of gates, that are no more."""
        named = {
            cluster["eds_cluster_config"]["eds_config"]["path_config_source"]["path"]
            for cluster in self.resources("cds")
            if "eds_cluster_config" in cluster
        }
        gates = {socket_of(listener["name"]) for listener in self.resources("lds")}
        old = {
            name
            for name in self.names
            if (name.startswith("eds/") and name not in named)
            or (name.startswith("eds.") and name.endswith(_KEPT))
            or (name.startswith(GATE) and name not in gates)
        }
        if old:
            await self.place.delete(sorted(old))
            self.names -= old
            for name in old:
                self.contents.pop(name, None)


_KEPT = ".previous.json"


def kept_name(kind: str) -> str:
    """Under which second name the old file of a kind is kept."""
    return f"{kind.replace('/', '.')}{_KEPT}"
