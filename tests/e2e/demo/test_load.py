"""The load generator against servers that misbehave: every lost request counts, and none is sent twice."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from pilotage.demo.http1 import BadResponse, Connection, connect, request
from pilotage.demo.load import CONNECTIONS, Acknowledged, Customer, Load
from pilotage.demo.measure import Measurements, Sample, Span, percentile, skew
from pilotage.demo.seed import seeded

Answer = Callable[[int, bytes, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def server(answer: Answer) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server that calls ``answer(number, request, writer)``; its port, and the requests it read."""
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                for line in head.lower().split(b"\r\n"):
                    if line.startswith(b"content-length:"):
                        head += await reader.readexactly(int(line.split(b":")[1]))
                seen.append(head)
                await answer(len(seen), head, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    running = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with running:
        yield running.sockets[0].getsockname()[1], seen


def ok(body: bytes = b"{}", *, status: str = "200 OK", headers: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body


GET = request("GET", "/", host="shop")


async def opened(port: int) -> Connection:
    return await connect("127.0.0.1", port, limit=5)


def customer(port: int, *, action: float = 0.0, seeds: int = 32 * 10) -> Customer:
    """A customer who always does the same: reads (0.0), places (0.7) or changes (0.9)."""
    chance = random.Random(1)
    chance.random = lambda: action  # type: ignore[method-assign]
    return Customer(3, "127.0.0.1", port, seeds, Acknowledged(), chance)


def test_requests_share_one_kept_alive_connection() -> None:
    async def answer(number: int, head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(ok(str(number).encode(), headers="X-Release: abc\r\n"))

    async def main() -> None:
        async with server(answer) as (port, seen):
            connection = await opened(port)
            first = await connection.send(GET, limit=5)
            second = await connection.send(GET, limit=5)
            assert (first.status, first.body, first.headers["x-release"]) == (200, b"1", "abc")
            assert second.body == b"2"
            assert connection.usable
            assert len(seen) == 2
            connection.close()

    asyncio.run(main())


def test_a_body_may_come_in_chunks_and_in_pieces() -> None:
    async def answer(number: int, head: bytes, writer: asyncio.StreamWriter) -> None:
        whole = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3;x=y\r\n!\r\n\r\n0\r\n\r\n"
        for byte in whole:
            writer.write(bytes([byte]))
            await writer.drain()

    async def main() -> None:
        async with server(answer) as (port, _):
            connection = await opened(port)
            assert (await connection.send(GET, limit=5)).body == b"hello!\r\n"
            assert (await connection.send(GET, limit=5)).body == b"hello!\r\n"
            connection.close()

    asyncio.run(main())


@pytest.mark.parametrize("kept_alive", [False, True])
@pytest.mark.parametrize("action", [0.0, 0.7, 0.9])
def test_a_connection_closed_under_a_request_is_a_failure_and_not_retried(
    action: float, kept_alive: bool
) -> None:
    """The server reads the request and closes: the case in which clients like to send it again."""
    order = b'{"id": 4, "item": "item 4", "amount": 104}'

    async def answer(number: int, head: bytes, writer: asyncio.StreamWriter) -> None:
        if kept_alive and number == 1:
            writer.write(ok(order))
        else:
            writer.close()

    async def main() -> None:
        async with server(answer) as (port, seen):
            buyer = customer(port)
            buyer.seeds = CONNECTIONS
            if kept_alive:
                assert not (await buyer.once()).failure
            buyer.chance.random = lambda: action  # type: ignore[method-assign]
            lost = await buyer.once()
            assert "ConnectionResetError" in lost.failure
            assert len(seen) == 1 + kept_alive, "sent once, and not again"

    asyncio.run(main())


def test_a_connection_closed_between_requests_is_opened_again() -> None:
    async def answer(number: int, head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(ok(b'{"id": 4, "item": "item 4", "amount": 104}'))
        writer.close()

    async def main() -> None:
        async with server(answer) as (port, seen):
            buyer = customer(port, seeds=CONNECTIONS)
            for _ in range(3):
                assert not (await buyer.once()).failure
                assert buyer.connection is not None
                while buyer.connection.usable:
                    await asyncio.sleep(0.001)
            assert buyer.reopened == 2
            assert len(seen) == 3

    asyncio.run(main())


def test_no_answer_in_time_is_a_failure() -> None:
    async def answer(number: int, head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")

    async def main() -> None:
        async with server(answer) as (port, _):
            connection = await opened(port)
            with pytest.raises(TimeoutError):
                await connection.send(GET, limit=0.05)
            assert not connection.usable

    asyncio.run(main())


@pytest.mark.parametrize(
    "said",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\ntoo much",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_nonsense_is_a_failure(said: bytes) -> None:
    async def answer(number: int, head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(said)

    async def main() -> None:
        async with server(answer) as (port, _):
            connection = await opened(port)
            with pytest.raises(BadResponse):
                await connection.send(GET, limit=5)
            assert not connection.usable

    asyncio.run(main())


@pytest.mark.parametrize(
    ("said", "failure"),
    [
        (ok(b"no healthy upstream", status="503 Service Unavailable"), "status 503"),
        (ok(status="404 Not Found"), "status 404"),
        (ok(b"hello"), "not JSON"),
        (ok(b"[]"), "not an order"),
        (ok(b'{"id": 4, "item": null, "amount": 104}'), "stored (4, None, 104)"),
        (ok(b'{"id": 5, "item": "item 4", "amount": 104}'), "stored (5,"),
    ],
)
def test_an_unexpected_answer_is_a_failure(said: bytes, failure: str) -> None:
    async def answer(number: int, head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(said)

    async def main() -> None:
        async with server(answer) as (port, _):
            buyer = customer(port, seeds=CONNECTIONS)
            assert failure in (await buyer.once()).failure
            if buyer.connection:
                buyer.connection.close()

    asyncio.run(main())


def test_nobody_there_is_a_failure() -> None:
    async def main() -> None:
        async with server(lambda *_: asyncio.sleep(0)) as (port, _):
            pass
        assert "connect: ConnectionRefusedError" in (await customer(port).once()).failure

    asyncio.run(main())


def test_the_whole_load_remembers_what_was_acknowledged() -> None:
    """A shop in memory that forgets one change: the next read of that order tells."""
    stored: dict[int, dict[str, object]] = {}
    forgotten: list[int] = []

    async def answer(number: int, head: bytes, writer: asyncio.StreamWriter) -> None:
        first, _, body = head.partition(b"\r\n\r\n")
        method, path, _ = first.split(b" ", 2)
        given = json.loads(body) if body else {}
        if method == b"POST":
            order = 1_000_000 + number
            stored[order] = {"id": order, "item": given["item"], "amount": given["amount"]}
            writer.write(ok(json.dumps(stored[order]).encode(), status="201 Created"))
            return
        order = int(path.rsplit(b"/", 1)[1])
        was = stored.get(order) or dict(
            zip(("id", "item", "amount"), (order, *seeded(order)), strict=True)
        )
        now = {**was, **given}
        if method == b"PUT" and not forgotten and order > 1_000_000:
            forgotten.append(order)
        elif method == b"PUT":
            stored[order] = now
        writer.write(ok(json.dumps(now).encode(), headers="X-Release: r1\r\n"))

    async def main() -> None:
        async with server(answer) as (port, seen):
            load = Load("127.0.0.1", port, 32 * 100, rate=2000)

            async def commands() -> AsyncIterator[str]:
                while not load.measured.failed:
                    await asyncio.sleep(0.01)
                yield "begin v2"
                before = len(load.measured.samples)
                while len(load.measured.samples) < before + 100:
                    await asyncio.sleep(0.01)
                yield "end"
                yield "stop"

            summary = await load.run(commands())
            assert summary["requests"] == len(seen)
            assert summary["failed"] >= 1
            assert all("GET: WrongAnswer" in failure["what"] for failure in summary["failures"])
            assert summary["placed"] == sum(head.startswith(b"POST") for head in seen)
            assert summary["p50_ms"]["before"] <= summary["p99_ms"]["before"]
            assert summary["p50_ms"]["during"] is not None
            assert set(load.acknowledged.orders) - set(stored) == set()
            wrong = [
                order
                for order, (item, amount) in load.acknowledged.orders.items()
                if (stored[order]["item"], stored[order]["amount"]) != (item, amount)
            ]
            assert wrong in ([], forgotten)  # empty when it was changed again later

    asyncio.run(main())


def sample(sent: float, release: str, seconds: float = 0.01) -> Sample:
    return Sample(sent, seconds, release)


def test_percentiles_are_nearest_rank() -> None:
    values = [float(n) for n in range(1, 101)]
    assert percentile(values, 0.50) == 50
    assert percentile(values, 0.99) == 99
    assert percentile(values, 1.00) == 100
    assert percentile([7.0], 0.5) == 7
    assert percentile([], 0.5) is None


def test_skew_is_the_time_in_which_two_releases_got_requests() -> None:
    span = Span("v2", 0, 100)
    clean = [sample(1, "a"), sample(2, "a"), sample(3, "b"), sample(4, "b")]
    assert skew(clean, span) == 0
    mixed = [sample(1, "a"), sample(2, "b"), sample(2.5, "a"), sample(3, "b")]
    assert skew(mixed, span) == 0.5
    back = [sample(1, "a"), sample(2, "b"), sample(3, "b"), sample(9, "a")]
    assert skew(back, span) == 1, "b was there for a second, and a all the time"
    assert skew([sample(1, "a")], span) is None
    assert skew(mixed, Span("later", 50, 60)) is None
    assert skew([*clean, Sample(5, 0.1, "", "lost")], span) == 0


def test_before_and_during_are_told_apart() -> None:
    measured = Measurements()
    measured.add(sample(1, "a", 0.001))
    measured.begin("v2", 2)
    measured.add(sample(3, "a", 0.003))
    measured.end(4)
    measured.add(sample(5, "b", 0.005))
    measured.begin("v3", 6)
    measured.add(sample(7, "b", 0.007))
    measured.add(Sample(8, 5, "", "GET: no answer"))
    summary = measured.summary()
    assert summary["max_ms"] == {"before": 1.0, "during": 5000.0}
    assert summary["p50_ms"] == {"before": 1.0, "during": 7.0}
    assert (summary["requests"], summary["failed"]) == (5, 1)
