"""Networks of this machine for tests: a bridge, and a namespace with an address for each host.

A slot is a number that no other run on this machine has now. Its names and addresses derive from it.
Needs root and iproute2.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


def run(*argv: str, check: bool = True) -> str:
    """Run a command of the system; what it wrote."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, f"{' '.join(argv)}: {done.stderr}"
    return done.stdout


def daemon(argv: Sequence[str], log: Path) -> int:
    """Start a program that outlives us, in a session of its own; its pid."""
    script = 'log=$1; shift; setsid "$@" </dev/null >>"$log" 2>&1 & echo $!'
    return int(run("sh", "-c", script, "daemon", str(log), *argv))


def alive(pid: int) -> bool:
    """Whether a process runs (one that ended and that nobody waited for does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@dataclass(frozen=True, slots=True)
class Network:
    """The network of a slot: this machine is ``address``, host ``n`` (from 1) is ``of(n)``."""

    slot: int

    @property
    def prefix(self) -> str:
        """The first three numbers of its addresses."""
        return f"10.213.{self.slot}"

    @property
    def address(self) -> str:
        """This machine, as hosts see it."""
        return f"{self.prefix}.1"

    @property
    def subnet(self) -> str:
        """All of it."""
        return f"{self.prefix}.0/24"

    @property
    def bridge(self) -> str:
        """The name of the bridge."""
        return f"plt{self.slot}"

    def of(self, number: int) -> str:
        """The address of a host."""
        return f"{self.prefix}.{10 + number}"

    def namespace(self, number: int) -> str:
        """The network namespace of a host."""
        return f"plt{self.slot}-{number}"

    def port(self, number: int) -> str:
        """The end of a host's link that is a port of the bridge."""
        return f"plv{self.slot}-{number}"

    def up(self, hosts: int) -> None:
        """Make it."""
        run("ip", "link", "add", self.bridge, "type", "bridge")
        run("ip", "addr", "add", f"{self.address}/24", "dev", self.bridge)
        run("ip", "link", "set", self.bridge, "up")
        # Where the kernel filters what it bridges, hosts reach each other all the same.
        with contextlib.suppress(FileNotFoundError):
            run("iptables", "-w", "-I", "FORWARD", *self._rule)
        for number in range(1, hosts + 1):
            name, veth = self.namespace(number), self.port(number)
            run("ip", "netns", "add", name)
            run("ip", "link", "add", veth, "type", "veth", "peer", "name", "eth0", "netns", name)
            run("ip", "link", "set", veth, "master", self.bridge, "up")
            run("ip", "-n", name, "addr", "add", f"{self.of(number)}/24", "dev", "eth0")
            run("ip", "-n", name, "link", "set", "eth0", "up")
            run("ip", "-n", name, "link", "set", "lo", "up")
            run("ip", "-n", name, "route", "add", "default", "via", self.address)

    def down(self) -> None:
        """Take it away, however much of it there is."""
        for line in run("ip", "netns", "list", check=False).splitlines():
            name = line.split()[0]
            if name.startswith(f"plt{self.slot}-"):
                run("ip", "netns", "del", name, check=False)
        # A namespace goes when the last process in it has ended, and its link with it: that may be later.
        for line in run("ip", "-brief", "link", check=False).splitlines():
            name = line.split()[0].partition("@")[0]
            if name.startswith(f"plv{self.slot}-"):
                run("ip", "link", "del", name, check=False)
        with contextlib.suppress(FileNotFoundError):
            run("iptables", "-w", "-D", "FORWARD", *self._rule, check=False)
        run("ip", "link", "del", self.bridge, check=False)

    def cutting(self, number: int, *, state: int = 0) -> tuple[str, ...]:
        """The argv that cuts a host off; 3, the ``state`` of a port that forwards, undoes it."""
        return ("bridge", "link", "set", "dev", self.port(number), "state", str(state))

    def cut(self, number: int) -> None:
        """Cut a host off: no packet reaches it, or comes from it, and nobody is told.

        At the bridge: a host whose own interface goes down forgets the connections that it translates
        (masquerading), which are those of its containers.
        """
        run(*self.cutting(number))

    def restore(self, number: int) -> None:
        """Undo `cut`."""
        run(*self.cutting(number, state=3))

    @property
    def _rule(self) -> tuple[str, ...]:
        return ("-i", self.bridge, "-o", self.bridge, "-j", "ACCEPT")
