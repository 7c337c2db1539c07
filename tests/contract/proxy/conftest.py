"""Every test of this folder runs once for every proxy."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.contract.proxy.kits import KITS, Kit
from tests.integration.envoy.conftest import require_envoy

Story = Callable[[Kit], Awaitable[None]]


@pytest.fixture(params=sorted(KITS))
def tell(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Story], None]:
    """Run a story with a proxy that does not run yet, and end what it began."""
    if request.param == "envoy":
        require_envoy()

    async def run(story: Story) -> None:
        kit = KITS[request.param](tmp_path)
        try:
            await story(kit)
        finally:
            await kit.close()

    return lambda story: asyncio.run(run(story))
