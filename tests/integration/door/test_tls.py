"""HTTPS at the door: certificates from a real ACME authority, and one's own."""

from __future__ import annotations

import asyncio
import json

import pytest
from tests.certificates import own_certificate
from tests.integration.door.authority import NAMES, authority, certified

from pilotage.proxy.door import Acme, OwnCertificate
from pilotage.secret import Secret

pytestmark = pytest.mark.integration


def test_a_certificate_for_each_name_comes_from_the_authority_and_http_is_sent_on(tell):
    async def story(way):
        root = await authority(way)
        one = await way.app("one")
        acme = Acme("https://ca.test/acme/local/directory", root)
        shop = way.entrance("shop", names=NAMES, tls=True, acme=acme, forward_headers=False)
        await way.serve(shop, one)
        for name in NAMES:
            await certified(way, root, name)
            assert await way.ask(name, trust=root) == (200, "one")
            status, head = await way.ask(name, "/headers", trust=root)
            assert status == 200
            assert "x-forwarded-proto: https" in head.lower()
        async with way.client() as it:
            it.writer.write(b"GET /a?b=c HTTP/1.1\r\nhost: shop.test\r\n\r\n")
            head = await it.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 301 ")
        assert b"location: https://shop.test/a?b=c\r\n" in head.lower()

    tell(story)


def own(name):
    """A certificate that signed itself, and what trusts it."""
    pem, private = own_certificate(name)
    return OwnCertificate(pem, Secret(private)), pem


def test_an_own_certificate_is_replaced_while_requests_go_on(tell):
    async def story(way):
        one = await way.app("one")
        old, trusts_old = own("shop")
        new, trusts_new = own("shop")
        more = {"names": ("shop",), "tls": True}
        await way.serve(way.entrance("shop", certificate=old, **more), one)
        assert await way.ask("shop", trust=trusts_old) == (200, "one")
        started = way.host.docker("inspect", "--format", "{{.State.StartedAt}}", "pilotage-door")
        async with way.client(trust=trusts_old, name="shop") as kept:
            slow = asyncio.create_task(kept.get("/slow"))
            async with asyncio.timeout(60):
                while one.served < 2:
                    await asyncio.sleep(0.01)
            await way.entrance("shop", certificate=new, **more).ensure(token=1)
            assert await way.ask("shop", trust=trusts_new) == (200, "one")
            one.release.set()
            assert (await slow).body == b"one"
        assert started == way.host.docker(
            "inspect", "--format", "{{.State.StartedAt}}", "pilotage-door"
        )
        assert not any(new.key.reveal() in json.dumps(event.to_json()) for event in way.events)

    tell(story)
