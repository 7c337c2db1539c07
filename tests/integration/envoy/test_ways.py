"""Changes that did not come to their end, changes that are refused half-way, and an edge of an older version."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path

import pytest
from tests.integration.envoy.edge import HOST, Edge, app, ask, client
from tests.integration.local.world import until

from pilotage.errors import ProxyError
from pilotage.model import Endpoint, Front, Route
from pilotage.proxy.envoy.admin import connect
from pilotage.proxy.envoy.change import Change
from pilotage.proxy.envoy.files import EnvoyFiles
from pilotage.proxy.envoy.process import EnvoyProcess
from pilotage.proxy.envoy.steps import steps

pytestmark = pytest.mark.integration

HERE = Path(__file__).parent
PAGE = Front("maintenance", "Back soon.")
PAUSE = Front("pause", limit=60)


async def cut_short(edge: Edge, route: Route, files: int) -> bool:
    """What a deployer leaves that is killed after so many files of a change; False when it was all."""
    async with connect(edge.settings.directory) as admin:
        state, standing = await admin.state(), await admin.standing()
        way = steps(edge.settings, state, route)
        every = (*way.before, *way.after)
        read = await EnvoyFiles.read(edge.proxy.place)
        change = Change(edge.settings, admin, read, state, standing)
        for write in every[:files]:
            await change.put((write,))
    return files < len(every)


@contextlib.asynccontextmanager
async def load(edge: Edge) -> list[str]:
    """Requests all the time; the answers, by body or status."""
    answers: list[str] = []
    stop = asyncio.Event()

    async def one() -> None:
        async with client(edge.port) as it:
            while not stop.is_set():
                answer = await it.get()
                answers.append(answer.body.decode() if answer.status == 200 else str(answer.status))
                await asyncio.sleep(0.002)

    tasks = [asyncio.create_task(one()) for _ in range(4)]
    try:
        yield answers
    finally:
        stop.set()
        await asyncio.gather(*tasks)


@pytest.mark.parametrize("to", ["switch", "trial", "promote", "back", "close", "pause", "open"])
def test_a_deployer_that_is_killed_between_two_files_of_a_change(edge, to):
    """What is observed is what clients get; nobody loses a request; the next change does the rest."""

    async def story():
        async with app("one") as one, app("two") as two:
            a, b = one.endpoint, two.endpoint
            start, end = {
                "switch": (Route((a,)), Route((b,), (a,))),
                "trial": (Route((a,)), Route((a,), trial=(b,), share=0.5)),
                "promote": (Route((a,), trial=(b,), share=0.5), Route((b,), (a,))),
                "back": (Route((b,), (a,)), Route((a,), (b,))),
                "close": (Route((a,)), Route((a,), front=PAGE)),
                "pause": (Route((a,)), Route((a,), front=PAUSE)),
                "open": (Route((a,), front=PAUSE), Route((b,), (a,))),
            }[to]
            await edge.proxy.ensure(token=1)
            files, more = 0, True
            while more:
                await edge.proxy.apply(HOST, start, token=1)
                waiting = None
                if start.front:
                    waiting = asyncio.create_task(ask(edge.port))
                    await until(lambda: True)
                more = await cut_short(edge, end, files)
                seen = await edge.observed()
                assert (seen.front, seen.share) in {(it.front, it.share) for it in (start, end)}
                if seen.front is None:
                    names = {e.release for e in (*seen.active, *seen.trial)}
                    async with load(edge) as answers:
                        await until(lambda many=answers: len(many) > 40)
                    assert set(answers) == names
                elif seen.front == PAGE:
                    assert await ask(edge.port) == "503"
                async with (
                    load(edge) if to in ("switch", "back", "promote") else nothing() as answers
                ):
                    await edge.proxy.ensure(token=1)
                    assert {e.release for e in (await edge.observed()).active} == {
                        e.release for e in seen.active
                    }, "a new deployer keeps what it finds"
                    await edge.proxy.apply(HOST, end, token=1)
                assert set(answers) <= {"one", "two"}
                assert await edge.observed() == end
                if waiting is not None:
                    assert await waiting in {"one", "two"}
                files += 1
            await edge.proxy.apply(HOST, Route((b,)), token=1)
            assert files > 3

    asyncio.run(story())


@contextlib.asynccontextmanager
async def nothing():
    yield []


def test_a_change_that_is_refused_in_its_middle_is_taken_back_to_its_beginning(edge):
    """The endpoints of the active release were in force already when the new release was refused."""

    async def story():
        async with app("a", of="one") as a, app("b", of="one") as b, app("two") as two:
            await edge.proxy.ensure(token=1)
            route, _ = await edge.route(a, draining=(two,))
            before = edge.files()
            bad = Endpoint("web-bad", "bad", "not-an-address:1")
            with pytest.raises(ProxyError) as caught:
                await edge.proxy.apply(HOST, Route((b.endpoint,), trial=(bad,), share=0.5), token=1)
            assert "not-an-address" in caught.value.what
            assert caught.value.state == "the old route is in force"
            assert await edge.observed() == route
            assert {await ask(edge.port) for _ in range(20)} == {"a"}
            assert edge.files() == before
            after, _ = await edge.route(b, trial=(two.endpoint,), share=0.5)
            assert await edge.observed() == after

    asyncio.run(story())


def test_what_is_in_force_is_not_written_again(edge):
    async def story():
        async with app("one") as one, app("two") as two:
            await edge.proxy.ensure(token=1)
            for front in (None, PAGE, PAUSE):
                await edge.route(one, draining=(two,), front=front)
                before = edge.files()
                await edge.route(one, draining=(two,), front=front)
                await edge.proxy.ensure(token=1)
                assert edge.files() == before

    asyncio.run(story())


def test_a_removed_endpoint_of_a_release_that_drains_is_counted_until_then(edge):
    async def story():
        async with app("a", of="one") as a, app("b", of="one") as b, app("two") as two:
            await edge.proxy.ensure(token=1)
            await edge.route(a)
            async with client(edge.port) as it:
                slow = asyncio.create_task(it.get("/slow"))
                await until(lambda: a.served)
                await edge.route(a, b)
                await edge.route(two, draining=(a, b))
                assert await edge.proxy.drain(HOST, (b.endpoint,), limit=30) == 0
                await edge.route(two, draining=(a,))
                assert await edge.proxy.drain(HOST, (a.endpoint,), limit=0.1) == 1
                await edge.route(b, draining=(a, two))
                assert await edge.proxy.drain(HOST, (a.endpoint,), limit=0.1) == 1
                a.release.set()
                assert (await slow).body == b"a"
            assert await edge.proxy.drain(HOST, (a.endpoint,), limit=20) == 0

    asyncio.run(story())


# -- an edge of the version that had one cluster -------------------------------------------------


async def older(edge: Edge, one: Endpoint, zero: Endpoint) -> None:
    """Start Envoy as that version did: ``one`` serves, ``zero`` drains."""
    text = (HERE / "one_cluster.json").read_text()
    for port, now in ((18080, edge.port), (18081, one), (18082, zero)):
        text = text.replace(
            str(port), now.address.rpartition(":")[2] if now != edge.port else str(now)
        )
    for name, content in json.loads(text).items():
        file = edge.settings.directory / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(content))
    await EnvoyProcess(edge.settings).start()


def test_an_edge_of_the_older_version_is_taken_over_under_load(edge):
    async def story():
        async with app("one") as one, app("zero") as zero, app("two") as two:
            await older(edge, one.endpoint, zero.endpoint)
            route = Route((one.endpoint,), (zero.endpoint,))
            assert await edge.observed() == route
            pid = edge.pid()
            async with load(edge) as answers, client(edge.port) as it:
                slow = asyncio.create_task(it.get("/slow"))
                await until(lambda: len(answers) > 20)
                await edge.proxy.ensure(token=1)
                assert await edge.observed() == route
                await edge.route(two, draining=(one, zero))
                assert await edge.proxy.drain(HOST, (zero.endpoint,), limit=30) == 0
                assert await edge.proxy.drain(HOST, (one.endpoint,), limit=0.2) == 1
                one.release.set()
                assert (await slow).body == b"one"
                assert await edge.proxy.drain(HOST, (one.endpoint,), limit=20) == 0
                route, _ = await edge.route(two)
                await until(lambda: answers[-20:] == ["two"] * 20)
            assert set(answers) == {"one", "two"}
            assert edge.pid() == pid
            assert await edge.observed() == route
            files = await EnvoyFiles.read(edge.proxy.place)
            assert [it["name"] for it in files.resources("cds")] == ["release-two"]
            assert not (edge.settings.directory / "eds" / "eds.json").exists()

    asyncio.run(story())


def test_an_edge_of_the_older_version_that_is_gone_comes_back_with_its_route(edge):
    async def story():
        async with app("one") as one, app("zero") as zero:
            await older(edge, one.endpoint, zero.endpoint)
            await EnvoyProcess(edge.settings).stop()
            await edge.proxy.ensure(token=1)
            assert await edge.observed() == Route((one.endpoint,), (zero.endpoint,))
            assert await ask(edge.port) == "one"
            assert zero.served == 0

    asyncio.run(story())
