"""`pilotage.proxy.base.Proxy`, sentence by sentence, for every proxy."""

from __future__ import annotations

import asyncio

import pytest

from pilotage.errors import LeaseLost, ProxyError
from pilotage.model import Route

pytestmark = pytest.mark.integration


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
        one = await kit.endpoint("one")
        await kit.proxy.ensure(token=1)
        await kit.proxy.apply(kit.host, Route((one,)), token=1)
        await kit.proxy.ensure(token=2)
        assert await route_of(kit) == Route((one,))

    tell(story)


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
