"""The state tables: made once, read as of one moment, fenced."""

from __future__ import annotations

import asyncio

import pytest
from tests.contract.schema.conftest import Kit
from tests.migrations import migration

from pilotage.errors import DatabaseError, LeaseLost
from pilotage.events import ignore
from pilotage.migrate.throttles import Throttle
from pilotage.model import (
    Half,
    Intent,
    Kind,
    Registration,
    SchemaView,
    Ships,
    contract,
    expand,
)

TABLE = migration("1", "table", expand="CREATE TABLE t (id integer PRIMARY KEY, a integer)")


def registration(instance: str = "web-1", **changes: object) -> Registration:
    values: dict[str, object] = {
        "instance": instance,
        "service": "shop",
        "host": "h",
        "release": "r1",
        "ships": Ships(expands=frozenset({"1"}), replaces=(("1", "3"),)),
        "kind": Kind.TRAFFIC,
    }
    return Registration(**(values | changes))  # type: ignore[arg-type]


def test_a_database_without_our_tables_does_not_exist_yet(kit: Kit) -> None:
    async def story() -> SchemaView:
        async with kit.schema() as schema:
            return await schema.view()

    view = asyncio.run(story())
    assert (view.exists, view.fresh, view.rows) == (False, True, ())
    assert kit.dialect == view.dialect


def test_a_database_with_tables_of_its_own_is_not_fresh(kit: Kit) -> None:
    async def story() -> tuple[SchemaView, SchemaView]:
        async with kit.schema() as schema:
            before = await schema.view()
            await schema.prepare()
            return before, await schema.view()

    kit.execute("CREATE TABLE theirs (id integer)")
    before, after = asyncio.run(story())
    assert (before.exists, before.fresh) == (False, False)
    assert (after.exists, after.fresh) == (True, False)


def test_prepare_is_done_once_by_many(kit: Kit) -> None:
    async def story() -> list[SchemaView]:
        schemas = [kit.schema(stream=stream) for stream in ("shop", "shop", "billing", "shop")]
        try:
            await asyncio.gather(*(schema.prepare() for schema in schemas))
            await asyncio.gather(*(schema.prepare() for schema in schemas))
            return [await schema.view() for schema in schemas]
        finally:
            await asyncio.gather(*(schema.close() for schema in schemas))

    views = asyncio.run(story())
    assert all(view.exists and view.fresh and not view.rows for view in views)
    assert kit.execute("SELECT format FROM pilotage_meta") == [(3,)]


def test_tables_of_an_earlier_version_are_brought_up_to_date(kit: Kit) -> None:
    async def story() -> None:
        async with kit.schema() as schema:
            await schema.prepare()
            kit.execute(
                "DROP TABLE pilotage_throttles",
                "DROP TABLE pilotage_audit",
                "ALTER TABLE pilotage_backfills DROP COLUMN estimate",
                "UPDATE pilotage_meta SET format = 1",
                "INSERT INTO pilotage_backfills (stream, version, digest, final, pass, statement,"
                " position, pass_rows, total_rows, scanned, started_at, updated_at) SELECT 'shop', '1',"
                " 'd', false, 1, 0, '[\"7\"]', 7, 7, 7, made_at, made_at FROM pilotage_meta",
            )
            assert (await schema.view()).exists
            assert await schema.backfills() == ()
        async with kit.schema() as schema:
            await schema.prepare()
            (report,) = await schema.backfills()
            assert (report.version, report.rows, report.throttle) == ("1", 7, Throttle())

    asyncio.run(story())
    assert kit.execute("SELECT format FROM pilotage_meta") == [(3,)]


def test_tables_of_a_later_version_are_left_alone(kit: Kit) -> None:
    async def story() -> None:
        async with kit.schema() as schema:
            await schema.prepare()
            kit.execute("UPDATE pilotage_meta SET format = 99")
            with pytest.raises(DatabaseError, match="format 99"):
                await schema.view()
            with pytest.raises(DatabaseError, match="format 99"):
                await schema.prepare()

    asyncio.run(story())


def test_fresh_ends_with_the_first_registration_for_good(kit: Kit) -> None:
    async def story() -> list[bool]:
        async with kit.schema() as schema:
            await schema.prepare()
            await schema.apply(TABLE, Half.EXPAND, release="r1", token=1, emit=ignore)
            seen = [(await schema.view()).fresh]
            await schema.register(registration())
            seen.append((await schema.view()).fresh)
            await schema.deregister(["web-1"])
            seen.append((await schema.view()).fresh)
            return seen

    assert asyncio.run(story()) == [True, False, False]


def test_a_deployer_that_lost_its_lease_takes_no_registration_back(kit: Kit) -> None:
    async def story() -> list[str]:
        async with kit.schema() as schema:
            await schema.prepare()
            await schema.register(registration())
            await schema.claim(token=2)
            with pytest.raises(LeaseLost):
                await schema.deregister(["web-1"], token=1)
            left = [row.instance for row in (await schema.view()).registered]
            await schema.deregister(["web-1"], token=2)
            return [*left, *(row.instance for row in (await schema.view()).registered)]

    assert asyncio.run(story()) == ["web-1"]


def test_a_registration_reads_back_as_it_was_written(kit: Kit) -> None:
    async def story() -> tuple[Registration, ...]:
        async with kit.schema() as schema:
            await schema.prepare()
            await schema.register(registration())
            await schema.register(registration(release="r2"))
            await schema.register(registration("web-2", ships=None, kind=Kind.CONSOLE))
            return (await schema.view()).registered

    first, second = asyncio.run(story())
    assert first.registered_at is not None
    assert second.registered_at is not None
    assert first == registration(release="r2", registered_at=first.registered_at)
    assert second == registration(
        "web-2", ships=None, kind=Kind.CONSOLE, registered_at=second.registered_at
    )


def test_register_answers_with_what_is_announced(kit: Kit) -> None:
    async def story() -> None:
        async with kit.schema() as schema:
            await schema.prepare()
            await schema.apply(TABLE, Half.EXPAND, release="r1", token=1, emit=ignore)
            await schema.intend([Intent(contract("2"), 1), Intent(expand("1"), 1, True)], token=1)
            applied = await schema.register(registration())
            assert applied.contracted == {"2"}
            assert applied.expanded == frozenset()  # about to be reverted
            await schema.withdraw([contract("2"), expand("1")], token=1)
            applied = await schema.register(registration())
            assert (applied.contracted, applied.expanded) == (frozenset(), {"1"})

    asyncio.run(story())


def test_of_a_start_and_an_intent_at_once_one_sees_the_other(kit: Kit) -> None:
    async def story() -> None:
        async with kit.schema() as deployer, kit.schema() as instance:
            await deployer.prepare()
            await instance.view()
            for number in range(30):
                ref = contract(str(number + 1))

                async def close(ref: object = ref) -> bool:
                    await deployer.intend([Intent(ref, 1)], token=1)  # type: ignore[arg-type]
                    return bool((await deployer.view()).registered)

                saw_start, announced = await asyncio.gather(
                    close(), instance.register(registration())
                )
                assert saw_start or ref.version in announced.contracted
                await instance.deregister(["web-1"])

    asyncio.run(story())


def test_a_lower_token_is_refused_everywhere(kit: Kit) -> None:
    file = migration("1", expand="CREATE TABLE t (i integer)", down="DROP TABLE t", backfill="")

    async def story() -> None:
        async with kit.schema() as old, kit.schema() as new:
            await old.prepare()
            await old.claim(token=4)
            await new.claim(token=5)
            await new.claim(token=5)
            ref, emit = expand("1"), ignore
            for refused in (
                old.claim(token=4),
                old.apply(file, Half.EXPAND, release=None, token=4, emit=emit),
                old.backfill(file, final=False, token=4, emit=emit),
                old.revert(file, token=4, emit=emit),
                old.mark(file, Half.EXPAND, release=None, token=4),
                old.adopt(file, release=None, token=4),
                old.rename("1", file, token=4),
                old.intend([Intent(ref)], token=4),
                old.withdraw([ref], token=4),
                old.open(["1"], token=4),
            ):
                with pytest.raises(LeaseLost, match="token 5"):
                    await refused
            assert (await new.view()).rows == ()
            await new.apply(file, Half.EXPAND, release=None, token=5, emit=emit)

    asyncio.run(story())


def test_tokens_of_two_domains_and_two_streams_are_apart(kit: Kit) -> None:
    async def story() -> None:
        async with (
            kit.schema(domain="database") as one,
            kit.schema(domain="store-7") as two,
            kit.schema(stream="billing") as three,
        ):
            await one.prepare()
            await three.prepare()
            await one.claim(token=9)
            await two.claim(token=2)
            await three.claim(token=3)

    asyncio.run(story())


def test_opened_versions_are_kept(kit: Kit) -> None:
    file = migration("1", expand="CREATE TABLE t (i integer)")
    late = migration("2", contract="DROP TABLE t")

    async def story() -> None:
        async with kit.schema() as schema:
            await schema.prepare()
            await schema.apply(file, Half.EXPAND, release=None, token=1, emit=ignore)
            await schema.open(["1", "2"], token=1)
            first = await schema.view()
            assert first.applied.opened == {"1", "2"}
            assert first.applied.expanded == {"1"}
            await schema.open(["1"], token=1)
            await schema.apply(late, Half.CONTRACT, release=None, token=1, emit=ignore)
            second = await schema.view()
            assert second.row(expand("1")) == first.row(expand("1"))
            assert second.applied.opened == {"1", "2"}

    asyncio.run(story())


def test_the_document_is_swapped_by_its_version(kit: Kit) -> None:
    async def story() -> None:
        async with kit.schema() as schema, kit.schema() as other, kit.schema(service="x") as third:
            mine, theirs = schema.document(), other.document()
            assert await mine.read() == (0, {})
            assert await mine.write({"token": 1, "ünï": [None, 1.5]}, expected=0)
            assert not await theirs.write({"token": 2}, expected=0)
            assert await theirs.read() == (1, {"token": 1, "ünï": [None, 1.5]})
            results = await asyncio.gather(
                mine.write({"token": 3}, expected=1), theirs.write({"token": 4}, expected=1)
            )
            assert sorted(results) == [False, True]
            assert (await mine.read())[0] == 2
            assert await third.document().read() == (0, {})
            assert await mine.now() <= await theirs.now()

    asyncio.run(story())
