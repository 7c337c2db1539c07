"""The order in which Envoy's files are changed."""

from __future__ import annotations

from itertools import product
from pathlib import Path

from pilotage.model import Endpoint, Front, Route
from pilotage.proxy.envoy import EnvoySettings, routes
from pilotage.proxy.envoy.state import State
from pilotage.proxy.envoy.steps import Steps, Write, batches, steps

SETTINGS = EnvoySettings(Path("/srv/shop/.pilotage"), "here", 8080)
ONE = Endpoint("web-1", "one", "127.0.0.1:20001")
MORE = Endpoint("web-2", "one", "127.0.0.1:20002")
TWO = Endpoint("web-3", "two", "127.0.0.1:20003")
PAUSE = Front("pause")
GATE = routes.gate_name(PAUSE)


def after(now: State, writes: tuple[Write, ...]) -> State:
    """What is in force when these files are."""
    for write in writes:
        named = {it["name"]: it for it in write.resources if "name" in it}
        match write.kind.partition("/"):
            case ("lds", _, _):
                now = State(named, now.routes, now.clusters, now.endpoints)
            case ("cds", _, _):
                now = State(now.listeners, now.routes, named, now.endpoints)
            case ("rds", _, _):
                now = State(now.listeners, write.resources[0], now.clusters, now.endpoints)
            case (_, _, cluster):
                endpoints = {**now.endpoints, cluster: write.resources[0]}
                now = State(now.listeners, now.routes, now.clusters, endpoints)
    return now


def state_of(*path: Route) -> State:
    now = State()
    for route in path:
        way = steps(SETTINGS, now, route)
        now = after(now, (*way.before, *way.after))
        assert now.route() == route
    return now


def kinds(writes: tuple[Write, ...]) -> list[str]:
    return [
        f"cds {' '.join(it['name'] for it in write.resources)}".strip()
        if write.kind == "cds"
        else write.kind
        for write in writes
    ]


def way(now: State, route: Route) -> tuple[list[str], list[str]]:
    found: Steps = steps(SETTINGS, now, route)
    return kinds(found.before), kinds(found.after)


def test_a_switch_puts_the_new_cluster_in_force_before_the_route_and_touches_the_old_after_it():
    assert way(state_of(Route((ONE,))), Route((TWO,), (ONE,))) == (
        ["eds/release-two", "cds release-one release-two", "rds"],
        ["eds/release-one", "cds release-one release-two", "lds"],
    )


def test_a_cluster_goes_when_no_route_names_its_release():
    before, rest = way(state_of(Route((ONE,)), Route((TWO,), (ONE,))), Route((TWO,)))
    assert before == ["eds/release-two", "cds release-one release-two", "rds"]
    assert rest == ["cds release-two", "lds"]


def test_an_endpoint_that_drained_never_comes_back_on_the_way_out():
    now = state_of(Route((ONE,), (MORE,)))
    found = steps(SETTINGS, now, Route((TWO,), (ONE, MORE)))
    assert after(now, found.before[:-1]).route() == Route((ONE,), (MORE, TWO))


def test_a_pause_has_its_gate_before_the_route_sends_anyone_there():
    assert way(state_of(Route((ONE,))), Route((ONE,), front=PAUSE)) == (
        ["lds", "eds/release-one", f"cds {GATE} hold release-one", "rds"],
        [f"cds {GATE} hold release-one", "lds"],
    )


def test_a_pause_ends_where_the_held_requests_find_the_release_that_serves():
    now = state_of(Route((ONE,), front=PAUSE))
    found = steps(SETTINGS, now, Route((TWO,), (ONE,)))
    assert kinds(found.before) == [
        "eds/release-two",
        f"cds {GATE} hold release-one release-two",
        "cds hold release-one release-two",
        "rds",
    ]
    # From the moment that the gate is gone, everything goes to the new release.
    assert after(now, found.before[:2]).route() == Route((ONE,), (TWO,), front=PAUSE)
    assert after(now, found.before[:3]).route() == Route((TWO,), (ONE,))
    assert kinds(found.after)[-2:] == ["cds hold release-one release-two", "lds"]


def test_what_took_the_held_requests_goes_with_the_next_change():
    now = state_of(Route((ONE,), front=PAUSE), Route((ONE,)))
    assert "hold" in now.clusters
    assert way(now, Route((ONE,)))[1] == ["cds release-one", "lds"]


def test_maintenance_keeps_the_gate_of_those_who_wait():
    now = state_of(Route((ONE,), front=PAUSE), Route((ONE,), front=Front("maintenance")))
    assert now.gates == {GATE}
    assert GATE in now.listeners
    assert not state_of(Route((ONE,)), Route((ONE,), front=Front("maintenance"))).gates


def test_every_point_of_every_way_is_one_of_its_ends():
    """Between two files, new requests go where they went, or where they shall go; never elsewhere."""
    maintenance, other = Front("maintenance"), Front("pause", limit=5)
    ends = [
        Route((ONE,)),
        Route((TWO,), (ONE,)),
        Route((ONE,), (TWO, MORE)),
        Route((MORE, ONE)),
        Route((ONE,), trial=(TWO,), share=0.25),
        Route((TWO, ONE)),
        Route((ONE,), front=maintenance),
        Route((TWO,), (ONE,), front=PAUSE),
        Route((ONE,), front=other),
        Route(),
    ]

    def served(route: Route) -> tuple[object, ...]:
        """Which releases get what."""
        if route.front:
            return (route.front,)
        return {e.release for e in route.active}, {e.release for e in route.trial}, route.share

    def endpoints(route: Route, release: str) -> set[Endpoint]:
        return {e for e in (*route.active, *route.trial) if e.release == release}

    for start, end in product(ends, ends):
        now = state_of(start)
        way = steps(SETTINGS, now, end)
        switched = False
        for write in (*way.before, *way.after):
            now = after(now, (write,))
            route = now.route()
            switched = switched or served(route) == served(end)
            if start.front and not (switched or end.front or route.front):
                # The gate is gone: until the route is there, everything goes where what was held goes.
                assert served(route) == served(Route(end.active)), (start, end)
            else:
                assert served(route) == served(end if switched else start), (start, end)
            for release in {e.release for e in (*route.active, *route.trial)}:
                assert f"release-{release}" in now.clusters
                assert endpoints(route, release) in (
                    endpoints(start, release),
                    endpoints(end, release),
                )
        assert now.route() == end


def batched(writes):
    return [[write.kind for write in batch] for batch in batches(writes)]


def test_what_nobody_waits_for_goes_together_and_the_route_waits_for_all():
    assert batched(
        [Write("eds/a", ()), Write("eds/b", ()), Write("cds", ()), Write("rds", ())]
    ) == [
        ["eds/a", "eds/b", "cds"],
        ["rds"],
    ]


def test_a_gate_is_there_before_and_gone_after_what_leads_to_it():
    assert batched([Write("lds", ()), Write("eds/a", ()), Write("cds", ()), Write("rds", ())]) == [
        ["lds", "eds/a", "cds"],
        ["rds"],
    ]
    assert batched([Write("eds/a", ()), Write("cds", ()), Write("lds", ())]) == [
        ["eds/a", "cds"],
        ["lds"],
    ]


def test_a_file_that_is_written_twice_is_seen_in_force_twice():
    assert batched([Write("cds", ()), Write("cds", ()), Write("rds", ())]) == [
        ["cds"],
        ["cds"],
        ["rds"],
    ]
    assert batched([]) == []
