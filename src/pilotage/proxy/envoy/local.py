"""The edge of this machine: Envoy as a process, its directory ``proxy/`` of ``.pilotage/``."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

from pilotage.events import CommandRan, Emit
from pilotage.host.fence import Fence
from pilotage.host.files import write_atomic
from pilotage.proxy.envoy.admin import Admin, Standing, connect
from pilotage.proxy.envoy.config import EnvoySettings
from pilotage.proxy.envoy.place import Listing
from pilotage.proxy.envoy.process import EnvoyProcess

_READ = ("bootstrap.json", "lds/*.json", "cds/*.json", "rds/*.json", "sds/*.json", "eds/**/*.json")
_LEFT = ("*.previous.json", "*.sock")


@dataclass(frozen=True, slots=True)
class LocalPlace:
    """`pilotage.proxy.envoy.place.Place` without a host in between; held, it is the same."""

    settings: EnvoySettings
    emit: Emit

    @property
    def host(self) -> str:
        """This machine's name in the inventory."""
        return self.settings.host

    @property
    def directory(self) -> str:
        """Where Envoy runs."""
        return str(self._root)

    @property
    def log(self) -> str:
        """What Envoy says."""
        return str(self._process.log)

    @property
    def _root(self) -> Path:
        return self.settings.directory

    @property
    def _process(self) -> EnvoyProcess:
        return EnvoyProcess(self.settings)

    @contextlib.asynccontextmanager
    async def hold(self, token: int) -> AsyncIterator[LocalPlace]:
        """The fence of this machine's ``.pilotage/``."""
        async with Fence(self.settings.state_dir).hold(token):
            yield self

    def admin(self) -> AbstractAsyncContextManager[Admin]:
        """By its socket in the directory."""
        return connect(self._root)

    @property
    def answered(self) -> bool:
        """It is asked."""
        return False

    @property
    def standing(self) -> None:
        """Envoy of this machine is asked in a millisecond."""

    def keep(self, standing: Mapping[str, Standing]) -> None:
        """It is asked."""

    async def read(self) -> Listing:
        """Every file that matters, at once."""
        contents = {}
        for pattern in _READ:
            for found in self._root.glob(pattern):
                with contextlib.suppress(
                    OSError
                ):  # what cannot be read says nothing, and is replaced
                    contents[str(found.relative_to(self._root))] = found.read_bytes()
        left = {found.name for pattern in _LEFT for found in self._root.glob(pattern)}
        return Listing(contents, frozenset(left | set(contents)))

    async def write(self, files: Mapping[str, bytes], *, keep: Mapping[str, str]) -> None:
        """Each synced before it is renamed."""
        self._root.mkdir(mode=0o700, exist_ok=True)
        for name, second in keep.items():
            # A second name for the old file, because going back must not need space on the disk.
            kept = self._root / second
            kept.unlink(missing_ok=True)
            with contextlib.suppress(FileNotFoundError):
                kept.hardlink_to(self._root / name)
        for name, content in files.items():
            path = self._root / name
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomic(path, content)

    async def restore(self, kept: Mapping[str, str | None]) -> None:
        """Rename."""
        for name, second in kept.items():
            path = self._root / name
            if second is None:
                path.unlink(missing_ok=True)
            else:
                with contextlib.suppress(FileNotFoundError):
                    (self._root / second).rename(path)

    async def delete(self, names: Collection[str]) -> None:
        """Unlink."""
        for name in names:
            (self._root / name).unlink(missing_ok=True)
        for folder in (self._root / "eds").iterdir():
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()

    async def destroy(self) -> None:
        """With what Envoy said."""
        with contextlib.suppress(FileNotFoundError):
            await asyncio.to_thread(shutil.rmtree, self._root)

    async def alive(self) -> bool:
        """By its record."""
        return self._process.alive

    async def clear(self) -> None:
        """The shim of one that died has its port until the last of it is gone."""
        await self._process.stop()
        self._process.require_port()

    async def start(self) -> None:
        """As a process that outlives this one."""
        began = time.monotonic()
        await self._process.start()
        argv = ("envoy", "-c", str(self._root / "bootstrap.json"))
        seconds = time.monotonic() - began
        self.emit(CommandRan(host=self.host, argv=argv, seconds=seconds, status=0))

    async def ready(self) -> None:
        """A deployer that was killed may just have started it."""
        await self._process.ready(since=self._process.said())

    async def stop(self) -> None:
        """SIGTERM, then SIGKILL."""
        await self._process.stop()

    async def said(self) -> int:
        """Bytes of its log."""
        return self._process.said()

    async def words(self, since: int) -> str:
        """From its log."""
        return self._process.words(since=since)
