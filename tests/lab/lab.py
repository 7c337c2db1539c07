"""Several Docker hosts and a registry on this machine, real ones; as many such labs as there are users.

Its user holds a lock on the lab that the kernel lets go of when the process ends, however it ends. A
process that waits for that lock takes the lab down as soon as nobody uses it any more; what even that did
not (it was killed too) the next user does before it takes the slot.

`python -m tests.lab.lab N` makes one by hand and keeps it until Enter is pressed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab.host import Host
from tests.lab.image import Image, Registry
from tests.lab.network import Network, alive, daemon, run

ROOT = Path("/tmp/pilotage-lab")
_SLOTS = 30
_NEEDED = ("dockerd", "docker", "ip", "iptables", "sshd", "docker-registry", "nsenter", "unshare")


@dataclass(frozen=True, slots=True)
class Lab:
    """A lab that runs. ``hosts``: of which `hosts[0]` is number 1."""

    directory: Path
    network: Network
    hosts: tuple[Host, ...]

    @property
    def key(self) -> Path:
        """The private key that every host lets in as root."""
        return self.directory / "ssh" / "id"

    @property
    def known_hosts(self) -> Path:
        """A file that knows every host's key."""
        return self.directory / "ssh" / "known_hosts"

    @property
    def ssh_config(self) -> Path:
        """OpenSSH's configuration to reach them: ``ssh -F``, or a project's ``ssh.config``."""
        return self.directory / "ssh" / "config"

    @property
    def registry(self) -> Registry:
        """Its registry, which takes everybody."""
        return Registry(f"{self.network.address}:5000")

    def push(self, image: Image, tag: str) -> str:
        """Push an image to the registry; how hosts name it."""
        self.registry.push(image, tag)
        return f"{self.registry.address}/{tag}"

    def provide(self, image: Image, tag: str) -> None:
        """Make an image pullable as ``tag``, as if Docker Hub had it."""
        if not self.registry.has(tag):
            self.registry.push(image, tag)

    def clean(self) -> None:
        """Bring every host back to what it was at first, but for its images."""
        with ThreadPoolExecutor(len(self.hosts)) as pool:
            list(pool.map(Host.clean, self.hosts))

    # ------------------------------------------------------------------ its life

    def begin(self) -> None:
        """Make all of it."""
        ssh = self.directory / "ssh"
        ssh.mkdir(parents=True)
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", str(self.key))
        self.network.up(len(self.hosts))
        self._start_registry()
        for host in self.hosts:
            host.begin()
        for host in self.hosts:
            host.ready()
        lines = []
        for host in self.hosts:
            kind, data = (host.directory / "hostkey.pub").read_text().split()[:2]
            lines.append(f"{host.address} {kind} {data}\n")
        self.known_hosts.write_text("".join(lines))
        self.ssh_config.write_text(
            f"Host {self.network.prefix}.*\n  User root\n  IdentityFile {self.key}\n"
            f"  IdentitiesOnly yes\n  IdentityAgent none\n  UserKnownHostsFile {self.known_hosts}\n"
        )

    def _start_registry(self) -> None:
        directory = self.directory / "registry"
        directory.mkdir()
        serve(directory, f"{self.network.address}:5000")

    def end(self) -> None:
        """Take all of it away, however much of it there is."""
        for host in self.hosts:
            host.end()
        with contextlib.suppress(OSError, ValueError):
            os.kill(int((self.directory / "registry" / "pid").read_text()), signal.SIGKILL)
        self.network.down()
        for _ in range(50):
            shutil.rmtree(self.directory, ignore_errors=True)
            if not self.directory.exists():
                return
            time.sleep(0.1)


def serve(directory: Path, address: str, *, htpasswd: Path | None = None) -> int:
    """Start a registry that keeps what it has in ``directory``; with ``htpasswd``, only for who logs in.

    Its pid: whoever starts it ends it.
    """
    auth = f"auth: {{htpasswd: {{realm: lab, path: {htpasswd}}}}}\n" if htpasswd else ""
    (directory / "config.yml").write_text(
        "version: 0.1\nlog: {level: warn}\n"
        f"storage: {{filesystem: {{rootdirectory: {directory}}}, delete: {{enabled: true}}}}\n"
        f"http: {{addr: '{address}'}}\n{auth}"
    )
    pid = daemon(["docker-registry", "serve", str(directory / "config.yml")], directory / "log")
    (directory / "pid").write_text(str(pid))
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + 60
    while True:
        try:
            with opener.open(f"http://{address}/v2/", timeout=5):
                return pid
        except urllib.error.HTTPError as error:
            error.close()
            return pid  # it asks for a password: it is there
        except OSError:
            assert alive(pid), (directory / "log").read_text()
            assert time.monotonic() < deadline, (directory / "log").read_text()
            time.sleep(0.03)


def missing() -> str:
    """What this machine lacks for a lab, in words; empty when it lacks nothing."""
    if os.geteuid() != 0:
        return "a lab of Docker hosts needs root"
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    absent = [name for name in _NEEDED if not shutil.which(name, path=path)]
    return f"for a lab of Docker hosts, {', '.join(absent)}" if absent else ""


@contextmanager
def lab(user: str, *, hosts: int = 3, kind: type[Host] = Host) -> Iterator[Lab]:
    """A lab for ``user``, who is named in its files; kept for as long as the block lasts. ``kind``: of its hosts."""
    ROOT.mkdir(parents=True, exist_ok=True)
    with (ROOT / "lock").open("w") as gate:
        fcntl.flock(gate, fcntl.LOCK_EX)
        held, made = _make(user, hosts, kind)
    try:
        yield made
    finally:
        os.close(held)


def _lab(slot: int, hosts: int, kind: type[Host] = Host) -> Lab:
    directory = ROOT / str(slot)
    network = Network(slot)
    return Lab(
        directory,
        network,
        tuple(
            kind(number, network, directory / f"host{number}", directory / "ssh")
            for number in range(1, hosts + 1)
        ),
    )


def _make(user: str, hosts: int, kind: type[Host]) -> tuple[int, Lab]:
    for slot in range(_SLOTS):
        held = _lock(slot)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(held)
            continue
        left = _lab(slot, len(list((ROOT / str(slot)).glob("host*"))) or hosts)
        left.end()
        made = _lab(slot, hosts, kind)
        try:
            made.begin()
        except BaseException:
            made.end()
            os.close(held)
            raise
        (made.directory / "user").write_text(f"{user} {hosts}")
        # Waits for the user's end, and takes the lab down.
        with contextlib.chdir(Path(__file__).parents[2]):
            argv = [sys.executable, "-m", "tests.lab.lab", "end", str(slot), str(hosts)]
            daemon(argv, Path("/dev/null"))
        return held, made
    raise AssertionError(f"all {_SLOTS} slots for labs of Docker hosts are in use: see {ROOT}")


def _lock(slot: int) -> int:
    return os.open(ROOT / f"{slot}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _end(slot: int, hosts: int) -> None:
    held = _lock(slot)
    made = (ROOT / str(slot) / "user").read_text()
    fcntl.flock(held, fcntl.LOCK_EX)
    if (ROOT / str(slot) / "user").read_text() == made:
        _lab(slot, hosts).end()


if __name__ == "__main__":
    if sys.argv[1] == "end":
        _end(int(sys.argv[2]), int(sys.argv[3]))
    else:
        began = time.monotonic()
        with lab(f"by hand {os.getpid()}", hosts=int(sys.argv[1])) as running:
            print(f"{time.monotonic() - began:.1f} s: ssh -F {running.ssh_config}")
            for one in running.hosts:
                print(f"  {one.address}  docker -H unix://{one.socket}")
            print(f"  registry {running.registry.address}")
            input("Enter ends it. ")
