"""`Shell.interactive` on a real terminal, and without one."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
from tests.sshd import Sshd

PROGRAM = """
import asyncio, sys
from pathlib import Path
from pilotage.secret import Secret
from pilotage.shell.address import SshSettings
from pilotage.shell.fleet import Fleet

async def main():
    name, user, key, config, *argv = sys.argv[1:]
    settings = SshSettings(user=user, keys=(key,), keys_only=True, files=(Path(config),))
    async with Fleet([name], settings) as fleet:
        return await fleet[name].interactive(argv)

sys.exit(asyncio.run(main()))
"""


def argv(server: Sshd | None, *words: str) -> list[str]:
    """Our program; without a server, on this machine."""
    if server is None:
        return [sys.executable, "-c", PROGRAM, "localhost", "", "", "/dev/null", *words]
    server.settings()
    config = server.directory / "ssh_config"
    return [
        sys.executable, "-c", PROGRAM, server.name, server.user, str(server.identity), str(config),
        *words,
    ]  # fmt: skip


@pytest.fixture(params=["local", "ssh"])
def host(request: pytest.FixtureRequest) -> Sshd | None:
    """Either kind of host."""
    return None if request.param == "local" else request.getfixturevalue("server")


def read_until(terminal: int, wanted: bytes, *, limit: float = 60) -> bytes:
    """What the program writes to its terminal, until it wrote this."""
    seen = b""
    deadline = time.monotonic() + limit
    os.set_blocking(terminal, False)
    while wanted not in seen:
        assert time.monotonic() < deadline, seen
        try:
            seen += os.read(terminal, 65536)
        except (BlockingIOError, OSError):
            time.sleep(0.02)
    return seen


def test_a_command_on_our_terminal(host: Sshd | None) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 41, 132, 0, 0))
    before = termios.tcgetattr(theirs)
    # Variables are not asked for the size; it may arrive a moment after the command has begun.
    environment = os.environ | {"TERM": "xterm", "LINES": "24", "COLUMNS": "80"}
    size = 'while s=$(stty size); echo "$s"; [ "$s" != "%s" ]; do sleep 0.1; done'
    script = f'{size % "41 132"}; read word; echo "got <$word>"; {size % "50 100"}; exit 6'
    process = subprocess.Popen(
        argv(host, "sh", "-c", script), stdin=theirs, stdout=theirs, stderr=theirs,
        start_new_session=True, env=environment,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509
    )  # fmt: skip
    try:
        read_until(ours, b"41 132")
        fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 100, 0, 0))
        os.write(ours, "grüße\n".encode())
        seen = read_until(ours, b"50 100")
        assert "got <grüße>".encode() in seen
        assert process.wait(60) == 6
        assert termios.tcgetattr(theirs) == before
    finally:
        process.kill()
        process.wait()
        os.close(ours)
        os.close(theirs)


def test_without_a_terminal_it_is_a_pipe(host: Sshd | None, tmp_path: Path) -> None:
    data = bytes(range(256)) * 1000
    script = "cat; echo also >&2; [ -t 0 ] || exit 4"
    file = tmp_path / "input"
    file.write_bytes(data)
    done = subprocess.run(
        argv(host, "sh", "-c", script), input=data, capture_output=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (4, data, b"also\n")
    with file.open("rb") as opened:
        done = subprocess.run(
            argv(host, "sh", "-c", script), stdin=opened, capture_output=True, timeout=120,
            check=False,
        )  # fmt: skip
    assert (done.returncode, done.stdout) == (4, data)
