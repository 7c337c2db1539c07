"""Hosts over SSH, on real hosts whose link can be cut; and `pilotage server`."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.lab.lab import Lab

from pilotage.errors import HostLost, HostUnreachable
from pilotage.shell.address import SshSettings
from pilotage.shell.base import Shell, Stream
from pilotage.shell.fleet import Fleet


def fleet(lab: Lab, **changes: object) -> Fleet:
    values: dict[str, object] = {"files": (lab.ssh_config,), "limit": 10.0}
    return Fleet([host.address for host in lab.hosts], SshSettings(**(values | changes)))  # type: ignore[arg-type]


async def test_docker_on_every_host_at_once(lab: Lab) -> None:
    async with fleet(lab) as hosts:
        await hosts.connect()
        argv = ("docker", "info", "--format", "{{.ID}}")
        results = await asyncio.gather(*(shell.run(argv) for shell in hosts.shells.values()))
    assert len({result.text for result in results}) == 3


async def back(shell: Shell) -> str:
    """What a host says that can be reached again: one that was silent is not asked for a few seconds."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return (await shell.run(("echo", "back"))).text
        except HostUnreachable:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.3)


async def test_a_link_that_was_cut_is_noticed_and_made_again(lab: Lab) -> None:
    """Nobody says that it was cut: no packet arrives, and none is refused."""
    cut, *others = lab.hosts
    async with fleet(lab) as hosts:
        await hosts.connect()
        shell = hosts[cut.address]
        at, said = 0.0, b""

        def output(_stream: Stream, data: bytes) -> None:
            nonlocal at, said
            cut.cut()
            at, said = time.monotonic(), data

        with pytest.raises(HostLost) as caught:
            await shell.stream(("sh", "-c", "echo $$; exec sleep 600"), output)
        noticed = time.monotonic() - at
        assert caught.value.where == cut.address
        assert "sleep 600" in caught.value.what
        for host in others:
            assert (await hosts[host.address].run(("echo", "here"))).text == "here"
        with pytest.raises(HostUnreachable):
            await shell.run(("true",))
        cut.restore()
        assert await back(shell) == "back"
        # What ran when the link broke ran on, as the error says.
        # By its pid: hosts see the processes of the whole machine, those of other tests too.
        pid = said.decode().strip()
        assert (await shell.run(("ps", "-o", "args=", "-p", pid))).text == "sleep 600"
        await shell.run(("kill", pid))
    assert 8 < noticed < 30, noticed  # 12 s, on a machine with time for it


async def test_a_host_that_is_cut_off_is_named_before_anything_is_begun(lab: Lab) -> None:
    lab.hosts[1].cut()
    async with fleet(lab, limit=3.0) as hosts:
        with pytest.raises(HostUnreachable) as caught:
            await hosts.connect()
    assert caught.value.where == lab.hosts[1].address
    assert (
        "did not answer within 3 s" in caught.value.what or "no route" in caught.value.what.lower()
    )


async def test_an_sshd_that_was_killed(lab: Lab) -> None:
    host = lab.hosts[2]
    async with fleet(lab) as hosts:
        shell = hosts[host.address]

        def output(_stream: Stream, _data: bytes) -> None:
            host.kill_sshd()

        with pytest.raises(HostLost):
            await shell.stream(("sh", "-c", "echo begun; exec sleep 600"), output)
        with pytest.raises(HostUnreachable, match="nothing listens"):
            await shell.run(("true",))
        host.start_sshd()
        assert (await shell.run(("echo", "back"))).text == "back"


async def test_a_registry_of_this_machine_is_reached_from_every_host(lab: Lab) -> None:
    from tests.lab import images

    lab.push(images.app("7"), "seven:7")
    registry = (lab.network.address, 5000)

    async def pull(hosts: Fleet, name: str) -> str:
        shell = hosts[name]
        async with shell.reverse(5555, to=registry) as port:
            return (await shell.run(("docker", "pull", "-q", f"localhost:{port}/seven:7"))).text

    async with fleet(lab) as hosts:
        await hosts.connect()
        pulled = await asyncio.gather(*(pull(hosts, name) for name in hosts.shells))
    assert pulled == ["localhost:5555/seven:7"] * 3


# ---------------------------------------------------------------------- pilotage server


def pilotage(project: Path, *argv: str, input: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pilotage", *argv],
        cwd=project, input=input, capture_output=True, text=True, timeout=120, check=False,
        env=os.environ | {"NO_COLOR": "1"},
    )  # fmt: skip


@pytest.fixture
def project(lab: Lab, tmp_path: Path) -> Path:
    """A project on the lab's hosts, of a person who knows none of them yet."""
    known = tmp_path / "known_hosts"
    (tmp_path / "ssh_config").write_text(
        lab.ssh_config.read_text().replace(str(lab.known_hosts), str(known))
    )
    (tmp_path / "config").mkdir()
    addresses = ", ".join(host.address for host in lab.hosts)
    (tmp_path / "config" / "deploy.yml").write_text(
        f"service: shop\nimage: shop\nservers: [{addresses}]\n"
        "registry: {username: u, password: p}\nbuilder: {arch: amd64}\n"
        f"ssh: {{config: {tmp_path / 'ssh_config'}}}\n"
    )
    return tmp_path


def test_new_hosts_are_trusted_one_by_one(lab: Lab, project: Path) -> None:
    first = pilotage(project, "server", "exec", "hostname")
    assert first.returncode == 1
    assert "3 of 3 hosts cannot be reached" in first.stderr
    assert f"pilotage server trust {lab.hosts[0].address}" in first.stderr
    assert not (project / "known_hosts").exists()

    no = pilotage(project, "server", "trust", lab.hosts[0].address, input="n\n")
    assert no.returncode == 1
    assert "was not accepted" in no.stderr
    assert not (project / "known_hosts").exists()

    said = subprocess.run(
        ["ssh-keygen", "-lf", lab.hosts[0].directory / "hostkey.pub"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    fingerprint = said.stdout.split()[1]
    by_fingerprint = pilotage(
        project, "server", "trust", "--fingerprint", fingerprint, lab.hosts[0].address
    )
    assert by_fingerprint.returncode == 0, by_fingerprint.stderr
    wrong = pilotage(project, "server", "trust", "--fingerprint", fingerprint, lab.hosts[1].address)
    assert wrong.returncode == 1

    rest = pilotage(project, "server", "trust", input="y\ny\n")
    assert rest.returncode == 0, rest.stderr
    assert f"known already: {lab.hosts[0].address}" in rest.stdout
    assert sorted((project / "known_hosts").read_text().split()[::3]) == sorted(
        host.address for host in lab.hosts
    )

    done = pilotage(project, "server", "exec", "echo $((6 * 7)) | cat")
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == [f"{host.address} 42" for host in lab.hosts]


def test_a_command_on_some_hosts_and_its_exit_status(lab: Lab, project: Path) -> None:
    assert pilotage(project, "server", "trust", "--yes").returncode == 0
    address = lab.hosts[1].address
    done = pilotage(project, "server", "exec", "--hosts", address, "exit 5")
    assert done.returncode == 5
    done = pilotage(project, "server", "exec", "--hosts", address, "printf", "%s|", "a b", "$HOME")
    assert done.stdout == f"{address} a b|$HOME|\n"
