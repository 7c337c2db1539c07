"""The recipes of docs/how-to/readiness.md, as they stand there, under real servers."""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.integration.health.conftest import RELEASE, Prepared
from tests.servers import free_port

pytestmark = pytest.mark.integration

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "readiness.md"
RECIPES = {
    title: textwrap.dedent(text)
    for title, text in re.findall(
        r'^ *```python title="(\S+)"\n(.*?)^ *```$', PAGE.read_text(), re.MULTILINE | re.DOTALL
    )
}

# What a Django project has besides; the site's page is what a stranger's host must not reach.
DJANGO = {
    "site_settings.py": """
        SECRET_KEY = "x"
        ALLOWED_HOSTS = ["shop.example"]
        ROOT_URLCONF = "site_urls"
        MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
        """,
    "site_urls.py": """
        from django.http import HttpResponse
        from django.urls import path

        urlpatterns = [path("", lambda request: HttpResponse("home"))]
        """,
}

GUNICORN = ("-m", "gunicorn", "--bind", "127.0.0.1:{port}", "--workers", "2")
UVICORN = ("-m", "uvicorn", "--port", "{port}")


@dataclass(frozen=True, slots=True)
class Recipe:
    """A file of the page, and the server that serves it."""

    file: str
    server: tuple[str, ...]
    path: str = "/up"
    host: str = "10.1.2.3:8000"


EVERY = {
    "django-wsgi": Recipe("site/wsgi.py", (*GUNICORN, "wsgi:application")),
    "django-wsgi-preloaded": Recipe("site/wsgi.py", (*GUNICORN, "--preload", "wsgi:application")),
    "django-asgi": Recipe("site/asgi.py", (*UVICORN, "asgi:application")),
    "flask-threads": Recipe("app.py", (*GUNICORN, "--threads", "4", "app:app")),
    "starlette": Recipe("main.py", (*UVICORN, "main:app")),
    "plain": Recipe("plain.py", (*UVICORN, "--lifespan", "off", "plain:app"), path="/healthz"),
}


def test_every_recipe_is_tried():
    assert {recipe.file for recipe in EVERY.values()} == set(RECIPES)


@contextmanager
def serving(recipe: Recipe, directory: Path, prepared: Prepared) -> Iterator[int]:
    (directory / Path(recipe.file).name).write_text(RECIPES[recipe.file])
    for name, text in DJANGO.items():
        (directory / name).write_text(textwrap.dedent(text))
    port = free_port()
    log = directory / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, *(word.format(port=port) for word in recipe.server)],
            cwd=directory,
            env={**os.environ, **prepared.environment(), "PYTHONPATH": str(directory)},
            stdout=out,
            stderr=out,
        )
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                ask(port, "GET", "/")
                break
            except OSError:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
        yield port
        said = log.read_text()
        assert "Traceback" not in said, said
    finally:
        process.terminate()
        process.wait(30)


def ask(port: int, method: str, path: str, host: str = "shop.example") -> tuple[int, bytes, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, headers={"Host": host})
        response = connection.getresponse()
        return response.status, response.read(), response.headers
    finally:
        connection.close()


def ask_until(port: int, recipe: Recipe, status: int) -> dict[str, Any]:
    """Probe until ten answers in a row have the status (the server has several workers)."""
    deadline, met = time.monotonic() + 60, 0
    while met < 10:
        seen, body, _ = ask(port, "GET", recipe.path, recipe.host)
        met = met + 1 if seen == status else 0
        assert time.monotonic() < deadline, body
        time.sleep(0.05)
    told: dict[str, Any] = json.loads(body)
    return told


@pytest.mark.parametrize("name", EVERY)
def test_recipe(name: str, prepared: Prepared, tmp_path: Path) -> None:
    recipe = EVERY[name]
    with serving(recipe, tmp_path, prepared) as port:
        told = ask_until(port, recipe, 200)
        assert (told["ready"], told["release"], told["stream"]) == (True, RELEASE, "shop")

        status, body, headers = ask(port, "HEAD", recipe.path, recipe.host)
        assert (status, body) == (200, b"")
        assert int(headers["Content-Length"]) > 100
        assert headers["Content-Type"].startswith("application/json")
        assert headers["Cache-Control"] == "no-store"
        assert ask(port, "GET", f"{recipe.path}/", recipe.host)[0] == 200

        status, _, headers = ask(port, "POST", recipe.path, recipe.host)
        assert (status, headers["Allow"]) == (405, "GET, HEAD")

        assert ask(port, "GET", "/")[:2] == (200, b"home")
        if "django" in name:
            assert ask(port, "GET", "/", recipe.host)[0] == 400, "Django refuses the host itself"

        prepared.contract()
        told = ask_until(port, recipe, 503)
        assert told["foreign"] == ["2/contract"]
        assert ask(port, "GET", "/")[:2] == (200, b"home")


MOUNTED = """
import pilotage.health
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

app = Starlette(routes=[
    Mount("/health", pilotage.health.asgi()),
    Mount("/inner", pilotage.health.asgi(PlainTextResponse("inner"), path="/ready")),
    Route("/", PlainTextResponse("home")),
])
"""


def test_mounted_below_a_path(prepared: Prepared, tmp_path: Path, monkeypatch) -> None:
    recipe = Recipe("mounted.py", (*UVICORN, "mounted:app"), path="/health/")
    monkeypatch.setitem(RECIPES, "mounted.py", MOUNTED)
    with serving(recipe, tmp_path, prepared) as port:
        assert ask_until(port, recipe, 200)["ready"]
        assert ask_until(port, Recipe("", (), path="/inner/ready"), 200)["ready"]
        assert ask(port, "GET", "/inner/else")[:2] == (200, b"inner")


def test_alone_under_a_server(prepared: Prepared, tmp_path: Path, monkeypatch) -> None:
    recipe = Recipe("alone.py", (*UVICORN, "--lifespan", "on", "alone:app"), path="/anything")
    text = "import pilotage.health\n\napp = pilotage.health.asgi()\n"
    monkeypatch.setitem(RECIPES, "alone.py", text)
    with serving(recipe, tmp_path, prepared) as port:
        assert ask_until(port, recipe, 200)["ready"]
