"""What a change on a Docker host asks for, in which order. Its Envoy runs here, and so do the scripts of its host."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.integration.envoy.conftest import free_port, require_envoy
from tests.integration.envoy.edge import HOST, App, app
from tests.integration.local.world import until

from pilotage.errors import HostLost
from pilotage.model import Front, Route
from pilotage.proxy.envoy import EnvoyProxy, EnvoySettings, docker, local_edge
from pilotage.proxy.envoy.admin import Admin
from pilotage.proxy.envoy.docker import DockerPlace
from pilotage.proxy.envoy.scripts import EdgeContainer
from pilotage.shell.base import OnBytes
from pilotage.shell.local import LocalShell

pytestmark = pytest.mark.integration

EDGE = EdgeContainer("shop", ".pilotage/shop")


class Told(list[str]):
    """What was asked for, in its order; what is asked again until the answer is yes is there once."""

    def add(self, what: str) -> None:
        if self[-1:] != [what]:
            self.append(what)

    def since(self) -> list[str]:
        """Since the last time."""
        found = list(self)
        self.clear()
        return found


class Host(LocalShell):
    """This machine, which tells of its scripts by what they do."""

    def __init__(self, home: Path, told: Told) -> None:
        super().__init__(HOST, home=home)
        self.told = told
        self.deletes = asyncio.Event()
        self.deletes.set()
        self.lost = False
        self.begins: Callable[[], bool] = lambda: True
        self.confirms: Callable[[], bool] = lambda: True

    async def stream(
        self,
        argv: Sequence[str],
        output: OnBytes,
        *,
        input: bytes = b"",
        limit: float | None = None,
    ) -> int:
        if b"flock 8" in input:
            self.told.add("write")
            await until(self.begins)
            status = await super().stream(argv, output, input=input, limit=limit)
            await until(self.confirms)
            return status
        if b"rmdir" in input:
            self.told.add("delete")
            await self.deletes.wait()
            if self.lost:
                raise HostLost("the link broke", where=self.host)
        elif b"flock" in input:
            self.told.add("read")
        return await super().stream(argv, output, input=input, limit=limit)


@dataclass
class Far:
    """An edge that runs, changed as that of a Docker host is."""

    proxy: EnvoyProxy
    place: DockerPlace
    host: Host
    told: Told

    def files(self, pattern: str) -> Iterator[Path]:
        """What is in the edge's directory."""
        return self.proxy.settings.directory.glob(pattern)

    async def switch(self, to: App, *draining: App, token: int = 1) -> None:
        """A change of the route."""
        old = tuple(it.endpoint for it in draining)
        await self.proxy.apply(HOST, Route((to.endpoint,), old), token=token)


Story = Callable[[Far], Awaitable[None]]


@pytest.fixture
def tell(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Story], None]]:
    """Run a story with an edge that serves nothing yet."""
    require_envoy()
    told = Told()
    ask = Admin._ask

    async def recorded(self: Admin, paths: Sequence[str]) -> list[tuple[int, bytes]]:
        told.add(" and ".join(map(named, paths)))
        return await ask(self, paths)

    # The path of a Unix socket must be short.
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        settings = EnvoySettings(
            home / EDGE.state_dir, HOST, free_port(), address="127.0.0.1", concurrency=1
        )
        local = local_edge(settings, lambda event: None)

        async def run(story: Story) -> None:
            await local.ensure(token=1)
            (home / EDGE.directory).symlink_to(settings.directory)
            monkeypatch.setattr(Admin, "_ask", recorded)
            host = Host(home, told)
            place = DockerPlace(host, EDGE, settings, lambda event: None)
            try:
                await story(Far(EnvoyProxy(settings, place), place, host, told))
            finally:
                await place.close()
                await local.remove(token=10**9)

        yield lambda story: asyncio.run(run(story))


def named(path: str) -> str:
    """A question to Envoy, in a word."""
    if "resource=" in path:
        return "route"
    if "version_text" in path:
        return "every version" if "cluster%5B.%5D" in path else "versions"
    return path.partition("?")[0]


def test_what_is_in_force_is_asked_once(tell: Callable[[Story], None]) -> None:
    async def story(far: Far) -> None:
        async with app("one") as one, app("two") as two:
            await far.switch(one)
            far.told.clear()
            await far.proxy.ensure(token=2)
            assert sorted(far.told.since()) == ["/ready and every version", "read"], "at once"
            # From here on Envoy is asked for what was written, and for nothing else.
            await far.switch(two, one, token=2)
            assert far.told.since() == ["write", "versions", "write", "versions"]
            await far.proxy.drain(HOST, (one.endpoint,), limit=60)
            assert far.told.since() == ["/clusters"]
            await far.switch(two, token=2)
            assert far.told.since()[:2] == ["write", "versions"]

    tell(story)


@pytest.mark.parametrize("late", ["begins", "confirms"])
def test_whether_it_is_in_force_is_asked_before_the_writing_is_confirmed(
    tell: Callable[[Story], None], late: str
) -> None:
    """The files may be there by then, or not yet."""

    async def story(far: Far) -> None:
        async with app("one") as one, app("two") as two, asyncio.timeout(60):
            await far.switch(one)
            far.told.clear()
            setattr(far.host, late, lambda: far.told[-1:] == ["versions"])
            await far.switch(two, one)
            assert far.told.since() == ["write", "versions", "write", "versions"]
            assert (await far.proxy.observe())[HOST].active == (two.endpoint,)

    tell(story)


def test_behind_a_new_connection_may_be_another_envoy(tell: Callable[[Story], None]) -> None:
    async def story(far: Far) -> None:
        async with app("one") as one, app("two") as two:
            await far.switch(one)
            far.told.clear()
            await far.place.close()
            await far.switch(two, one)
            assert far.told.since() == [
                "every version",
                *("write", "versions", "write", "versions"),
            ]
            # So it is when the connection has ended by itself.
            for _, writer in far.place._kept:
                writer.close()
            await far.switch(two)
            assert far.told.since()[:2] == ["write", "versions"]
            await far.place.left_to_itself()
            far.told.clear()
            await far.switch(one, two)
            assert far.told.since()[0] == "every version"

    tell(story)


def test_who_looks_with_authority_has_read_what_it_changes_next(
    tell: Callable[[Story], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(docker, "_RECENT", 60.0)

    async def story(far: Far) -> None:
        async with app("one") as one, app("two") as two:
            await far.switch(one)
            far.told.clear()
            assert (await far.proxy.observe(token=2))[HOST].active == (one.endpoint,)
            assert sorted(far.told.since()) == ["/ready and every version", "read"], "at once"
            await far.proxy.ensure(token=2)
            assert far.told.since() == []
            await far.switch(two, one, token=2)
            assert far.told.since() == ["write", "versions", "write", "versions"]
            # Once the connection has ended, nobody knows whether Envoy runs.
            for reader, _ in far.place._kept:
                reader.feed_eof()
            await far.proxy.ensure(token=2)
            assert far.told.since()[0] == "/ready and every version"
            monkeypatch.setattr(docker, "_RECENT", 0.0)
            await far.proxy.ensure(token=2)
            assert far.told.since() == ["/ready and every version"]

    tell(story)


def test_in_a_pause_who_looks_with_authority_asks_envoy(tell: Callable[[Story], None]) -> None:
    """It may have ended, and the files do not say so."""

    async def story(far: Far) -> None:
        async with app("one") as one:
            await far.switch(one)
            paused = Route((one.endpoint,), front=Front("pause", "Soon.", limit=60))
            await far.proxy.apply(HOST, paused, token=1)
            far.told.clear()
            assert (await far.proxy.observe(token=2))[HOST] == paused
            assert far.told.since()[2:] == ["route and route", "/config_dump"]

    tell(story)


def test_under_another_token_all_is_read_anew(tell: Callable[[Story], None]) -> None:
    async def story(far: Far) -> None:
        async with app("one") as one, app("two") as two:
            await far.switch(one)
            far.told.clear()
            await far.switch(two, one, token=2)
            found = far.told.since()
            assert sorted(found[:2]) == ["/ready and every version", "read"]
            assert found[2:6] == ["write", "versions", "write", "versions"]

    tell(story)


def test_what_nobody_needs_is_deleted_beside_what_comes_next(tell: Callable[[Story], None]) -> None:
    async def story(far: Far) -> None:
        async with app("one") as one, app("two") as two, asyncio.timeout(60):
            await far.switch(one)
            await far.switch(two, one)
            far.told.clear()
            far.host.deletes.clear()
            await far.switch(two)  # the host has not come to deleting anything
            assert far.place._leaving is not None
            assert len(list(far.files("eds/release-*"))) == 2
            # The next change waits for it, or it could take away what that one writes.
            change = asyncio.create_task(far.switch(one, two))
            await until(lambda: "delete" in far.told)
            assert far.told.since() == ["write", "versions", "delete"]
            far.host.deletes.set()
            await change
            assert far.told.since() == ["write", "versions", "write", "versions"]
            assert len(list(far.files("eds/release-*"))) == 2
            await far.switch(one)
            await far.place.close()
            assert len(list(far.files("eds/release-*"))) == 1

    tell(story)


def test_what_could_not_be_deleted_is_deleted_by_the_next_change(
    tell: Callable[[Story], None],
) -> None:
    async def story(far: Far) -> None:
        async with app("one") as one, app("two") as two:
            await far.switch(one)
            await far.switch(two, one)
            far.host.lost = True
            await far.switch(two)
            await far.place.close()
            assert len(list(far.files("eds/release-*"))) == 2
            far.host.lost = False
            far.told.clear()
            await far.switch(two)
            assert "read" in far.told.since()[:2], "of what is there nothing is certain"
            await far.place.close()
            assert len(list(far.files("eds/release-*"))) == 1

    tell(story)


def test_versions_that_are_not_those_of_the_files_are_asked_again(
    tell: Callable[[Story], None],
) -> None:
    """Files and versions are read at once: somebody may have written in between."""

    async def story(far: Far) -> None:
        async with app("one") as one, app("two") as two:
            await far.switch(one)
            file = far.proxy.settings.directory / "rds/rds.json"
            file.write_text(file.read_text().replace('"1-', '"9-').replace('"2-', '"9-'))
            far.told.clear()
            await far.switch(two, one, token=2)
            found = far.told.since()
            assert found[2:4] == ["every version", "/config_dump"]
            assert (await far.proxy.observe())[HOST].active == (two.endpoint,)

    tell(story)


async def test_nobody_waits_for_the_end_of_a_connection(tmp_path: Path) -> None:
    class Writer:
        closed = False

        def close(self) -> None:
            self.closed = True

        async def wait_closed(self) -> None:
            raise AssertionError("through SSH that is a round trip")

    settings = EnvoySettings(tmp_path, HOST, 80)
    place, writer = DockerPlace(LocalShell(), EDGE, settings, lambda event: None), Writer()
    place._kept.append((None, writer))  # type: ignore[arg-type]
    await place.close()
    assert writer.closed
