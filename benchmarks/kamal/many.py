"""A worker on simulated hosts: each is a real sshd, with a `docker` that writes files (`docker_stand_in.sh`).

So many real Docker daemons do not fit one machine. What is left is what grows with the number of hosts: the connections, and
the commands on them.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.servers import Postgres
from tests.sshd import sshd

from benchmarks.kamal.bed import program
from benchmarks.kamal.log import Log
from benchmarks.kamal.project import Project, Ran

MANY = 32

_NETWORK = "127.77.0"

_CONFIG = """\
service: shop
image: acme/shop
primary_role: job
servers:
  job:
    hosts: {hosts}
    cmd: work
    proxy: false
registry: {{server: registry.example, username: me, password: [REGISTRY_PASSWORD]}}
builder: {{arch: amd64}}
env: {{secret: [DATABASE_URL]}}
ssh: {{config: {ssh}}}
"""

_MIGRATIONS = """\
databases: {primary: {url: DATABASE_URL}}
migrations: {path: db/migrations}
rollout: {verify: 0}
"""


def many(postgres: Postgres, folder: Path, rounds: int, log: Log) -> None:
    """Deploys of each tool on one simulated host and on `MANY`."""
    if len(log.of(f"many, {MANY}", "kamal", "seconds")) >= rounds:
        return
    with ExitStack() as stack:
        hosts = stack.enter_context(_hosts(folder / "simulated"))
        for name in ("pilotage", "kamal"):
            for count in (1, MANY):
                url = postgres.url(stack.enter_context(postgres.database()))
                project = _project(
                    name, folder, hosts[:count], folder / "simulated" / "config", url
                )
                for number in range(rounds + 1):
                    ran = _deploy(project, number)
                    if number:
                        log.add(f"many, {count}", name, seconds=round(ran.seconds, 2))


@contextmanager
def _hosts(folder: Path) -> Iterator[tuple[str, ...]]:
    """Their names, for an OpenSSH configuration that is ``config`` in the folder."""
    docker = Path(__file__).with_name("docker_stand_in.sh")
    names = tuple(f"{_NETWORK}.{number}" for number in range(1, MANY + 1))
    with ExitStack() as stack:
        known = []
        for name in names:
            place = folder / name
            (place / "bin").mkdir(parents=True)
            shutil.copy(docker, place / "bin" / "docker")
            (place / "bin" / "docker").chmod(0o755)
            path = f"SetEnv PATH={place / 'bin'}:/usr/sbin:/usr/bin:/sbin:/bin"
            # Kamal has one port for all hosts, so each has an address of its own.
            server = stack.enter_context(sshd(place, path, f"ListenAddress {name}:22"))
            kind, data = (place / "host_ed25519.pub").read_text().split()[:2]
            known.append(f"{name} {kind} {data}\n")
            (folder / "config").open("a").write(
                f"Host {name}\n  User root\n  IdentityFile {server.identity}\n  IdentitiesOnly yes\n"
                f"  IdentityAgent none\n  UserKnownHostsFile {folder / 'known_hosts'}\n"
            )
        (folder / "known_hosts").write_text("".join(known))
        yield names


def _project(name: str, folder: Path, hosts: tuple[str, ...], ssh: Path, url: str) -> Project:
    project = Project(name=name, argv=program(name), root=folder / f"many-{name}-{len(hosts)}")
    config = _CONFIG.format(hosts=json.dumps(hosts), ssh=ssh)
    project.write("config/deploy.yml", config + ("" if project.kamal else _MIGRATIONS))
    project.write(".kamal/secrets", f"REGISTRY_PASSWORD=anything\nDATABASE_URL={url}\n")
    project.write(".gitignore", ".kamal/secrets\n.pilotage/\n")
    project.git("init", "-q", "-b", "main")
    return project


def _deploy(project: Project, number: int) -> Ran:
    """One release more, with a column more."""
    sql = (
        f"ALTER TABLE items ADD COLUMN c{number} text;\n"
        if number
        else "CREATE TABLE items (id int);\n"
    )
    project.write(f"db/migrations/{20260101000000 + number}_c{number}.sql", sql)
    project.git("add", "-A")
    project.git("commit", "-q", "-m", f"release {number}")
    version = (f"--version={project.git('rev-parse', 'HEAD')}",) if project.kamal else ()
    return project.run("deploy", "--skip-push", *version)
