"""The edge itself: `pilotage.proxy.base.Proxy` over Envoy's files and its admin interface.

Every mutation holds the fence from the comparison of the token until Envoy has confirmed the change,
or the old file is back: two deployers never have a route in the air at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pilotage.errors import ProxyError
from pilotage.events import CommandRan, Emit
from pilotage.host.fence import Fence
from pilotage.host.files import dump_json, write_atomic
from pilotage.model import Endpoint, Route, Sample
from pilotage.proxy.envoy import config
from pilotage.proxy.envoy.admin import Admin, connect
from pilotage.proxy.envoy.config import EnvoySettings
from pilotage.proxy.envoy.files import EnvoyFiles
from pilotage.proxy.envoy.process import EnvoyProcess

_POLL = 0.001  # Envoy takes a file in about 1 ms
_DRAIN_POLL = (
    0.05  # and its worker threads follow within a few: two polls are further apart than that
)
_NOUNS = {"eds": "route", "cds": "cluster", "rds": "route table", "lds": "listener"}


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
        process = self._process
        process.require_port()  # before anything is written
        said = process.said()
        versions = {kind: self._write(kind, it) for kind, it in self._resources().items()}
        self._write_rest()
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
        for kind, version in versions.items():
            if not await self._in_force(admin, kind, version, refused=0):
                raise await self._refused(admin, kind, said, state="no edge runs")

    async def _update(self) -> None:
        """Bring a running Envoy to what the configuration says."""
        await self._process.ready(
            since=self._process.said()
        )  # a killed deployer may just have started it
        self._write_rest()
        async with self._admin() as admin:
            for kind, resource in self._resources().items():
                await self._change(admin, kind, resource)

    async def observe(self) -> Mapping[str, Route]:
        """What Envoy itself says that it does; nothing when it does not run."""
        if not self._process.alive:
            return {}
        try:
            async with connect(self.settings.directory) as admin:
                # But for the middle of a change, that is what the file says, in the order it was given.
                written = self._files.route()
                if written is not None and await admin.version("eds") == written[0]:
                    return {self.settings.host: written[1]}
                return {self.settings.host: await admin.route()}
        except OSError:
            return {}

    async def apply(self, host: str, route: Route, *, token: int) -> float:
        """Rename the endpoints into place, and wait until Envoy says that they are in force."""
        self._require_host(host)
        async with self._fence.hold(token), self._admin() as admin:
            await self._change(admin, "eds", config.endpoints(route))
            return time.monotonic()

    async def measure(self, release: str) -> Mapping[str, Sample]:
        """Not counted yet by release: everything goes to one cluster."""
        return {self.settings.host: Sample()}

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
                raise self._unwritten(self.settings.directory, error) from error

    # -- files -------------------------------------------------------------------------------

    def _resources(self) -> dict[str, dict[str, Any]]:
        """What Envoy must have in force, in the order in which it may be given it."""
        settings = self.settings
        resources = {
            "cds": config.cluster(settings),
            "rds": config.routes(settings),
            "lds": config.listener(settings),
        }
        if self._files.version("eds") is None:
            return {"eds": config.endpoints(Route()), **resources}
        return resources

    def _write_rest(self) -> None:
        """Write what is read at the start of Envoy, and the certificate, which it confirms nowhere."""
        settings = self.settings
        if settings.tls:
            for path in (settings.tls.certificate, settings.tls.key):
                if not path.is_file():
                    raise ProxyError("there is no such certificate or key", where=str(path))
            self._write("sds", config.certificate(settings.tls))
        path = settings.directory / "bootstrap.json"
        try:
            settings.directory.mkdir(mode=0o700, exist_ok=True)
            write_atomic(path, dump_json(config.bootstrap(settings)))
        except OSError as error:
            raise self._unwritten(path, error) from error

    def _write(self, kind: str, resource: Mapping[str, Any], *, anew: bool = False) -> str:
        try:
            self.settings.directory.mkdir(mode=0o700, exist_ok=True)
            return self._files.write(kind, resource, anew=anew)
        except OSError as error:
            raise self._unwritten(self._files.path(kind), error) from error

    # -- one change --------------------------------------------------------------------------

    async def _change(self, admin: Admin, kind: str, resource: Mapping[str, Any]) -> None:
        """Write one file and see it in force, or put the old one back and say why."""
        said = self._process.said()
        refused = await admin.refusals(kind)
        before = self._files.version(kind)
        version = self._write(kind, resource, anew=await admin.version(kind) != before)
        noun = _NOUNS[kind]
        try:
            if await self._in_force(admin, kind, version, refused=refused):
                return
            unclear = await admin.refusals(kind) <= refused
            restored = self._restore(kind)
            # Refused, it never was in force. Not confirmed, it may yet come: wait for the old one.
            if not unclear or await self._in_force(admin, kind, restored, refused=None):
                state = f"the old {noun} is in force"
            else:
                state = f"it is not certain which {noun} is in force, {before} or {version}"
            raise await self._refused(admin, kind, said, state=state)
        except OSError:
            self._restore(kind)
            raise

    async def _in_force(
        self, admin: Admin, kind: str, version: str | None, *, refused: int | None
    ) -> bool:
        """Wait for Envoy to say that a version is in force; False once it refused it, or did not say so."""
        deadline = time.monotonic() + self.settings.confirm
        while await admin.version(kind) != version:
            if refused is not None and await admin.refusals(kind) > refused:
                return False
            if time.monotonic() >= deadline:
                return False
            await asyncio.sleep(_POLL)
        return True

    def _restore(self, kind: str) -> str | None:
        try:
            return self._files.restore(kind)
        except OSError as error:
            raise self._unwritten(self._files.path(kind), error) from error

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
                state="nothing is served, and the route is the old one",
                next="`pilotage deploy` starts it again with that route",
            ) from error

    async def _refused(self, admin: Admin, kind: str, said: int, *, state: str) -> ProxyError:
        words = await admin.listener_error() if kind == "lds" else ""
        words = words or self._process.words(since=said) or "it gives no reason"
        return ProxyError(
            f"Envoy did not take the new {_NOUNS[kind]}: {words}",
            where=str(self._files.path(kind)),
            state=state,
        )

    def _silent(self, error: OSError) -> ProxyError:
        return ProxyError(
            f"Envoy runs, and its admin interface does not answer: {error.strerror or error}",
            where=str(self.settings.directory),
            state="it serves what it served before, as far as it serves",
            next=f"see {self._process.log}",
        )

    def _unwritten(self, path: Path, error: OSError) -> ProxyError:
        return ProxyError(
            f"cannot write: {error.strerror or error}",
            where=str(path),
            state="the old route is in force",
            next="make room, or give the right to write there; then run this again",
        )

    def _require_host(self, host: str) -> None:
        if host != self.settings.host:
            raise ProxyError(
                f"this proxy is on {self.settings.host}, and knows no host {host}", where=host
            )
