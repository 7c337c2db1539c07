"""Twenty deploys of a shop under 32 connections, and twenty restarts in place of the same shop.

The deploys change code and schema: a column, a renamed column with a backfill of 200,000 rows, a changed
type, contracts; then code alone. The peer is what a deploy is without an edge: stop the process,
start the new one on the same port, wait until it answers. It is the same app, on the same database, with
the same load; reloading one process in place is what is left when nothing stands in front of it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.measure import table, write
from pilotage import embedded
from pilotage.demo import http1, process, repository
from pilotage.demo.load import CONNECTIONS
from pilotage.demo.process import LoadProcess
from pilotage.demo.seed import ORDERS, SEED

BASELINE = 500  # requests before the first deploy
REST = 1.0  # seconds between two


@dataclass(frozen=True, slots=True)
class Place:
    """A folder with the shop's repository, and a database."""

    folder: Path
    port: int
    shop: repository.Repository
    server: embedded.Postgres
    pilotage: process.Pilotage

    async def run(self, *arguments: str) -> float:
        """Run a command, which must succeed; its seconds."""
        done = await self.pilotage.run(*arguments, on_line=lambda _: None)
        if done.status:
            raise RuntimeError(f"pilotage {' '.join(arguments)} failed:\n{done.text}")
        return done.seconds


@asynccontextmanager
async def place() -> AsyncIterator[Place]:
    """Make it; at the end, stop everything in it and remove it."""
    folder = Path(tempfile.mkdtemp(prefix="pilotage-bench-")).resolve()
    folder.chmod(0o711)  # under root the server runs as another user
    server = await asyncio.to_thread(embedded.start, folder, "shop")
    try:
        port = embedded.free_port()
        shop = await asyncio.to_thread(repository.build, folder / "shop", port=port)
        secrets = shop.path / ".pilotage" / "secrets"
        secrets.parent.mkdir(mode=0o700)
        secrets.touch(mode=0o600)
        secrets.write_text(f"DATABASE_URL={server.url()}\n")
        environment = process.environment(folder / "bin")
        made = Place(
            folder,
            port,
            shop,
            server,
            process.Pilotage(shop.path, environment, folder / "commands.log"),
        )
        try:
            yield made
        finally:
            await made.pilotage.run("remove", "-y", on_line=lambda _: None)
    finally:
        await asyncio.to_thread(server.stop)
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


@dataclass(slots=True)
class Traffic:
    """The load, and how many requests it has made."""

    load: LoadProcess

    @property
    def requests(self) -> int:
        return int(self.load.progress.get("requests", 0))

    async def reach(self, requests: int, *, limit: float) -> None:
        """Wait for so many requests in all, at most ``limit`` seconds."""
        give_up = time.monotonic() + limit
        while self.requests < requests and time.monotonic() < give_up:
            await asyncio.sleep(0.1)

    @asynccontextmanager
    async def span(self, label: str) -> AsyncIterator[None]:
        """Measured as a deploy."""
        await self.load.tell(f"begin {label}")
        yield
        await self.load.tell("end")


@asynccontextmanager
async def traffic(at: Place, port: int, name: str, rate: float) -> AsyncIterator[Traffic]:
    """Let the customers in; they are gone at the end, however it ends."""
    load = await process.start_load(
        f"http://127.0.0.1:{port}",
        at.folder / f"{name}.csv",
        seeds=ORDERS,
        rate=rate,
        on_progress=lambda _: None,
    )
    try:
        yield Traffic(load)
    finally:
        await load.kill()


def releases(shop: repository.Repository, count: int) -> list[str]:
    """The tags of ``count`` releases after v1: those of the shop, then some with a changed file."""
    tags = ["v2", "v3", "v4", "v5"]
    for number in range(6, count + 2):
        shop.write("RELEASE", f"{number}\n")
        shop.commit(f"v{number}", f"Release {number}")
        tags.append(f"v{number}")
    return tags[:count]


async def deploys(at: Place, count: int, requests: int, rate: float) -> dict[str, Any]:
    """Deploy ``count`` releases under load; what the load saw, ``deploy_s``, and the longest
    request of a deploy as ``stall_ms``."""
    tags = releases(at.shop, count)
    await at.run("deploy", "--version", "v1")
    async with await psycopg.AsyncConnection.connect(at.server.url(), autocommit=True) as database:
        await database.execute(SEED.encode())
    seconds = []
    async with traffic(at, at.port, "deploys", rate) as customers:
        await customers.reach(BASELINE, limit=60)
        for tag in tags:
            async with customers.span(tag):
                seconds.append(await at.run("deploy", "--version", tag))
            print(f"  {tag}: {seconds[-1]:.1f} s, {customers.requests:,} requests", flush=True)
            await asyncio.sleep(REST)
        await customers.reach(requests, limit=requests / rate * 1.5)
        summary = await customers.load.stop()
    return {**summary, "deploy_s": seconds, "stall_ms": summary["max_ms"]["during"]}


async def restarts(at: Place, tag: str, count: int, rate: float) -> dict[str, Any]:
    """Restart one process of the shop, at the release ``tag``, in place ``count`` times under load.

    ``stall_ms``: the longest time from stopping the process until the new one answers.
    """
    port = embedded.free_port()
    environment = {
        **at.pilotage.environment,
        "DATABASE_URL": at.server.url(),
        "PORT": str(port),
        "PYTHONPATH": str(at.shop.path),
    }

    async def start(number: int) -> asyncio.subprocess.Process:
        running = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "shop.web"),
            cwd=at.shop.path,
            env={**environment, "PILOTAGE_RELEASE": f"r{number}"},
            start_new_session=True,
            stderr=asyncio.subprocess.DEVNULL,
        )
        await answers(port)
        return running

    at.shop.git("checkout", "--quiet", "--force", tag)
    running = await start(0)
    try:
        async with traffic(at, port, "restarts", rate) as customers:
            await customers.reach(BASELINE, limit=60)
            silent = []
            for number in range(1, count + 1):
                async with customers.span(f"r{number}"):
                    began = time.monotonic()
                    running.terminate()
                    await running.wait()
                    running = await start(number)
                    silent.append(time.monotonic() - began)
                await asyncio.sleep(REST)
            summary = await customers.load.stop()
            # A refused connection is a quick failure; what a customer waits for is the next answer.
            return {**summary, "stall_ms": max(silent) * 1000}
    finally:
        running.terminate()
        await running.wait()


async def answers(port: int) -> None:
    """Wait until the shop answers there."""
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up:
        try:
            connection = await http1.connect("127.0.0.1", port, limit=5)
            try:
                order = http1.request("GET", "/orders/1", host="shop")
                if (await connection.send(order, limit=5)).status == 200:
                    return
            finally:
                connection.close()
        except (OSError, TimeoutError, http1.BadResponse):
            pass
        await asyncio.sleep(0.05)
    raise RuntimeError("the shop does not start")


def row(name: str, seen: dict[str, Any]) -> list[str]:
    """A line of the table."""
    skews = list(seen["skew_ms"].values())
    before = seen["max_ms"]["before"]
    return [
        name,
        f"{seen['requests']:,}",
        f"**{seen['failed']:,}**",
        f"{seen['stall_ms']:.0f} ms",
        f"{before:.0f} ms",
        f"{seen['p99_ms']['before']:.1f} → {seen['p99_ms']['during']:.1f} ms",
        f"{max(skews):.1f} ms" if skews else "–",
    ]


async def measure(count: int, requests: int, rate: float) -> str:
    """Both, one after the other, as text for the results."""
    async with place() as at:
        deployed = await deploys(at, count, requests, rate)
        restarted = await restarts(at, f"v{count + 1}", count, rate)
        version = at.server.version
    head = [
        "",
        "requests",
        "failed",
        "longest stall",
        "longest request before",
        "p99 before → during",
        "skew",
    ]
    rows = [row(f"{count} deploys", deployed), row(f"{count} restarts in place", restarted)]
    ratio = deployed["stall_ms"] / restarted["stall_ms"]
    first = "; ".join(f"{f['at']} s: {f['what']}" for f in deployed["failures"][:3])
    times = sorted(deployed["deploy_s"])
    return (
        f"{count} deploys on the local target with Envoy and PostgreSQL {version}, under {CONNECTIONS} "
        f"kept-alive connections that never retry and together ask for {rate:g} requests a second; "
        "then as many restarts in place of one process of the same app, asked directly. The longest "
        "stall is the longest request that was sent during a deploy; with a restart, where connections "
        "are refused at once, the time until somebody answers again. *Skew*: the most time in which "
        "two releases received new requests. A request fails when it takes more than five seconds, "
        "too.\n\n"
        f"{table(head, rows)}\n\n"
        f"Longest stall, deploys to restarts: **{ratio:.2f}**. A deploy takes "
        f"{times[len(times) // 2]:.1f} s (median)." + (f" Failures: {first}." if first else "")
    )


def main() -> None:
    """Measure, and write the section."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--count", type=int, default=20)
    arguments.add_argument("--requests", type=int, default=100_000)
    arguments.add_argument("--rate", type=float, default=250.0)
    given = arguments.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    text = asyncio.run(measure(given.count, given.requests, given.rate))
    write("deploys", "Twenty deploys under load", text)


if __name__ == "__main__":
    main()
