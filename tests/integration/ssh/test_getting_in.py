"""How we get in: keys, agents, users, hosts in between; and what is said where we do not."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from tests.integration.ssh.conftest import Start
from tests.servers import free_port
from tests.sshd import Sshd, key

from pilotage.errors import ConfigError, HostDenied, HostUnreachable
from pilotage.secret import Secret
from pilotage.shell.fleet import Fleet
from pilotage.shell.local import LocalShell


@contextmanager
def agent(directory: Path, *keys: Path) -> Iterator[Path]:
    """A real ssh-agent that holds these keys; its socket."""
    path = directory / "agent.sock"
    process = subprocess.Popen(
        ["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 30
        while not path.exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        for one in keys:
            subprocess.run(
                ["ssh-add", "-q", one],
                env=os.environ | {"SSH_AUTH_SOCK": str(path)},
                check=True,
                capture_output=True,
            )
        yield path
    finally:
        process.kill()
        process.wait()


async def enters(server: Sshd, **changes: object) -> bool:
    async with server.shell(**changes) as shell:
        return (await shell.run(("echo", "in"))).text == "in"


async def denied(server: Sshd, **changes: object) -> HostDenied:
    async with server.shell(**changes) as shell:
        with pytest.raises(HostDenied) as caught:
            await shell.run(("true",))
    return caught.value


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
async def test_a_key_from_a_file(server: Sshd, tmp_path: Path, kind: str) -> None:
    path = key(tmp_path / "mine", kind=kind)
    shutil.copy(f"{path}.pub", server.directory / "authorized_keys")
    assert await enters(server, keys=(str(path),))


async def test_a_wrong_key_is_named(server: Sshd, tmp_path: Path) -> None:
    path = key(tmp_path / "other")
    error = await denied(server, keys=(str(path),))
    assert str(path) in error.what
    assert f"{server.user}@127.0.0.1:{server.port}" in error.what
    assert "authorized_keys" in error.next


async def test_a_key_with_a_passphrase_and_one_that_is_not_there_are_named(
    server: Sshd, tmp_path: Path
) -> None:
    locked = key(tmp_path / "locked", passphrase="sesame")
    error = await denied(server, keys=(str(locked), str(tmp_path / "none")))
    assert f"`ssh-add {locked}`" in error.what
    assert f"{tmp_path / 'none'} (there is no such file)" in error.what
    assert "no key at all" in error.what


async def test_a_key_from_a_secret(server: Sshd) -> None:
    text = server.identity.read_text()
    assert await enters(server, keys=(), key_data=(Secret(text.strip()),))


async def test_a_secret_that_is_no_key_does_not_show(server: Sshd) -> None:
    async with server.shell(keys=(), key_data=(Secret("hunter2-hunter2"),)) as shell:
        with pytest.raises(ConfigError) as caught:
            await shell.run(("true",))
    assert caught.value.key == "ssh.key_data[0]"
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


async def test_a_key_of_the_agent(
    server: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = [key(tmp_path / f"other{n}") for n in range(3)]
    with agent(tmp_path, *others, server.identity) as path:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
        config = tmp_path / "config"
        config.write_text(f"Host *\nUserKnownHostsFile {server.known_hosts}\n")
        assert await enters(server, keys=(), keys_only=False, files=(config,))
        error = await denied(server, keys=(str(others[0]),), files=(config,))
        assert "of the agent" not in error.what  # keys_only
        assert f"{others[0]} (agent)" in error.what


async def test_a_named_key_with_a_passphrase_is_taken_from_the_agent(
    server: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that counts attempts is offered the named key first."""
    others = [key(tmp_path / f"other{n}") for n in range(8)]
    locked = tmp_path / "locked"
    shutil.copy(server.identity, locked)
    locked.chmod(0o600)
    shutil.copy(f"{server.identity}.pub", f"{locked}.pub")
    with agent(tmp_path, *others, locked) as path:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
        subprocess.run(["ssh-keygen", "-q", "-p", "-N", "sesame", "-f", locked], check=True)
        config = tmp_path / "config"
        config.write_text(
            f"Host *\nUserKnownHostsFile {server.known_hosts}\nIdentityFile {locked}\n"
        )
        assert await enters(server, keys=(), keys_only=False, files=(config,))


async def test_a_key_and_a_name_from_openssh_s_configuration(server: Sshd, tmp_path: Path) -> None:
    part = tmp_path / "part.conf"
    part.write_text(f"Host shop-*\n  Port {server.port}\n  User {server.user}\n")
    config = tmp_path / "config"
    config.write_text(
        f"Include {tmp_path}/*.conf\n"
        f"Host shop-1\n  HostName 127.0.0.1\n  IdentityFile {server.identity}\n"
        f"Host *\n  Port 1\n  User nobody\n  UserKnownHostsFile {server.known_hosts}\n"
    )
    options = {"keys": (), "keys_only": False, "files": (config,), "user": None, "port": None}
    async with server.shell("shop-1", **options) as shell:
        assert (await shell.run(("echo", "in"))).text == "in"
        assert shell.host == "shop-1"


async def test_what_the_project_says_counts_before_openssh_s_configuration(
    server: Sshd, tmp_path: Path
) -> None:
    config = tmp_path / "config"
    config.write_text(f"Host *\nUser nobody\nPort 1\nUserKnownHostsFile {server.known_hosts}\n")
    async with server.shell("127.0.0.1", files=(config,), port=server.port) as shell:
        assert (await shell.run(("id", "-un"))).text == server.user


# ---------------------------------------------------------------------- hosts in between


async def test_hosts_behind_another_share_one_connection_to_it(
    start: Start, tmp_path: Path
) -> None:
    jump, one, two = start(), start(), start()
    config = tmp_path / "config"
    known = "".join(server.known_hosts.read_text() for server in (jump, one, two))
    (tmp_path / "known").write_text(known)
    keys = "".join(f"IdentityFile {server.identity}\n" for server in (jump, one, two))
    config.write_text(f"Host *\nUserKnownHostsFile {tmp_path / 'known'}\n{keys}")
    settings = replace(
        jump.settings(), files=(config,), keys=(), jump=f"{jump.user}@{jump.name}", keys_only=True
    )
    async with Fleet([one.name, two.name], settings) as fleet:
        await fleet.connect()
        for server in (one, two):
            said = await fleet[server.name].run(("sh", "-c", "echo $SSH_CONNECTION"))
            assert said.text.split()[3] == str(server.port)
        assert len(jump.connections()) == 1
        async with fleet[one.name].forward("127.0.0.1", two.port) as here:
            reader, writer = await asyncio.open_connection("127.0.0.1", here)
            assert (await reader.readline()).startswith(b"SSH-2.0-")
            writer.close()


async def test_a_proxy_jump_of_openssh_s_configuration(start: Start, tmp_path: Path) -> None:
    jump, behind = start(), start()
    config = tmp_path / "config"
    (tmp_path / "known").write_text(jump.known_hosts.read_text() + behind.known_hosts.read_text())
    config.write_text(
        f"Host bastion\n HostName 127.0.0.1\n Port {jump.port}\n IdentityFile {jump.identity}\n"
        f" User {jump.user}\n"
        f"Host inner\n HostName 127.0.0.1\n Port {behind.port}\n IdentityFile {behind.identity}\n"
        # As many have it: the host in between is among those that this is for.
        f"Host *\n ProxyJump bastion\n IdentitiesOnly yes\n"
        f" UserKnownHostsFile {tmp_path / 'known'}\n"
    )
    options = {"files": (config,), "keys": (), "keys_only": False}
    async with behind.shell("inner", **options) as shell:
        assert (await shell.run(("echo", "in"))).text == "in"
        assert len(jump.connections()) == 1
    jump.stop()
    async with behind.shell("inner", **options) as shell:
        with pytest.raises(HostUnreachable) as caught:
            await shell.run(("true",))
    assert caught.value.what.startswith("bastion, which it is reached through: nothing listens")
    assert caught.value.where == "inner"


async def test_a_host_that_the_one_in_between_does_not_reach(server: Sshd, tmp_path: Path) -> None:
    port = free_port()
    async with server.shell(f"127.0.0.1:{port}", jump=f"{server.user}@{server.name}") as shell:
        with pytest.raises(HostUnreachable) as caught:
            await shell.run(("true",))
    assert f"does not reach {server.user}@127.0.0.1:{port}" in caught.value.what


async def test_a_proxy_command(server: Sshd, tmp_path: Path) -> None:
    relay = tmp_path / "relay.py"
    relay.write_text(
        "import os, socket, sys, threading\n"
        "s = socket.create_connection((sys.argv[1], int(sys.argv[2])))\n"
        "def back():\n"
        "    while data := s.recv(65536): os.write(1, data)\n"
        "    os._exit(0)\n"
        "threading.Thread(target=back, daemon=True).start()\n"
        "while data := os.read(0, 65536): s.sendall(data)\n"
    )
    # What it says is no part of the connection, and where it says it is its own affair.
    for command in (
        f"echo warning >&2; python3 {relay} %h %p",
        f"python3 {relay} %h %p 2>/dev/null",
    ):
        assert await enters(server, proxy_command=command)
    async with server.shell(proxy_command="echo no route today >&2; exit 1") as shell:
        with pytest.raises(HostUnreachable, match="before the log-in: no route today"):
            await shell.run(("true",))


# ---------------------------------------------------------------------- hosts that are not there


async def test_every_host_that_is_down_is_named_before_anything_is_begun(server: Sshd) -> None:
    down = [f"127.0.0.1:{free_port()}", "no-such-host.invalid"]
    settings = replace(server.settings(), dns_retries=0)
    async with Fleet([server.name, *down, "localhost"], settings) as fleet:
        assert isinstance(fleet["localhost"], LocalShell)
        with pytest.raises(HostUnreachable) as caught:
            await fleet.connect()
    assert "2 of 4 hosts cannot be reached" in caught.value.what
    assert f"{down[0]}: nothing listens at" in caught.value.what
    assert "the name no-such-host.invalid has no address" in caught.value.what
    assert caught.value.where == ", ".join(down)
    assert caught.value.state == "nothing was begun on any host"


async def test_a_host_that_does_not_answer_has_a_limit(server: Sshd) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        name = f"127.0.0.1:{silent.getsockname()[1]}"
        async with server.shell(name, limit=1.0) as shell:
            began = time.monotonic()
            with pytest.raises(HostUnreachable, match="did not answer within 1 s"):
                await shell.run(("true",))
    assert time.monotonic() - began < 30


async def test_a_single_host_that_is_down_is_told_by_its_own_error(server: Sshd) -> None:
    async with Fleet([server.name], server.settings(keys=())) as fleet:
        with pytest.raises(HostDenied):
            await fleet.connect()
