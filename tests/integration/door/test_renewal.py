"""Certificates of a real ACME authority, renewed under load, and when the authority is down.

The authority gives none for less than five minutes, so the door is told to renew a certificate twelve
seconds after it was issued, where Caddy's own rule is two thirds of its life.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager

import pytest
from tests.integration.door.authority import NAMES, authority, certified, serial

from pilotage.proxy.door import Acme

pytestmark = pytest.mark.integration

NAME = NAMES[0]
REQUEST = f"GET / HTTP/1.1\r\nhost: {NAME}\r\n\r\n".encode()


class Load:
    """Requests by connections that are kept and by new ones, each of which checks the certificate."""

    def __init__(self, way, trust):
        self.way, self.trust = way, trust
        self.done, self.failed = 0, []

    async def kept(self):
        async with self.way.client(trust=self.trust, name=NAME) as it:
            while True:
                await self.request(it)

    async def anew(self):
        while True:
            async with self.way.client(trust=self.trust, name=NAME) as it:
                await self.request(it)

    async def request(self, it):
        it.writer.write(REQUEST)
        head = await it.reader.readuntil(b"\r\n\r\n")
        await it.reader.readexactly(len("one"))
        assert head.startswith(b"HTTP/1.1 200 "), head
        self.done += 1
        await asyncio.sleep(0.02)

    async def worker(self, once):
        while True:
            try:
                await once()
            except (OSError, EOFError, AssertionError) as error:
                self.failed.append(repr(error))

    @asynccontextmanager
    async def going(self):
        """For the length of the block."""
        tasks = [asyncio.create_task(self.worker(it)) for it in (self.kept, self.anew) * 4]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)


def hurry(way):
    """Have the door look every two seconds, where Caddy does it every ten minutes, and renew early."""
    path = way.host.home / ".pilotage" / "door" / "caddy.json"
    config = json.loads(path.read_text())
    automation = config["apps"]["tls"]["automation"]
    automation["renew_interval"] = "2s"
    for policy in automation["policies"]:
        policy["renewal_window_ratio"] = 0.8  # of the five minutes, and of one before they begin
    path.write_text(json.dumps(config))
    way.host.docker("restart", "pilotage-door")


async def replaced(way, trust, old):
    """Wait until another certificate is served; its number."""
    async with asyncio.timeout(240):
        while (new := await serial(way, trust, NAME)) in (old, None):
            await asyncio.sleep(0.2)
    return new


async def complained(door):
    """Wait until the door says that it could not renew."""
    async with asyncio.timeout(240):
        while True:
            said = []
            await door.logs(lambda _, block, said=said: said.append(block), lines=500)
            if any(b'"level":"error"' in line for line in b"".join(said).splitlines()):
                return
            await asyncio.sleep(0.5)


def test_a_certificate_is_renewed_under_load_and_serves_on_when_the_authority_is_down(tell):
    async def story(way):
        root = await authority(way)
        one = await way.app("one")
        acme = Acme("https://ca.test/acme/local/directory", root)
        shop = way.entrance("shop", names=(NAME,), tls=True, acme=acme)
        await way.serve(shop, one)
        await certified(way, root, NAME)
        hurry(way)
        await certified(way, root, NAME)
        load = Load(way, root)
        first = await serial(way, root, NAME)
        async with load.going():
            second = await replaced(way, root, first)
            third = await replaced(way, root, second)
            way.host.docker("stop", "--time", "1", "ca")
            await complained(shop.door)
            assert await serial(way, root, NAME) is not None, "the one that is there goes on"
            way.host.docker("start", "ca")
            assert await replaced(way, root, third), "Caddy tries again, after a minute at first"
        assert load.failed == []
        assert load.done > 500

    tell(story)
