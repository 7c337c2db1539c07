"""A person's, or CI's, own database: nothing runs on it."""

from __future__ import annotations

import pytest
from tests.e2e.migrate.conftest import CREATE, RENAME, Shop


def test_from_nothing_to_a_migrated_database(shop: Shop):
    path = shop.migrate("new", "create", "orders").out.strip()
    assert path.startswith("db/migrations/")
    assert path.endswith("_create_orders.sql")
    version = path.removeprefix("db/migrations/").partition("_")[0]

    refused = shop.migrate("apply", status=2)
    assert "it holds no SQL" in refused.told
    assert path in refused.told

    (shop.root / path).write_text(CREATE)
    assert shop.standings() == {f"{version}/expand": "pending"}

    assert "applied 1 half" in shop.migrate("apply").out
    assert shop.columns("orders") == {"id", "item"}
    assert shop.standings() == {f"{version}/expand": "applied"}
    assert "nothing is pending" in shop.migrate("apply").out


def test_on_a_database_of_its_own_both_halves_run_together(shop: Shop):
    shop.write("1_create.sql", CREATE)
    shop.write("2_rename.sql", RENAME)
    done = shop.migrate("apply", "--json").result
    assert done["outcome"] == "done"
    assert done["halves"] == ["1/expand", "2/expand", "2/contract"]
    assert shop.columns("orders") == {"id", "product"}


def test_what_would_run_is_printed_and_runs(shop: Shop):
    shop.write("1_create.sql", CREATE)
    shop.migrate("apply")
    shop.execute("INSERT INTO orders VALUES (1, 'rope'), (2, 'sail')")
    shop.write("2_rename.sql", RENAME)

    expand = shop.migrate("sql", "2").out
    assert "ALTER TABLE orders ADD COLUMN product text;" in expand
    assert "DROP COLUMN" not in expand
    assert "(product IS NULL AND item IS NOT NULL) AND (" in expand
    contract = shop.migrate("sql", "2/contract").out
    order = ["UPDATE orders", "SELECT id, item", "DROP COLUMN item"]
    assert sorted(order, key=contract.index) == order
    assert shop.columns("orders") == {"id", "item"}

    by_hand = [line for line in expand.splitlines() if line and not line.startswith("--")]
    assert any("timeout" in line for line in by_hand)
    if shop.dialect == "postgresql":
        assert ":after" not in expand
        shop.execute("\n".join(by_hand))
        assert shop.execute("SELECT product FROM orders ORDER BY id") == [("rope",), ("sail",)]


def test_one_half_at_a_time_and_back(shop: Shop):
    shop.write("1_create.sql", CREATE)
    shop.write("2_rename.sql", RENAME)
    shop.migrate("run", "1")
    shop.execute("INSERT INTO orders VALUES (1, 'rope')")

    assert "2/expand is applied" in shop.migrate("run", "2").out
    assert shop.execute("SELECT product FROM orders") == [("rope",)]
    assert "already" in shop.migrate("run", "2").out

    shop.migrate("down", "2")
    assert shop.columns("orders") == {"id", "item"}
    assert shop.standings()["2/expand"] == "pending"
    refused = shop.migrate("down", "2", status=1)
    assert "not applied" in refused.told

    shop.migrate("run", "2")
    shop.migrate("run", "2/contract")
    assert shop.columns("orders") == {"id", "product"}
    refused = shop.migrate("down", "2", status=1)
    assert "contracted" in refused.told


def test_a_contract_half_does_not_come_before_its_expand_half(shop: Shop):
    shop.write("1_create.sql", CREATE)
    shop.write("2_rename.sql", RENAME)
    shop.migrate("run", "1")
    for verb in ("run", "mark"):
        refused = shop.migrate(verb, "2/contract", status=1)
        assert "may not run before 2/expand" in refused.told
    assert shop.standings()["2/contract"] == "pending"


def test_rows_that_are_not_right_keep_a_contract_half_back(shop: Shop):
    shop.write("1_create.sql", CREATE)
    shop.write(
        "2_rename.sql",
        RENAME.replace("WHERE product IS NULL", "WHERE id < 0 AND product IS NULL", 1),
    )
    shop.migrate("run", "1")
    shop.execute("INSERT INTO orders VALUES (7, 'rope')")
    shop.migrate("run", "2")

    verified = shop.migrate("verify", status=1)
    assert "7, rope" in verified.err + verified.out
    told = shop.migrate("verify", "--json", status=1).json
    assert told["ok"] is False
    assert [c["ok"] for c in told["checks"]] == [True, False, True]

    refused = shop.migrate("run", "2/contract", status=1)
    assert "7, rope" in refused.told
    assert "item" in shop.columns("orders")

    shop.execute("UPDATE orders SET product = item")
    assert shop.migrate("verify", "--json").json["ok"] is True
    shop.migrate("run", "2/contract")


def test_an_edited_file_is_named_by_every_verb(shop: Shop):
    path = shop.write("1_create.sql", CREATE)
    shop.migrate("apply")
    path.write_text(CREATE.replace("item text", "item varchar(80)"))

    assert "edited" in shop.migrate("apply", status=2).told
    assert "edited" in shop.migrate("status").out
    told = shop.migrate("status", "--json").json["migrations"][0]
    assert "edited" in told["trouble"]
    assert shop.migrate("verify", status=1).out

    # The edit changes nothing that matters: a person says so.
    shop.migrate("mark", "1")
    assert shop.migrate("verify", "--json").json["ok"] is True
    assert "nothing is pending" in shop.migrate("apply").out


def test_a_renamed_file_is_told_and_taken_over(shop: Shop):
    path = shop.write("1_create.sql", CREATE)
    shop.migrate("apply")
    path.rename(path.with_name("2_create.sql"))

    refused = shop.migrate("apply", status=2)
    assert "mark 2 --renamed 1" in refused.told
    assert shop.migrate("status", "--json").json["migrations"][1]["renamed_from"] == "1"

    shop.migrate("mark", "2", "--renamed", "1")
    assert shop.standings() == {"2/expand": "applied"}
    assert "nothing is pending" in shop.migrate("apply").out


def test_an_existing_database_is_taken_over(shop: Shop):
    shop.write("1_create.sql", CREATE)
    shop.write("2_rename.sql", RENAME)
    shop.write("3_note.sql", "ALTER TABLE orders ADD COLUMN note text;\n")
    if shop.postgres is not None:
        shop.postgres.execute(f"CREATE DATABASE {shop.url.rpartition('/')[2]}")
    shop.execute("CREATE TABLE orders (id integer PRIMARY KEY, product text)")

    refused = shop.migrate("mark", "--through", "3", "--verify", status=1)
    assert "does not show that column orders.note is there" in refused.told
    assert set(shop.standings().values()) == {"pending"}

    # `item`, which the first file made and the second one's contract half removed, is not missed.
    shop.migrate("mark", "--through", "2", "--verify")
    assert shop.standings() == {
        "1/expand": "applied",
        "2/expand": "applied",
        "2/contract": "applied",
        "3/expand": "pending",
    }
    shop.migrate("apply")
    assert shop.columns("orders") == {"id", "product", "note"}


def test_mark_looks_before_it_believes(shop: Shop):
    shop.write("1_create.sql", CREATE)
    shop.migrate("apply")
    shop.write("2_note.sql", "ALTER TABLE orders ADD COLUMN note text;\n")
    refused = shop.migrate("mark", "2", "--verify", status=1)
    assert "note" in refused.told
    assert shop.standings()["2/expand"] == "pending"

    shop.execute("ALTER TABLE orders ADD COLUMN note text")
    shop.migrate("mark", "2", "--verify")
    found = shop.migrate("status", "--json").json["migrations"][1]["halves"][0]
    assert (found["standing"], found["how"]) == ("applied", "marked")


def test_a_failing_statement_is_told_with_its_line_and_mended(shop: Shop):
    shop.write("1_create.sql", CREATE)
    path = shop.write(
        "2_bad.sql", "ALTER TABLE orders ADD COLUMN note text;\nDROP TABLE nowhere;\n"
    )
    # A DROP belongs into a contract half; as one it runs, and fails.
    path.write_text("-- contract\nALTER TABLE orders ADD COLUMN note text;\nDROP TABLE nowhere;\n")
    failed = shop.migrate("apply", "--contract", status=1)
    assert "2_bad.sql:3" in failed.told
    assert "note" not in shop.columns("orders")

    path.write_text("-- contract\nALTER TABLE orders ADD COLUMN note text;\n")
    shop.migrate("apply", "--contract")
    assert "note" in shop.columns("orders")


@pytest.mark.parametrize("shop", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "abc"),
        ("run", "1/sideways"),
        ("sql", "9"),
        ("mark",),
        ("mark", "1", "--through", "1"),
        ("mark", "--through", "9"),
        ("mark", "1/contract", "--renamed", "x"),
        ("down", "1/contract"),
        ("new", "…"),
    ],
)
def test_wrong_usage_is_told(shop: Shop, arguments: tuple[str, ...]):
    shop.write("1_create.sql", CREATE)
    told = shop.migrate(*arguments, status=2)
    assert "✗" in told.told
    assert "Traceback" not in told.told


def test_a_half_that_is_not_there_is_refused(shop: Shop):
    shop.write("1_create.sql", CREATE)
    assert "no contract half of 1" in shop.migrate("run", "1/contract", status=1).told
    assert "no expand half of 7" in shop.migrate("run", "7", status=1).told
