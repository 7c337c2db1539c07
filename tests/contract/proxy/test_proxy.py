"""`pilotage.proxy.base.Proxy`, sentence by sentence, for every proxy."""

from __future__ import annotations

import asyncio
from unittest.mock import ANY

import pytest

from pilotage.errors import LeaseLost, ProxyError
from pilotage.model import Front, Route, Sample
from pilotage.proxy.checks import LARGEST_PAGE

pytestmark = pytest.mark.integration

PAGE = Front("maintenance", "<h1>Back soon</h1>", retry_after=60)
PAUSE = Front("pause", "Later.", content_type="text/plain", limit=2.5)


async def route_of(kit):
    return (await kit.proxy.observe()).get(kit.host, Route())


def test_before_the_first_apply_there_is_no_route(tell):
    async def story(kit):
        assert await route_of(kit) == Route()
        await kit.proxy.ensure(token=1)
        await kit.proxy.ensure(token=1)
        assert await route_of(kit) == Route()

    tell(story)


def test_what_was_applied_is_observed_and_the_moment_is_the_loops(tell):
    async def story(kit):
        one, two = await kit.endpoint("one"), await kit.endpoint("two")
        await kit.proxy.ensure(token=1)
        moments = [asyncio.get_running_loop().time()]
        for route in (Route((one,)), Route((two,), (one,)), Route((two, one)), Route()):
            moments.append(await kit.proxy.apply(kit.host, route, token=1))
            assert await route_of(kit) == route
        moments.append(asyncio.get_running_loop().time())
        assert moments == sorted(moments)

    tell(story)


def test_ensure_keeps_the_route(tell):
    async def story(kit):
        one, two = await kit.endpoint("one"), await kit.endpoint("two")
        await kit.proxy.ensure(token=1)
        for route in (
            Route((one,)),
            Route((one,), trial=(two,), share=0.25),
            Route((one,), (two,), front=PAUSE),
        ):
            await kit.proxy.apply(kit.host, route, token=1)
            await kit.proxy.ensure(token=1)
            assert await route_of(kit) == route

    tell(story)


def test_a_trial_and_a_front_are_observed_as_they_were_given(tell):
    async def story(kit):
        one, two = await kit.endpoint("one"), await kit.endpoint("two")
        await kit.proxy.ensure(token=1)
        for route in (
            Route((one,), trial=(two,), share=0.05),
            Route((one,), trial=(two,), share=0.05, front=PAGE),
            Route((two,), (one,), front=PAGE),
            Route((two,), (one,), front=PAUSE),
            Route((two,), (one,)),
            Route((two,), trial=(one,), share=1.0),
            Route((), front=PAUSE),
        ):
            await kit.proxy.apply(kit.host, route, token=1)
            assert await route_of(kit) == route

    tell(story)


def test_a_route_that_no_edge_can_do_changes_nothing(tell):
    async def story(kit):
        one, two = await kit.endpoint("one"), await kit.endpoint("two")
        await kit.proxy.ensure(token=1)
        await kit.proxy.apply(kit.host, Route((one,)), token=1)
        for bad in (
            Route((one,), trial=(one,), share=0.5),
            Route((one,), trial=(two,), share=1.5),
            Route((one,), front=Front("closed")),
            Route((one,), front=Front("maintenance", "." * (LARGEST_PAGE + 1))),
            Route((one,), front=Front("maintenance", status=99)),
            Route((one,), front=Front("pause", limit=0)),
        ):
            with pytest.raises(ProxyError) as caught:
                await kit.proxy.apply(kit.host, bad, token=1)
            assert caught.value.state == "the old route is in force"
            assert await route_of(kit) == Route((one,))

    tell(story)


def test_what_a_release_answered_is_counted_for_it_and_only_grows(tell):
    async def story(kit):
        one, two = await kit.endpoint("one"), await kit.endpoint("two")
        await kit.proxy.ensure(token=1)
        assert await kit.proxy.measure("one") == {kit.host: Sample()}
        await kit.proxy.apply(kit.host, Route((one,)), token=1)
        await kit.requests("one", good=3, bad=2)
        first = await measured(kit, "one", 5)
        assert (first.requests, first.errors) == (5, 2)
        await kit.proxy.apply(kit.host, Route((two,), (one,)), token=1)
        await kit.requests("two", good=4, bad=0)
        other = await measured(kit, "two", 4)
        assert (other.requests, other.errors) == (4, 0)
        await kit.proxy.apply(kit.host, Route((one,), (two,)), token=1)
        await kit.requests("one", good=1, bad=1)
        assert await measured(kit, "one", 7) - first == Sample(2, 1, ANY)
        assert await kit.proxy.measure("three") == {kit.host: Sample()}

    tell(story)


async def measured(kit, release, requests):
    """The sample once it has all of these requests, and how long each took."""
    async with asyncio.timeout(60):
        while True:
            sample = (await kit.proxy.measure(release))[kit.host]
            if min(sample.requests, sum(count for _, count in sample.latency)) >= requests:
                return sample
            await asyncio.sleep(0.02)


def test_a_lower_token_is_refused_everywhere(tell):
    async def story(kit):
        one, two = await kit.endpoint("one"), await kit.endpoint("two")
        await kit.proxy.ensure(token=1)
        await kit.proxy.apply(kit.host, Route((one,)), token=2)
        with pytest.raises(LeaseLost):
            await kit.proxy.apply(kit.host, Route((two,)), token=1)
        with pytest.raises(LeaseLost):
            await kit.proxy.ensure(token=1)
        assert await route_of(kit) == Route((one,))

    tell(story)


def test_who_looks_with_authority_keeps_everybody_before_out(tell):
    async def story(kit):
        one, two = await kit.endpoint("one"), await kit.endpoint("two")
        await kit.proxy.ensure(token=1)
        await kit.proxy.apply(kit.host, Route((one,)), token=1)
        assert await kit.proxy.observe(token=2) == {kit.host: Route((one,))}
        with pytest.raises(LeaseLost):
            await kit.proxy.apply(kit.host, Route((two,)), token=1)
        with pytest.raises(LeaseLost):
            await kit.proxy.observe(token=1)
        assert await route_of(kit) == Route((one,))
        await kit.proxy.apply(kit.host, Route((two,)), token=2)
        assert await kit.proxy.observe(token=2) == {kit.host: Route((two,))}

    tell(story)


def test_a_route_that_is_refused_leaves_the_old_in_force(tell):
    async def story(kit):
        one, two = await kit.endpoint("one"), await kit.endpoint("two")
        await kit.proxy.ensure(token=1)
        await kit.proxy.apply(kit.host, Route((one,)), token=1)
        with pytest.raises(ProxyError) as caught:
            await kit.refuses(Route((two,)), token=1)
        assert "in force" in caught.value.state
        assert await route_of(kit) == Route((one,))
        await kit.proxy.apply(kit.host, Route((two,)), token=1)
        assert await route_of(kit) == Route((two,))

    tell(story)


def test_it_asks_whether_it_is_time_when_the_old_route_is_in_force_still(tell):
    async def story(kit):
        one, two = await kit.endpoint("one"), await kit.endpoint("two")
        await kit.proxy.ensure(token=1)
        await kit.proxy.apply(kit.host, Route((one,)), token=1)
        seen = []

        async def ready():
            seen.append(await route_of(kit))

        async def never():
            raise ProxyError("another host was not ready")

        with pytest.raises(ProxyError, match="another host"):
            await kit.proxy.apply(kit.host, Route((two,), (one,)), token=1, ready=never)
        assert await route_of(kit) == Route((one,))
        await kit.proxy.apply(kit.host, Route((two,), (one,)), token=1, ready=ready)
        assert [it.active for it in seen] == [(one,)]
        assert await route_of(kit) == Route((two,), (one,))

    tell(story)


def test_without_a_proxy_nothing_can_be_applied(tell):
    async def story(kit):
        one = await kit.endpoint("one")
        with pytest.raises(ProxyError):
            await kit.proxy.apply(kit.host, Route((one,)), token=1)
        assert await route_of(kit) == Route()

    tell(story)


def test_drain_ends_when_nothing_is_in_flight_or_says_how_much_is_left(tell):
    async def story(kit):
        one, two = await kit.endpoint("one"), await kit.endpoint("two")
        await kit.proxy.ensure(token=1)
        await kit.proxy.apply(kit.host, Route((one,)), token=1)
        async with kit.in_flight(one):
            await kit.proxy.apply(kit.host, Route((two,), (one,)), token=1)
            assert await kit.proxy.drain(kit.host, (one,), limit=0.1) == 1
            assert await kit.proxy.drain(kit.host, (), limit=0.1) == 0
        assert await kit.proxy.drain(kit.host, (one,), limit=20) == 0

    tell(story)


def test_removed_it_forgets_and_may_be_ensured_again(tell):
    async def story(kit):
        one = await kit.endpoint("one")
        await kit.proxy.ensure(token=1)
        await kit.proxy.apply(kit.host, Route((one,)), token=1)
        await kit.proxy.remove(token=1)
        assert await route_of(kit) == Route()
        with pytest.raises(ProxyError):
            await kit.proxy.apply(kit.host, Route((one,)), token=1)
        await kit.proxy.ensure(token=1)
        assert await route_of(kit) == Route()

    tell(story)
