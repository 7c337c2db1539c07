"""What each release answered, as a real Envoy counts it."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from tests.integration.envoy.edge import HOST, Edge, app, ask, client
from tests.integration.local.world import until

from pilotage.model import Route, Sample

pytestmark = pytest.mark.integration


async def counted(edge: Edge, release: str, *, requests: int, timed: int = 0) -> Sample:
    """The sample once it has this many requests: Envoy counts a request just after it answered."""
    async with asyncio.timeout(60):
        while True:
            sample = (await edge.proxy.measure(release))[HOST]
            if sample.requests >= requests and sum(n for _, n in sample.latency) >= timed:
                return sample
            await asyncio.sleep(0.02)


async def send(edge: Edge, path: str, times: int = 1) -> None:
    """Requests that may end in any way."""
    for _ in range(times):
        async with client(edge.port) as it:
            with contextlib.suppress(asyncio.IncompleteReadError):
                await it.get(path)


def at_most(sample: Sample, ms: float) -> int:
    return sum(count for bound, count in sample.latency if bound <= ms)


def test_every_answer_is_counted_once_for_its_release(edge):
    async def story():
        async with app("one") as one, app("two") as two:
            await edge.proxy.ensure(token=1)
            await edge.route(one)
            assert await edge.proxy.measure("one") == {HOST: Sample()}
            await send(edge, "/", 7)
            await send(edge, "/500", 3)
            await send(edge, "/reset", 2)  # Envoy answers these itself
            await send(edge, "/cut", 4)  # the client saw 200, and then half of a body
            await send(edge, "/late/300", 5)
            sample = await counted(edge, "one", requests=21, timed=15)
            assert (sample.requests, sample.errors) == (21, 9)
            assert at_most(sample, 299) == 10
            assert sum(n for _, n in sample.latency) == 15, "a broken answer has no time"
            await edge.route(two, draining=(one,))
            await send(edge, "/", 6)
            await send(edge, "/500")
            other = await counted(edge, "two", requests=7)
            assert (other.requests, other.errors) == (7, 1)
            assert await counted(edge, "one", requests=21, timed=15) == sample

    asyncio.run(story())


def test_a_request_that_was_retried_and_then_answered_is_one_good_answer(edge):
    async def story():
        async with app("one", of="r") as one, app("two", of="r") as two:
            await edge.proxy.ensure(token=1)
            await edge.route(one, two)
            await one.kill()
            await send(edge, "/", 20)
            sample = await counted(edge, "r", requests=20)
            assert (sample.requests, sample.errors) == (20, 0)

    asyncio.run(story())


def test_of_several_active_releases_another_answers_for_one_that_is_gone(edge):
    """In a rolling deploy an instance that dies may be the only one of its release."""

    async def story():
        async with app("one") as one, app("two") as two, app("three") as three:
            await edge.proxy.ensure(token=1)
            route, _ = await edge.route(one, two, three)
            assert await edge.observed() == route
            assert {await ask(edge.port) for _ in range(50)} == {"one", "two", "three"}
            await one.kill()
            async with client(edge.port) as it:
                for method in ("GET", "POST") * 20:
                    answer = await it.get("/", method=method, body=b"!")
                    assert answer.body in {b"two!", b"three!"}
            for other in (two, three):
                sample = await counted(edge, other.name, requests=other.served, timed=other.served)
                assert (sample.requests, sample.errors) == (other.served, 0)
            await edge.route(two)
            assert await ask(edge.port) == "two"
            assert not any("+" in it["name"] for it in await edge.clusters())

    asyncio.run(story())


def test_a_release_that_nobody_can_reach_has_only_errors(edge):
    async def story():
        async with app("one") as one:
            endpoint = one.endpoint
        await edge.proxy.ensure(token=1)
        await edge.proxy.apply(HOST, Route((endpoint,)), token=1)
        await send(edge, "/", 3)
        sample = await counted(edge, "one", requests=3)
        assert (sample.requests, sample.errors, sample.latency) == (3, 3, ())

    asyncio.run(story())


def test_whoever_goes_away_before_the_answer_is_not_counted(edge):
    async def story():
        async with app("one") as one:
            await edge.proxy.ensure(token=1)
            await edge.route(one)
            async with client(edge.port) as it:
                await it.send("/slow")
                await until(lambda: one.served)
            assert await edge.proxy.drain(HOST, (one.endpoint,), limit=30) == 0
            await send(edge, "/")
            assert (await counted(edge, "one", requests=1)).requests == 1

    asyncio.run(story())


def test_how_long_a_stream_or_a_websocket_lasts_is_not_latency(edge):
    """Both are counted at their end: a stream by its first byte, a WebSocket without a time."""

    async def story():
        await edge.proxy.ensure(token=1)
        async with app("one") as one, client(edge.port) as events, client(edge.port) as sock:
            await edge.route(one)
            await events.send("/events")
            await sock.send("/socket", more="connection: upgrade\r\nupgrade: websocket\r\n")
            await sock.reader.readuntil(b"\r\n\r\n")
            one.tick.put_nowait("first")
            await events.reader.readuntil(b"\r\n\r\n")
            await asyncio.sleep(2)
            one.tick.put_nowait("")
            sock.writer.close()
            sample = await counted(edge, "one", requests=2, timed=1)
            assert (sample.requests, sample.errors) == (2, 0)
            assert sum(n for _, n in sample.latency) == at_most(sample, 1500) == 1

    asyncio.run(story())


def test_a_quantile_is_within_a_tenth(edge):
    """A release that is slower by a quarter can be told from one that is not."""

    async def story():
        async with app("one") as one:
            await edge.proxy.ensure(token=1)
            await edge.route(one)
            await send(edge, "/late/200", 5)
            sample = await counted(edge, "one", requests=5, timed=5)
            (least, _), *_ = sample.latency
            assert 200 <= least <= 240, "a machine may be slow, and the bucket's bound is its upper"

    asyncio.run(story())


def test_a_trial_gets_its_share_and_no_more(edge):
    async def story():
        async with app("old") as old, app("new") as new:
            await edge.proxy.ensure(token=1)
            for share in (0.05, 0.5, 0.25):
                before = old.served, new.served
                route, _ = await edge.route(old, trial=(new.endpoint,), share=share)
                assert await edge.observed() == route
                await many(edge, 2000)
                served = old.served - before[0], new.served - before[1]
                assert sum(served) == 2000
                # Eight standard deviations: one run in 10^15 fails by chance.
                assert abs(served[1] - 2000 * share) <= 8 * (2000 * share * (1 - share)) ** 0.5
            for release, it in (("old", old), ("new", new)):
                sample = await counted(edge, release, requests=it.served)
                assert (sample.requests, sample.errors) == (it.served, 0)
            for share, only in ((0.0, "old"), (1.0, "new")):
                await edge.route(old, trial=(new.endpoint,), share=share)
                assert {await ask(edge.port) for _ in range(50)} == {only}

    asyncio.run(story())


def test_two_active_releases_share_by_the_number_of_their_endpoints(edge):
    async def story():
        async with app("a", of="one") as a, app("b", of="one") as b, app("c", of="two") as c:
            await edge.proxy.ensure(token=1)
            route, _ = await edge.route(a, c, b)
            assert await edge.observed() == route
            await many(edge, 2000)
            assert abs(c.served - 2000 / 3) <= 8 * (2000 * 2 / 9) ** 0.5
            assert min(a.served, b.served) > 400

    asyncio.run(story())


def test_the_requests_of_a_trial_are_not_answered_by_the_other_release(edge):
    """Else a release on trial that answers nobody would look as good as the other."""

    async def story():
        async with app("old") as old, app("new") as new:
            gone = new.endpoint
            await new.kill()
            await edge.proxy.ensure(token=1)
            route = Route((old.endpoint,), trial=(gone,), share=0.5)
            await edge.proxy.apply(HOST, route, token=1)
            assert {await ask(edge.port) for _ in range(50)} == {"old", "503"}
            sample = await counted(edge, "new", requests=1)
            assert sample.errors == sample.requests

    asyncio.run(story())


def test_counts_begin_anew_with_a_new_envoy(edge):
    async def story():
        async with app("one") as one:
            await edge.proxy.ensure(token=1)
            assert await edge.proxy.measure("one") == {HOST: Sample()}
            await edge.route(one)
            await send(edge, "/")
            await counted(edge, "one", requests=1)
            await edge.proxy.remove(token=1)
            assert await edge.proxy.measure("one") == {}

    asyncio.run(story())


def test_a_name_of_a_release_that_no_file_could_have(edge):
    async def story():
        async with app("one", of="../v1.0 (beta): ü~") as one:
            await edge.proxy.ensure(token=1)
            route, _ = await edge.route(one)
            assert await edge.observed() == route
            await send(edge, "/", 2)
            assert (await counted(edge, one.of, requests=2)).requests == 2
            assert await edge.proxy.measure("../v1.0") == {HOST: Sample()}

    asyncio.run(story())


async def many(edge: Edge, requests: int) -> None:
    """Requests on a few connections; every one is answered with 200."""

    async def some() -> None:
        async with client(edge.port) as it:
            for _ in range(requests // 8):
                assert (await it.get()).status == 200

    await asyncio.gather(*(some() for _ in range(8)))


def test_an_endpoint_of_a_release_on_trial_may_drain(edge):
    async def story():
        async with app("old") as old, app("a", of="new") as a, app("b", of="new") as b:
            await edge.proxy.ensure(token=1)
            route, _ = await edge.route(old, trial=(a.endpoint,), share=0.5, draining=(b,))
            assert await edge.observed() == route
            assert {await ask(edge.port) for _ in range(50)} == {"old", "a"}

    asyncio.run(story())
