"""A host with podman and without Docker, as a lab's `Host` with a dockerd is one: no daemon, its own files.

Podman is Debian's, as it is installed on this machine; what it keeps, it keeps in the host's own directory.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from dataclasses import dataclass

from tests.lab.host import Host

_NEEDED = ("podman", "runc", "/usr/lib/podman/netavark", "/usr/lib/podman/aardvark-dns")

# The machine may have Docker, which this host does not: an empty file that nobody may execute is no program.
_FURTHER = """\
mkdir -p /dev/shm && mount -t tmpfs tmpfs /dev/shm  # podman's locks
mount --bind "$1/containers" /etc/containers
mount --bind "$1/bin" /usr/local/bin
mount --bind "$1/var" /var/lib
for program in /usr/bin/docker /bin/docker; do
  [ ! -e "$program" ] || [ ! -x "$program" ] || mount --bind "$1/nothing" "$program"
done
"""

# No systemd is in a lab, whatever this machine has. It may have both versions of cgroups, which crun does not take, and
# limits that root cannot raise.
_CONTAINERS = """\
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
[containers]
default_ulimits = ["nofile={files}:{files}", "nproc={processes}:{processes}"]
"""

_STORAGE = """\
[storage]
driver = "overlay"
graphroot = "{data}"
runroot = "/run/containers/storage"
"""

# What others fetch from Docker Hub is found in the lab's own registry.
_REGISTRIES = """\
[[registry]]
location = "{registry}"
insecure = true
[[registry]]
prefix = "docker.io"
location = "{registry}"
insecure = true
"""


@dataclass(frozen=True, slots=True)
class PodmanHost(Host):
    """Host ``number`` of a lab, with podman."""

    @property
    def further(self) -> str:
        """Its own folders; no Docker."""
        return _FURTHER

    def docker(self, *argv: str, input: bytes | None = None, check: bool = True) -> str:
        """Run ``podman …`` on it (not over SSH); what it wrote."""
        done = subprocess.run(
            self.enter("podman", *argv), input=input, capture_output=True, check=False
        )
        assert not check or done.returncode == 0, f"podman {argv}: {done.stderr.decode()}"
        return done.stdout.decode()

    def begin(self) -> None:
        """Write what its podman is told, then begin as any host does."""
        for name in ("containers", "bin", "var"):
            (self.directory / name).mkdir(parents=True)
        (self.directory / "nothing").touch(0o644)
        etc = self.directory / "containers"
        shutil.copy("/etc/containers/policy.json", etc)
        (etc / "containers.conf").write_text(
            _CONTAINERS.format(
                files=_limit(resource.RLIMIT_NOFILE, 20_000),
                processes=_limit(resource.RLIMIT_NPROC, 30_000),
            )
        )
        (etc / "storage.conf").write_text(_STORAGE.format(data=self.directory / "data"))
        registry = f"{self.network.address}:5000"
        (etc / "registries.conf").write_text(_REGISTRIES.format(registry=registry))
        Host.begin(self)

    def launch_dockerd(self) -> None:
        """It has none."""

    def wait_for_dockerd(self) -> None:
        """Podman needs no daemon."""


def _limit(which: int, wanted: int) -> int:
    _, hard = resource.getrlimit(which)
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)


def missing() -> str:
    """What this machine lacks for such a host, in words; empty when it lacks nothing."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    absent = [name for name in _NEEDED if not shutil.which(name, path=path)]
    return f"for a host with podman, {', '.join(absent)}" if absent else ""
