"""The statements of every release of the shop, on every schema that it may meet.

Old and new code work on the same rows between an expand half and a contract half. Here they do, by
turns, on real servers: what one writes the other must read.
"""

from __future__ import annotations

import runpy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from tests.servers import Postgres, start_postgres

SHOP = Path(__file__).parents[3] / "examples" / "shop"
CREATE, CHANNEL, INDEX = "20260105090000", "20260202090000", "20260202090100"
RENAME, WIDEN, REQUIRE, AUDIT = (
    "20260303090000",
    "20260404090000",
    "20260404090100",
    "20260404090200",
)

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module", params=[15, 18])
def server(request: pytest.FixtureRequest) -> Iterator[Postgres]:
    running = start_postgres(request.param)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def releases() -> dict[str, dict[str, Any]]:
    """The statements of each release: ``{"v1": {"PLACE": …, …}, …}``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SHOP / "v1"))
        return {
            version: runpy.run_path(str(SHOP / version / "shop" / "orders.py"))
            for version in ("v1", "v2", "v3", "v4")
        }


def sections(version: str) -> dict[str, str]:
    """The sections of the migration with this version."""
    (path,) = SHOP.glob(f"v*/db/migrations/{version}_*.sql")
    found: dict[str, str] = {}
    name = ""
    for line in path.read_text().splitlines():
        if line in {"-- expand", "-- backfill", "-- verify", "-- contract", "-- down"}:
            name = line[3:]
        elif name:
            found[name] = found.get(name, "") + line + "\n"
    return found


@dataclass
class Shop:
    """A database of the shop, and the statements of its releases."""

    connection: psycopg.Connection[dict[str, Any]]
    releases: dict[str, dict[str, Any]]

    def run(self, section: str, *versions: str) -> None:
        """Run a section of some migrations."""
        for version in versions:
            self.connection.execute(sections(version)[section].encode())

    def verify(self, version: str) -> list[dict[str, Any]]:
        """The rows that the verify section objects to."""
        return self.connection.execute(sections(version)["verify"].encode()).fetchall()

    def place(self, release: str, item: str, amount: int, channel: str = "web") -> int:
        """Place an order as this release does."""
        given = {"customer_id": 1, "item": item, "amount": amount, "channel": channel}
        row = self.connection.execute(self.releases[release]["PLACE"], given).fetchone()
        assert row is not None
        assert (row["item"], row["amount"]) == (item, amount)
        return int(row["id"])

    def get(self, release: str, order: int) -> tuple[str, int]:
        """An order as this release sees it."""
        row = self.connection.execute(self.releases[release]["GET"], {"id": order}).fetchone()
        assert row is not None
        return row["item"], row["amount"]

    def change(self, release: str, order: int, item: str, amount: int) -> None:
        """Change an order as this release does."""
        given = {"id": order, "item": item, "amount": amount}
        row = self.connection.execute(self.releases[release]["CHANGE"], given).fetchone()
        assert row is not None
        assert (row["item"], row["amount"]) == (item, amount)

    def ship(self, release: str, limit: int = 1) -> list[dict[str, Any]]:
        """Ship orders as the worker of this release does."""
        return self.connection.execute(self.releases[release]["SHIP"], {"limit": limit}).fetchall()


@pytest.fixture
def shop(server: Postgres, releases: dict[str, dict[str, Any]]) -> Iterator[Shop]:
    with (
        server.database() as name,
        psycopg.connect(server.url(name), autocommit=True, row_factory=dict_row) as connection,
    ):
        shop = Shop(connection, releases)
        shop.run("expand", CREATE)
        connection.execute("INSERT INTO customers (name) VALUES ('Ada')")
        yield shop


def everyone_agrees(shop: Shop, old: str, new: str, *untouched: int) -> None:
    """Old and new code, by turns, on old and new rows."""
    for order in untouched:
        assert shop.get(old, order) == shop.get(new, order)
    by_old, by_new = shop.place(old, "tea", 100), shop.place(new, "salt", 200)
    for release in (old, new):
        assert shop.get(release, by_old) == ("tea", 100)
        assert shop.get(release, by_new) == ("salt", 200)
    for writer in (old, new, old, old, new, new):
        for order in (by_old, by_new, *untouched):
            item, amount = shop.get(old, order)
            shop.change(writer, order, f"{item}+", amount + 1)
            assert shop.get(old, order) == shop.get(new, order) == (f"{item}+", amount + 1)
        shop.change(writer, by_old, *shop.get(writer, by_old))  # writes what is there already
        assert shop.get(old, by_old) == shop.get(new, by_old)
    for worker in (old, new):
        assert shop.ship(worker)[0]["item"]


def test_v2_adds_and_disturbs_nobody(shop: Shop) -> None:
    before = shop.place("v1", "rope", 1)
    shop.run("expand", CHANNEL, INDEX)
    everyone_agrees(shop, "v1", "v2", before)
    shop.run("down", INDEX, CHANNEL)
    assert shop.get("v1", before)[0].startswith("rope")


def test_v3_renames_while_old_code_writes(shop: Shop) -> None:
    shop.run("expand", CHANNEL, INDEX)
    before = [shop.place("v2", f"rope {n}", n) for n in range(5)]

    shop.run("expand", RENAME)
    # Old code alone, on rows that are not backfilled: it reads, changes and ships them.
    shop.change("v2", before[0], "rope changed", 7)
    assert shop.get("v3", before[0]) == ("rope changed", 7)
    assert shop.ship("v2", 2)
    assert shop.place("v2", "late", 3)
    assert shop.verify(RENAME), "some rows wait for the backfill"

    shop.run("backfill", RENAME)
    assert not shop.verify(RENAME)
    everyone_agrees(shop, "v2", "v3", *before)
    assert not shop.verify(RENAME)

    shop.run("contract", RENAME)
    for order in before:
        assert shop.get("v3", order)[0].startswith("rope")
    shop.change("v3", shop.place("v3", "new", 5), "newer", 6)
    with pytest.raises(psycopg.errors.UndefinedColumn):
        shop.get("v2", before[0])
    with pytest.raises(psycopg.errors.NotNullViolation):
        shop.connection.execute("INSERT INTO orders (customer_id, amount) VALUES (1, 1)")


def test_v3_goes_back(shop: Shop) -> None:
    shop.run("expand", CHANNEL, RENAME)
    shop.run("backfill", RENAME)
    by_new = shop.place("v3", "new", 5)
    shop.run("down", RENAME)
    assert shop.get("v2", by_new) == ("new", 5)
    shop.place("v2", "old again", 5)


@pytest.mark.parametrize("item_is_gone", [False, True])
def test_v4_changes_a_type(shop: Shop, item_is_gone: bool) -> None:
    shop.run("expand", CHANNEL, INDEX)
    first = shop.place("v1", "from v1", 11)
    shop.run("expand", RENAME)
    shop.run("backfill", RENAME)
    if item_is_gone:
        shop.run("contract", RENAME)
    before = [shop.place("v3", f"rope {n}", n) for n in range(5)]

    shop.run("expand", WIDEN, REQUIRE)
    shop.change("v3", before[0], "rope changed", 7)
    assert shop.get("v4", before[0]) == ("rope changed", 7)
    assert shop.ship("v3", 2), "the worker updates rows without a channel"
    assert shop.verify(WIDEN)
    assert shop.verify(REQUIRE)

    shop.run("backfill", WIDEN, REQUIRE)
    everyone_agrees(shop, "v3", "v4", first, *before)
    wide = shop.place("v4", "ship", 3_000_000_000)
    assert shop.get("v3", wide) == ("ship", 2_147_483_647)
    shop.ship("v3", 100)
    assert shop.get("v4", wide) == ("ship", 3_000_000_000), "old code did not cut it"
    assert not shop.verify(WIDEN)
    assert not shop.verify(REQUIRE)

    if not item_is_gone:
        shop.run("contract", RENAME)
    shop.run("contract", WIDEN, REQUIRE, AUDIT)
    assert shop.get("v4", wide) == ("ship", 3_000_000_000)
    assert shop.get("v4", first)[0].startswith("from v1")
    shop.change("v4", shop.place("v4", "new", 5), "newer", 6)
    with pytest.raises(psycopg.errors.UndefinedColumn):
        shop.place("v3", "too late", 1)
    with pytest.raises(psycopg.errors.NotNullViolation):
        shop.connection.execute("UPDATE orders SET channel = NULL")


def test_v1_meets_everything_that_v4_adds(shop: Shop) -> None:
    """A deploy from v1 straight to v4: all expand halves, and v1 still runs."""
    before = shop.place("v1", "rope", 1)
    shop.run("expand", CHANNEL, INDEX, RENAME, WIDEN, REQUIRE)
    shop.change("v1", before, "rope changed", 2)
    shop.run("backfill", RENAME, WIDEN, REQUIRE)
    everyone_agrees(shop, "v1", "v4", before)
    shop.run("backfill", RENAME, WIDEN, REQUIRE)
    assert not shop.verify(RENAME) + shop.verify(WIDEN) + shop.verify(REQUIRE)
    shop.run("contract", RENAME, WIDEN, REQUIRE, AUDIT)
    assert shop.get("v4", before) == ("rope changed++++++", 8)


def test_v4_goes_back_half_by_half(shop: Shop) -> None:
    shop.run("expand", CHANNEL, RENAME, WIDEN, REQUIRE)
    shop.run("backfill", RENAME, WIDEN, REQUIRE)
    order = shop.place("v4", "new", 5)
    shop.run("down", REQUIRE, WIDEN)
    assert shop.get("v3", order) == ("new", 5)
    shop.place("v3", "old again", 5)
