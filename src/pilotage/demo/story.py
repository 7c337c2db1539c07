"""The whole demo: sets the stage, plays the scenes, looks at the data, tells the numbers, cleans up."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from pilotage import embedded
from pilotage.demo import process, repository
from pilotage.demo.load import CONNECTIONS, RATE
from pilotage.demo.narrator import Narrator, Row, narrator
from pilotage.demo.scenes import SCENES
from pilotage.demo.seed import ORDERS
from pilotage.demo.stage import Stage

NOTHING = {"before": None, "during": None}
ROLE = "shop"
PATIENCE = 20  # seconds for the worker to ship what is left when the load has stopped


@dataclass(frozen=True, slots=True)
class Options:
    """``json``: the story goes to standard error, and the numbers to standard output. ``keep``: the
    folder stays. ``rate``: requests a second.
    """

    json: bool = False
    keep: bool = False
    rate: float = RATE


def main(options: Options) -> int:
    """Play the demo; 0 when no request failed, no data was lost, and all came as expected, else 1."""
    try:
        return asyncio.run(_main(options))
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except asyncio.CancelledError:
        return 128 + signal.SIGTERM


async def _main(options: Options) -> int:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    teller = narrator(sys.stderr if options.json else sys.stdout)
    began = time.monotonic()
    try:
        async with _stage(options, teller) as stage:
            await _play(stage)
            result = await _finish(stage, began)
        _table(teller, stage, result)
    finally:
        teller.close()
    if options.json:
        sys.stdout.write(json.dumps(result) + "\n")
        sys.stdout.flush()
    return 0 if result["ok"] else 1


async def _play(stage: Stage) -> None:
    """All scenes. One that breaks down is the last: what comes after builds on it."""
    for scene in SCENES:
        try:
            await scene(stage)
        except Exception as error:  # noqa: BLE001 - the end is told, and the data looked at, anyway
            stage.narrator.say("".join(traceback.format_exception(error)))
            stage.expect(False, f"the scene broke down: {type(error).__name__}")
            return


@asynccontextmanager
async def _stage(options: Options, teller: Narrator) -> AsyncIterator[Stage]:
    """Set the stage; whatever happens, leave nothing running."""
    folder = await asyncio.to_thread(_folder)
    server: embedded.Postgres | None = None
    stage: Stage | None = None
    try:
        teller.say(f"Pilotage's demo plays in {folder}")
        server = await asyncio.to_thread(embedded.start, folder, ROLE)
        port = embedded.free_port()
        shop = await asyncio.to_thread(repository.build, folder / "shop", port=port)
        secrets = shop.path / ".pilotage" / "secrets"
        secrets.parent.mkdir(mode=0o700)
        secrets.touch(mode=0o600)
        secrets.write_text(f"DATABASE_URL={server.url()}\n")
        teller.say(f"PostgreSQL {server.version} runs; the shop will be at http://127.0.0.1:{port}")
        environment = process.environment(folder / "bin")
        command_line = process.Pilotage(shop.path, environment, folder / "commands.log")
        stage = Stage(
            folder, port, shop, server, command_line, teller, seeds=ORDERS, rate=options.rate
        )
        yield stage
    finally:
        await asyncio.shield(_clean_up(folder, server, stage, keep=options.keep, tell=teller.say))


def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="pilotage-demo-")).resolve()
    folder.chmod(0o711)  # under root the database server runs as another user
    return folder


async def _clean_up(
    folder: Path,
    server: embedded.Postgres | None,
    stage: Stage | None,
    *,
    keep: bool,
    tell: Callable[[str], None],
) -> None:
    """Stop the load, the shop, the proxy and the database; remove the folder."""
    tell("")
    tell("Stopping the shop, its proxy and its database.")
    if stage is not None:
        if stage.load is not None:
            await stage.load.kill()
        with suppress(OSError):
            await stage.pilotage.run("remove", "-y", on_line=lambda _: None)
    _end_what_is_left(folder)
    if server is not None:
        await asyncio.to_thread(server.stop)
    if keep:
        tell(f"Everything is stopped; {folder} stays, with a log of all commands.")
    else:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def _end_what_is_left(folder: Path) -> None:
    """Kill processes that still work inside the shop's folder (Linux tells where they are)."""
    shop = f"{folder}{os.sep}shop"
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if str((entry / "cwd").readlink()).startswith(shop):
                os.kill(int(entry.name), signal.SIGKILL)


# ----------------------------------------------------------------------------------------------
# The end
# ----------------------------------------------------------------------------------------------


async def _finish(stage: Stage, began: float) -> dict[str, Any]:
    """Stop the load, compare what it was told with what the database has, and add everything up."""
    stage.scene("data", "The shop closes", "Is every order there that a customer was told of?")
    numbers = await stage.load.stop() if stage.load is not None else {}
    stage.narrator.load(None)
    if not numbers:
        stage.expect(False, "the load generator lived to tell its numbers")
    failed = numbers.get("failed")
    data_ok = bool(numbers) and await _data_ok(stage, placed=numbers["placed"], exactly=failed == 0)
    for failure in numbers.get("failures", ()):
        stage.narrator.say(f"failed after {failure['at']} s: {failure['what']}")
    if numbers:
        stage.expect(failed == 0, f"{failed} of {numbers['requests']:,} requests failed")
    came = all(outcome.ok for outcome in stage.outcomes)
    names = dict.fromkeys(outcome.scene for outcome in stage.outcomes)
    return {
        "requests": numbers.get("requests", 0),
        "failed": failed,
        **{name: numbers.get(name, NOTHING) for name in ("p50_ms", "p99_ms", "max_ms")},
        "skew_ms": numbers.get("skew_ms", {}),
        "deploys": stage.deploys,
        "data_ok": data_ok,
        "ok": came and data_ok and failed == 0,
        "connections": CONNECTIONS,
        "rate": numbers.get("rate"),
        "skew_resolution_ms": round(1000 / stage.rate, 2),
        "seconds": round(time.monotonic() - began, 1),
        "scenes": {
            name: all(outcome.ok for outcome in stage.outcomes if outcome.scene == name)
            for name in names
        },
        "unexpected": [
            f"{outcome.scene}: {outcome.expected}" for outcome in stage.outcomes if not outcome.ok
        ],
        "failures": numbers.get("failures", []),
    }


async def _data_ok(stage: Stage, *, placed: int, exactly: bool) -> bool:
    """Compare every acknowledged write with the database, and wait until the worker is done.

    ``exactly``: every request was answered, so there may be no more orders than were acknowledged.
    """
    async with await psycopg.AsyncConnection.connect(
        stage.postgres.url(), autocommit=True
    ) as database:
        await database.execute(
            "CREATE TEMP TABLE acknowledged (id bigint PRIMARY KEY, item text, amount text)"
        )
        acks = await asyncio.to_thread((stage.folder / "acknowledged.csv").read_bytes)
        async with database.cursor().copy("COPY acknowledged FROM STDIN (FORMAT csv)") as copy:
            await copy.write(acks)
        cursor = await database.execute(
            """
            SELECT count(*), count(*) FILTER (
                WHERE coalesce(o.row->>'product', o.row->>'item') IS DISTINCT FROM a.item
                OR coalesce(o.row->>'amount_cents', o.row->>'amount') IS DISTINCT FROM a.amount
            ) FROM acknowledged a
            LEFT JOIN (SELECT id, to_jsonb(orders) AS row FROM orders) o USING (id)
            """
        )
        told, wrong = await cursor.fetchone() or (0, 1)
        cursor = await database.execute("SELECT count(*) FROM orders WHERE id > %s", (stage.seeds,))
        (stored,) = await cursor.fetchone() or (0,)
        kept = stage.expect(
            wrong == 0 and told > 0, f"{told - wrong:,} of {told:,} acknowledged orders are there"
        )
        once = stage.expect(
            stored == placed if exactly else stored >= placed,
            f"{stored:,} orders are stored, and {placed:,} were acknowledged",
        )
        give_up = time.monotonic() + PATIENCE
        waiting = 1
        while waiting and time.monotonic() < give_up:
            cursor = await database.execute("SELECT count(*) FROM orders WHERE state = 'new'")
            (waiting,) = await cursor.fetchone() or (1,)
            await asyncio.sleep(0.1)
        shipped = stage.expect(waiting == 0, f"the worker shipped all of them ({waiting} wait)")
    return kept and once and shipped


def _table(teller: Narrator, stage: Stage, result: dict[str, Any]) -> None:
    """The numbers, as a person wants to see them."""
    rows = [
        Row("requests", f"{result['requests']:,}"),
        Row("failed", "unknown" if result["failed"] is None else str(result["failed"]), good=result["failed"] == 0),
        Row("acknowledged writes in the database", "all" if result["data_ok"] else "NO",
            good=result["data_ok"]),
        *(
            Row(f"{name}, before → during deploys",
                f"{_ms(result[key]['before'])} → {_ms(result[key]['during'])}")
            for name, key in (("median", "p50_ms"), ("99th percentile", "p99_ms"), ("worst", "max_ms"))
        ),
        *(
            Row(f"two releases at once: {label} (± {result['skew_resolution_ms']:g} ms)", _ms(skew))
            for label, skew in result["skew_ms"].items()
        ),
        Row("completed deploys and rollbacks", str(result["deploys"])),
        Row("everything as expected", "yes" if result["ok"] else "NO", good=result["ok"]),
    ]  # fmt: skip
    teller.table(f"{len(stage.outcomes)} expectations, {result['seconds']:.0f} seconds", rows)
    for unexpected in result["unexpected"]:
        teller.outcome(unexpected, good=False)


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f} ms"
