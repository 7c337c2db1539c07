"""Several edges of a host as one."""

from __future__ import annotations

import asyncio

import pytest

from pilotage.errors import ProxyError
from pilotage.model import Endpoint, Front, Route
from pilotage.proxy.memory import MemoryProxy
from pilotage.proxy.roles import RoleEdges

PAGE = Front("maintenance", body="back soon")


def role_of(instance: str) -> str | None:
    role = instance.partition("-")[0]
    return role if role in {"web", "admin"} else None


def edges() -> tuple[RoleEdges, dict[str, MemoryProxy]]:
    parts = {"web": MemoryProxy(("h",)), "admin": MemoryProxy(("h",))}
    return RoleEdges("h", parts, role_of), parts


def endpoint(name: str, release: str) -> Endpoint:
    return Endpoint(f"{name}-{release}", release, f"{name}:{release}")


WEB, ADMIN = endpoint("web", "1"), endpoint("admin", "1")
NEW_WEB, NEW_ADMIN = endpoint("web", "2"), endpoint("admin", "2")


async def test_each_edge_has_the_instances_of_its_role() -> None:
    both, parts = edges()
    await both.ensure(token=1)
    route = Route(active=(WEB, ADMIN), trial=(NEW_WEB,), share=0.25)
    await both.apply("h", route, token=1)
    assert parts["web"].routes["h"] == Route(active=(WEB,), trial=(NEW_WEB,), share=0.25)
    assert parts["admin"].routes["h"] == Route(active=(ADMIN,))
    assert await both.observe() == {"h": route}


async def test_neither_switches_when_one_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    both, parts = edges()
    await both.ensure(token=1)
    before = Route(active=(WEB, ADMIN))
    await both.apply("h", before, token=1)

    async def refuse(*args: object, **more: object) -> float:
        raise ProxyError("no room on the disk")

    monkeypatch.setattr(parts["admin"], "apply", refuse)
    async with asyncio.timeout(10):
        with pytest.raises(ProxyError, match="no room on the disk"):
            await both.apply("h", Route(active=(NEW_WEB, NEW_ADMIN)), token=1)
    assert await both.observe() == {"h": before}


async def test_both_wait_for_the_other_hosts_and_neither_goes_on_without() -> None:
    both, _ = edges()
    await both.ensure(token=1)
    asked = []

    async def ready() -> None:
        asked.append(1)
        raise ProxyError("another host was not ready to switch")

    with pytest.raises(ProxyError, match="another host"):
        await both.apply("h", Route(active=(WEB, ADMIN)), token=1, ready=ready)
    assert asked == [1]
    assert (await both.observe())["h"].active == ()


async def test_edges_that_differ_are_what_nobody_wants_and_stay_so_through_a_route() -> None:
    both, parts = edges()
    await both.ensure(token=1)
    await both.apply("h", Route(active=(WEB, ADMIN)), token=1)
    await parts["web"].apply("h", Route(active=(WEB,), front=PAGE), token=1)
    seen = (await both.observe())["h"]
    assert seen.front not in {None, PAGE}
    await both.apply("h", seen, token=1)
    assert parts["web"].routes["h"].front == PAGE
    assert parts["admin"].routes["h"].front is None
