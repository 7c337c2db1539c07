"""What every shell does, as `pilotage.shell.base.Shell` says it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
import time
from pathlib import Path

import pytest
from tests.contract.shell.conftest import Opened
from tests.servers import free_port

from pilotage.errors import CommandFailed, CommandTimeout
from pilotage.shell.base import Stream

AWKWARD = [
    "plain",
    "",
    " two  blanks ",
    "it's",
    'say "no"',
    "$HOME `id` $(id) \\ \\n",
    "a\nb\n",
    "tab\there",
    "*?[a-z]{1,2}",
    "~",
    "-n",
    "#",
    "&& || ; | > <",
    "!bang",
    "grüße 日本 🚢",
    "A=b",
    "%s",
]


async def test_an_argv_arrives_word_for_word(opened: Opened) -> None:
    async with opened() as shell:
        script = "import sys; sys.stdout.buffer.write(repr(sys.argv[1:]).encode())"
        result = await shell.run(("python3", "-c", script, *AWKWARD))
    assert result.out.decode() == repr(AWKWARD)
    assert result.status == 0
    assert result.seconds > 0


async def test_a_word_that_means_something_to_a_shell_is_a_program_there(
    opened: Opened, place: Path
) -> None:
    program = place / "if"
    program.write_text("#!/bin/sh\necho ran\n")
    program.chmod(0o755)
    other = place / "A=b c"
    other.write_text("#!/bin/sh\necho so did I\n")
    other.chmod(0o755)
    async with opened() as shell:
        assert (await shell.run((str(program),))).text == "ran"
        assert (await shell.run((str(other),))).text == "so did I"
        assert (await shell.run(("do",), check=False)).status == 127


async def test_bytes_are_exact_both_ways(opened: Opened) -> None:
    data = bytes(range(256)) * 9000 + b"\r\n\0\xff no newline at the end"
    async with opened() as shell:
        result = await shell.run(("cat",), input=data)
    assert result.out == data
    assert result.err == b""


async def test_output_and_error_are_kept_apart(opened: Opened) -> None:
    async with opened() as shell:
        result = await shell.run(
            ("sh", "-c", "printf 'a\\n\\n'; printf b >&2; exit 3"), check=False
        )
    assert (result.status, result.out, result.err) == (3, b"a\n\n", b"b")
    assert result.text == "a\n"


async def test_a_failure_quotes_the_last_lines(opened: Opened) -> None:
    async with opened() as shell:
        with pytest.raises(CommandFailed) as caught:
            await shell.run(("sh", "-c", "seq 100 >&2; exit 7"))
    assert caught.value.status == 7
    assert caught.value.where == shell.host
    assert caught.value.err.startswith(b"1\n")
    assert "exited with 7:" in caught.value.what
    assert caught.value.what.endswith("\n    99\n    100")
    assert "\n    88\n" not in caught.value.what


async def test_a_program_that_is_not_there(opened: Opened) -> None:
    async with opened() as shell:
        result = await shell.run(("no-such-program-here", "x"), check=False)
    assert result.status == 127
    assert b"no-such-program-here" in result.err


async def test_a_command_that_a_signal_ended(opened: Opened) -> None:
    async with opened() as shell:
        result = await shell.run(("sh", "-c", "kill -KILL $$"), check=False)
    assert result.status == 128 + 9


async def test_a_command_need_not_read_its_input(opened: Opened) -> None:
    async with opened() as shell:
        result = await shell.run(("true",), input=b"x" * 3_000_000)
    assert result.status == 0


async def test_input_ends(opened: Opened) -> None:
    async with opened() as shell:
        assert (await shell.run(("wc", "-c"))).text.strip() == "0"


async def test_it_begins_at_home(opened: Opened) -> None:
    async with opened() as shell:
        assert (await shell.run(("sh", "-c", '[ "$PWD" = "$HOME" ]'), check=False)).status == 0


async def test_a_stream_comes_while_it_is_written(opened: Opened, place: Path) -> None:
    """The command goes on only when what it wrote has been seen: so it was not kept until the end."""
    seen: list[tuple[Stream, bytes]] = []
    gate = place / "gate"

    def output(stream: Stream, data: bytes) -> None:
        seen.append((stream, data))
        gate.touch()

    script = f"echo one; while ! [ -e {gate} ]; do sleep 0.02; done; echo two >&2; exit 4"
    async with opened() as shell:
        status = await shell.stream(("sh", "-c", script), output, limit=60)
    assert status == 4
    assert b"".join(data for stream, data in seen if stream is Stream.OUT) == b"one\n"
    assert b"".join(data for stream, data in seen if stream is Stream.ERR) == b"two\n"


async def test_an_error_of_the_reader_ends_the_stream(opened: Opened, place: Path) -> None:
    def output(_stream: Stream, _data: bytes) -> None:
        raise LookupError("not this")

    marker = place / "pid"
    async with opened() as shell:
        with pytest.raises(LookupError):
            await shell.stream(
                ("sh", "-c", f"echo $$ >{marker}; echo x; exec sleep 600"), output, limit=60
            )
        await _gone(int(marker.read_text()))


async def test_a_limit_ends_the_command_and_what_it_started(opened: Opened, place: Path) -> None:
    pids = place / "pids"
    script = f"sleep 600 & echo $$ $! >{pids}; wait"
    async with opened() as shell:
        with pytest.raises(CommandTimeout) as caught:
            await shell.run(("sh", "-c", script), limit=4)
        assert "took longer than 4 s" in caught.value.what
        assert caught.value.state == "it was ended"
        for pid in pids.read_text().split():
            await _gone(int(pid))


async def test_a_command_that_does_not_heed_sigterm_is_killed(opened: Opened, place: Path) -> None:
    pid = place / "pid"
    script = f"trap '' TERM; echo $$ >{pid}; while :; do sleep 0.1; done"
    async with opened() as shell:
        with pytest.raises(CommandTimeout):
            await shell.run(("sh", "-c", script), limit=4)
        await _gone(int(pid.read_text()))


async def test_a_command_that_is_not_wanted_any_more_is_ended(opened: Opened, place: Path) -> None:
    pid = place / "pid"
    async with opened() as shell:
        task = asyncio.ensure_future(
            shell.run(("sh", "-c", f"echo $$ >{pid}.new; mv {pid}.new {pid}; exec sleep 600"))
        )
        await _until(pid.exists)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await _gone(int(pid.read_text()))
        assert (await shell.run(("echo", "on"))).text == "on"


async def test_many_commands_at_once(opened: Opened) -> None:
    async with opened() as shell:
        results = await asyncio.gather(
            *(shell.run(("sh", "-c", f"sleep 0.05; echo {n}")) for n in range(40))
        )
    assert [int(result.text) for result in results] == list(range(40))


# ---------------------------------------------------------------------- hold


async def test_a_hold_lasts_as_long_as_its_block(opened: Opened, place: Path) -> None:
    lock = place / "lock"
    hold = ("flock", str(lock), "sh", "-c", "echo held; cat")
    asked = ("flock", "-n", str(lock), "true")
    async with opened() as shell:
        async with shell.hold(hold) as held:
            assert (held.status, held.out) == (0, b"held\n")
            assert (await shell.run(asked, check=False)).status == 1
        assert (await shell.run(asked, check=False)).status == 0


async def test_a_hold_gets_its_input(opened: Opened) -> None:
    async with (
        opened() as shell,
        shell.hold(("sh", "-c", "read word; echo got $word; cat"), input=b"it\n") as held,
    ):
        assert held.out == b"got it\n"


async def test_a_hold_that_ends_at_once_says_how(opened: Opened) -> None:
    async with (
        opened() as shell,
        shell.hold(("sh", "-c", "echo no >&2; exit 9")) as held,
    ):
        assert (held.status, held.out, held.err) == (9, b"", b"no\n")


async def test_a_hold_is_let_go_when_its_block_fails(opened: Opened, place: Path) -> None:
    lock = place / "lock"
    async with opened() as shell:
        with pytest.raises(LookupError):
            async with shell.hold(("flock", str(lock), "sh", "-c", "echo held; cat")):
                raise LookupError
        assert (await shell.run(("flock", "-w", "30", str(lock), "true"), check=False)).status == 0


# ---------------------------------------------------------------------- files


async def test_a_file_is_put_whole_for_its_owner_alone(opened: Opened, place: Path) -> None:
    path = place / "new dir" / "it's" / "$file"
    data = bytes(range(256)) * 400
    async with opened() as shell:
        await shell.put(str(path), data)
        assert path.read_bytes() == data
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert stat.S_IMODE(path.parent.parent.stat().st_mode) == 0o700
        await shell.put(str(path), b"", mode=0o644)
        assert path.read_bytes() == b""
        assert stat.S_IMODE(path.stat().st_mode) == 0o644
        assert await shell.get(str(path)) == b""
        assert [entry.name for entry in path.parent.iterdir()] == ["$file"]


async def test_a_path_without_a_root_begins_at_home(opened: Opened) -> None:
    name = f".pilotage-test-{os.getpid()}-{time.monotonic_ns()}"
    async with opened() as shell:
        try:
            await shell.put(name, b"x")
            assert await shell.get(name) == b"x"
            assert (await shell.run(("cat", name))).out == b"x"
            await shell.put(f"{name}.d/-n", b"y")
            assert await shell.get(f"{name}.d/-n") == b"y"
        finally:
            await shell.run(("rm", "-rf", name, f"{name}.d"))


async def test_a_file_is_read_byte_for_byte(opened: Opened, place: Path) -> None:
    data = bytes(range(256)) * 3 + b"\n\n"
    (place / "file").write_bytes(data)
    async with opened() as shell:
        assert await shell.get(str(place / "file")) == data


async def test_no_file_is_told_from_one_that_cannot_be_read(opened: Opened, place: Path) -> None:
    (place / "file").write_text("x")
    (place / "dangling").symlink_to(place / "nowhere")
    async with opened() as shell:
        assert await shell.get(str(place / "none")) is None
        assert await shell.get(str(place / "no" / "such" / "place")) is None
        for unreadable in (place, place / "file" / "below", place / "dangling"):
            with pytest.raises(CommandFailed):
                await shell.get(str(unreadable))


async def test_a_file_that_cannot_be_written_stays_what_it_was(opened: Opened, place: Path) -> None:
    (place / "dir").mkdir()
    (place / "file").write_text("before")
    async with opened() as shell:
        with pytest.raises(CommandFailed, match="is a directory"):
            await shell.put(str(place / "dir"), b"x")
        with pytest.raises(CommandFailed) as caught:
            await shell.put(str(place / "file" / "below"), b"x")
        assert caught.value.state == "the file is what it was"
    assert (place / "file").read_text() == "before"
    assert sorted(entry.name for entry in place.iterdir()) == ["dir", "file"]


# ---------------------------------------------------------------------- streams


async def test_a_connection_is_opened_from_the_host(opened: Opened) -> None:
    async with _echo() as port, opened() as shell:
        reader, writer = await shell.open_tcp("127.0.0.1", port)
        writer.write(b"\0\xffping")
        writer.write_eof()
        assert await reader.read() == b"\0\xffping"
        writer.close()
        with pytest.raises(OSError):
            await shell.open_tcp("127.0.0.1", free_port())


async def test_a_connection_to_a_unix_socket(opened: Opened, place: Path) -> None:
    path = place / "socket"
    async with _echo(path), opened() as shell:
        reader, writer = await shell.open_unix(str(path))
        writer.write(b"ping")
        writer.write_eof()
        assert await reader.read() == b"ping"
        writer.close()
        with pytest.raises(OSError):
            await shell.open_unix(str(place / "none"))


async def test_a_port_is_forwarded(opened: Opened) -> None:
    data = bytes(range(256)) * 8000
    async with _echo() as port, opened() as shell:
        async with shell.forward("127.0.0.1", port) as here:

            async def one() -> bytes:
                reader, writer = await asyncio.open_connection("127.0.0.1", here)
                writer.write(data)
                writer.write_eof()
                got = await reader.read()
                writer.close()
                return got

            assert await asyncio.gather(*(one() for _ in range(5))) == [data] * 5
        with pytest.raises(OSError):
            await asyncio.open_connection("127.0.0.1", here)


async def test_a_forwarded_port_that_leads_nowhere_stays(opened: Opened) -> None:
    port = free_port()
    async with opened() as shell, shell.forward("127.0.0.1", port) as here:
        reader, writer = await asyncio.open_connection("127.0.0.1", here)
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()
        async with _echo(port=port):
            reader, writer = await asyncio.open_connection("127.0.0.1", here)
            writer.write(b"now")
            writer.write_eof()
            assert await reader.read() == b"now"
            writer.close()


async def test_a_port_of_the_host_leads_here(opened: Opened) -> None:
    script = (
        "import socket, sys\n"
        "s = socket.create_connection(('127.0.0.1', int(sys.argv[1])))\n"
        "s.sendall(b'ping'); s.shutdown(1)\n"
        "sys.stdout.buffer.write(s.makefile('rb').read())\n"
    )
    async with _echo() as port, opened() as shell:
        async with shell.reverse(0, to=("127.0.0.1", port)) as there:
            assert (await shell.run(("python3", "-c", script, str(there)))).out == b"ping"
        assert (await shell.run(("python3", "-c", script, str(there)), check=False)).status == 1


async def test_a_host_without_anything_open_can_be_closed(opened: Opened) -> None:
    async with opened() as shell:
        await shell.close()
        await shell.close()


def _echo(path: Path | None = None, *, port: int = 0) -> _Echo:
    return _Echo(path, port)


class _Echo:
    """A server that sends back what it was sent."""

    def __init__(self, path: Path | None, port: int) -> None:
        self.path, self.port = path, port

    async def __aenter__(self) -> int:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
            writer.close()

        if self.path is not None:
            self.server = await asyncio.start_unix_server(serve, self.path)
            return 0
        self.server = await asyncio.start_server(serve, "127.0.0.1", self.port)
        return int(self.server.sockets[0].getsockname()[1])

    async def __aexit__(self, *_: object) -> None:
        self.server.close()
        await self.server.wait_closed()


async def _gone(pid: int) -> None:
    def gone() -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
        except OSError:
            return True

    await _until(gone)


async def _until(condition: object, *, limit: float = 60) -> None:
    deadline = time.monotonic() + limit
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
