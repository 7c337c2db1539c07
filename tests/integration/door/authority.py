"""A real ACME authority on a Docker host, and what clients see of its certificates."""

from __future__ import annotations

import asyncio
import ssl

NAMES = ("shop.test", "www.shop.test")

# Caddy as the authority: a directory at https://ca.test/acme/local/directory.
AUTHORITY = """\
{
	skip_install_trust
	auto_https disable_redirects
	storage file_system /tmp/ca
}
ca.test {
	tls internal
	acme_server {
		lifetime 5m
		resolvers 127.0.0.11:53
		challenges http-01
	}
}
"""


async def authority(way):
    """Start it (the container ``ca``) on the network of the host's containers; the PEM of its root."""
    way.host.docker("network", "create", "kamal", check=False)
    names = [word for name in NAMES for word in ("--add-host", f"{name}:{way.host.address}")]
    way.host.docker(
        *("run", "--detach", "--name", "ca", "--network", "kamal", "--network-alias", "ca.test"),
        *names,
        *("--entrypoint", "sh", "caddy:2", "-c"),
        'printf "%s" "$0" >/tmp/Caddyfile; exec caddy run --config /tmp/Caddyfile --adapter caddyfile',
        AUTHORITY,
    )
    root = "/tmp/ca/pki/authorities/local/root.crt"
    async with asyncio.timeout(60):
        while not (pem := way.host.docker("exec", "ca", "cat", root, check=False)):
            await asyncio.sleep(0.1)
    return pem


async def serial(way, trust, name):
    """The number of the certificate that a name has, checked by the root; None as long as it has none."""
    try:
        async with way.client(trust=trust, name=name) as it:
            return it.writer.get_extra_info("peercert")["serialNumber"]
    except (OSError, ssl.SSLError):
        return None


async def certified(way, trust, name):
    async with asyncio.timeout(90):
        while await serial(way, trust, name) is None:
            await asyncio.sleep(0.2)
