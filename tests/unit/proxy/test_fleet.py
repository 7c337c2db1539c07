"""The edges of several hosts as one."""

from __future__ import annotations

import asyncio

import pytest

from pilotage.errors import LeaseLost, ProxyError
from pilotage.model import Endpoint, Route, Sample
from pilotage.proxy.fleet import EdgeFleet
from pilotage.proxy.memory import MemoryProxy

HOSTS = ("a", "b", "c")


class Edges:
    """Three edges in memory, of which a test takes some away."""

    def __init__(self) -> None:
        self.gone: set[str] = set()
        self.one = {host: MemoryProxy((host,), reachable=self.answers) for host in HOSTS}
        self.fleet = EdgeFleet(self.one)

    def answers(self, host: str) -> bool:
        return host not in self.gone


def endpoint(host: str) -> Endpoint:
    return Endpoint(f"web-{host}", "one", f"{host}:80")


@pytest.fixture
def edges() -> Edges:
    made = Edges()
    asyncio.run(made.fleet.ensure(token=1))
    return made


def test_each_host_has_its_own_route_and_its_own_counts(edges):
    async def story():
        for host in HOSTS:
            await edges.fleet.apply(host, Route((endpoint(host),)), token=1)
            edges.one[host].answered[host, "one"] = Sample(1, 0)
        edges.one["b"].in_flight["web-b"] = 3
        assert await edges.fleet.observe() == {host: Route((endpoint(host),)) for host in HOSTS}
        assert await edges.fleet.measure("one") == dict.fromkeys(HOSTS, Sample(1, 0))
        assert await edges.fleet.drain("b", (endpoint("b"),), limit=0) == 3
        assert await edges.fleet.drain("c", (endpoint("c"),), limit=0) == 0

    asyncio.run(story())


def test_who_does_not_answer_is_left_out_and_never_assumed(edges):
    edges.gone.add("b")
    assert asyncio.run(edges.fleet.observe()).keys() == {"a", "c"}
    assert asyncio.run(edges.fleet.measure("one")).keys() == {"a", "c"}


@pytest.mark.parametrize("verb", ["ensure", "remove"])
def test_what_fails_on_one_host_is_done_on_the_others(edges, verb):
    for proxy in edges.one.values():
        proxy.running.clear() if verb == "ensure" else None
    edges.gone.add("b")
    with pytest.raises(ProxyError) as failed:
        asyncio.run(getattr(edges.fleet, verb)(token=1))
    assert failed.value.where == "b"
    done = {host for host in HOSTS if bool(edges.one[host].running) is (verb == "ensure")}
    assert done == {"a", "c"}


def test_several_failures_are_told_together_with_where_it_is_done(edges):
    edges.gone |= {"a", "c"}
    with pytest.raises(ProxyError) as failed:
        asyncio.run(edges.fleet.ensure(token=1))
    assert failed.value.where == "a, c"
    assert failed.value.what.startswith("a: ")
    assert "; c: " in failed.value.what
    assert failed.value.state == "done on b"


def test_a_lost_lease_is_told_before_anything_else(edges):
    asyncio.run(edges.one["c"].ensure(token=5))
    edges.gone.add("a")
    with pytest.raises(LeaseLost):
        asyncio.run(edges.fleet.ensure(token=2))


def test_a_host_without_an_edge_is_named_with_those_that_have_one(edges):
    with pytest.raises(ProxyError, match="a, b, c") as failed:
        asyncio.run(edges.fleet.apply("d", Route(), token=1))
    assert failed.value.where == "d"
