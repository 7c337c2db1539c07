"""Whom we talk to: known hosts, new ones, changed ones."""

from __future__ import annotations

import asyncio
import stat
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from tests.integration.ssh.conftest import Start
from tests.sshd import Sshd, key

from pilotage.errors import HostKeyChanged, HostKeyUnknown, HostUnreachable
from pilotage.shell.fleet import Fleet
from pilotage.shell.known_hosts import trust


def fingerprint(server: Sshd) -> str:
    """What OpenSSH itself calls the server's key."""
    path = server.directory / f"host_{server.host_key}.pub"
    said = subprocess.run(["ssh-keygen", "-lf", path], capture_output=True, text=True, check=True)
    return said.stdout.split()[1]


async def refused(server: Sshd, kind: type[HostUnreachable]) -> HostUnreachable:
    async with server.shell() as shell:
        with pytest.raises(kind) as caught:
            await shell.run(("true",))
    assert caught.value.where == server.name
    return caught.value


async def test_a_new_host_is_refused_until_a_person_trusts_it(server: Sshd) -> None:
    server.known_hosts.unlink()
    error = await refused(server, HostKeyUnknown)
    assert isinstance(error, HostKeyUnknown)
    assert "ssh-ed25519" in error.what
    assert fingerprint(server) in error.what
    assert f"pilotage server trust {server.name}" in error.next
    assert not server.known_hosts.exists()

    written = trust(error)
    assert written == server.known_hosts
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    async with server.shell() as shell:
        assert (await shell.run(("echo", "in"))).text == "in"
    # OpenSSH reads what was written as we do.
    found = subprocess.run(
        ["ssh-keygen", "-F", f"[127.0.0.1]:{server.port}", "-f", written],
        capture_output=True,
        check=False,
    )
    assert found.returncode == 0


async def test_trust_keeps_what_the_file_says_already(server: Sshd) -> None:
    before = "# mine\nexample.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIGP"
    server.known_hosts.write_text(before)  # a line without an end, and a key that is cut short
    error = await refused(server, HostKeyUnknown)
    assert isinstance(error, HostKeyUnknown)
    trust(error)
    first, second, third = server.known_hosts.read_text().splitlines()
    assert f"{first}\n{second}" == before
    assert third.startswith(f"[127.0.0.1]:{server.port} ssh-ed25519 ")
    async with server.shell() as shell:
        await shell.run(("true",))


async def test_a_changed_key_is_another_error_and_trust_is_not_its_next_step_alone(
    server: Sshd,
) -> None:
    old = fingerprint(server)
    server.stop()
    server.new_host_key()
    server.start()
    error = await refused(server, HostKeyChanged)
    assert error.what.startswith("THE HOST KEY HAS CHANGED")
    assert old in error.what
    assert fingerprint(server) in error.what
    assert f"ssh-keygen -R '[127.0.0.1]:{server.port}'" in error.next
    assert not isinstance(error, HostKeyUnknown)


async def test_a_host_that_has_only_a_key_of_another_kind_now_has_changed(server: Sshd) -> None:
    server.stop()
    for path in server.directory.glob("host_*"):
        path.unlink()
    server.host_key = "rsa"
    key(server.directory / "host_rsa", kind="rsa")
    server.start()
    error = await refused(server, HostKeyChanged)
    assert "ssh-rsa" in error.what


async def test_of_several_keys_the_known_one_is_asked_for(server: Sshd) -> None:
    server.stop()
    key(server.directory / "other_ed25519")
    key(server.directory / "other_ecdsa", kind="ecdsa")
    (server.directory / "host_ed25519").unlink()
    key(server.directory / "rsa", kind="rsa")
    server.options = tuple(
        f"HostKey {server.directory / name}" for name in ("other_ed25519", "other_ecdsa", "rsa")
    )
    # The last line of its configuration names a file that is not there, which sshd passes over.
    kind, data = (server.directory / "rsa.pub").read_text().split()[:2]
    server.known_hosts.write_text(f"[127.0.0.1]:{server.port} {kind} {data}\n")
    server.start()
    async with server.shell() as shell:
        await shell.run(("true",))


async def test_names_that_are_hashed_are_found(server: Sshd) -> None:
    subprocess.run(["ssh-keygen", "-H", "-f", server.known_hosts], check=True, capture_output=True)
    assert "127.0.0.1" not in server.known_hosts.read_text()
    async with server.shell() as shell:
        await shell.run(("true",))


async def test_a_key_that_is_known_without_the_port_counts_and_another_one_there_proves_nothing(
    server: Sshd, tmp_path: Path
) -> None:
    _, kind, data = server.known_hosts.read_text().split()
    server.known_hosts.write_text(f"127.0.0.1 {kind} {data}\n")
    async with server.shell() as shell:
        await shell.run(("true",))
    kind, data = key(tmp_path / "other").with_suffix(".pub").read_text().split()[:2]
    server.known_hosts.write_text(f"127.0.0.1 {kind} {data}\n")
    await refused(server, HostKeyUnknown)


async def test_a_revoked_key(server: Sshd) -> None:
    text = server.known_hosts.read_text()
    server.known_hosts.write_text(f"{text}@revoked {text}")
    error = await refused(server, HostKeyChanged)
    assert "revoked" in error.what


async def test_a_key_that_an_authority_signed(server: Sshd) -> None:
    authority = key(server.directory / "authority")
    subprocess.run(
        ["ssh-keygen", "-q", "-s", authority, "-I", "host", "-h", "-n", "127.0.0.1",
         server.directory / "host_ed25519.pub"],
        check=True, capture_output=True,
    )  # fmt: skip
    server.stop()
    server.options = (f"HostCertificate {server.directory / 'host_ed25519-cert.pub'}",)
    server.start()
    kind, data = Path(f"{authority}.pub").read_text().split()[:2]
    server.known_hosts.write_text(f"@cert-authority [127.0.0.1]:{server.port} {kind} {data}\n")
    async with server.shell() as shell:
        await shell.run(("true",))
    other = Path(f"{key(server.directory / 'another')}.pub").read_text().split()[:2]
    server.known_hosts.write_text(f"@cert-authority [127.0.0.1]:{server.port} {' '.join(other)}\n")
    error = await refused(server, HostUnreachable)
    assert "not trusted" in error.what


async def test_a_host_key_alias_is_the_name_that_counts(server: Sshd) -> None:
    _, kind, data = server.known_hosts.read_text().split()
    server.known_hosts.write_text(f"shop-1 {kind} {data}\n")
    config = server.directory / "aliased"
    config.write_text(f"Host *\n HostKeyAlias shop-1\n UserKnownHostsFile {server.known_hosts}\n")
    async with server.shell(files=(config,)) as shell:
        await shell.run(("true",))


async def test_every_host_that_is_not_known_is_named_at_once(start: Start) -> None:
    servers = [start(), start(), start()]
    settings = servers[0].settings()
    known = servers[0].known_hosts
    extra = [f"IdentityFile {one.identity}\n" for one in servers]
    config = servers[0].directory / "all"
    config.write_text(f"Host *\nUserKnownHostsFile {known}\n{''.join(extra)}")
    names = [one.name for one in servers]
    async with Fleet(names, replace(settings, files=(config,), keys=())) as fleet:
        with pytest.raises(HostUnreachable) as caught:
            await fleet.connect()
        assert "2 of 3 hosts cannot be reached" in caught.value.what
        for one in servers[1:]:
            assert fingerprint(one) in caught.value.what
        assert caught.value.next.endswith(f"pilotage server trust {names[1]} {names[2]}`")
        assert caught.value.state == "nothing was begun on any host"
        for error in (await fleet.failures()).values():
            assert isinstance(error, HostKeyUnknown)
            trust(error)
        await fleet.connect()
        got = await asyncio.gather(*(shell.run(("echo", "in")) for shell in fleet.shells.values()))
    assert [result.text for result in got] == ["in"] * 3
