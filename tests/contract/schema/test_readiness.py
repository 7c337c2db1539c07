"""Readiness on every dialect: 200 only while the release fits what is applied and announced."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.contract.schema.conftest import Kit
from tests.migrations import migration, migrations
from tests.probes import probe, probe_until

from pilotage.events import ignore
from pilotage.health import Readiness, Settings
from pilotage.migrate.migration import Migrations
from pilotage.migrate.runner import SqlSchema
from pilotage.model import Half, Intent, Kind, Registration, contract, expand
from pilotage.secret import Secret

pytestmark = pytest.mark.integration

OLD, NEW = "aaaaaaaaaaaa", "bbbbbbbbbbbb"
ADD = migration("1", "create", expand="CREATE TABLE t (i int, old int)")
RENAME = migration(
    "2",
    "rename",
    expand="ALTER TABLE t ADD COLUMN new int",
    contract="ALTER TABLE t DROP COLUMN old",
)
BOTH = migrations(ADD, RENAME)


def readiness(kit: Kit, release: str = NEW, **given: Any) -> Readiness:
    settings = Settings(database=Secret(kit.url), release=release, **{"stream": "shop", **given})
    return Readiness(lambda: settings)


def run(kit: Kit, story: Callable[[SqlSchema], Awaitable[object]]) -> None:
    async def main() -> None:
        async with kit.schema() as schema:
            await schema.prepare()
            await story(schema)

    asyncio.run(main())


def apply(kit: Kit, *halves: tuple[Any, Half]) -> None:
    async def story(schema: SqlSchema) -> None:
        for file, half in halves:
            await schema.apply(file, half, release=NEW, token=1, emit=ignore)

    run(kit, story)


def register(kit: Kit, release: str, ships: Migrations, instance: str = "shop-web-1") -> None:
    async def story(schema: SqlSchema) -> None:
        await schema.register(
            Registration(instance, "shop", "host", release, ships.ships(), Kind.TRAFFIC)
        )

    run(kit, story)


def intend(kit: Kit, *intents: Intent) -> None:
    run(kit, lambda schema: schema.intend(intents, token=1))


def withdraw(kit: Kit, intent: Intent) -> None:
    run(kit, lambda schema: schema.withdraw((intent.ref,), token=1))


def test_fits(kit: Kit) -> None:
    apply(kit, (ADD, Half.EXPAND), (RENAME, Half.EXPAND))
    register(kit, NEW, BOTH)
    told = probe_until(readiness(kit), lambda told: told["ready"])
    assert told.pop("age") < 30
    assert told == {
        "ready": True,
        "why": "fits",
        "release": NEW,
        "stream": "shop",
        "missing": [],
        "foreign": [],
        "requires": [],
        "announced": [],
        "shipped": {"expands": 2, "contracts": 1, "last": "2/contract"},
        "applied": {"expands": 2, "contracts": 0, "last": "2/expand"},
        "error": None,
    }


def test_pending_expand(kit: Kit) -> None:
    apply(kit, (ADD, Half.EXPAND))
    register(kit, NEW, BOTH)
    asked = readiness(kit)
    told = probe_until(asked, lambda told: told["age"] is not None)
    assert not told["ready"]
    assert told["missing"] == ["2/expand"]
    assert told["why"] == "the release needs 2/expand, not applied yet"
    apply(kit, (RENAME, Half.EXPAND))
    probe_until(asked, lambda told: told["ready"])


def test_contract_that_an_older_release_does_not_know(kit: Kit) -> None:
    apply(kit, (ADD, Half.EXPAND), (RENAME, Half.EXPAND))
    register(kit, OLD, migrations(ADD))
    asked = readiness(kit, OLD)
    probe_until(asked, lambda told: told["ready"])
    apply(kit, (RENAME, Half.CONTRACT))
    told = probe_until(asked, lambda told: not told["ready"])
    assert told["foreign"] == ["2/contract"]
    assert "was written before 2/contract" in told["why"]
    register(kit, NEW, BOTH, "shop-web-2")
    probe_until(readiness(kit), lambda told: told["ready"])


def test_contract_counts_once_it_has_started(kit: Kit) -> None:
    apply(kit, (ADD, Half.EXPAND), (RENAME, Half.EXPAND))
    register(kit, OLD, migrations(ADD))
    asked = readiness(kit, OLD)
    probe_until(asked, lambda told: told["ready"])
    kit.execute(
        "INSERT INTO pilotage_migrations (stream, version, half, name, checksum)"
        " VALUES ('shop', '2', 'contract', 'rename', '')"
    )
    assert probe_until(asked, lambda told: not told["ready"])["foreign"] == ["2/contract"]


@pytest.mark.parametrize(
    "intent", [Intent(contract("2"), token=1), Intent(expand("1"), token=1, revert=True)]
)
def test_intent_bars_a_start_and_leaves_alone_what_is_ready(kit: Kit, intent: Intent) -> None:
    apply(kit, (ADD, Half.EXPAND), (RENAME, Half.EXPAND))
    register(kit, OLD, migrations(ADD))
    serving = readiness(kit, OLD)
    probe_until(serving, lambda told: told["ready"])
    intend(kit, intent)
    starting = readiness(kit, OLD)
    told = probe_until(starting, lambda told: told["age"] is not None)
    assert not told["ready"]
    assert told["announced"] == [str(intent.ref)]
    assert "about to be applied" in told["why"]
    told = probe_until(serving, lambda told: told["announced"])
    assert told["ready"], "a contract half that is refused must not take a serving release out"
    withdraw(kit, intent)
    probe_until(starting, lambda told: told["ready"])


def test_new_data_that_an_older_release_cannot_read(kit: Kit) -> None:
    apply(kit, (ADD, Half.EXPAND), (RENAME, Half.EXPAND))
    register(kit, OLD, migrations(ADD))
    draining = readiness(kit, OLD)
    probe_until(draining, lambda told: told["ready"])
    run(kit, lambda schema: schema.open(["2"], token=1))
    told = probe_until(readiness(kit, OLD), lambda told: told["age"] is not None)
    assert not told["ready"]
    assert "cannot read the data that 2 allowed" in told["why"]
    probe_until(draining, lambda told: told["applied"]["expands"] == 2 and told["age"] < 0.5)
    assert probe(draining)["ready"]


def test_unprepared_database_is_no_error(kit: Kit, tmp_path: Path) -> None:
    (tmp_path / "1_create.sql").write_text("CREATE TABLE t (i int);\n")
    asked = readiness(kit, migrations=tmp_path)
    told = probe_until(asked, lambda told: told["age"] is not None)
    assert not told["ready"]
    assert told["error"] is None
    assert told["missing"] == ["1/expand"]
    assert "has not been prepared" in told["why"]


def test_contract_that_a_framework_had_applied_before_is_in_nobodys_way(kit: Kit) -> None:
    apply(kit, (ADD, Half.EXPAND))
    register(kit, OLD, migrations(ADD))
    kit.execute(
        "INSERT INTO pilotage_migrations (stream, version, half, name, checksum, how)"
        " VALUES ('shop', '2', 'contract', '', '', 'found')"
    )
    probe_until(readiness(kit, OLD), lambda told: told["ready"])


def test_files_in_the_image_say_what_is_shipped(kit: Kit, tmp_path: Path) -> None:
    apply(kit, (ADD, Half.EXPAND))
    (tmp_path / "1_create.sql").write_text("CREATE TABLE t (i int, old int);\n")
    asked = readiness(kit, migrations=tmp_path)
    assert probe_until(asked, lambda told: told["ready"])["shipped"]["last"] == "1/expand"


def test_nobody_knows_what_the_release_ships(kit: Kit) -> None:
    apply(kit, (ADD, Half.EXPAND))
    told = probe_until(readiness(kit), lambda told: told["age"] is not None)
    assert not told["ready"]
    assert told["why"] == "unknown: nobody recorded which migrations it ships"
    register(kit, OLD, migrations(ADD))
    asked = readiness(kit, OLD)
    probe_until(asked, lambda told: told["ready"])
    run(kit, lambda schema: schema.deregister(["shop-web-1"]))
    probe_until(asked, lambda told: told["age"] is not None and told["age"] < 0.3)
    assert probe(asked)["ready"], "what a release ships is known for good once it is known"


def test_stream_is_that_of_the_instance(kit: Kit) -> None:
    apply(kit, (ADD, Half.EXPAND))
    register(kit, NEW, migrations(ADD))

    async def another() -> None:
        async with kit.schema(stream="billing", service="billing") as schema:
            await schema.prepare()

    asyncio.run(another())
    told = probe_until(
        readiness(kit, stream=None, instance="shop-web-1"), lambda told: told["age"] is not None
    )
    assert (told["ready"], told["stream"]) == (True, "shop")
    told = probe_until(readiness(kit, stream=None), lambda told: told["age"] is not None)
    assert not told["ready"]
    assert "PILOTAGE_STREAM" in told["why"]


def test_broken_files_are_told(kit: Kit, tmp_path: Path) -> None:
    apply(kit, (ADD, Half.EXPAND))
    (tmp_path / "create.sql").write_text("CREATE TABLE t (i int);\n")
    told = probe_until(readiness(kit, migrations=tmp_path), lambda told: told["age"] is not None)
    assert not told["ready"]
    assert "create.sql:1" in told["why"]
