"""Every test of this folder runs once for every proxy."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.contract.proxy.kits import KITS, DockerKit, Kit
from tests.integration.envoy.conftest import require_envoy

Story = Callable[[Kit], Awaitable[None]]


@pytest.fixture(params=[*sorted(KITS), "docker"])
def tell(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Story], None]:
    """Run a story with a proxy that does not run yet, and end what it began."""
    if request.param == "envoy":
        require_envoy()

    lab = request.getfixturevalue("lab") if request.param == "docker" else None

    async def run(story: Story) -> None:
        kit = DockerKit(lab) if lab else KITS[request.param](tmp_path)
        try:
            await story(kit)
        finally:
            await kit.close()

    return lambda story: asyncio.run(run(story))
