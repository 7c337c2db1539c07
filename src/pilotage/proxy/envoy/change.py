"""One change of the route on an Envoy that runs: file by file, each seen in force, or all taken back."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field, replace

from pilotage.errors import ProxyError
from pilotage.model import Route
from pilotage.proxy.envoy.admin import Admin
from pilotage.proxy.envoy.config import EnvoySettings
from pilotage.proxy.envoy.files import EnvoyFiles
from pilotage.proxy.envoy.process import EnvoyProcess
from pilotage.proxy.envoy.state import State
from pilotage.proxy.envoy.steps import Write, steps

_POLL = 0.001  # Envoy takes a file in about 1 ms
_NOUNS = {"eds": "endpoints", "cds": "clusters", "rds": "route", "lds": "listener"}


@dataclass(slots=True)
class Change:
    """The caller holds the fence. Any failure of the admin interface is an `OSError`."""

    settings: EnvoySettings
    admin: Admin
    now: State
    _touched: list[str] = field(default_factory=list)
    _awaited: dict[str, tuple[str, int]] = field(default_factory=dict)

    @property
    def _files(self) -> EnvoyFiles:
        return EnvoyFiles(self.settings.directory)

    @property
    def _process(self) -> EnvoyProcess:
        return EnvoyProcess(self.settings)

    async def make(self, route: Route) -> float:
        """Put a route in force; the time at which Envoy confirmed it (``time.monotonic()``).

        Raises
        ------
        ProxyError
            A file could not be written, or was refused, or not confirmed; its state says which
            route is in force.
        OSError
            Envoy does not answer any more; the files are what they were.
        """
        # Envoy's dump of a resource spells its defaults otherwise than the file that it came from.
        written = self._files.state()
        now = replace(
            self.now,
            clusters={n: written.clusters.get(n, it) for n, it in self.now.clusters.items()},
            listeners={n: written.listeners.get(n, it) for n, it in self.now.listeners.items()},
        )
        way = steps(self.settings, now, route)
        try:
            for write in way.before:
                await self.put(write)
        except ProxyError as error:
            error.state = await self._undo()
            raise
        except OSError:
            self._put_back()
            raise
        moment = time.monotonic()
        for write in way.after:
            self._touched.clear()
            try:
                await self.put(write)
            except ProxyError as error:
                self._put_back()
                is_listener = write.kind == "lds"
                error.state = f"the {'old listener' if is_listener else 'new route'} is in force"
                raise
        with contextlib.suppress(OSError):
            self._files.prune()
        return moment

    async def put(self, write: Write) -> None:
        """Write one file and see it in force."""
        kind, files, admin = write.kind, self._files, self.admin
        said = self._process.said()
        refused = await admin.refusals(kind)
        stale = await admin.version(kind) != files.version(kind)
        first = kind not in self._touched
        if first:
            self._touched.append(kind)
        try:
            version = files.write(kind, write.resources, anew=stale, keep=first)
        except OSError as error:
            raise self._unwritten(kind, error) from error
        if kind.startswith("eds/") and kind.removeprefix("eds/") not in self.now.clusters:
            self._awaited[kind] = version, refused  # nobody reads it before its cluster is there
            return
        await self.confirm(kind, version, refused=refused, said=said)
        if kind == "cds":
            while self._awaited:
                kind, (version, refused) = self._awaited.popitem()
                await self.confirm(kind, version, refused=refused, said=said)

    async def confirm(self, kind: str, version: str, *, refused: int, said: int) -> None:
        """See a version in force. ``refused`` and ``said``: Envoy's refusals and its log before it."""
        if not await self._in_force(kind, version, refused=refused):
            words = await self.admin.listener_error() if kind == "lds" else ""
            words = words or self._process.words(since=said) or "it gives no reason"
            noun = _NOUNS[kind.partition("/")[0]]
            raise ProxyError(
                f"Envoy did not take the new {noun}: {words}", where=str(self._files.path(kind))
            )

    async def _in_force(self, kind: str, version: str | None, *, refused: int | None) -> bool:
        """Wait for Envoy to say that a version is in force; False once it refused it, or did not say so."""
        deadline = time.monotonic() + self.settings.confirm
        while await self.admin.version(kind) != version:
            if refused is not None and await self.admin.refusals(kind) > refused:
                return False
            if time.monotonic() >= deadline:
                return False
            await asyncio.sleep(_POLL)
        return True

    async def _undo(self) -> str:
        """Take back what was written; says which route is in force then."""
        try:
            for kind, version in self._put_back().items():
                # What was refused never was in force; what was not confirmed may yet come.
                if version and not await self._in_force(kind, version, refused=None):
                    return f"it is not certain whether the old route is in force ({kind})"
        except OSError as error:
            return f"it is not certain which route is in force ({error.strerror or error})"
        return "the old route is in force"

    def _put_back(self) -> dict[str, str | None]:
        """The old files, in the opposite order; their versions, but of those that Envoy never had."""
        versions = {}
        while self._touched:
            kind = self._touched.pop()
            versions[kind] = self._files.restore(kind)
        return versions

    def _unwritten(self, kind: str, error: OSError) -> ProxyError:
        return unwritten(str(self._files.path(kind)), error)


def unwritten(where: str, error: OSError) -> ProxyError:
    """The error for a file that cannot be written."""
    return ProxyError(
        f"cannot write: {error.strerror or error}",
        where=where,
        state="the old route is in force",
        next="make room, or give the right to write there; then run this again",
    )
