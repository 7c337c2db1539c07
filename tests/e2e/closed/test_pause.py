"""A pause under real load: what is held goes on, each request once, to whoever serves by then."""

from __future__ import annotations

import asyncio
import time

from tests.e2e.closed.conftest import reading
from tests.e2e.local.conftest import App

POST = """
def do_POST(self):
    length = int(self.headers["Content-Length"])
    body = self.rfile.read(length)
    number = body.split(b":", 1)[0].decode()
    seen[number] = seen.get(number, 0) + 1
    text = os.environ["PILOTAGE_RELEASE"] + f" {number} {len(body)} {seen[number]}"
    self.answer(200, text)


seen = {}
Handler.do_POST = do_POST
"""


async def post(port: int, number: int, size: int) -> tuple[int, str]:
    """Send a body that begins with its number; status and body of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        body = f"{number}:".encode().ljust(size, b"x")
        head = f"POST / HTTP/1.1\r\nHost: tiny\r\nContent-Length: {size}\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        answer = await reader.readuntil(b"\r\n\r\n")
        length = int(answer.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        return int(answer.split(b" ")[1]), (await reader.readexactly(length)).decode()
    finally:
        writer.close()


def size_of(number: int) -> int:
    """Most bodies are small, some are larger than what the edge keeps in memory."""
    return 3_000_000 if number % 100 == 0 else 10_000


async def held(
    app: App, count: int, meanwhile: list[str], *more: list[str]
) -> list[tuple[int, str]]:
    """Send ``count`` requests at once into a pause, run commands, and gather the answers."""
    requests = [asyncio.create_task(post(app.port, n, size_of(n))) for n in range(count)]
    for command in (meanwhile, *more):
        await asyncio.to_thread(app.pilotage, *command)
        if command is meanwhile:
            assert not any(request.done() for request in requests), "each of them is held"
    return await asyncio.gather(*requests)


def test_a_thousand_requests_wait_through_a_deploy_and_none_is_lost(app: App, served: str) -> None:
    reading(app, 1, at_start=POST)
    app.commit("v2")
    app.pilotage("deploy")
    release = app.commit("v3")
    said = app.pilotage("pause", "--max", "5m").out
    assert "holds each new request" in said

    answers = asyncio.run(held(app, 1000, ["deploy"], ["resume"]))

    wanted = [(200, f"{release} {n} {size_of(n)} 1") for n in range(1000)]
    assert answers == wanted, [
        pair for pair in zip(answers, wanted, strict=True) if pair[0] != pair[1]
    ][:5]
    assert app.status()["closure"] is None


def test_what_waits_longer_than_max_is_told_so(app: App, served: str) -> None:
    reading(app, 1, at_start=POST)
    app.commit("v2")
    app.pilotage("deploy")
    app.pilotage("pause", "--max", "1s")
    began = time.monotonic()
    status, body = asyncio.run(post(app.port, 1, 100))
    assert time.monotonic() - began >= 1
    assert status == 503
    assert "<h1>One moment</h1>" in body
    app.pilotage("resume")
    assert asyncio.run(post(app.port, 2, 100))[0] == 200


def test_pause_maintenance_resume_and_live_say_what_they_replace(app: App, served: str) -> None:
    app.pilotage("pause")
    assert "nothing serves" not in app.pilotage("status").out
    assert "paused by" in app.pilotage("status").out
    assert "the pause by" in app.pilotage("maintenance").out
    refused = app.pilotage("resume", status=1).err
    assert "that is no pause" in refused
    assert "`pilotage live` ends it" in refused
    assert "the maintenance by" in app.pilotage("pause").out
    assert "resumed" in app.pilotage("resume").out
    assert "nothing is paused" in app.pilotage("resume").out
    assert "live already" in app.pilotage("live").out
    assert app.serving() == served
    assert app.pilotage("pause", "--max", "2h", status=2).err.count("at most 1h") == 1
