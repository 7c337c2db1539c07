"""The edge itself: `pilotage.proxy.base.Proxy` over Envoy's files and its admin interface.

Every mutation holds the fence from the comparison of the token until Envoy has confirmed the change,
or the old file is back: two deployers never have a route in the air at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from pilotage.errors import EdgeUnreachable, ProxyError
from pilotage.events import Emit
from pilotage.host.files import dump_json
from pilotage.model import Endpoint, Route, Sample
from pilotage.proxy.base import Ready
from pilotage.proxy.checks import require_sound
from pilotage.proxy.envoy import answers, config, names
from pilotage.proxy.envoy.admin import Admin
from pilotage.proxy.envoy.change import Change, unwritten
from pilotage.proxy.envoy.config import EnvoySettings
from pilotage.proxy.envoy.files import EnvoyFiles
from pilotage.proxy.envoy.local import LocalPlace
from pilotage.proxy.envoy.place import Held, Place, Unreachable, unreachable
from pilotage.proxy.envoy.state import State
from pilotage.proxy.envoy.steps import steps

_DRAIN_POLL = (
    0.05  # and its worker threads follow within a few: two polls are further apart than that
)


@dataclass(frozen=True, slots=True)
class EnvoyProxy:
    """Envoy on one host, one a project and destination."""

    settings: EnvoySettings
    place: Place

    async def ensure(self, *, token: int) -> None:
        """Write what the configuration says, keep the route, and start Envoy if it does not run."""
        async with self.place.hold(token) as held:
            if await held.alive():
                await self._update(held)
            else:
                await self._start(held)

    async def _start(self, place: Held) -> None:
        await place.clear()  # before anything is written
        said = await place.said()
        files = await EnvoyFiles.read(place)
        now = files.state()
        way = steps(self.settings, now, now.route())
        wanted = {write.kind: write.resources for write in (*way.before, *way.after)}
        contents = {kind: files.next(kind, resources) for kind, resources in wanted.items()}
        try:
            await files.write(
                {k: content for k, content in contents.items() if content}, keep=False
            )
        except OSError as error:
            raise unwritten(place.directory, error) from error
        await self._write_rest(files)
        with contextlib.suppress(OSError):
            await files.prune()
        await place.start()
        try:
            async with self._admin() as admin:
                change = Change(self.settings, admin, files, State(), {})
                await change.require(
                    {kind: files.version(kind) or "" for kind in wanted}, said=said
                )
        except BaseException as error:
            if isinstance(error, ProxyError):
                error.state = "no edge runs"
            await asyncio.shield(place.stop())
            raise

    async def _update(self, place: Held) -> None:
        """Bring a running Envoy to what the configuration says."""
        await place.ready()
        files = await EnvoyFiles.read(place)
        await self._write_rest(files)
        async with self._change(files) as change:
            await change.make(change.now.route())

    @contextlib.asynccontextmanager
    async def _change(self, files: EnvoyFiles) -> AsyncIterator[Change]:
        async with self._admin() as admin:
            known = files.place.standing
            standing = dict(known) if known and files.in_force(known) else await admin.standing()
            state = files.state() if files.in_force(standing) else await admin.state()
            yield Change(self.settings, admin, files, state, standing)
            if files.in_force(standing) and not admin.reopened:
                files.place.keep({k: standing[k] for k in files.kinds() if k in standing})

    async def observe(self, *, token: int | None = None) -> Mapping[str, Route]:
        """What Envoy itself says that it does; nothing when it does not run."""
        try:
            if token is None:
                return {self.place.host: await self._route()}
            async with self.place.hold(token) as held:
                return {self.place.host: await self._held_route(held)}
        except (OSError, EdgeUnreachable):
            return {}

    async def _route(self) -> Route:
        async with self.place.admin() as admin:
            return await admin.route()

    async def _held_route(self, held: Held) -> Route:
        """What it says may be that it has in force just these files. A pause may be over, which they do not say."""
        if held.answered and held.standing:
            files = await EnvoyFiles.read(held)
            if files.in_force(held.standing) and not files.state().paused:
                return files.state().route()
        return await self._route()

    async def apply(
        self, host: str, route: Route, *, token: int, ready: Ready | None = None
    ) -> float:
        """Put in force what the route needs, then the route, and take away what it needs no more."""
        self._require_host(host)
        require_sound(host, route)
        async with self.place.hold(token) as held:
            files = await EnvoyFiles.read(held)
            async with self._change(files) as change:
                return await change.make(route, ready=ready)

    async def measure(self, release: str) -> Mapping[str, Sample]:
        """Envoy's own counts of the answers; `pilotage.proxy.envoy.answers` says of which.

        Latencies are a second old at most. They begin anew, as the counts do, when Envoy is started.
        """
        try:
            async with self.place.admin() as admin:
                return {self.place.host: answers.sample(await admin.answers(), release)}
        except OSError:
            return {}

    async def drain(self, host: str, endpoints: tuple[Endpoint, ...], *, limit: float) -> int:
        """Poll Envoy's own count of each endpoint's requests.

        Raises
        ------
        ProxyError
            Envoy runs and did not answer until the limit.
        """
        self._require_host(host)
        addresses = {endpoint.address for endpoint in endpoints}
        deadline = time.monotonic() + limit
        while addresses:
            try:
                async with self.place.admin() as admin:
                    return await self._drained(admin, addresses, deadline)
            except OSError as error:
                if not await self._alive():
                    break  # what was in flight ended with Envoy
                if time.monotonic() >= deadline:
                    raise self._silent(error) from error
                await asyncio.sleep(_DRAIN_POLL)
        return 0

    async def _drained(self, admin: Admin, addresses: set[str], deadline: float) -> int:
        zeros = 0
        while True:
            counts = await admin.in_flight()
            left = sum(counts.get(address, 0) for address in addresses)
            zeros = 0 if left else zeros + 1
            if zeros == 2 or (left and time.monotonic() >= deadline):
                return left
            await asyncio.sleep(_DRAIN_POLL)

    async def remove(self, *, token: int) -> None:
        """Stop Envoy and delete its files."""
        async with self.place.hold(token) as held:
            await held.stop()
            try:
                await held.destroy()
            except OSError as error:
                raise unwritten(self.place.directory, error) from error

    # -- files -------------------------------------------------------------------------------

    async def _write_rest(self, files: EnvoyFiles) -> None:
        """Write what is read at the start of Envoy, and the certificate, which it confirms nowhere."""
        settings = self.settings
        wanted = {"bootstrap.json": dump_json(config.bootstrap(settings))}
        if settings.tls:
            for path in (settings.tls.certificate, settings.tls.key):
                if not path.is_file():
                    raise ProxyError("there is no such certificate or key", where=str(path))
            secret = files.next("sds", (config.certificate(settings.tls),))
            if secret is not None:
                wanted[names.path("sds")] = dump_json(secret)
        changed = {
            name: content for name, content in wanted.items() if files.contents.get(name) != content
        }
        if not changed:
            return
        try:
            await files.put(changed, keep={})
        except OSError as error:
            raise unwritten(f"{self.place.directory}/{next(iter(changed))}", error) from error

    # -- errors ------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def _admin(self) -> AsyncIterator[Admin]:
        """The admin interface; what goes wrong with it is told as what it means."""
        try:
            async with self.place.admin() as admin:
                yield admin
        except OSError as error:
            if await self._alive():
                raise self._silent(error) from error
            raise ProxyError(
                "Envoy is gone",
                where=f"{self.settings.address}:{self.settings.port} on {self.settings.host}",
                state="nothing is served",
                next="`pilotage deploy` starts it again with the route that it had",
            ) from error

    async def _alive(self) -> bool:
        try:
            return await self.place.alive()
        except Unreachable as error:
            raise unreachable(self.place.host, error) from error

    def _silent(self, error: OSError) -> ProxyError:
        return ProxyError(
            f"Envoy runs, and its admin interface does not answer: {error.strerror or error}",
            where=self.place.directory,
            state="it is not certain which route is in force",
            next=f"see {self.place.log}, and whether the way to its socket is open",
        )

    def _require_host(self, host: str) -> None:
        if host != self.place.host:
            raise ProxyError(
                f"this proxy is on {self.place.host}, and knows no host {host}", where=host
            )


def local_edge(settings: EnvoySettings, emit: Emit) -> EnvoyProxy:
    """The edge of this machine."""
    return EnvoyProxy(settings, LocalPlace(settings, emit))
