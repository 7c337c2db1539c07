"""The scenes of the demo, in the order in which they play. Each is what a person would do."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

import psycopg

from pilotage.demo.seed import SEED
from pilotage.demo.stage import Stage

BASELINE = 2000  # requests before the first deploy under load: what is normal here
BETWEEN = 250  # requests between two commands
CONSOLE = ("python", "-m", "shop.console")
LEASE = 60  # seconds to wait for the lock of a deployer that was killed; it expires after 30

Scene = Callable[[Stage], Awaitable[None]]


async def open_shop(stage: Stage) -> None:
    """v1 on an empty database; then 200,000 orders, and the load."""
    stage.scene(
        "open",
        "The shop opens",
        "v1 makes its tables. Then come 200,000 old orders, and 32 customers who never stop.",
    )
    await stage.run("deploy", "--version", "v1")
    stage.deploys += 1
    await stage.serves("v1")
    began = time.monotonic()
    async with await psycopg.AsyncConnection.connect(
        stage.postgres.url(), autocommit=True
    ) as database:
        await database.execute(SEED.encode())
    stage.narrator.say(f"{stage.seeds:,} orders seeded in {time.monotonic() - began:.1f} s")
    await stage.start_load()
    stage.expect(await stage.requests(BASELINE), "customers come and go")


async def add_column(stage: Stage) -> None:
    """v2."""
    stage.scene("v2", "v2 adds a column and an index", "The index is built without a lock.")
    await stage.switch("v2", "deploy", "--version", "v2")
    await stage.serves("v2")


async def rename_column(stage: Stage) -> None:
    """v3."""
    stage.scene(
        "v3",
        "v3 renames a column that every request reads and writes",
        "Triggers keep both names equal while two releases run; 200,000 rows are filled in batches.",
    )
    await stage.switch("v3", "deploy", "--version", "v3")
    await stage.serves("v3")


async def change_type(stage: Stage) -> None:
    """v4."""
    stage.scene(
        "v4",
        "v4 changes a type, makes a column NOT NULL and stops using a table",
        "First the old name of v3's column goes: no release that reads it is left.",
    )
    await stage.run("plan", "--version", "v4")
    await stage.switch("v4", "deploy", "--version", "v4")
    await stage.serves("v4")
    stage.expect(not await _has_column(stage, "item"), "the column orders.item is gone")
    stage.expect(await _has_column(stage, "amount"), "the column orders.amount is still there")


async def rollback(stage: Stage) -> None:
    """v4 → v3 → v4."""
    stage.scene("rollback", "A rollback", "What v4 no longer needs is still there, so v3 can run.")
    await stage.switch("rollback v3", "rollback")
    await stage.serves("v3")
    await stage.requests(BETWEEN)
    await stage.switch("v4 again", "deploy", "--version", "v4")
    await stage.serves("v4")


async def refused_rollback(stage: Stage) -> None:
    """v4 → v2 would read a column that is gone."""
    stage.scene("refused", "A rollback that is refused", "v2 reads orders.item, which is gone.")
    done = await stage.switch("rollback v2", "rollback", "v2", status=1)
    stage.expect("20260303090000" in done.text, "the refusal names the migration that removed it")
    await stage.serves("v4")


async def contract(stage: Stage) -> None:
    """A console of v3 holds v4's contract back."""
    stage.scene(
        "contract",
        "A contract that waits for an old console",
        "Somebody has a console of v3 open. It may still read what v4's contract removes.",
    )
    console = await stage.start("exec", "--version", "v3", "--", *CONSOLE)
    try:
        opened = await console.said("one SQL statement a line", limit=60)
        await console.send("SELECT count(amount) > 0 FROM orders;")
        read = opened and await console.said("SELECT 1", limit=30)
        stage.expect(read, "the console of v3 reads orders.amount")
        done = await stage.run("contract", status=1)
        named = "console" in done.text and stage.repository.revision("v3")[:12] in done.text
        stage.expect(named, "the refusal names the console of v3")
        stage.expect(await _has_column(stage, "amount"), "the column is still there")
        stage.narrator.say("The console is closed (Ctrl-D).")
        console.close_input()
        closed = await console.wait()
    finally:
        if console.process.returncode is None:
            await console.end()
    stage.expect(closed.status == 0, "the console ended well")
    async with stage.measured("contract"):
        await stage.run("contract")
    stage.expect(not await _has_column(stage, "amount"), "the column orders.amount is gone")
    stage.expect(not await _has_table(stage, "order_audit"), "the table order_audit is gone")
    await stage.serves("v4")


async def unhealthy(stage: Stage) -> None:
    """A release whose /up answers 500."""
    stage.scene("unhealthy", "A release that never becomes healthy", "Its /up answers 500.")
    await stage.switch("v5-unhealthy", "deploy", "--version", "v5-unhealthy", status=1)
    await stage.serves("v4")


async def failing_migration(stage: Stage) -> None:
    """A release whose migration fails."""
    stage.scene(
        "migration", "A migration that fails", "It creates a table, and then fails to fill it."
    )
    await stage.switch("v5-bad-migration", "deploy", "--version", "v5-bad-migration", status=1)
    stage.expect(not await _has_table(stage, "channels"), "nothing is left of it")
    await stage.serves("v4")


async def killed(stage: Stage) -> None:
    """SIGKILL for the deployer, twice."""
    stage.scene(
        "killed",
        "The deployer is killed with SIGKILL, twice",
        "Once in the middle of a backfill, once after the switch. The same command finishes the job.",
    )
    await _kill_at(stage, "BackfillProgress", "in the middle of a backfill")
    await stage.serves("v4")
    stage.narrator.say("Its lock expires by itself; the next deployer waits for that.")
    wait = ("--lock-wait", str(LEASE))
    await _kill_at(stage, "Switched", "after the switch", *wait)
    await stage.serves("v5")
    await stage.requests(BETWEEN)
    stage.narrator.say("Who knows that its owner is gone need not wait.")
    await stage.run("lock", "release", "--yes")
    await stage.switch("v5", "deploy", "--version", "v5")
    await stage.serves("v5")
    await stage.run("status")
    await stage.run("history")


SCENES: tuple[Scene, ...] = (
    open_shop,
    add_column,
    rename_column,
    change_type,
    rollback,
    refused_rollback,
    contract,
    unhealthy,
    failing_migration,
    killed,
)


async def _kill_at(stage: Stage, event: str, where: str, *options: str) -> None:
    """Deploy v5, and kill the deployer as soon as it tells of this event."""
    async with stage.measured(f"v5 killed {where}"):
        command = await stage.start("deploy", "--version", "v5", *options, "--json", quiet=True)
        try:
            reached = await command.said(f'"event": "{event}"', limit=120)
            command.kill()
        finally:
            command.close_input()
            done = await command.wait()
    for line in done.lines if not reached else ():
        stage.narrator.output(line)
    stage.expect(reached and done.status == -9, f"killed {where}")


async def _has_column(stage: Stage, column: str) -> bool:
    query = (
        "SELECT count(*) FROM information_schema.columns "
        "WHERE table_name = 'orders' AND column_name = %s"
    )
    return await _count(stage, query, column)


async def _has_table(stage: Stage, table: str) -> bool:
    query = "SELECT count(*) FROM information_schema.tables WHERE table_name = %s"
    return await _count(stage, query, table)


async def _count(stage: Stage, query: str, name: str) -> bool:
    async with await psycopg.AsyncConnection.connect(stage.postgres.url()) as database:
        row = await (await database.execute(query.encode(), (name,))).fetchone()
    return bool(row and row[0])
