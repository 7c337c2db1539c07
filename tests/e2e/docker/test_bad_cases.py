"""What is wrong with hosts, registries, images and secrets: each is one clear error, and the old release serves.

The cases share one deployed service. Each breaks something, deploys, and mends it; `refused` holds what every error
has to say. What needs no hosts is in `tests/unit/config` and `tests/e2e/local/test_bad.py`; a host that is down and
an unhealthy container in `test_deploy.py`, a held lock and odd secrets in `test_kamal_cases.py`, a connection lost in
the middle of a migration in `test_schema_cases.py`.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.docker.conftest import Ship
from tests.e2e.docker.faults import serves_again, settled
from tests.lab import images
from tests.lab.host import Host
from tests.lab.lab import serve
from tests.servers import free_port

from pilotage.image.architecture import architecture


def refused(ship: Ship, *words: str, next: str, where: str = "", hosts: int = 2) -> None:
    """A deploy fails with one error that says all of this, changes nothing on the first ``hosts`` hosts, and
    shows no traceback."""
    failed = ship.start("deploy", "--skip-push", "--version", "HEAD")
    _, err = failed.communicate(timeout=300)
    print(err)
    assert failed.returncode in (1, 2), err
    assert "Traceback" not in err, err
    assert "pilotage itself failed" not in err, err
    assert err.count("✗ ") == 1, err
    told = " ".join(err.split())
    for word in (*words, where, next):
        assert word in told, f"{word!r} is not in:\n{err}"
    assert [ship.serving(host) for host in ship.hosts[:hosts]] == ["one"] * hosts


# -- hosts -------------------------------------------------------------------------------------


@contextmanager
def programs(host: Host, **scripts: str) -> Iterator[None]:
    """A host on which Docker is what a script says; without one, it is not installed."""
    folder = host.directory / "programs"
    folder.mkdir()
    for source in ("/usr/sbin", "/usr/bin", "/sbin", "/bin"):
        for path in Path(source).iterdir():
            if path.name != "docker" and not (folder / path.name).exists():
                (folder / path.name).symlink_to(path)
    for name, text in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    try:
        with sshd(host, f"SetEnv PATH={folder}"):
            yield
    finally:
        subprocess.run(["rm", "-rf", folder], check=True)


@contextmanager
def sshd(host: Host, line: str) -> Iterator[None]:
    """A host whose sshd is configured otherwise."""
    path = host.directory / "sshd_config"
    was = path.read_text()
    path.write_text(f"{line}\n{was}")
    host.kill_sshd()
    host.start_sshd()
    try:
        yield
    finally:
        path.write_text(was)
        host.kill_sshd()
        host.start_sshd()


@contextmanager
def user(host: Host, name: str) -> Iterator[None]:
    """A host with somebody who may log in, and nothing else."""
    home, passwd = host.directory / name, host.directory / "passwd"
    home.mkdir()
    os.chown(home, 12345, 12345)
    passwd.write_text(f"{Path('/etc/passwd').read_text()}{name}:*:12345:12345::{home}:/bin/sh\n")
    host.execute("mount", "--bind", str(passwd), "/etc/passwd")
    try:
        yield
    finally:
        host.execute("umount", "/etc/passwd")
        subprocess.run(["rm", "-rf", home], check=True)


@contextmanager
def edited(ship: Ship, old: str, new: str) -> Iterator[None]:
    """The configuration with something else in it."""
    path = ship.root / "config/deploy.yml"
    was = path.read_text()
    assert old in was
    ship.write("config/deploy.yml", was.replace(old, new))
    try:
        yield
    finally:
        ship.write("config/deploy.yml", was)


def test_hosts(ship: Ship, tmp_path: Path) -> None:
    ship.release("one")
    ship.deploy()
    first, second, _ = ship.hosts
    ship.release("two")

    with programs(second):
        way_out = "`pilotage server bootstrap` installs it"
        refused(ship, "Docker is not installed", where=second.address, next=way_out)
    old = 'case "$1" in version|info) echo 19.03.15 ;; *) exec /usr/bin/docker "$@" ;; esac'
    with programs(second, docker=old):
        refused(ship, "19.03.15", "too old", where=second.address, next="20.10")
    second.stop_dockerd()
    try:
        refused(ship, "does not answer", where=second.address, next="systemctl", hosts=1)
    finally:
        second.start_dockerd()
    serves_again(ship, second, "one")
    with user(first, "kim"), user(second, "kim"), edited(ship, "ssh: {", "ssh: {user: kim, "):
        refused(ship, "the user kim may not use Docker", next="usermod -aG docker kim")
    with sshd(second, "AllowTcpForwarding no"):
        refused(ship, "through SSH", where=second.address, next="AllowTcpForwarding yes")

    second.fill_disk(leave=100 << 20)
    try:
        refused(ship, "MiB are free", "512", where=second.address, next="pilotage prune")
        with programs(first, docker=old):
            each = f"{first.address}: Docker 19.03.15 is too old", f"{second.address}: "
            refused(ship, "on 2 of 2 hosts", "MiB are free", *each, next="pilotage prune")
    finally:
        second.empty_disk()

    keys = ship.lab.ssh_config.read_text()
    other = tmp_path / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other], check=True)
    try:
        ship.lab.ssh_config.write_text(keys.replace(str(ship.lab.key), str(other)))
        refused(ship, "lets nobody in", str(other), where=first.address, next="authorized_keys")
    finally:
        ship.lab.ssh_config.write_text(keys)

    known = ship.lab.known_hosts.read_text()
    try:
        ship.lab.known_hosts.write_text(known.replace(f"{second.address} ", "10.0.0.1 "))
        refused(ship, "is not known", where=second.address, next=f"server trust {second.address}")
        keys = {line.split()[0]: line.split(None, 1)[1] for line in known.splitlines()}
        changed = known.replace(keys[second.address], keys[first.address])
        ship.lab.known_hosts.write_text(changed)
        refused(ship, "HOST KEY HAS CHANGED", where=second.address, next="ssh-keygen -R")
    finally:
        ship.lab.known_hosts.write_text(known)

    ship.deploy()
    settled(ship, "two")


def test_images_and_secrets(ship: Ship, tmp_path: Path) -> None:
    ship.secrets["KEY"] = "x"
    ship.configure(more="env: {secret: [KEY]}\n")
    ship.release("one")
    ship.deploy()
    server = ship.lab.registry.address
    # What every host says is told once, of all of them.
    both = ", ".join(host.address for host in ship.hosts[:2])

    ship.git("commit", "-q", "--allow-empty", "-m", "no image")
    revision = ship.git("rev-parse", "HEAD")
    refused(ship, revision, "could not be pulled", where=both, next="build push")

    for_another = images.app("two", service="shop").extend(architecture="s390x")
    ship.lab.push(for_another, f"acme/shop:{revision}")
    own = architecture(os.uname().machine)
    words = "is made for linux/s390x", f"this host is linux/{own}"
    refused(ship, *words, where=both, next=f"set `builder.arch` to {own}")

    nowhere = f"{ship.lab.network.address}:{free_port()}"
    with edited(ship, server, nowhere):
        refused(ship, nowhere, "refused", next="registry")
    directory = tmp_path / "registry"
    directory.mkdir()
    (directory / "users").write_text("")
    pid = serve(directory, nowhere, htpasswd=directory / "users")
    try:
        with edited(ship, server, nowhere):
            refused(ship, f"me could not log in at {nowhere}", next="registry:")
    finally:
        os.kill(pid, 9)

    del ship.secrets["KEY"]
    refused(ship, "KEY", next="secrets")
    ship.secrets["KEY"] = "x"
    ship.lab.push(images.app("two", service="shop"), f"acme/shop:{revision}")
    ship.deploy()
    settled(ship, "two")
