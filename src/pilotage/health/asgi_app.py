"""Readiness as an ASGI application, or in front of one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from pilotage.health.http import CONTENT_TYPE, NOT_ALLOWED, is_at
from pilotage.health.readiness import Answer, Readiness
from pilotage.health.settings import Settings

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


def asgi(
    app: App | None = None,
    *,
    path: str = "/up",
    database: str | None = None,
    stream: str | None = None,
    release: str | None = None,
    migrations: str | Path | None = None,
) -> App:
    """``app`` with readiness at ``path``; without ``app``, an application that answers everywhere.

    The rest is by default what the environment says, see `Settings.of`. Only asyncio's event loops are
    supported. Nothing is asked before the first probe.
    """
    readiness = Readiness(
        lambda: Settings.of(
            database=database, stream=stream, release=release, migrations=migrations
        )
    )

    async def ready(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "http" and (app is None or is_at(path, _local_path(scope))):
            await _respond(readiness, scope["method"], send)
        elif app is not None:
            await app(scope, receive, send)
        elif kind == "lifespan":
            await _lifespan(receive, send)
        else:
            await send({"type": "websocket.close"})

    return ready


def _local_path(scope: MutableMapping[str, Any]) -> str:
    """The path below wherever this is mounted."""
    path: str = scope["path"]
    root = scope.get("root_path", "")
    return path.removeprefix(root) if path.startswith(f"{root}/") else path


async def _respond(readiness: Readiness, method: str, send: Send) -> None:
    if method not in ("GET", "HEAD"):
        answer, status, extra = Answer(False, NOT_ALLOWED), 405, [(b"allow", b"GET, HEAD")]
    else:
        answer = await readiness.answer_async()
        status, extra = answer.status, []
    headers = [
        (b"content-type", CONTENT_TYPE.encode()),
        (b"content-length", str(len(answer.body)).encode()),
        (b"cache-control", b"no-store"),
        *extra,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    body = b"" if method == "HEAD" else answer.body
    await send({"type": "http.response.body", "body": body})


async def _lifespan(receive: Receive, send: Send) -> None:
    """There is nothing to start and nothing to end."""
    while True:
        phase = (await receive())["type"]
        await send({"type": f"{phase}.complete"})
        if phase == "lifespan.shutdown":
            return
