"""Real OpenSSH servers for the tests, on the loopback, with keys, and a home, of their own."""

from __future__ import annotations

import ctypes
import os
import pwd
import shlex
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab.network import alive
from tests.servers import free_port, missing

from pilotage.shell.address import SshSettings

if TYPE_CHECKING:
    from pilotage.shell.ssh import SshShell


def key(path: Path, *, kind: str = "ed25519", passphrase: str = "") -> Path:
    """A new key pair at ``path``."""
    argv = ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", path.name, "-f", str(path)]
    subprocess.run(argv, check=True)
    return path


@dataclass(slots=True)
class Sshd:
    """One server. ``options``: lines of its sshd_config that come before ours."""

    directory: Path
    port: int
    options: tuple[str, ...] = ()
    host_key: str = "ed25519"
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def user(self) -> str:
        """Who logs in."""
        return pwd.getpwuid(os.geteuid()).pw_name

    @property
    def name(self) -> str:
        """The server as a host of a project."""
        return f"127.0.0.1:{self.port}"

    @property
    def home(self) -> Path:
        """Where commands begin."""
        return self.directory / "home" if os.geteuid() == 0 else Path.home()

    @property
    def identity(self) -> Path:
        """The key that it lets in."""
        return self.directory / "id"

    @property
    def known_hosts(self) -> Path:
        """A file that knows its key."""
        return self.directory / "known_hosts"

    def settings(self, **changes: object) -> SshSettings:
        """The settings of a project that gets in."""
        config = self.directory / "ssh_config"
        config.write_text(
            f"Host *\n  UserKnownHostsFile {self.known_hosts}\n  IdentityAgent none\n"
        )
        values: dict[str, object] = {
            "user": self.user,
            "keys": (str(self.identity),),
            "keys_only": True,
            "files": (config,),
        }
        return SshSettings(**(values | changes))  # type: ignore[arg-type]

    @asynccontextmanager
    async def shell(self, name: str = "", **changes: object) -> AsyncIterator[SshShell]:
        """A shell over it. ``changes``: of `settings`. ``name``: another name for it."""
        from pilotage.shell.link import Network
        from pilotage.shell.ssh import SshShell

        network = Network(self.settings(**changes))
        shell = SshShell(name or self.name, network)
        try:
            yield shell
        finally:
            await shell.close()
            await network.close()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        program = shutil.which("sshd") or shutil.which("/usr/sbin/sshd")
        if program is None:
            missing("openssh-server")
        assert program is not None
        config = self.directory / "sshd_config"
        host_key = self.directory / f"host_{self.host_key}"
        config.write_text(
            "\n".join(
                [
                    *self.options,
                    f"Port {self.port}",
                    "ListenAddress 127.0.0.1",
                    f"HostKey {host_key}",
                    f"AuthorizedKeysFile {self.directory / 'authorized_keys'}",
                    "StrictModes no",
                    "PermitRootLogin yes",
                    "PasswordAuthentication no",
                    "UsePAM no",
                    "PidFile none",
                    "MaxStartups 100",
                    "LogLevel VERBOSE",
                    "",
                ]
            )
        )
        serve = [program, "-D", "-f", str(config), "-E", str(self.directory / "log")]
        if os.geteuid() == 0:
            # A home of its own: a slow ~/.bashrc would be read for every command.
            Path("/run/sshd").mkdir(exist_ok=True)
            home = shlex.quote(str(self.home))
            script = f"mount --bind {home} /root && exec {shlex.join(serve)}"
            serve = ["unshare", "-m", "--propagation", "slave", "sh", "-c", script]
        self.process = subprocess.Popen(
            serve,
            preexec_fn=_die_with_parent,  # noqa: PLW1509
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 30
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            assert self.process.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            time.sleep(0.02)

    @property
    def log(self) -> str:
        """What it wrote so far."""
        path = self.directory / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def connections(self) -> list[int]:
        """The processes that serve its connections."""
        assert self.process is not None
        return children(self.process.pid)

    def break_connections(self) -> None:
        """Kill what serves its connections, and wait for that: every client sees its connection end."""
        killed = []
        for pid in self.connections():
            for victim in (*children(pid), pid):
                argv = Path(f"/proc/{victim}/cmdline")
                with suppress(OSError):
                    if argv.read_bytes().startswith(b"sshd"):
                        os.kill(victim, signal.SIGKILL)
                        killed.append(victim)
        deadline = time.monotonic() + 30
        while any(map(alive, killed)):
            assert time.monotonic() < deadline
            time.sleep(0.001)

    def stop(self) -> None:
        """End it and its connections."""
        if self.process is not None:
            self.break_connections()
            self.process.kill()
            self.process.wait(10)
            self.process = None

    def new_host_key(self) -> None:
        """Give it another key, as a machine that was set up anew has; `start` it again."""
        for path in self.directory.glob("host_*"):
            path.unlink()
        key(self.directory / f"host_{self.host_key}", kind=self.host_key)


def children(pid: int) -> list[int]:
    """The processes that this one started (Linux)."""
    with suppress(OSError):
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        return [int(word) for word in text.split()]
    return []


def _die_with_parent() -> None:
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


@contextmanager
def sshd(directory: Path, *options: str, host_key: str = "ed25519") -> Iterator[Sshd]:
    """A running server, and everything that a client needs to get in."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "home").mkdir()
    server = Sshd(directory, free_port(), options, host_key)
    key(server.identity)
    key(directory / f"host_{host_key}", kind=host_key)
    shutil.copy(f"{server.identity}.pub", directory / "authorized_keys")
    kind, data = (directory / f"host_{host_key}.pub").read_text().split()[:2]
    server.known_hosts.write_text(f"[127.0.0.1]:{server.port} {kind} {data}\n")
    server.start()
    try:
        yield server
    finally:
        server.stop()
