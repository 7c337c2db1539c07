"""The edge itself: `pilotage.proxy.base.Proxy` over Envoy's files and its admin interface.

Every mutation holds the fence from the comparison of the token until Envoy has confirmed the change,
or the old file is back: two deployers never have a route in the air at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass

from pilotage.errors import ProxyError
from pilotage.events import CommandRan, Emit
from pilotage.host.fence import Fence
from pilotage.host.files import dump_json, write_atomic
from pilotage.model import Endpoint, Route, Sample
from pilotage.proxy.checks import require_sound
from pilotage.proxy.envoy import answers, config
from pilotage.proxy.envoy.admin import Admin, connect
from pilotage.proxy.envoy.change import Change, unwritten
from pilotage.proxy.envoy.config import EnvoySettings
from pilotage.proxy.envoy.files import EnvoyFiles
from pilotage.proxy.envoy.names import Resource
from pilotage.proxy.envoy.process import EnvoyProcess
from pilotage.proxy.envoy.state import State
from pilotage.proxy.envoy.steps import steps

_DRAIN_POLL = (
    0.05  # and its worker threads follow within a few: two polls are further apart than that
)


@dataclass(frozen=True, slots=True)
class EnvoyProxy:
    """Envoy on this machine, one a project."""

    settings: EnvoySettings
    emit: Emit

    @property
    def _process(self) -> EnvoyProcess:
        return EnvoyProcess(self.settings)

    @property
    def _files(self) -> EnvoyFiles:
        return EnvoyFiles(self.settings.directory)

    @property
    def _fence(self) -> Fence:
        return Fence(self.settings.state_dir)

    async def ensure(self, *, token: int) -> None:
        """Write what the configuration says, keep the route, and start Envoy if it does not run."""
        async with self._fence.hold(token):
            if self._process.alive:
                await self._update()
            else:
                await self._start()

    async def _start(self) -> None:
        process, files = self._process, self._files
        await process.stop()  # one that died has its port until the last of it is gone
        process.require_port()  # before anything is written
        said = process.said()
        now = files.state()
        way = steps(self.settings, now, now.route())
        versions = {it.kind: self._write(it.kind, it.resources) for it in (*way.before, *way.after)}
        self._write_rest()
        with contextlib.suppress(OSError):
            files.prune()
        started = time.monotonic()
        await process.start()
        argv = ("envoy", "-c", str(self.settings.directory / "bootstrap.json"))
        seconds = time.monotonic() - started
        self.emit(CommandRan(host=self.settings.host, argv=argv, seconds=seconds, status=0))
        try:
            async with self._admin() as admin:
                await self._require_in_force(admin, versions, said)
        except BaseException:
            await asyncio.shield(process.stop())
            raise

    async def _require_in_force(self, admin: Admin, versions: Mapping[str, str], said: int) -> None:
        change = Change(self.settings, admin, State())
        try:
            for kind, version in versions.items():
                await change.confirm(kind, version, refused=0, said=said)
        except ProxyError as error:
            error.state = "no edge runs"
            raise

    async def _update(self) -> None:
        """Bring a running Envoy to what the configuration says."""
        # A deployer that was killed may just have started it.
        await self._process.ready(since=self._process.said())
        self._write_rest()
        async with self._admin() as admin:
            now = await admin.state()
            await Change(self.settings, admin, now).make(now.route())

    async def observe(self) -> Mapping[str, Route]:
        """What Envoy itself says that it does; nothing when it does not run."""
        try:
            async with self._asked() as admin:
                return {self.settings.host: (await admin.state()).route()} if admin else {}
        except OSError:
            return {}

    async def apply(self, host: str, route: Route, *, token: int) -> float:
        """Put in force what the route needs, then the route, and take away what it needs no more."""
        self._require_host(host)
        require_sound(host, route)
        async with self._fence.hold(token), self._admin() as admin:
            return await Change(self.settings, admin, await admin.state()).make(route)

    async def measure(self, release: str) -> Mapping[str, Sample]:
        """Envoy's own counts of the answers; `pilotage.proxy.envoy.answers` says of which.

        Latencies are a second old at most. They begin anew, as the counts do, when Envoy is started.
        """
        try:
            async with self._asked() as admin:
                stats = await admin.answers() if admin else None
        except OSError:
            return {}
        return {self.settings.host: answers.sample(stats, release)} if stats else {}

    @contextlib.asynccontextmanager
    async def _asked(self) -> AsyncIterator[Admin | None]:
        """The admin interface; None when no Envoy runs."""
        if self._process.alive:
            async with connect(self.settings.directory) as admin:
                yield admin
        else:
            yield None

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
                async with connect(self.settings.directory) as admin:
                    return await self._drained(admin, addresses, deadline)
            except OSError as error:
                if not self._process.alive:
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
        async with self._fence.hold(token):
            await self._process.stop()
            try:
                await asyncio.to_thread(shutil.rmtree, self.settings.directory)
            except FileNotFoundError:
                pass
            except OSError as error:
                raise unwritten(str(self.settings.directory), error) from error

    # -- files -------------------------------------------------------------------------------

    def _write_rest(self) -> None:
        """Write what is read at the start of Envoy, and the certificate, which it confirms nowhere."""
        settings = self.settings
        if settings.tls:
            for path in (settings.tls.certificate, settings.tls.key):
                if not path.is_file():
                    raise ProxyError("there is no such certificate or key", where=str(path))
            self._write("sds", (config.certificate(settings.tls),))
        path = settings.directory / "bootstrap.json"
        try:
            settings.directory.mkdir(mode=0o700, exist_ok=True)
            write_atomic(path, dump_json(config.bootstrap(settings)))
        except OSError as error:
            raise unwritten(str(path), error) from error

    def _write(self, kind: str, resources: Sequence[Resource]) -> str:
        try:
            self.settings.directory.mkdir(mode=0o700, exist_ok=True)
            return self._files.write(kind, resources)
        except OSError as error:
            raise unwritten(str(self._files.path(kind)), error) from error

    # -- errors ------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def _admin(self) -> AsyncIterator[Admin]:
        """The admin interface; what goes wrong with it is told as what it means."""
        try:
            async with connect(self.settings.directory) as admin:
                yield admin
        except OSError as error:
            if self._process.alive:
                raise self._silent(error) from error
            raise ProxyError(
                "Envoy is gone",
                where=f"{self.settings.address}:{self.settings.port} on {self.settings.host}",
                state="nothing is served",
                next="`pilotage deploy` starts it again with the route that it had",
            ) from error

    def _silent(self, error: OSError) -> ProxyError:
        return ProxyError(
            f"Envoy runs, and its admin interface does not answer: {error.strerror or error}",
            where=str(self.settings.directory),
            state="it is not certain which route is in force",
            next=f"see {self._process.log}",
        )

    def _require_host(self, host: str) -> None:
        if host != self.settings.host:
            raise ProxyError(
                f"this proxy is on {self.settings.host}, and knows no host {host}", where=host
            )
