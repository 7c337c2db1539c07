"""The other migration tools: the files that each wants, and the command that applies them."""

from __future__ import annotations

import shutil
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent
Files = Sequence[tuple[str, tuple[str, ...]]]
"""Of each migration its version and its statements."""


class Tool(ABC):
    """A tool. `prepare` writes ``files`` into ``folder``; `argv` applies them to the database ``url``."""

    name: str

    @abstractmethod
    def available(self) -> bool:
        """Whether it is installed."""

    @abstractmethod
    def prepare(self, folder: Path, files: Files) -> None:
        """Write its files."""

    @abstractmethod
    def argv(self, folder: Path, url: str) -> list[str]:
        """Its command, to be run in ``folder``."""

    def environment(self, url: str) -> dict[str, str]:
        """What it reads from the environment."""
        return {"DATABASE_URL": url}


def program(name: str) -> Path:
    """A console script of this environment."""
    return Path(sys.executable).with_name(name)


class BareLoop(Tool):
    """psycopg, a transaction a migration, and an INSERT into a table of what was applied."""

    name = "bare psycopg loop"

    def available(self) -> bool:
        return True

    def prepare(self, folder: Path, files: Files) -> None:
        for version, statements in files:
            (folder / f"{version}.sql").write_text(";\n".join(statements))

    def argv(self, folder: Path, url: str) -> list[str]:
        return [sys.executable, str(HERE / "bare_loop.py"), url, str(folder)]


class Pilotage(Tool):
    """``pilotage migrate apply``; without the schema dump that it makes by default, as dbmate's."""

    name = "pilotage migrate apply"

    def available(self) -> bool:
        return True

    def prepare(self, folder: Path, files: Files) -> None:
        (folder / "config").mkdir()
        (folder / "config/deploy.yml").write_text(
            "service: bench\nservers: {web: {cmd: 'true'}}\ntarget: local\n"
            "databases: {primary: {url: DATABASE_URL}}\n"
        )
        migrations = folder / "db/migrations"
        migrations.mkdir(parents=True)
        for version, statements in files:
            text = "-- expand\n" + ";\n".join(statements) + ";\n"
            (migrations / f"{version}_change.sql").write_text(text)

    def argv(self, folder: Path, url: str) -> list[str]:
        return [str(program("pilotage")), "migrate", "apply", "--no-dump-schema", "--quiet"]


class Dbmate(Tool):
    """dbmate: one binary, written in Go; without the schema dump that it makes by default."""

    name = "dbmate"

    def __init__(self) -> None:
        found = sorted(HERE.glob("node_modules/@dbmate/*/bin/dbmate"))
        self._program = str(found[0]) if found else shutil.which("dbmate")

    def available(self) -> bool:
        return self._program is not None

    def prepare(self, folder: Path, files: Files) -> None:
        migrations = folder / "db/migrations"
        migrations.mkdir(parents=True)
        for version, statements in files:
            text = "-- migrate:up\n" + ";\n".join(statements) + ";\n\n-- migrate:down\n"
            (migrations / f"{version}_change.sql").write_text(text)

    def argv(self, folder: Path, url: str) -> list[str]:
        return [str(self._program), "--no-dump-schema", "migrate"]

    def environment(self, url: str) -> dict[str, str]:
        return {"DATABASE_URL": f"{url}?sslmode=disable"}


class Alembic(Tool):
    """Alembic, with a transaction a migration."""

    name = "alembic"

    def available(self) -> bool:
        return program("alembic").exists()

    def prepare(self, folder: Path, files: Files) -> None:
        versions = folder / "migrations/versions"
        versions.mkdir(parents=True)
        (folder / "alembic.ini").write_text("[alembic]\nscript_location = migrations\n")
        (folder / "migrations/env.py").write_text(ENV)
        before = None
        for version, statements in files:
            body = "\n".join(f"    op.execute({statement!r})" for statement in statements)
            (versions / f"{version}_change.py").write_text(
                f"from alembic import op\n\nrevision = {version!r}\ndown_revision = {before!r}\n\n\n"
                f"def upgrade():\n{body}\n"
            )
            before = version

    def argv(self, folder: Path, url: str) -> list[str]:
        return [str(program("alembic")), "upgrade", "head"]

    def environment(self, url: str) -> dict[str, str]:
        return {"DATABASE_URL": url.replace("postgresql:", "postgresql+psycopg:")}


class Yoyo(Tool):
    """yoyo-migrations, which runs each migration in a transaction of its own."""

    name = "yoyo"

    def available(self) -> bool:
        return program("yoyo").exists()

    def prepare(self, folder: Path, files: Files) -> None:
        migrations = folder / "migrations"
        migrations.mkdir()
        for version, statements in files:
            (migrations / f"{version}_change.sql").write_text(";\n".join(statements) + ";\n")

    def argv(self, folder: Path, url: str) -> list[str]:
        url = url.replace("postgresql:", "postgresql+psycopg:")
        return [str(program("yoyo")), "apply", "--batch", "--database", url, "migrations"]


ENV = """\
import os

from alembic import context
from sqlalchemy import create_engine

with create_engine(os.environ["DATABASE_URL"]).connect() as connection:
    context.configure(connection=connection, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()
"""

TOOLS: tuple[type[Tool], ...] = (BareLoop, Pilotage, Dbmate, Alembic, Yoyo)
