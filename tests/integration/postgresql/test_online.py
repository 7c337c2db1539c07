"""``-- pilotage: online`` on real servers: the same schema as the plain statement, without its locks."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from tests.integration.postgresql.support import QUICK, Db, until
from tests.migrations import migration, section
from tests.runners import closed, told

from pilotage.errors import HalfFailed, LockUnavailable
from pilotage.events import Event, HalfFinished, HalfStatement, Note, StatementProgress
from pilotage.migrate.migration import Migration
from pilotage.model import Half

pytestmark = pytest.mark.integration

TABLES = (
    "CREATE TABLE customers (id bigint PRIMARY KEY)",
    "INSERT INTO customers SELECT generate_series(1, 20)",
    "CREATE TABLE orders (id bigint, customer bigint, item text, email text, price int)",
    "INSERT INTO orders SELECT i, 1 + i % 20, 'item', 'secret' || i, i FROM generate_series(1, 500) i",
)

STATEMENTS = (
    "ALTER TABLE orders ADD PRIMARY KEY (id)",
    "CREATE INDEX ON orders (customer, lower(item)) WHERE price > 3",
    "CREATE INDEX ON orders ((price + 1), (price + 2), coalesce(item, email), (email::varchar))",
    "CREATE INDEX ON orders ((id || 'x'), (CASE WHEN price > 1 THEN 1 END), nullif(price, 2),"
    " greatest(id, 2), ((id || 'y')::varchar), (item COLLATE \"C\"), (ARRAY[id]))",
    "ALTER TABLE orders ADD UNIQUE (email) INCLUDE (item) DEFERRABLE",
    "ALTER TABLE orders ALTER item SET NOT NULL",
    "ALTER TABLE orders ADD FOREIGN KEY (customer) REFERENCES customers ON DELETE CASCADE,"
    " ADD CHECK (price > 0), ADD COLUMN big bigint REFERENCES customers",
)

SCHEMA = (
    "SELECT 'index', indexname, indexdef FROM pg_indexes WHERE tablename = 'orders'"
    " UNION ALL SELECT 'constraint', conname, pg_get_constraintdef(oid) || convalidated"
    " FROM pg_constraint WHERE conrelid = 'orders'::regclass"
    " UNION ALL SELECT 'column', attname, atttypid::regtype || attnotnull::text FROM pg_attribute"
    " WHERE attrelid = 'orders'::regclass AND attnum > 0 ORDER BY 1, 2"
)

VALIDITY = "SELECT convalidated FROM pg_constraint WHERE conname = '{}'"


def online(*statements: str) -> Migration:
    text = ";\n".join(statements)
    return migration("1", "big", expand=section(text, online=True, transaction=False))


def apply(db: Db, file: Migration, **settings: Any) -> list[Event]:
    events: list[Event] = []

    async def story() -> None:
        async with db.schema(settings=replace(QUICK, **settings)) as schema:
            await schema.prepare()
            await schema.apply(file, Half.EXPAND, release="r", token=1, emit=events.append)

    asyncio.run(story())
    assert isinstance(events[-1], HalfFinished)
    return events


def run(events: list[Event]) -> list[int]:
    return [event.number for event in events if isinstance(event, HalfStatement)]


def notes(events: list[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, Note)]


def story_of(file: Migration) -> str:
    assert file.expand is not None
    return f"""
        await schema.prepare()
        part = section({file.expand.text!r}, online=True, transaction=False)
        file = migration("1", "big", expand=part)
        await schema.apply(file, Half.EXPAND, release="r", token=1, emit=told)
    """


def test_it_comes_to_the_schema_of_the_plain_statements(db: Db) -> None:
    db.execute(*TABLES, *STATEMENTS)
    plain = db.execute(SCHEMA)
    db.execute("DROP TABLE orders, customers", *TABLES)

    events = apply(db, online(*STATEMENTS))

    assert db.execute(SCHEMA) == plain
    assert run(events) == list(range(1, 21))
    assert notes(events) == []


def test_names_that_are_cut_are_those_of_the_server(one_db: Db) -> None:
    long, other = "t" * 45, "c" * 40
    one_db.execute(f"CREATE TABLE {long} ({other} int)", f"ALTER TABLE {long} ADD UNIQUE ({other})")
    query = "SELECT conname FROM pg_constraint WHERE contype = 'u'"
    plain = one_db.execute(query)
    one_db.execute(f"DROP TABLE {long}", f"CREATE TABLE {long} ({other} int)")
    apply(one_db, online(f"ALTER TABLE {long} ADD UNIQUE ({other})"))
    assert one_db.execute(query) == plain


@pytest.mark.parametrize("after", [0, 1, 2, 3, 4, 5, 8, 12, 15, 17])
def test_killed_after_any_step_it_goes_on(one_db: Db, after: int) -> None:
    one_db.execute(*TABLES, *STATEMENTS)
    plain = one_db.execute(SCHEMA)
    one_db.execute("DROP TABLE orders, customers", *TABLES)
    file = online(*STATEMENTS)
    with closed(one_db.process(story_of(file))) as process:
        for event in told(process):
            if event.get("number", 0) >= after:
                break
        process.kill()
        process.wait()
    events = apply(one_db, file)
    assert one_db.execute(SCHEMA) == plain
    # Nothing that was told as done is done again.
    assert all(number > after for number in run(events))


def test_what_is_there_is_not_made_again(db: Db) -> None:
    db.execute(
        *TABLES,
        "ALTER TABLE orders ADD CONSTRAINT orders_customer_fkey FOREIGN KEY (customer)"
        " REFERENCES customers (id) NOT VALID",
        "CREATE UNIQUE INDEX orders_email_key ON orders (email)",
        "ALTER TABLE orders ALTER item SET NOT NULL",
        "ALTER TABLE orders ADD CHECK (price > 0)",
    )
    events = apply(
        db,
        online(
            "ALTER TABLE orders ADD FOREIGN KEY (customer) REFERENCES customers",
            "ALTER TABLE orders ADD UNIQUE (email)",
            "ALTER TABLE orders ALTER item SET NOT NULL",
            "ALTER TABLE orders ADD CHECK (price > 0)",
        ),
    )
    skipped = [note.partition("not run: ")[2].partition(" ")[0] for note in notes(events)]
    # The constraint but not its validation; the index but not the key; all of the two others.
    assert skipped == ["ALTER", "CREATE"] + ["ALTER"] * 5
    assert db.execute(VALIDITY.format("orders_customer_fkey")) == [(True,)]
    assert db.execute("SELECT contype::text FROM pg_constraint WHERE conname = 'orders_email_key'") == [
        ("u",)
    ]  # fmt: skip


WRITTEN_OTHERWISE = (
    "ALTER TABLE orders ADD CONSTRAINT k CHECK (item IN ('item', 'other'))",
    "CREATE INDEX i ON orders (id ASC, lower(email)) WHERE item = 'item'",
)


def test_what_is_there_is_known_however_the_server_writes_it(db: Db) -> None:
    check, index = WRITTEN_OTHERWISE
    db.execute(*TABLES, f"{check} NOT VALID", index)
    events = apply(db, online(check, index))
    assert [note.split("not run: ")[1].split()[0] for note in notes(events)] == ["ALTER", "CREATE"]
    assert db.execute(VALIDITY.format("k")) == [(True,)]


@pytest.mark.parametrize("statement", WRITTEN_OTHERWISE)
def test_what_is_nearly_the_same_is_not(one_db: Db, statement: str) -> None:
    other = statement.replace("'item'", "'another'")
    one_db.execute(*TABLES, f"{other} NOT VALID" if "CHECK" in other else other)
    with pytest.raises(HalfFailed, match="already exists"):
        apply(one_db, online(statement))


def test_what_only_has_the_name_is_no_excuse(one_db: Db) -> None:
    one_db.execute(*TABLES, "CREATE UNIQUE INDEX orders_email_key ON orders (id)")
    with pytest.raises(HalfFailed, match="already exists") as caught:
        apply(one_db, online("ALTER TABLE orders ADD UNIQUE (email)"))
    assert "something else is called orders_email_key" in caught.value.next


def test_an_invalid_index_is_dropped_and_built_anew(one_db: Db) -> None:
    one_db.execute(*TABLES, "UPDATE orders SET email = 'same' WHERE id < 3")
    with pytest.raises(psycopg.errors.UniqueViolation):
        one_db.execute("CREATE UNIQUE INDEX CONCURRENTLY orders_email_key ON orders (email)")
    one_db.execute("UPDATE orders SET email = id::text WHERE id < 3")
    events = apply(one_db, online("ALTER TABLE orders ADD UNIQUE (email)"))
    assert "INVALID" in notes(events)[0]
    assert one_db.execute(VALIDITY.format("orders_email_key")) == [(True,)]


def test_what_a_set_not_null_left_behind_is_cleaned_up(one_db: Db) -> None:
    one_db.execute(
        *TABLES,
        "ALTER TABLE orders ADD CONSTRAINT orders_item_present CHECK (item IS NOT NULL)",
        "ALTER TABLE orders ALTER item SET NOT NULL",
    )
    apply(one_db, online("ALTER TABLE orders ALTER item SET NOT NULL"))
    assert one_db.execute(VALIDITY.format("orders_item_present")) == []


def test_a_check_of_ones_own_stays_whatever_its_name(one_db: Db) -> None:
    one_db.execute(
        *TABLES,
        "ALTER TABLE orders ALTER item SET NOT NULL",
        "ALTER TABLE orders ADD CONSTRAINT orders_item_present CHECK (item <> '')",
    )
    apply(one_db, online("ALTER TABLE orders ALTER item SET NOT NULL"))
    assert one_db.execute(VALIDITY.format("orders_item_present")) == [(True,)]


# ----------------------------------------------------------------------------------------------
# Rows in the way
# ----------------------------------------------------------------------------------------------

BROKEN = {
    "unique": (
        "ALTER TABLE orders ADD CONSTRAINT k UNIQUE (email)",
        "UPDATE orders SET email = 'secret1' WHERE id IN (7, 8)",
        "by id: 1 and 7",
        "DELETE FROM orders WHERE id IN (7, 8)",
    ),
    "not null": (
        "ALTER TABLE orders ALTER item SET NOT NULL",
        "UPDATE orders SET item = NULL WHERE id <= 9",
        "by id: 1, 2, 3, 4, 5",
        "UPDATE orders SET item = '' WHERE item IS NULL",
    ),
    "foreign key": (
        "ALTER TABLE orders ADD CONSTRAINT k FOREIGN KEY (customer) REFERENCES customers",
        "UPDATE orders SET customer = 99 WHERE id = 7",
        "by id: 7",
        "UPDATE orders SET customer = NULL WHERE customer = 99",
    ),
    "check": (
        "ALTER TABLE orders ADD CONSTRAINT k CHECK (price < 400 OR email IS NULL)",
        "UPDATE orders SET price = 0 WHERE id > 400 AND id <> 450",
        "by id: 400, 450",
        "UPDATE orders SET price = 0 WHERE price >= 400",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_rows_in_the_way_are_named_by_their_key_alone(db: Db, kind: str) -> None:
    statement, breaks, named, mends = BROKEN[kind]
    db.execute(*TABLES, "ALTER TABLE orders ADD PRIMARY KEY (id)", breaks)
    with pytest.raises(HalfFailed) as caught:
        apply(db, online("ALTER TABLE orders ADD COLUMN note text", statement))
    error = caught.value

    assert named in error.what
    assert "secret" not in str(error)
    assert error.where.endswith("1_big.sql:2")
    assert "of 1/expand are applied" in error.state
    assert "it goes on with this step" in error.next
    if kind == "unique":
        assert db.execute("SELECT to_regclass('k')") == [(None,)]
    else:
        assert "NOT VALID" in error.state
    query = error.next.partition("to find them: ")[2].partition(" LIMIT 100")[0]
    assert db.execute(query)

    db.execute(mends)
    events = apply(db, online("ALTER TABLE orders ADD COLUMN note text", statement))
    assert 1 not in run(events)
    assert db.execute(query) == []


def test_a_constraint_that_somebody_took_back_is_made_again(one_db: Db) -> None:
    statement, breaks, _, mends = BROKEN["foreign key"]
    one_db.execute(*TABLES, breaks)
    with pytest.raises(HalfFailed, match="by ctid"):
        apply(one_db, online(statement))
    one_db.execute("ALTER TABLE orders DROP CONSTRAINT k", mends)
    assert run(apply(one_db, online(statement))) == [1, 2]
    assert one_db.execute(VALIDITY.format("k")) == [(True,)]


# ----------------------------------------------------------------------------------------------
# Locks
# ----------------------------------------------------------------------------------------------


def test_nobody_waits_while_rows_are_read(one_db: Db) -> None:
    one_db.execute(
        *TABLES,
        "CREATE FUNCTION slow(int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN"
        " WHILE NOT pg_try_advisory_xact_lock_shared(7) LOOP PERFORM pg_sleep(0.01); END LOOP;"
        " RETURN true; END $$",
    )
    file = online("ALTER TABLE orders ADD CONSTRAINT k CHECK (slow(price))")
    running = threading.Thread(target=apply, args=(one_db, file))
    with one_db.connection() as writer:
        writer.execute("SELECT pg_advisory_lock(7)")  # for as long, others are slow
        writer.commit()
        running.start()
        until(
            one_db,
            "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%VALIDATE CONSTRAINT%'"
            " AND state = 'active' AND pid <> pg_backend_pid()",
        )
        writer.execute("SET lock_timeout = '100ms'")
        writer.execute("UPDATE orders SET item = 'other' WHERE id = 1")
        writer.execute("INSERT INTO customers VALUES (100)")
        writer.commit()
        assert one_db.execute(VALIDITY.format("k")) == [(False,)]  # it is still at it
    running.join()
    assert one_db.execute(VALIDITY.format("k")) == [(True,)]


@pytest.mark.parametrize(
    ("statement", "left"),
    [
        ("ALTER TABLE orders ALTER item SET NOT NULL", "nothing of 1/expand is applied"),
        ("ALTER TABLE orders ADD CONSTRAINT k FOREIGN KEY (customer) REFERENCES customers",
         "nothing of 1/expand is applied"),
        ("ALTER TABLE orders ADD CONSTRAINT k UNIQUE (email)",
         "the first 1 of 2 statements of 1/expand are applied"),
    ],
)  # fmt: skip
def test_a_lock_that_is_never_granted(one_db: Db, statement: str, left: str) -> None:
    one_db.execute(*TABLES)
    with one_db.connection(application_name="report") as reader:
        mode = "ROW EXCLUSIVE" if "FOREIGN" in statement else "ACCESS SHARE"
        if "UNIQUE" in statement:
            # A concurrent build waits for older transactions: the index is there before the reader is.
            one_db.execute("CREATE UNIQUE INDEX k ON orders (email)")
        reader.execute(f"LOCK TABLE orders IN {mode} MODE")  # type: ignore[arg-type]
        with pytest.raises(LockUnavailable, match=r"\(report") as caught:
            apply(one_db, online(statement), lock_timeout=1.0, timeout=5.0)
    assert caught.value.state == left
    apply(one_db, online(statement))


def test_a_concurrent_build_says_how_far_it_is(one_db: Db) -> None:
    one_db.execute(*TABLES)
    events: list[Event] = []

    async def story() -> None:
        with one_db.connection() as old:
            old.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            old.execute("SELECT 1 FROM orders")

            def emit(event: Event) -> None:
                events.append(event)
                if isinstance(event, StatementProgress):
                    old.rollback()

            async with one_db.schema() as schema:
                await schema.prepare()
                file = online("CREATE INDEX ON orders (item)")
                await schema.apply(file, Half.EXPAND, release="r", token=1, emit=emit)

    asyncio.run(story())
    (progress,) = [event for event in events if isinstance(event, StatementProgress)][:1]
    assert progress.phase == "waiting for old snapshots"
    assert (progress.half, progress.number, progress.statements) == ("1/expand", 1, 1)
    assert progress.fraction == 0.0


def test_mark_verify_looks_for_what_the_steps_make(one_db: Db) -> None:
    one_db.execute(*TABLES)
    file = online("ALTER TABLE orders ADD UNIQUE (email), ALTER item SET NOT NULL")

    async def story() -> str:
        async with one_db.schema() as schema:
            await schema.prepare()
            found = await schema.missing_effects(file, Half.EXPAND)
            assert found.unknown == ()
            return "; ".join(map(str, found.missing))

    missing = asyncio.run(story())
    assert "index orders.orders_email_key is there" in missing
    assert "constraint orders.orders_email_key is there" in missing
    assert "not null orders.item is there" in missing
    one_db.execute(
        "ALTER TABLE orders ADD UNIQUE (email)", "ALTER TABLE orders ALTER item SET NOT NULL"
    )
    assert asyncio.run(story()) == ""
