"""The door of a host with real containers: its services come and go, and what passes through it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from pilotage.errors import LeaseLost, ProxyError
from pilotage.model import Route
from pilotage.proxy.door import Door, Fragment, entrance

pytestmark = pytest.mark.integration


def containers(way):
    return set(way.host.docker("ps", "--format", "{{.Names}}").split())


def test_two_services_share_it_and_neither_takes_it_from_the_other(tell):
    async def story(way):
        one, two = await way.app("one"), await way.app("two")
        shop, blog = way.entrance("shop"), way.entrance("blog", names=("blog.test",))
        # At once, as two deployers do that know nothing of each other.
        await asyncio.gather(way.serve(shop, one, token=1), way.serve(blog, two, token=7))
        assert await way.ask("any.test") == (200, "one")
        assert await way.ask("blog.test") == (200, "two")
        with pytest.raises(ProxyError, match="both ask for") as failed:
            await way.entrance("else", names=("blog.test",)).ensure(token=1)
        assert failed.value.state == "the door is as it was"
        with pytest.raises(LeaseLost):
            await blog.remove(token=6)
        started = way.host.docker("inspect", "--format", "{{.State.StartedAt}}", "pilotage-door")
        await shop.remove(token=1)
        assert await way.ask("blog.test") == (200, "two")
        assert (await way.ask("any.test"))[0] == 404
        assert started == way.host.docker(
            "inspect", "--format", "{{.State.StartedAt}}", "pilotage-door"
        )
        await blog.door.reboot()
        assert await way.ask("blog.test") == (200, "two")
        assert "pilotage-door" in await blog.door.details()
        await blog.remove(token=7)
        assert containers(way) <= {"else-edge"}

    tell(story)


def test_who_looks_with_authority_has_looked_at_the_door_and_finds_out_when_it_is_another(
    tell, monkeypatch
):
    monkeypatch.setattr(entrance, "_RECENT", 60.0)
    looks = []
    look = Door.look

    async def counted(door):
        looks.append(door)
        return await look(door)

    async def story(way):
        one, two = await way.app("one"), await way.app("two")
        shop, blog = way.entrance("shop"), way.entrance("blog", names=("blog.test",))
        await way.serve(shop, one)
        monkeypatch.setattr(Door, "look", counted)
        route = Route((one.endpoint,))
        assert await shop.observe(token=2) == {way.host.address: route}
        await shop.ensure(token=2)
        assert looks == [shop.door]
        await shop.observe(token=3)
        await way.serve(blog, two)
        shop.fragment = replace(shop.fragment, names=("shop.test",))
        await shop.ensure(token=3)
        assert looks == [shop.door, shop.door, blog.door, shop.door]
        assert await way.ask("shop.test") == (200, "one")
        assert await way.ask("blog.test") == (200, "two")
        await blog.remove(token=1)
        await shop.remove(token=3)

    tell(story)


def test_streams_sockets_and_large_bodies_pass_and_a_change_of_names_cuts_none(tell):
    async def story(way):
        one = await way.app("one")
        await way.serve(way.entrance("shop"), one)
        async with way.client() as events, way.client() as socket:
            await events.send("/events")
            head = await events.reader.readuntil(b"\r\n\r\n")
            assert b"200 OK" in head
            await one.tick.put("first")
            assert await events.chunk() == b"data: first\n\n"
            await socket.send("/socket", more="connection: upgrade\r\nupgrade: websocket\r\n")
            assert b"101 " in await socket.reader.readuntil(b"\r\n\r\n")
            # Another service's name: the door takes a new configuration.
            await way.entrance("blog", names=("blog.test",)).ensure(token=1)
            await one.tick.put("second")
            assert await events.chunk() == b"data: second\n\n"
            socket.writer.write(b"still here")
            assert await socket.reader.readexactly(10) == b"still here"
        async with way.client() as large:
            body = b"x" * 4_000_000
            answer = await large.get(method="POST", body=body)
            assert (answer.status, len(answer.body)) == (200, len(body) + len("one"))

    tell(story)


def test_a_body_that_is_larger_than_a_service_takes(tell):
    async def story(way):
        one = await way.app("one")
        await way.serve(way.entrance("shop", largest_body=1000), one)
        async with way.client() as it:
            assert (await it.get(method="POST", body=b"x" * 1000)).status == 200
        async with way.client() as it:
            assert (await it.get(method="POST", body=b"x" * 1001)).status == 413

    tell(story)


def test_a_prefix_and_the_headers_that_an_app_sees(tell):
    async def story(way):
        one = await way.app("one")
        api = way.entrance("api", names=("a.test",), prefixes=("/api",), forward_headers=False)
        await way.serve(api, one)
        status, head = await way.ask("a.test", "/api/headers")
        assert status == 200
        lines = dict(line.lower().split(": ", 1) for line in head.splitlines()[1:] if line)
        assert lines["host"] == "a.test"
        assert lines["x-forwarded-prefix"] == "/api"
        assert lines["x-forwarded-proto"] == "http"
        assert "," not in lines["x-forwarded-for"]
        assert (await way.ask("a.test", "/other"))[0] == 404

    tell(story)


def test_when_the_edge_is_gone_the_door_says_so_with_the_services_own_page(tell):
    async def story(way):
        one = await way.app("one")
        shop = way.entrance("shop", pages={"502": "<h1>Soon {back}</h1>"})
        await way.serve(shop, one)
        way.host.docker("stop", "--time", "1", "shop-edge")
        assert await way.ask("shop") == (502, "<h1>Soon {back}</h1>")
        await way.serve(shop, one)
        assert await way.ask("shop") == (200, "one")

    tell(story)


def test_kamals_proxy_has_the_ports_until_there_is_somewhere_to_send_requests(tell):
    """A stand-in of that name: what matters is whose the ports are, and when."""

    async def story(way):
        one = await way.app("one")
        way.host.docker(
            *("run", "--detach", "--name", "kamal-proxy", "--publish", "80:80", "caddy:2"),
            *("caddy", "respond", "--listen", ":80", "kamal"),
        )
        shop = way.entrance("shop")
        await shop.ensure(token=1)
        assert await way.ask("any.test") == (200, "kamal")
        await way.serve(shop, one)
        assert await way.ask("any.test") == (200, "one")
        assert "kamal-proxy" not in containers(way)

    tell(story)


def test_who_waits_leaves_kamals_proxy_to_those_that_it_serves(tell):
    async def story(way):
        one = await way.app("one")
        way.host.docker(
            *("run", "--detach", "--name", "kamal-proxy", "--publish", "80:80", "caddy:2"),
            *("caddy", "respond", "--listen", ":80", "kamal"),
        )
        labels = ("--label", "service=shop", "--label", "role=web", "--label", "destination=")
        served = way.host.docker("run", "--detach", *labels, "caddy:2").strip()
        shop = way.entrance("shop")
        beside = Fragment("shop-board.accessory", one.endpoint.address, names=("board.test",))
        await shop.door.put(beside, None, waits=True)
        assert await way.ask("board.test") == (200, "kamal")
        await way.serve(shop, one)
        assert await way.ask("board.test") == (200, "one")
        await shop.remove(token=1)
        assert await way.ask("board.test") == (200, "one")
        await shop.door.drop(beside.service, None)
        assert "pilotage-door" not in containers(way)
        # Nobody with a role is behind it: it would go on sending requests to where the accessory was.
        way.host.docker("rm", "--force", served)
        way.host.docker("start", "kamal-proxy")
        await shop.door.put(beside, None, waits=True)
        assert await way.ask("board.test") == (200, "one")

    tell(story)


def test_kamals_proxy_comes_back_when_the_door_does_not_start(tell):
    async def story(way):
        one = await way.app("one")
        way.host.docker(
            *("run", "--detach", "--name", "kamal-proxy", "--publish", "80:80", "caddy:2"),
            *("caddy", "respond", "--listen", ":80", "kamal"),
        )
        way.host.docker(
            *("run", "--detach", "--name", "other", "--publish", "443:443", "caddy:2"),
            *("caddy", "respond", "--listen", ":443", "other"),
        )
        shop = way.entrance("shop")
        with pytest.raises(ProxyError, match="the door does not start") as failed:
            await way.serve(shop, one)
        assert failed.value.state == "Kamal's proxy goes on"
        async with asyncio.timeout(60):
            while await answer_or_none(way) != (200, "kamal"):
                await asyncio.sleep(0.1)

    tell(story)


async def answer_or_none(way):
    try:
        return await way.ask("any.test")
    except OSError:
        return None
