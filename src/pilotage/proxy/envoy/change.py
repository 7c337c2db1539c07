"""One change of the route on an Envoy that runs: batch by batch, each seen in force, or all taken back."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pilotage.errors import ProxyError
from pilotage.model import Route
from pilotage.proxy.base import Ready
from pilotage.proxy.envoy.admin import Admin, Standing
from pilotage.proxy.envoy.config import EnvoySettings
from pilotage.proxy.envoy.files import EnvoyFiles
from pilotage.proxy.envoy.names import path
from pilotage.proxy.envoy.place import Held, Unreachable, unreachable
from pilotage.proxy.envoy.state import State
from pilotage.proxy.envoy.steps import Write, batches, steps

_POLL = 0.001  # Envoy takes a file in about 1 ms
_AHEAD = 0.04  # in which a host has mostly written one
_NOUNS = {"eds": "endpoints", "cds": "clusters", "rds": "route", "lds": "listener"}


@dataclass(slots=True)
class Change:
    """The caller holds the fence. Any failure of the admin interface is an `OSError`.

    ``standing``: what Envoy has of each file, which the change keeps up to date.
    """

    settings: EnvoySettings
    admin: Admin
    files: EnvoyFiles
    now: State
    standing: dict[str, Standing]
    _awaited: dict[str, str] = field(default_factory=dict)

    @property
    def _place(self) -> Held:
        return self.files.place

    async def make(self, route: Route, *, ready: Ready | None = None) -> float:
        """Put a route in force; the time at which Envoy confirmed it (``time.monotonic()``).

        ``ready``: awaited before the batch with the route itself.

        Raises
        ------
        ProxyError
            A file could not be written, or was refused, or not confirmed, or it was not ready; its state
            says which route is in force.
        OSError
            Envoy does not answer any more; the files are what they were.
        """
        # Envoy's dump of a resource spells its defaults otherwise than the file that it came from.
        written = self.files.state()
        now = replace(
            self.now,
            clusters={n: written.clusters.get(n, it) for n, it in self.now.clusters.items()},
            listeners={n: written.listeners.get(n, it) for n, it in self.now.listeners.items()},
        )
        way = steps(self.settings, now, route)
        try:
            *first, last = batches(way.before)
            for batch in first:
                await self.put(batch)
            if ready:
                await ready()
            await self.put(last)
        except ProxyError as error:
            error.state = await self._undo()
            raise
        except OSError:
            await self.files.restore()
            raise
        moment = time.monotonic()
        for batch in batches(way.after):
            self.files.forget()
            try:
                await self.put(batch)
            except ProxyError as error:
                with contextlib.suppress(OSError):
                    await self.files.restore()
                is_listener = batch[0].kind == "lds"
                error.state = f"the {'old listener' if is_listener else 'new route'} is in force"
                raise
        with contextlib.suppress(OSError):
            await self.files.prune()
        return moment

    async def put(self, batch: Iterable[Write]) -> None:
        """Write some files and see them in force, but for endpoints of a cluster that is yet to come."""
        contents = {}
        for write in batch:
            stale = self._standing(write.kind).version != self.files.version(write.kind)
            content = self.files.next(write.kind, write.resources, anew=stale)
            if content is not None:
                contents[write.kind] = content
        if not contents:
            return
        said = await self._place.said()
        self._awaited |= {kind: str(content["version_info"]) for kind, content in contents.items()}
        due = self._due()
        early = await self._write(contents, due)
        await self._confirm(due, said=said, early=early)

    async def _write(
        self, contents: Mapping[str, Mapping[str, Any]], due: Collection[str]
    ) -> Mapping[str, Standing]:
        """Write files; how Envoy has those that are due, soon after.

        It is asked when they are written, and after `_AHEAD` in any case: on a host that is far they may well be, only
        the word of it is still on its way, and the answer comes right behind. One from before says so by its versions.
        """
        written = asyncio.Event()

        async def write() -> None:
            await self.files.write(contents)
            written.set()

        async def ask() -> Mapping[str, Standing]:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_AHEAD):
                    await written.wait()
            return await self.admin.standing(due) if due else {}

        wrote, early = await asyncio.gather(write(), ask(), return_exceptions=True)
        if isinstance(wrote, OSError):
            raise unwritten(self._where(contents), wrote) from wrote
        if isinstance(wrote, BaseException):
            raise wrote
        if isinstance(early, BaseException):
            raise early
        return early

    def _due(self) -> dict[str, str]:
        """What Envoy can have in force by now: it reads nobody's endpoints before their cluster is there."""
        due = {
            kind: version
            for kind, version in self._awaited.items()
            if "cds" in self._awaited
            or not kind.startswith("eds/")
            or kind.removeprefix("eds/") in self.now.clusters
        }
        for kind in due:
            del self._awaited[kind]
        return due

    async def require(self, versions: dict[str, str], *, said: int) -> None:
        """See in force what Envoy was started with. ``said``: its log before that."""
        await self._confirm(versions, said=said)

    async def _confirm(
        self, versions: dict[str, str], *, said: int, early: Mapping[str, Standing] | None = None
    ) -> None:
        refused = await self._in_force(versions, early=early)
        if refused is not None:
            words = await self.admin.listener_error() if refused == "lds" else ""
            words = words or await self._place.words(said) or "it gives no reason"
            noun = _NOUNS[refused.partition("/")[0]]
            raise ProxyError(
                f"Envoy did not take the new {noun}: {words}", where=self._where([refused])
            )

    async def _in_force(
        self,
        versions: dict[str, str],
        *,
        early: Mapping[str, Standing] | None = None,
        certain: bool = False,
    ) -> str | None:
        """Wait for Envoy to say that versions are in force; the kind that it refused, or did not confirm.

        ``early``: its first answer, where it was asked already. ``certain``: they were in force before, so that a
        refusal is of something else.
        """
        deadline = time.monotonic() + self.settings.confirm
        left = dict(versions)
        while left:
            standing = await self.admin.standing(left) if early is None else early
            early = None
            for kind, version in tuple(left.items()):
                seen, before = standing.get(kind, Standing()), self._standing(kind)
                if seen.version == version:
                    self.standing[kind] = seen
                    del left[kind]
                elif seen.refusals > before.refusals and not certain:
                    self.standing[kind] = seen
                    return kind
            if left:
                if time.monotonic() >= deadline:
                    return next(iter(left))
                await asyncio.sleep(_POLL)
        return None

    def _standing(self, kind: str) -> Standing:
        return self.standing.get(kind, Standing())

    async def _undo(self) -> str:
        """Take back what was written; says which route is in force then."""
        try:
            versions = {k: v for k, v in (await self.files.restore()).items() if v}
            # What was refused never was in force; what was not confirmed may yet come.
            unsure = await self._in_force(versions, certain=True)
        except OSError as error:
            return f"it is not certain which route is in force ({error.strerror or error})"
        if unsure is not None:
            return f"it is not certain whether the old route is in force ({unsure})"
        return "the old route is in force"

    def _where(self, kinds: Iterable[str]) -> str:
        return f"{self._place.directory}/{path(next(iter(kinds)))}"


def unwritten(where: str, error: OSError) -> ProxyError:
    """The error for a file that cannot be written."""
    if isinstance(error, Unreachable):
        return unreachable(where, error)
    return ProxyError(
        f"cannot write: {error.strerror or error}",
        where=where,
        state="the old route is in force",
        next="make room, or give the right to write there; then run this again",
    )
