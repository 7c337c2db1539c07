"""A thousand migrations on PostgreSQL, which waits for the disk at each commit, beside other tools.

Each contestant is a process, from its start to its end, on a new database of one server. *In use* is a
database in which something was before; *empty* one that is new, where pilotage lets commits become
durable together (``docs/explanation/durability.md``).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg

from benchmarks.measure import Contestant, against, environment, in_turn, timed, write
from benchmarks.peers import TOOLS, BareLoop, Files, Pilotage, Tool
from pilotage import embedded
from pilotage.events import ignore
from pilotage.migrate.loader import load_migrations
from pilotage.migrate.runner import SqlSchema
from pilotage.secret import Secret

KINDS = {
    "light": lambda n: (f"CREATE TABLE t{n} (i int)", f"ALTER TABLE t{n} ADD COLUMN j int"),
    "heavy": lambda n: (
        f"CREATE TABLE t{n} (id bigint PRIMARY KEY, name text NOT NULL)",
        f"CREATE INDEX ON t{n} (name)",
    ),
}
"""light: a table and a column. heavy: with a primary key, a text column and an index."""


def files(kind: str, count: int) -> Files:
    """The migrations of a kind."""
    return [(f"2026{n:010d}", KINDS[kind](n)) for n in range(1, count + 1)]


@contextmanager
def server() -> Iterator[embedded.Postgres]:
    """A PostgreSQL that is as safe as it is by default, which is checked."""
    with tempfile.TemporaryDirectory(prefix="pilotage-bench-") as folder:
        Path(folder).chmod(0o711)  # under root the server runs as another user
        running = embedded.start(Path(folder), "shop")
        try:
            with psycopg.connect(running.url("postgres")) as connection:
                for setting in ("fsync", "synchronous_commit", "full_page_writes"):
                    row = connection.execute(f"SHOW {setting}").fetchone()  # type: ignore[arg-type]
                    assert row == ("on",), f"{setting} is {row}"
            yield running
        finally:
            running.stop()


def new_database(running: embedded.Postgres, *, used: bool) -> str:
    """The URL of a new database; ``used``: with a table in it."""
    name = f"bench_{uuid4().hex[:8]}"
    with psycopg.connect(running.url("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
    url = running.url(name)
    if used:
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE before (i int)")
    return url


def disk(folder: Path, times: int = 100) -> float:
    """The median seconds of writing a page and waiting until it is on the disk."""
    seconds = []
    with (folder / "page").open("wb", buffering=0) as file:
        for _ in range(times):
            began = time.perf_counter()
            file.seek(0)
            file.write(b"\0" * 8192)
            os.fdatasync(file.fileno())
            seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def applied(url: str) -> int:
    """How many of the tables are there."""
    with psycopg.connect(url) as connection:
        query = r"SELECT count(*) FROM pg_tables WHERE tablename ~ '^t\d+$'"
        row = connection.execute(query).fetchone()
    assert row is not None
    return int(row[0])


def command(
    tool: Tool, running: embedded.Postgres, folder: Path, count: int, *, used: bool
) -> Contestant:
    """The tool as a process, on a new database each time."""

    def run() -> float:
        url = new_database(running, used=used)
        seconds = timed(
            tool.argv(folder, url), cwd=folder, env=environment(**tool.environment(url))
        )
        assert applied(url) == count, tool.name
        return seconds

    return run


def library(running: embedded.Postgres, folder: Path, count: int, *, used: bool) -> Contestant:
    """Pilotage's runner in a process that is there: what applying alone takes, files read."""
    migrations = list(load_migrations(folder / "db/migrations", dialect="postgresql"))

    async def apply(url: str) -> None:
        async with SqlSchema(url=Secret(url), stream="bench", service="bench") as schema:
            await schema.prepare()
            await schema.claim(token=1)
            done = 0
            while done < count:
                done += await schema.apply_some(
                    migrations[done:], release=None, token=1, emit=ignore, fresh=not used, seconds=1
                )

    def run() -> float:
        url = new_database(running, used=used)
        began = time.perf_counter()
        asyncio.run(apply(url))
        seconds = time.perf_counter() - began
        assert applied(url) == count
        return seconds

    return run


def bare_library(running: embedded.Postgres, folder: Path, count: int) -> Contestant:
    """The bare loop in a process that is there."""
    source = compile((Path(__file__).with_name("bare_loop.py")).read_text(), "bare_loop.py", "exec")

    def run() -> float:
        import sys

        url = new_database(running, used=False)
        before, sys.argv = sys.argv, ["bare_loop.py", url, str(folder)]
        try:
            began = time.perf_counter()
            exec(source, {"__name__": "bare_loop"})
            seconds = time.perf_counter() - began
        finally:
            sys.argv = before
        assert applied(url) == count
        return seconds

    return run


def measure(kind: str, count: int, rounds: int) -> str:
    """One kind of migration, as text for the results."""
    with server() as running, tempfile.TemporaryDirectory(prefix="pilotage-bench-") as made:
        root = Path(made)
        tools = {tool.name: tool for tool in (make() for make in TOOLS) if tool.available()}
        for name, tool in tools.items():
            (root / name).mkdir()
            tool.prepare(root / name, files(kind, count))
        bare, own = root / BareLoop.name, root / Pilotage.name

        def of(name: str, *, used: bool) -> Contestant:
            return command(tools[name], running, root / name, count, used=used)

        commands = {BareLoop.name: of(BareLoop.name, used=False)}
        commands[f"{Pilotage.name}, in use"] = of(Pilotage.name, used=True)
        commands[f"{Pilotage.name}, empty"] = of(Pilotage.name, used=False)
        others = [name for name in tools if name not in (BareLoop.name, Pilotage.name)]
        commands |= {name: of(name, used=False) for name in others}
        inside = {
            "bare loop": bare_library(running, bare, count),
            "runner, in use": library(running, own, count, used=True),
            "runner, empty": library(running, own, count, used=False),
        }
        print(f"{kind}, {count} migrations, {rounds} rounds")
        return (
            f"### {kind}\n\nWithout the start of a process and the reading of files:\n\n"
            f"{against(in_turn(inside, rounds), 'bare loop')}\n\n"
            f"As commands, from start to end:\n\n"
            f"{against(in_turn(commands, rounds), BareLoop.name)}\n"
        )


def main() -> None:
    """Measure both kinds, and write the section."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--count", type=int, default=1000)
    arguments.add_argument("--rounds", type=int, default=5)
    given = arguments.parse_args()
    parts = [measure(kind, given.count, given.rounds) for kind in KINDS]
    with server() as running:
        version = running.version
        wait = disk(running.data.parent)
    head = (
        f"{given.count:,} migrations of two statements each, on PostgreSQL {version} with fsync and "
        f"synchronous_commit on; {given.rounds} rounds in turn, a new database for each. Waiting for "
        f"the disk takes {wait * 1000:.2f} ms here (median, after a write of 8 kB). *light*: CREATE "
        "TABLE (i int), ADD COLUMN. *heavy*: a primary key, a text column, an index.\n\n"
        "*In use*: every half is durable before the next. *Empty*: a new database, where they become "
        "durable together. Every tool has a transaction a migration, and writes a row in it: the bare loop "
        "and dbmate its version; pilotage its name, digests, times and progress as well, under limits for "
        "locks and statements, and it reads all files with PostgreSQL's grammar and judges their hazards "
        "before it applies the first."
    )
    write("migrations", "A thousand migrations", "\n\n".join([head, *parts]))


if __name__ == "__main__":
    main()
