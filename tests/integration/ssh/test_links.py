"""Connections that break, and servers that allow little."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from tests.integration.ssh.conftest import Start
from tests.sshd import Sshd

from pilotage.errors import ForwardingForbidden, HostError, HostLost, HostUnreachable
from pilotage.shell.base import Stream


async def test_a_command_whose_link_broke_has_no_known_outcome(
    server: Sshd, tmp_path: Path
) -> None:
    async with server.shell() as shell:

        def output(_stream: Stream, _data: bytes) -> None:
            server.break_connections()

        gate = tmp_path / "done"
        script = f"echo begun; sleep 1; echo done >{gate}"
        with pytest.raises(HostLost) as caught:
            await shell.stream(("sh", "-c", script), output, limit=60)
        assert "echo begun" in caught.value.what
        assert "what became of it is not known" in caught.value.state
        assert "PILOTAGE_RUN" not in str(caught.value)
        # The next command makes the connection again; and the first one ran on.
        assert (await shell.run(("echo", "again"))).text == "again"
        deadline = time.monotonic() + 60
        while not gate.exists():
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)


async def test_a_link_that_broke_while_nothing_ran_is_made_again_and_nobody_notices(
    server: Sshd,
) -> None:
    async with server.shell() as shell:
        for n in range(3):
            assert (await shell.run(("echo", str(n)))).text == str(n)
            server.break_connections()


async def test_a_server_that_is_gone_is_unreachable_and_then_there_again(server: Sshd) -> None:
    async with server.shell() as shell:
        await shell.run(("true",))
        server.stop()
        with pytest.raises(HostUnreachable, match="nothing listens"):
            await shell.run(("true",))
        server.start()
        assert (await shell.run(("echo", "back"))).text == "back"


async def test_a_file_whose_link_broke_is_not_written_by_half(server: Sshd, tmp_path: Path) -> None:
    """What the host reads ends there, as if the file had ended."""
    path = tmp_path / "file"
    path.write_bytes(b"before")
    async with server.shell() as shell:
        putting = asyncio.ensure_future(shell.put(str(path), b"x" * 400_000_000))
        deadline = time.monotonic() + 60
        while not any(one.stat().st_size > 100_000 for one in tmp_path.glob(".pilotage.*")):
            assert time.monotonic() < deadline
            assert not putting.done()
            await asyncio.sleep(0.01)
        server.break_connections()
        with pytest.raises(HostLost):
            await putting
        while list(tmp_path.glob(".pilotage.*")):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
        assert path.read_bytes() == b"before"


async def test_a_hold_whose_link_broke_says_so(server: Sshd) -> None:
    async with server.shell() as shell:
        hold = shell.hold(("sh", "-c", "echo held; cat"))
        assert (await hold.__aenter__()).status == 0
        server.break_connections()
        with pytest.raises(HostLost):
            await hold.__aexit__(None, None, None)
        assert (await shell.run(("echo", "on"))).text == "on"


async def test_a_forwarded_port_survives_its_link(server: Sshd) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        await writer.drain()
        writer.close()

    far = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with (
        far,
        server.shell() as shell,
        shell.forward("127.0.0.1", far.sockets[0].getsockname()[1]) as here,
    ):
        for word in (b"one\n", b"two\n"):
            reader, writer = await asyncio.open_connection("127.0.0.1", here)
            writer.write(word)
            assert await reader.read() == word
            writer.close()
            server.break_connections()


async def test_a_connection_whose_link_broke_ends_as_one_of_the_system_does(
    server: Sshd, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody was asked anything, so nobody hears of the link before the connection is used."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    far = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = far.sockets[0].getsockname()[1]
    async with far, server.shell() as shell, shell.forward("127.0.0.1", port) as here:
        near, closing = await asyncio.open_connection("127.0.0.1", here)
        reader, writer = await shell.open_tcp("127.0.0.1", port)
        reading = asyncio.ensure_future(reader.readuntil(b"\r\n"))
        await asyncio.sleep(0)
        server.break_connections()
        with pytest.raises((OSError, EOFError)):
            await reading
        writer.close()
        assert await near.read() == b""
        closing.close()
    assert "Unhandled" not in caplog.text


@pytest.mark.parametrize("most", [2, 3])
async def test_a_server_that_allows_few_sessions_gets_no_more(start: Start, most: int) -> None:
    server = start(f"MaxSessions {most}")
    async with server.shell() as shell:
        results = await asyncio.gather(
            *(shell.run(("sh", "-c", f"sleep 0.05; echo {n}"), limit=120) for n in range(30))
        )
        assert [int(result.text) for result in results] == list(range(30))
        async with shell.hold(("sh", "-c", "echo held; cat")):
            results = await asyncio.gather(*(shell.run(("echo", str(n))) for n in range(8)))
        assert [int(result.text) for result in results] == list(range(8))
        assert len(server.connections()) == 1


async def test_a_server_that_allows_too_few_says_so(start: Start) -> None:
    server = start("MaxSessions 1")
    async with server.shell() as shell:
        assert (await shell.run(("echo", "one"))).text == "one"
        async with shell.hold(("sh", "-c", "echo held; cat")):
            with pytest.raises(HostError, match="too few commands at once") as caught:
                await shell.run(("true",))
        assert "MaxSessions" in caught.value.next


async def test_many_commands_that_are_not_wanted_any_more_leave_room_for_others(
    server: Sshd,
) -> None:
    """Commands that are told to end count until they have."""
    async with server.shell() as shell:
        for _ in range(3):
            running = [asyncio.ensure_future(shell.run(("sleep", "600"))) for _ in range(9)]
            await asyncio.sleep(0.3)
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            assert (await shell.run(("echo", "on"), limit=120)).text == "on"


async def test_a_server_that_forbids_forwarding_says_so(start: Start) -> None:
    server = start("AllowTcpForwarding no")
    async with server.shell() as shell:
        with pytest.raises(HostError, match="does not listen") as caught:
            async with shell.reverse(0, to=("127.0.0.1", 1)):
                pass
        assert "AllowTcpForwarding" in caught.value.next
        with pytest.raises(ForwardingForbidden) as forbidden:
            await shell.open_tcp("127.0.0.1", server.port)
        assert "AllowTcpForwarding yes" in forbidden.value.next


async def test_a_command_costs_no_more_than_one_session(server: Sshd) -> None:
    """One connection for all of it."""
    async with server.shell() as shell:
        for _ in range(5):
            await shell.run(("true",))
        await shell.put("file", b"x")
        assert len(server.connections()) == 1
