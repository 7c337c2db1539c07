"""One Docker host: a network namespace with its own dockerd, sshd, home and /run."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.lab.network import Network, alive, daemon, run

_PATIENCE = 60.0

DISK = "4g"
"""Size of a host's disk for images and containers, in memory: it takes what is written to it."""

# $1 the host's directory, $2 its disk, $3 what else is to be done. What it mounts is seen in this namespace alone. It
# stays, to hold the namespaces, until it is killed; daemons are started in them by `enter`.
_INIT = """\
set -eu
mount -t tmpfs -o "size=$2,mode=0711" tmpfs "$1/data"
mount --bind "$1/root" /root
mount --bind "$1/run" /run
mkdir -p /etc/docker
mount --bind "$1/etc" /etc/docker  # the key by which a daemon is known, among others
mount --bind "$1/hosts" /etc/hosts
mount --bind "$1/resolv.conf" /etc/resolv.conf
mkdir -p /run/sshd
eval "$3"
echo ready >"$1/ready"
exec sleep infinity
"""


@dataclass(frozen=True, slots=True)
class Host:
    """Host ``number`` (from 1) of a lab; its files are in ``directory``."""

    number: int
    network: Network
    directory: Path
    ssh: Path

    @property
    def address(self) -> str:
        """Its name in a configuration."""
        return self.network.of(self.number)

    @property
    def home(self) -> Path:
        """The home of root there."""
        return self.directory / "root"

    @property
    def socket(self) -> Path:
        """Docker's socket, as this machine sees it."""
        return self.directory / "run" / "docker.sock"

    # ------------------------------------------------------------------ what it can be asked

    def docker(self, *argv: str, input: bytes | None = None, check: bool = True) -> str:
        """Run ``docker …`` on it (not over SSH); what it wrote."""
        done = subprocess.run(
            ["docker", "-H", f"unix://{self.socket}", *argv],
            input=input, capture_output=True, check=False,
        )  # fmt: skip
        assert not check or done.returncode == 0, f"docker {argv}: {done.stderr.decode()}"
        return done.stdout.decode()

    def enter(self, *argv: str) -> list[str]:
        """The argv that runs ``argv`` in this host."""
        pid = (self.directory / "init.pid").read_text()
        return ["nsenter", "-t", pid, "-n", "-m", "--", *argv]

    def execute(self, *argv: str) -> str:
        """Run a command on it (not over SSH); what it wrote."""
        return run(*self.enter(*argv))

    # ------------------------------------------------------------------ what can happen to it

    def cut(self) -> None:
        """Cut its link; `restore` undoes it."""
        self.network.cut(self.number)

    def restore(self) -> None:
        """Give it its link back."""
        self.network.restore(self.number)

    def kill_sshd(self) -> None:
        """Kill its sshd and every connection; commands that run there run on. `start_sshd` undoes it."""
        for pid in self._named("sshd"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        _until(lambda: not self._named("sshd"), "sshd does not end")

    def start_sshd(self) -> None:
        """Start its sshd, and wait until it listens: it goes into the background before."""
        log = self.directory / "sshd.log"
        run(
            *self.enter("/usr/sbin/sshd", "-f", str(self.directory / "sshd_config"), "-E", str(log))
        )
        listens = ("ss", "--listening", "--tcp", "--numeric", "--no-header", "sport = :22")
        _until(lambda: self.execute(*listens) != "", "sshd does not listen")

    def restart_dockerd(self) -> None:
        """Stop its dockerd as an update of the package does, containers too, and start it again."""
        self.stop_dockerd()
        self.start_dockerd()

    @property
    def dockerd(self) -> int:
        """The pid of its dockerd."""
        return int((self.directory / "dockerd.pid").read_text())

    def stop_dockerd(self) -> None:
        """Stop its dockerd, and with it the containers."""
        pid = self.dockerd
        os.kill(pid, signal.SIGTERM)
        _until(lambda: not alive(pid), "dockerd does not end")

    def start_dockerd(self) -> None:
        """Start its dockerd, and wait until it answers."""
        self.launch_dockerd()
        self.wait_for_dockerd()

    def filling(self, *, leave: int = 0) -> list[str]:
        """The argv that makes its disk (of images and containers) as large as what is on it and ``leave`` bytes.

        `empty_disk` undoes it.
        """
        script = (
            'set -- "$1" "$2" $(df -Pk "$1" | tail -n 1); '
            'exec mount -o "remount,size=$(($5 + $2))k" "$1"'
        )
        return self.enter(
            "sh", "-c", script, "fill", str(self.directory / "data"), str(leave // 1024)
        )

    def fill_disk(self, *, leave: int) -> None:
        """Leave so many bytes free on its disk. `empty_disk` undoes it."""
        run(*self.filling(leave=leave))

    def empty_disk(self) -> None:
        """Undo `fill_disk`."""
        self.execute("mount", "-o", f"remount,size={DISK}", str(self.directory / "data"))

    def clean(self) -> None:
        """As it was at first, but for its images: no container, no volume, no network, an empty home."""
        self.restore()
        self.empty_disk()
        if not self._named("sshd"):
            self.start_sshd()
        if containers := self.docker("ps", "-aq").split():
            self.docker("rm", "-fv", *containers)
        if volumes := self.docker("volume", "ls", "-q").split():
            self.docker("volume", "rm", "-f", *volumes)
        self.docker("network", "prune", "-f")
        for path in self.home.iterdir():
            self.execute("rm", "-rf", f"/root/{path.name}")

    # ------------------------------------------------------------------ its life

    @property
    def further(self) -> str:
        """What is done for it, by ``sh`` in its namespaces, before anything is started; `$1` its directory."""
        return ""

    def begin(self) -> None:
        """Make its namespaces and start its daemons, without waiting for them; `ready` waits."""
        for name in ("data", "exec", "run", "root", "etc"):
            (self.directory / name).mkdir(parents=True)
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.directory / "hostkey"))
        # There is no resolver: every question would cost ten seconds. Docker asks for its hub's address even
        # where a mirror stands in for it.
        (self.directory / "hosts").write_text(
            f"127.0.0.1 localhost\n{self.network.address} docker.io registry-1.docker.io\n"
        )
        (self.directory / "resolv.conf").write_text("nameserver 127.0.0.1\n")
        (self.directory / "sshd_config").write_text(
            f"Port 22\nListenAddress {self.address}\n"
            f"HostKey {self.directory / 'hostkey'}\n"
            f"AuthorizedKeysFile {self.ssh / 'id.pub'}\n"
            "StrictModes no\nPermitRootLogin yes\nPasswordAuthentication no\nUsePAM no\n"
            f"PidFile {self.directory / 'sshd.pid'}\nMaxStartups 100\nLogLevel VERBOSE\n"
            "Subsystem sftp /usr/lib/openssh/sftp-server\n"
        )
        namespace = f"/run/netns/{self.network.namespace(self.number)}"
        init = daemon(
            ["nsenter", f"--net={namespace}", "unshare", "-m", "--propagation", "slave",
             "sh", "-c", _INIT, "init", str(self.directory), DISK, self.further],
            self.directory / "init.log",
        )  # fmt: skip
        (self.directory / "init.pid").write_text(str(init))
        _until((self.directory / "ready").exists, "its namespaces are not there")
        self.launch_dockerd()

    def ready(self) -> None:
        """Wait for its daemons."""
        self.start_sshd()
        self.wait_for_dockerd()

    def launch_dockerd(self) -> None:
        """Start dockerd and do not wait."""
        (self.directory / "dockerd.pid").unlink(missing_ok=True)
        self.socket.unlink(missing_ok=True)
        registry = f"{self.network.address}:5000"
        argv = [
            "dockerd",
            f"--data-root={self.directory / 'data'}",
            f"--exec-root={self.directory / 'exec'}",
            f"--pidfile={self.directory / 'dockerd.pid'}",
            "--host=unix:///run/docker.sock",
            f"--insecure-registry={self.network.subnet}",
            # What others fetch from Docker Hub is found in the lab's own registry.
            f"--registry-mirror=http://{registry}",
        ]
        daemon(self.enter(*argv), self.directory / "dockerd.log")

    def wait_for_dockerd(self) -> None:
        """Wait until Docker answers."""

        def answers() -> bool:
            argv = ["docker", "-H", f"unix://{self.socket}", "version", "-f", "{{.Server.Version}}"]
            return self.socket.exists() and (
                subprocess.run(argv, capture_output=True, check=False).returncode == 0
            )

        _until(answers, shlex.quote(str(self.directory / "dockerd.log")))

    def end(self) -> None:
        """End everything that runs in it, by pid, however much of it there is."""
        with contextlib.suppress(OSError, ValueError, AssertionError):
            self.stop_dockerd()
        try:
            init = int((self.directory / "init.pid").read_text())
            wanted = str(Path(f"/proc/{init}/ns/mnt").readlink())
        except (OSError, ValueError):
            return
        # Podman's containers have no daemon: what watches each would start it again, and is killed first.
        watchers = self._named("conmon")
        children = [child for pid in watchers for child in _children(pid)]
        for pid in (*watchers, *children):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for sign in (signal.SIGTERM, signal.SIGKILL):
            for pid in _in_namespace(wanted):
                if pid != init:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, sign)
            with contextlib.suppress(AssertionError):
                _until(lambda: set(_in_namespace(wanted)) <= {init}, "", limit=5)
        with contextlib.suppress(ProcessLookupError):
            os.kill(init, signal.SIGKILL)

    @property
    def mounts(self) -> str:
        """Its mount namespace, which every process of it is in (those of containers are not)."""
        return str(Path(f"/proc/{(self.directory / 'init.pid').read_text()}/ns/mnt").readlink())

    def _named(self, name: str) -> list[int]:
        """The processes of the host that are called so."""
        found = []
        for pid in _in_namespace(self.mounts):
            with contextlib.suppress(OSError):
                if Path(f"/proc/{pid}/comm").read_text().strip() == name:
                    found.append(pid)
        return found


def _in_namespace(mount: str) -> list[int]:
    """The processes in this mount namespace, which containers are not in. None of this machine's own is."""
    assert mount != str(Path("/proc/self/ns/mnt").readlink())
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if str((path / "ns" / "mnt").readlink()) == mount:
                found.append(int(path.name))
    return found


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(it) for it in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def _until(condition: Callable[[], bool], message: str, *, limit: float = _PATIENCE) -> None:
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, message
        time.sleep(0.03)
