"""What Envoy is asked for: its versions and the route, and all of it only where those do not tell."""

from __future__ import annotations

import asyncio
import json

import pytest
from tests.integration.envoy.edge import HOST, Edge, app, ask

from pilotage.model import Front, Route
from pilotage.proxy.envoy.admin import Admin

pytestmark = pytest.mark.integration

EVERYTHING = "/config_dump?include_eds"
PAUSE = Front("pause", limit=60)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths that the admin interface is asked for, as they are asked."""
    paths: list[str] = []
    ask = Admin._ask

    async def recorded(self, given):
        paths.extend(given)
        return await ask(self, given)

    monkeypatch.setattr(Admin, "_ask", recorded)
    return paths


def test_a_change_and_a_look_take_the_word_of_versions(edge: Edge, asked: list[str]) -> None:
    async def story() -> None:
        async with app("one") as one, app("two") as two:
            await edge.proxy.ensure(token=1)
            assert await edge.observed() == Route()
            await edge.route(one)
            await edge.proxy.ensure(token=1)
            wanted, _ = await edge.route(two, draining=(one,))
            assert await edge.observed() == wanted
            assert EVERYTHING not in asked
            assert max(map(len, asked)) < 400
            # Only the clusters tell whether a pause is over.
            wanted, _ = await edge.route(two, front=PAUSE)
            assert await edge.observed() == wanted
            assert EVERYTHING in asked

    asyncio.run(story())


def test_files_that_are_not_in_force_are_not_taken_for_what_is(
    edge: Edge, asked: list[str]
) -> None:
    """Somebody wrote into a file in its place, which Envoy does not look at."""

    async def story() -> None:
        async with app("one") as one, app("two") as two:
            await edge.proxy.ensure(token=1)
            await edge.route(one, draining=(two,))
            said = json.loads(edge.file("rds").read_text())
            for kind in ("rds", "cds"):
                content = json.loads(edge.file(kind).read_text())
                content |= {"version_info": "9-00000000", "resources": []}
                edge.file(kind).write_text(json.dumps(content))
            asked.clear()
            await edge.proxy.ensure(token=1)
            assert EVERYTHING in asked
            seen = await edge.observed()
            assert seen is not None
            assert [it.release for it in (*seen.active, *seen.draining)] == ["one", "two"]
            assert json.loads(edge.file("rds").read_text())["resources"] == said["resources"]
            assert await ask(edge.port) == "one"

    asyncio.run(story())


def test_an_envoy_without_a_route_is_looked_at(edge: Edge, asked: list[str]) -> None:
    async def story() -> None:
        await edge.proxy.ensure(token=1)
        assert await edge.proxy.observe() == {HOST: Route()}

    asyncio.run(story())
