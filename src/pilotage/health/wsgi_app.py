"""Readiness as a WSGI application, or in front of one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http import HTTPStatus
from pathlib import Path
from typing import Any

from pilotage.health.http import CONTENT_TYPE, NOT_ALLOWED, is_at
from pilotage.health.readiness import Answer, Readiness
from pilotage.health.settings import Settings

App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def wsgi(
    app: App | None = None,
    *,
    path: str = "/up",
    database: str | None = None,
    stream: str | None = None,
    release: str | None = None,
    migrations: str | Path | None = None,
) -> App:
    """``app`` with readiness at ``path``; without ``app``, an application that answers everywhere.

    The rest is by default what the environment says, see `Settings.of`. Nothing is asked before the
    first probe, so a server may load the application first and fork its workers then.
    """
    readiness = Readiness(
        lambda: Settings.of(
            database=database, stream=stream, release=release, migrations=migrations
        )
    )

    def ready(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if app is not None and not is_at(path, environ.get("PATH_INFO", "")):
            return app(environ, start_response)
        method = environ["REQUEST_METHOD"]
        if method in ("GET", "HEAD"):
            answer, extra = readiness.answer(), []
            status = HTTPStatus(answer.status)
        else:
            answer, extra = Answer(False, NOT_ALLOWED), [("Allow", "GET, HEAD")]
            status = HTTPStatus.METHOD_NOT_ALLOWED
        headers = [
            ("Content-Type", CONTENT_TYPE),
            ("Content-Length", str(len(answer.body))),
            ("Cache-Control", "no-store"),
            *extra,
        ]
        start_response(f"{status.value} {status.phrase}", headers)
        return [b"" if method == "HEAD" else answer.body]

    return ready
