"""What the edge does instead of passing requests on: a page, or holding them."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time

import pytest
from tests.integration.envoy.edge import HOST, Edge, app, ask, client
from tests.integration.local.world import until

from pilotage.errors import ProxyError
from pilotage.model import Front, Route
from pilotage.proxy.checks import LARGEST_PAGE

pytestmark = pytest.mark.integration

PAGE = Front("maintenance", "<h1>Back at 100%, soon: ü</h1>", retry_after=120)
PAUSE = Front("pause", "Later.", content_type="text/plain", retry_after=5, limit=60)
UPGRADE = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"


# -- maintenance ---------------------------------------------------------------------------------


def test_maintenance_answers_everything_itself(edge):
    async def story():
        async with app("one") as one:
            await edge.proxy.ensure(token=1)
            await edge.route(one)
            async with client(edge.port) as kept, client(edge.port) as slow:
                assert (await kept.get()).body == b"one"
                in_flight = asyncio.create_task(slow.get("/slow"))
                await until(lambda: one.served == 2)
                route, _ = await edge.route(one, front=PAGE)
                assert await edge.observed() == route
                for method in ("GET", "DELETE", "GET"):
                    answer = await kept.get("/any/path", method=method)
                    assert answer.status == 503
                    assert answer.body.decode() == PAGE.body
                    assert b"\r\ncontent-type: text/html; charset=utf-8\r\n" in answer.head
                    assert b"\r\nretry-after: 120\r\n" in answer.head
                await kept.send("/", more=UPGRADE)
                head = await kept.reader.readuntil(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 503")
                one.release.set()
                assert (await in_flight).body == b"one", "what was in flight finishes"
            async with client(edge.port) as it:
                answer = await it.get("/", method="POST", body=b"x" * 1000)
                assert answer.body.decode() == PAGE.body
            async with client(edge.port) as it:
                await it.send("/", method="HEAD")
                await it.send("/", more="connection: close\r\n")
                heads = (await it.reader.read()).split(b"HTTP/1.1 ")[1:]
                assert [head.count(PAGE.body.encode()) for head in heads] == [0, 1]
            assert one.served == 2
            await edge.route(one)
            assert await ask(edge.port) == "one"

    asyncio.run(story())


def test_maintenance_is_answered_on_http_2_as_well(edge):
    async def story():
        async with app("one") as one:
            await edge.proxy.ensure(token=1)
            await edge.route(one, front=PAGE)
            url = f"http://127.0.0.1:{edge.port}/"
            for method, body in (("GET", PAGE.body), ("HEAD", "")):
                argv = ["curl", "-si", "--http2-prior-knowledge", url]
                argv += ["-I"] if method == "HEAD" else []
                head, _, got = (await output(*argv)).partition("\r\n\r\n")
                assert head.startswith("HTTP/2 503")
                assert "\r\nretry-after: 120\r\n" in head
                assert got == body

    asyncio.run(story())


async def output(*argv: str) -> str:
    done = await asyncio.to_thread(
        subprocess.run, argv, capture_output=True, timeout=30, check=True
    )
    return done.stdout.decode()


def test_a_page_may_have_a_mebibyte_and_no_more(edge):
    async def story():
        async with app("one") as one:
            await edge.proxy.ensure(token=1)
            large = Front("maintenance", "ü" * (LARGEST_PAGE // 2), status=200)
            route, _ = await edge.route(one, front=large)
            assert await edge.observed() == route
            async with client(edge.port) as it:
                answer = await it.get()
                assert (answer.status, len(answer.body)) == (200, LARGEST_PAGE)
            with pytest.raises(ProxyError, match="a page may have 1048576 bytes"):
                await edge.route(one, front=Front("maintenance", large.body + "."))
            assert await edge.observed() == route

    asyncio.run(story())


def test_a_header_that_envoy_refuses_leaves_the_old_route_in_force(edge):
    async def story():
        async with app("one") as one:
            await edge.proxy.ensure(token=1)
            route, _ = await edge.route(one)
            bad = Front("maintenance", content_type="text/html\r\nx-injected: 1")
            with pytest.raises(ProxyError) as caught:
                await edge.route(one, front=bad)
            assert caught.value.state == "the old route is in force"
            assert await edge.observed() == route
            assert await ask(edge.port) == "one"

    asyncio.run(story())


def test_a_deploy_runs_behind_the_page(edge):
    """The switch, its draining and its end leave the front alone, and Envoy's end does as well."""

    async def story():
        async with app("one") as one, app("two") as two:
            await edge.proxy.ensure(token=1)
            await edge.route(one, front=PAGE)
            for active, draining in (
                ((two,), (one,)),
                ((two,), ()),
                ((), (two,)),
                ((one,), (two,)),
            ):
                route, _ = await edge.route(*active, draining=draining, front=PAGE)
                assert await edge.observed() == route
                assert await ask(edge.port) == "503"
            await edge.proxy.ensure(token=1)
            os.kill(edge.pid(), 9)
            await until(lambda: not edge.runs())
            await edge.proxy.ensure(token=1)
            assert await edge.observed() == route
            assert await ask(edge.port) == "503"
            await edge.route(one)
            assert await ask(edge.port) == "one"
            assert two.served == 0

    asyncio.run(story())


# -- pause ---------------------------------------------------------------------------------------


async def held(edge: Edge, count: int) -> None:
    """Wait until Envoy has this many requests from clients."""
    async with asyncio.timeout(60):
        while await edge.stat("http.edge.downstream_rq_active") < count:
            await asyncio.sleep(0.02)


async def post(edge: Edge, body: bytes) -> bytes:
    async with client(edge.port) as it:
        answer = await it.get("/", method="POST", body=body)
        assert answer.status == 200, answer
        return answer.body


def test_a_thousand_requests_wait_and_none_is_lost(edge):
    """They go to the release that is active in the end; each arrives once, with its body."""

    async def story():
        async with app("one") as one, app("two") as two:
            await edge.proxy.ensure(token=1)
            await edge.route(one)
            route, _ = await edge.route(one, front=PAUSE)
            assert await edge.observed() == route
            bodies = [b"%06d" % n + os.urandom(10_000) for n in range(1000)]
            waiting = [asyncio.create_task(post(edge, body)) for body in bodies]
            await held(edge, 1000)
            route, _ = await edge.route(two, draining=(one,), front=PAUSE)
            assert await edge.observed() == route
            began = edge.cpu()
            await asyncio.sleep(2)
            assert edge.cpu() - began < 0.5, "waiting costs Envoy next to nothing"
            assert not any(task.done() for task in waiting)
            assert (one.served, two.served) == (0, 0)
            route, _ = await edge.route(two, draining=(one,))
            assert await edge.observed() == route
            assert await asyncio.gather(*waiting) == [b"two" + body for body in bodies]
            assert (one.served, two.served) == (0, 1000)
            assert await edge.proxy.drain(HOST, (two.endpoint,), limit=30) == 0

    asyncio.run(story())


def test_a_body_of_any_size_waits(edge):
    """What Envoy does not keep of it waits with the client."""

    async def story():
        async with app("one") as one:
            await edge.proxy.ensure(token=1)
            await edge.route(one, front=PAUSE)
            body = os.urandom(8_000_000)
            waiting = [asyncio.create_task(post(edge, body)) for _ in range(8)]
            await held(edge, 8)
            await asyncio.sleep(1)
            before = edge.memory()
            assert before < 400_000_000, "64 MB of bodies are not in Envoy"
            await edge.route(one)
            for answer in await asyncio.gather(*waiting):
                assert answer == b"one" + body

    asyncio.run(story())


def test_a_pause_lets_finish_what_is_in_flight_and_holds_upgrades(edge):
    async def story():
        async with app("one") as one:
            await edge.proxy.ensure(token=1)
            await edge.route(one)
            async with client(edge.port) as slow, client(edge.port) as sock:
                in_flight = asyncio.create_task(slow.get("/slow"))
                await until(lambda: one.served)
                await edge.route(one, front=PAUSE)
                await sock.send("/socket", more=UPGRADE)
                await held(edge, 2)
                one.release.set()
                assert (await in_flight).body == b"one"
                assert one.served == 1
                await edge.route(one)
                assert (await sock.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
                sock.writer.write(b"hello")
                assert await sock.reader.readexactly(5) == b"hello"

    asyncio.run(story())


def test_at_the_limit_it_says_when_to_come_again(edge):
    async def story():
        async with app("one") as one:
            await edge.proxy.ensure(token=1)
            await edge.route(one, front=Front("pause", "Later.", retry_after=5, limit=0.5))
            for method, body in (("GET", b""), ("POST", b"x" * 100_000)):
                async with client(edge.port) as it:
                    began = time.monotonic()
                    answer = await it.get("/", method=method, body=body)
                    assert time.monotonic() - began >= 0.45  # Envoy's clock ticks coarsely
                assert (answer.status, answer.body) == (503, b"Later.")
                assert b"\r\nretry-after: 5\r\n" in answer.head
                assert b"\r\ncontent-type: text/html; charset=utf-8\r\n" in answer.head
            assert one.served == 0

    asyncio.run(story())


def test_whoever_goes_away_is_not_delivered_later(edge):
    async def story():
        async with app("one") as one:
            await edge.proxy.ensure(token=1)
            await edge.route(one, front=PAUSE)
            async with client(edge.port) as gone:
                await gone.send("/", method="POST", body=b"buy")
                await held(edge, 1)
            async with asyncio.timeout(60):
                while await edge.stat("http.edge.downstream_rq_active"):
                    await asyncio.sleep(0.02)
            await edge.route(one)
            assert await ask(edge.port) == "one"
            assert one.served == 1

    asyncio.run(story())


def test_another_limit_is_for_those_who_come_from_then_on(edge):
    async def story():
        async with app("one") as one:
            await edge.proxy.ensure(token=1)
            await edge.route(one, front=PAUSE)
            long = asyncio.create_task(post(edge, b"!"))
            await held(edge, 1)
            route, _ = await edge.route(one, front=Front("pause", "Short.", limit=0.2))
            assert await edge.observed() == route
            async with client(edge.port) as it:
                assert (await it.get()).body == b"Short."
            assert not long.done()
            await edge.route(one)
            assert await long == b"one!"

    asyncio.run(story())


def test_under_maintenance_those_who_were_held_wait_on(edge):
    async def story():
        async with app("one") as one:
            await edge.proxy.ensure(token=1)
            await edge.route(one, front=PAUSE)
            waiting = asyncio.create_task(post(edge, b"!"))
            await held(edge, 1)
            route, _ = await edge.route(one, front=PAGE)
            assert await edge.observed() == route
            await edge.proxy.ensure(token=1)
            async with client(edge.port) as it:
                assert (await it.get()).body.decode() == PAGE.body
            assert not waiting.done()
            await edge.route(one)
            assert await waiting == b"one!"

    asyncio.run(story())


def test_a_pause_that_ends_with_nothing_behind_it_says_so(edge):
    async def story():
        async with app("one") as one:
            await edge.proxy.ensure(token=1)
            await edge.route(one, front=PAUSE)
            waiting = asyncio.create_task(ask(edge.port))
            await held(edge, 1)
            await edge.proxy.apply(HOST, Route(), token=1)
            assert await waiting == "503"

    asyncio.run(story())


def test_twenty_pauses_under_load_lose_no_request(edge):
    """32 kept-alive connections that never retry; each pause ends with the other release active."""

    async def story():
        async with app("one") as one, app("two") as two:
            await edge.proxy.ensure(token=1)
            await edge.route(one)
            stop, answers = asyncio.Event(), 0

            async def load() -> None:
                nonlocal answers
                async with client(edge.port) as it:
                    while not stop.is_set():
                        answer = await it.get("/", method="POST", body=b"!")
                        assert answer.status == 200, answer
                        answers += 1
                        await asyncio.sleep(0.02)

            async with asyncio.TaskGroup() as clients:
                for _ in range(32):
                    clients.create_task(load())
                for old, new in ((one, two), (two, one)) * 10:
                    await edge.route(old, front=PAUSE)
                    served = old.served
                    await edge.route(new, draining=(old,), front=PAUSE)
                    await edge.route(new, draining=(old,))
                    assert await edge.proxy.drain(HOST, (old.endpoint,), limit=30) == 0
                    assert old.served - served <= 32, "no more than was in flight"
                    await edge.route(new)
                stop.set()
            assert answers > 300
            assert one.served + two.served == answers

    asyncio.run(story())


def test_pauses_one_after_another_leave_nothing_behind(edge):
    async def story():
        async with app("one") as one, app("two") as two:
            await edge.proxy.ensure(token=1)
            await edge.route(one)
            before = sorted(edge.files())
            for n, to in enumerate((two, one, two, one)):
                await edge.route(one, front=Front("pause", limit=30 + n % 2))
                waiting = [asyncio.create_task(post(edge, b"%d" % n)) for _ in range(20)]
                await held(edge, 20)
                await edge.route(to)
                assert await asyncio.gather(*waiting) == [f"{to.name}{n}".encode()] * 20
            await edge.route(one)
            assert sorted(edge.files()) == before
            assert not any("gate" in file for file in map(str, edge.settings.directory.iterdir()))

    asyncio.run(story())


def test_a_small_number_of_inotify_instances(edge):
    """Linux gives a user 128 of them."""

    async def story():
        async with app("one") as one, app("two") as two:
            await edge.proxy.ensure(token=1)
            for draining, front, expected in ((), None, 4), ((two,), None, 5), ((), PAUSE, 4):
                await edge.route(one, draining=draining, front=front)
                assert edge.inotify() == expected

    asyncio.run(story())
