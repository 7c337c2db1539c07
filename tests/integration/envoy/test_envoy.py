"""`pilotage.proxy.envoy` on a real Envoy: the switch, the drain, and everything that can go wrong."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import ssl
from dataclasses import replace
from pathlib import Path

import pytest
from tests.integration.envoy.conftest import free_port
from tests.integration.envoy.edge import HOST, Edge, app, ask, client
from tests.integration.local.world import alive, command, full_disk, until

from pilotage.errors import LeaseLost, ProxyError
from pilotage.model import Endpoint, Route
from pilotage.proxy.envoy import TlsFiles, local_edge

pytestmark = pytest.mark.integration

HERE = Path(__file__).parent


async def ready(edge: Edge, story) -> None:
    """Run a story on an edge that runs."""
    await edge.proxy.ensure(token=1)
    await story()


# -- requests ------------------------------------------------------------------------------------


def test_before_the_first_route_it_answers_that_nothing_is_there(edge):
    async def story():
        await edge.proxy.ensure(token=1)
        assert await edge.observed() == Route()
        assert await ask(edge.port) == "503"

    asyncio.run(story())


def test_a_route_is_in_force_when_apply_returns_and_is_observed_as_it_was_given(edge):
    async def story():
        async with app("one") as one, app("two") as two, app("three") as three:
            await edge.proxy.ensure(token=1)
            for active, draining in (
                ((one,), ()),
                ((two,), (one,)),
                ((three, two), (one,)),
                ((one, two, three), ()),
                ((), ()),
            ):
                before = asyncio.get_running_loop().time()
                route, confirmed = await edge.route(*active, draining=draining)
                assert before <= confirmed <= asyncio.get_running_loop().time()
                assert await edge.observed() == route
                names = {it.name for it in active} or {"503"}
                assert {await ask(edge.port) for _ in range(6)} <= names

    asyncio.run(story())


def test_the_app_sees_the_client_and_the_client_sees_the_app(edge):
    async def story():
        async with app("one") as one:
            await edge.proxy.ensure(token=1)
            await edge.route(one)
            async with client(edge.port) as it:
                answer = await it.get("/headers")
            assert b"\r\nserver: tiny\r\n" in answer.head
            head = answer.body.decode().lower()
            # Envoy names this machine by its address where the client is on this machine.
            assert re.search(r"\r\nx-forwarded-for: [0-9a-f.:]+\r\n", head)
            assert "\r\nx-forwarded-proto: http\r\n" in head
            assert "\r\nx-request-id: " in head
            assert "\r\nhost: shop\r\n" in head

    asyncio.run(story())


def test_bodies_pass(edge):
    async def story():
        async with app("one") as one:
            await edge.proxy.ensure(token=1)
            await edge.route(one)
            body = os.urandom(3_000_000)
            async with client(edge.port) as it:
                answer = await it.get("/", method="POST", body=body)
            assert answer.body == b"one" + body

    asyncio.run(story())


def test_http_2_is_spoken(edge):
    async def story():
        await edge.proxy.ensure(token=1)
        async with client(edge.port) as it:
            it.writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\x04\0\0\0\0\0")
            header = await it.reader.readexactly(9)
            assert header[3] == 4, "the first frame of an HTTP/2 server is SETTINGS"

    asyncio.run(story())


def test_tls_with_the_certificate_from_its_files(make_edge):
    tls = TlsFiles(HERE / "localhost.crt", HERE / "localhost.key")
    edge = make_edge(tls=tls)
    context = ssl.create_default_context(cafile=tls.certificate)
    context.set_alpn_protocols(["h2", "http/1.1"])

    async def story():
        await edge.proxy.ensure(token=1)
        _, writer = await asyncio.open_connection(
            "127.0.0.1", edge.port, ssl=context, server_hostname="localhost"
        )
        assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
        writer.close()
        await writer.wait_closed()
        written = (edge.settings.directory / "sds" / "sds.json").read_text()
        assert "PRIVATE KEY" not in written

    asyncio.run(story())


def test_a_certificate_that_is_not_there_is_told_before_anything_starts(make_edge, tmp_path):
    edge = make_edge(tls=TlsFiles(tmp_path / "no.crt", tmp_path / "no.key"))
    with pytest.raises(ProxyError, match="no such certificate"):
        asyncio.run(edge.proxy.ensure(token=1))
    assert asyncio.run(edge.proxy.observe()) == {}


def test_an_instance_that_is_gone_costs_no_request_of_any_method(edge):
    async def story():
        async with app("one", of="r") as one, app("two", of="r") as two:
            await edge.route(one, two)
            await one.kill()
            for method in ("GET", "POST") * 10:
                async with client(edge.port) as it:
                    answer = await it.get("/", method=method, body=b"!")
                assert answer.body == b"two!"

    asyncio.run(ready(edge, story))


# -- the switch ----------------------------------------------------------------------------------


def test_a_hundred_switches_under_load_lose_no_request(edge):
    """32 kept-alive connections that never retry; each old app is cut off as soon as it is drained."""
    failures: list[str] = []
    answers = 0

    async def load(stop: asyncio.Event) -> None:
        nonlocal answers
        async with client(edge.port) as it:
            while not stop.is_set():
                try:
                    answer = await it.get("/", method="POST", body=b"!")
                    if answer.status == 200:
                        answers += 1
                    else:
                        failures.append(f"{answer.status} {answer.body!r}")
                except (OSError, asyncio.IncompleteReadError) as error:
                    failures.append(repr(error))
                    return
                await asyncio.sleep(0.04)

    async def story():
        stop = asyncio.Event()
        await edge.proxy.ensure(token=1)
        async with contextlib.AsyncExitStack() as stack:
            old = await stack.enter_async_context(app("0"))
            await edge.route(old)
            clients = [asyncio.create_task(load(stop)) for _ in range(32)]
            for n in range(1, 101):
                new = await stack.enter_async_context(app(str(n)))
                await edge.route(new, draining=(old,))
                assert await edge.proxy.drain(HOST, (old.endpoint,), limit=30) == 0
                drained = old.served
                await edge.route(new)
                assert old.served == drained
                await old.kill()
                old = new
            stop.set()
            await asyncio.gather(*clients)
            assert old.served

    asyncio.run(story())
    assert failures == []
    assert answers > 300


def test_drain_waits_for_a_request_in_flight_and_only_for_that(edge):
    async def story():
        async with app("one") as one, app("two") as two, client(edge.port) as it:
            await edge.route(one)
            slow = asyncio.create_task(it.get("/slow"))
            await until(lambda: one.served)
            await edge.route(two, draining=(one,))
            assert await edge.proxy.drain(HOST, (one.endpoint,), limit=0.2) == 1
            assert await edge.proxy.drain(HOST, (two.endpoint,), limit=30) == 0
            draining = asyncio.create_task(edge.proxy.drain(HOST, (one.endpoint,), limit=30))
            await asyncio.sleep(0.3)
            assert not draining.done()
            assert await ask(edge.port) == "two"
            one.release.set()
            assert (await slow).body == b"one"
            assert await draining == 0

    asyncio.run(ready(edge, story))


def test_a_request_that_waits_for_a_connection_is_in_flight_too(edge):
    """A listener with a full backlog does not refuse: the request hangs in connecting."""

    async def story():
        full = socket.create_server(("127.0.0.1", 0), backlog=0)
        port = full.getsockname()[1]
        fillers = []
        for _ in range(3):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
            fillers.append(filler)
        stuck = Endpoint("web-stuck", "stuck", f"127.0.0.1:{port}")
        await edge.proxy.apply(HOST, Route(active=(stuck,)), token=1)
        async with app("one") as one, client(edge.port) as it:
            await it.send("/")
            await edge.proxy.apply(HOST, Route((one.endpoint,), (stuck,)), token=1)
            assert await edge.proxy.drain(HOST, (stuck,), limit=0.3) == 1
        for each in (full, *fillers):
            each.close()

    asyncio.run(ready(edge, story))


def test_event_streams_and_websockets_live_on_across_a_switch_and_the_removal(edge):
    async def story():
        async with (
            app("one") as one,
            app("two") as two,
            client(edge.port) as events,
            client(edge.port) as sock,
        ):
            await edge.route(one)
            await events.send("/events")
            one.tick.put_nowait("first")
            await events.reader.readuntil(b"\r\n\r\n")
            assert await events.chunk() == b"data: first\n\n"
            key = "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n"
            await sock.send("/socket", more=f"connection: upgrade\r\nupgrade: websocket\r\n{key}")
            assert (await sock.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
            await edge.route(two, draining=(one,))
            assert await edge.proxy.drain(HOST, (one.endpoint,), limit=0.2) == 2
            await edge.route(two)
            assert await ask(edge.port) == "two"
            one.tick.put_nowait("second")
            assert await events.chunk() == b"data: second\n\n"
            sock.writer.write(b"hello")
            assert await sock.reader.readexactly(5) == b"hello"

    asyncio.run(ready(edge, story))


# -- what is refused -----------------------------------------------------------------------------


def test_a_route_that_envoy_refuses_leaves_the_old_in_force_and_says_why(edge):
    async def story():
        async with app("one") as one, app("two") as two:
            route, _ = await edge.route(one)
            bad = Route(active=(Endpoint("web-bad", "bad", "not-an-address:1"),))
            with pytest.raises(ProxyError) as caught:
                await edge.proxy.apply(HOST, bad, token=1)
            assert "malformed IP address: not-an-address" in caught.value.what, "Envoy's own words"
            assert caught.value.state == "the old route is in force"
            assert await edge.observed() == route
            assert await ask(edge.port) == "one"
            after, _ = await edge.route(two)
            assert await edge.observed() == after

    asyncio.run(ready(edge, story))


@pytest.mark.parametrize("text", ["", "{}", "{", '{"version_info": "7-x", "resources": []}'])
@pytest.mark.parametrize("kind", ["cds", "rds", "eds/release-one"])
def test_a_file_that_somebody_broke_is_written_anew(edge, kind, text):
    async def story():
        async with app("one") as one:
            await edge.route(one)
            beside = edge.file(kind).with_name("theirs")
            beside.write_text(text)
            beside.rename(edge.file(kind))
            route, _ = await edge.route(one)
            assert await edge.observed() == route
            assert await ask(edge.port) == "one"

    asyncio.run(ready(edge, story))


def test_a_full_disk_leaves_the_old_route_in_force(edge):
    async def story():
        async with app("one") as one, app("two") as two:
            route, _ = await edge.route(one)
            before = edge.files()
            with full_disk(), pytest.raises(ProxyError, match="cannot write") as caught:
                await edge.route(two)
            assert "old route is in force" in caught.value.state
            assert edge.files() == before
            assert await edge.observed() == route
            assert await ask(edge.port) == "one"
            await edge.route(two)
            assert await ask(edge.port) == "two"

    asyncio.run(ready(edge, story))


def test_a_lower_token_changes_nothing(edge):
    async def story():
        async with app("one") as one, app("two") as two:
            route, _ = await edge.route(one, token=2)
            for attempt in (
                edge.route(two, token=1),
                edge.proxy.ensure(token=1),
                edge.proxy.remove(token=1),
            ):
                with pytest.raises(LeaseLost):
                    await attempt
            assert await edge.observed() == route

    asyncio.run(ready(edge, story))


def test_another_host_is_not_ours(edge):
    async def story():
        for attempt in (
            edge.proxy.apply("elsewhere", Route(), token=1),
            edge.proxy.drain("elsewhere", (), limit=0),
        ):
            with pytest.raises(ProxyError, match="knows no host elsewhere"):
                await attempt

    asyncio.run(story())


# -- the process ---------------------------------------------------------------------------------


def test_it_outlives_the_command_that_started_it(edge):
    script = """\
import asyncio, sys
from pathlib import Path
from pilotage.proxy.envoy import EnvoySettings, local_edge
proxy = local_edge(
    EnvoySettings(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), address="127.0.0.1"), print
)
asyncio.run(proxy.ensure(token=1))
print("runs", flush=True)
sys.stdin.readline()
"""
    with command(script, edge.settings.state_dir, HOST, edge.port) as process:
        assert "CommandRan" in process.stdout.readline()
        assert process.stdout.readline() == "runs\n"
        process.kill()
        process.wait()

    async def story():
        async with app("one") as one:
            await edge.route(one)
            assert await ask(edge.port) == "one"
        assert os.getsid(edge.pid()) != os.getsid(0)

    asyncio.run(story())


def test_ensure_twice_is_one_envoy(edge):
    async def story():
        await asyncio.gather(*(edge.proxy.ensure(token=1) for _ in range(3)))
        pid = edge.pid()
        await edge.proxy.ensure(token=1)
        assert edge.pid() == pid

    asyncio.run(story())


def test_killed_it_is_gone_and_ensure_brings_it_back_with_its_route(edge):
    async def story():
        async with app("one") as one, app("two") as two:
            await edge.proxy.ensure(token=1)
            route, _ = await edge.route(one)
            before = edge.files()
            pid = edge.pid()
            os.kill(pid, signal.SIGKILL)
            await until(lambda: not alive(pid))
            assert await edge.proxy.observe() == {}
            with pytest.raises(ProxyError, match="Envoy is gone"):
                await edge.route(two)
            assert edge.files() == before
            assert await edge.proxy.drain(HOST, (one.endpoint,), limit=30) == 0
            await edge.proxy.ensure(token=1)
            assert edge.pid() != pid
            assert await edge.observed() == route
            assert await ask(edge.port) == "one"

    asyncio.run(story())


def test_an_envoy_that_hangs_is_told_and_the_old_route_is_put_back(edge):
    async def story():
        async with app("one") as one, app("two") as two:
            await edge.proxy.ensure(token=1)
            route, _ = await edge.route(one)
            os.kill(edge.pid(), signal.SIGSTOP)
            try:
                with pytest.raises(ProxyError, match="does not answer"):
                    await edge.route(two)
            finally:
                os.kill(edge.pid(), signal.SIGCONT)
            async with asyncio.timeout(60):
                while await edge.observed() != route:
                    await asyncio.sleep(0.01)
            assert await ask(edge.port) == "one"

    asyncio.run(story())


def test_a_port_that_is_taken_is_one_clear_error_that_names_who_has_it(edge):
    async def story():
        taken = socket.create_server(("127.0.0.1", edge.port))
        with taken, pytest.raises(ProxyError) as caught:
            await edge.proxy.ensure(token=1)
        name = Path("/proc/self/comm").read_text().strip()
        assert caught.value.what == (f"port {edge.port} is taken by process {os.getpid()} ({name})")
        assert not edge.settings.directory.exists(), "nothing was written"
        await edge.proxy.ensure(token=1)

    asyncio.run(story())


def test_two_projects_do_not_share_a_port(make_edge, tmp_path):
    async def story():
        first = make_edge()
        await first.proxy.ensure(token=1)
        second = make_edge(tmp_path / "other" / ".pilotage", port=first.port)
        with pytest.raises(
            ProxyError, match=f"port {first.port} is taken by process {first.pid()} "
        ):
            await second.proxy.ensure(token=1)

    asyncio.run(story())


def test_a_new_port_moves_the_listener_of_the_running_envoy(edge, make_edge):
    async def story():
        async with app("one") as one:
            await edge.proxy.ensure(token=1)
            await edge.route(one)
            moved = make_edge(port=free_port())
            await moved.proxy.ensure(token=1)
            assert moved.pid() == edge.pid()
            assert await ask(moved.port) == "one"

    asyncio.run(story())


def test_a_listener_that_envoy_refuses_leaves_the_old_in_force(edge, make_edge):
    async def story():
        async with app("one") as one:
            await edge.proxy.ensure(token=1)
            await edge.route(one)
            with socket.create_server(("127.0.0.1", 0)) as taken:
                moved = make_edge(port=taken.getsockname()[1])
                with pytest.raises(ProxyError, match="listener") as caught:
                    await moved.proxy.ensure(token=1)
            assert caught.value.state == "the old listener is in force"
            assert await ask(edge.port) == "one"
            lds = json.loads((edge.settings.directory / "lds" / "lds.json").read_text())
            (listener,) = lds["resources"]
            assert listener["address"]["socket_address"]["port_value"] == edge.port

    asyncio.run(story())


def test_a_path_longer_than_a_socket_may_have(make_edge, tmp_path):
    async def story():
        edge = make_edge(tmp_path / ("deep" * 30) / ("er" * 30) / ".pilotage")
        await edge.proxy.ensure(token=1)
        assert await edge.observed() == Route()

    asyncio.run(story())


def test_the_admin_interface_is_for_its_owner_alone(edge):
    async def story():
        await edge.proxy.ensure(token=1)
        mode = (edge.settings.directory / "admin.sock").stat().st_mode
        assert mode & 0o077 == 0

    asyncio.run(story())


def test_remove_leaves_nothing_and_may_be_repeated(edge):
    async def story():
        await edge.proxy.ensure(token=1)
        pid = edge.pid()
        for _ in range(2):
            await edge.proxy.remove(token=1)
            assert not alive(pid)
            assert not edge.settings.directory.exists()
            assert await edge.proxy.observe() == {}
        with socket.create_server(("127.0.0.1", edge.port)):
            pass

    asyncio.run(story())


def test_an_envoy_that_cannot_start_is_told_with_its_words_and_is_gone(edge):
    async def story():
        broken = local_edge(replace(edge.settings, address="203.0.113.7"), edge.events.append)
        with pytest.raises(ProxyError) as caught:
            await broken.ensure(token=1)
        assert "203.0.113.7" in str(caught.value)
        assert await broken.observe() == {}

    asyncio.run(story())
