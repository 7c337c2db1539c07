"""One application as a project of each tool: the same image shape, hosts, roles and database.

Both deploy one column more with each release. Kamal's containers add it in their entrypoint, which is its
users' way; pilotage applies a migration as the release phase.
"""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab.host import Host
from tests.lab.image import Image
from tests.lab.lab import Lab

from benchmarks.kamal import images
from benchmarks.measure import environment

_APP = """\
service: {service}
image: acme/{name}
servers:
  web:
    hosts: {web}
{job}registry: {{server: "{registry}", username: me, password: [REGISTRY_PASSWORD]}}
builder: {{arch: amd64}}
env:
  clear: {{MIGRATE: "{migrate}", DELAY: "{delay}"}}
  secret: [DATABASE_URL]
ssh: {{config: {ssh}}}
deploy_timeout: {limit}
"""

_JOB = """\
  job:
    hosts: {hosts}
    cmd: python3 /app/app.py worker
"""

_MIGRATIONS = """\
databases: {primary: {url: DATABASE_URL}}
migrations: {path: db/migrations}
rollout: {verify: 0}
"""


@dataclass(frozen=True, slots=True)
class Shape:
    """What is deployed: on how many hosts, with or without a job role on all of them."""

    hosts: int
    job: bool = False

    def __str__(self) -> str:
        return f"{self.hosts} host{'s' * (self.hosts > 1)}, web{' + job' * self.job}"


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended: its seconds, and all that it wrote."""

    status: int
    seconds: float
    text: str


@dataclass(slots=True, kw_only=True)
class Project:
    """A project of one tool, in ``root``. ``argv``: what runs the tool.

    ``trace``: where pilotage writes down its remote calls.
    """

    name: str
    argv: tuple[str, ...]
    root: Path
    trace: Path | None = None

    @property
    def kamal(self) -> bool:
        """Whether it is the peer's."""
        return self.name == "kamal"

    def run(self, *arguments: str, check: bool = True) -> Ran:
        """Run a command of the tool to its end.

        Raises
        ------
        RuntimeError
            ``check``, and it failed.
        """
        home = self.root.parent / f"home-{self.name}"
        home.mkdir(exist_ok=True)
        variables = environment(HOME=str(home), COLUMNS="100")
        variables.pop("SSH_AUTH_SOCK", None)
        if self.trace:
            variables["PILOTAGE_TRACE"] = str(self.trace)
        began = time.monotonic()
        done = subprocess.run(
            [*self.argv, *arguments], cwd=self.root, env=variables, text=True, check=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        ran = Ran(done.returncode, time.monotonic() - began, done.stdout)
        if check and ran.status:
            raise RuntimeError(f"{self.name} {' '.join(arguments)} failed:\n{ran.text[-4000:]}")
        return ran

    def write(self, name: str, text: str) -> None:
        """Write a file of the project."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def git(self, *arguments: str) -> str:
        """Run git in the project; its output."""
        who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
        done = subprocess.run(
            ["git", *who, *arguments], cwd=self.root, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()


@dataclass(slots=True, kw_only=True)
class Tool(Project):
    """The comparison's application on real hosts, as a project of one tool."""

    hosts: tuple[Host, ...]
    service: str
    lab: Lab
    database_url: str
    releases: list[str] = field(default_factory=list)
    _column: int = 0

    def prepare(
        self, shape: Shape, *, delay: float = 0.0, broken: bool = False, limit: int = 30
    ) -> None:
        """Write the project. ``delay``: seconds that a migration takes. ``broken``: it exits with 1.

        ``limit``: seconds in which a container must be healthy.
        """
        hosts = json.dumps([host.address for host in self.hosts[: shape.hosts]])
        migrate = ("broken" if broken else "yes") if self.kamal else ""
        text = _APP.format(
            service=self.service,
            name=self.name,
            web=hosts,
            job=_JOB.format(hosts=hosts) if shape.job else "",
            registry=self.lab.registry.address,
            migrate=migrate,
            delay=delay,
            ssh=self.lab.ssh_config,
            limit=limit,
        )
        self.write("config/deploy.yml", text + ("" if self.kamal else _MIGRATIONS))
        secrets = f"REGISTRY_PASSWORD=anything\nDATABASE_URL={self.database_url}\n"
        self.write(".kamal/secrets", secrets)
        if not (self.root / ".git").exists():
            self.git("init", "-q", "-b", "main")
            self.write(".gitignore", ".kamal/secrets\n.pilotage/\n")
            self.write("db/migrations/20260101000000_items.sql", "CREATE TABLE items (id int);\n")

    def release(self, *, sql: str = "", image: Image | None = None) -> str:
        """Commit a release with one column more, or with ``sql`` as its migration, and push its image; the revision."""
        self._column += 1
        number = self._column
        sql = sql or f"ALTER TABLE items ADD COLUMN c{number} text;\n"
        if not self.kamal:
            self.write(f"db/migrations/{20260102000000 + number}_c{number}.sql", sql)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", f"release {number}")
        revision = self.git("rev-parse", "HEAD")
        image = image or images.release(f"{self.name}-{number}", self.service, number)
        self.lab.push(image, f"acme/{self.name}:{revision}")
        self.releases.append(revision)
        return revision

    def deploy(self, *, first: bool = False, check: bool = True) -> Ran:
        """Deploy the last release, whose image is in the registry."""
        if self.kamal:
            verb = "setup" if first else "deploy"
            return self.run(verb, "--skip-push", f"--version={self.releases[-1]}", check=check)
        return self.run("deploy", "--skip-push", check=check)

    def rollback(self, *, check: bool = True) -> Ran:
        """Back to the release before the last."""
        if self.kamal:
            return self.run("rollback", self.releases[-2], check=check)
        return self.run("rollback", check=check)
