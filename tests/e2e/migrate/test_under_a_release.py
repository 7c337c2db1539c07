"""By hand, while a release runs: what it does not fit is refused."""

from __future__ import annotations

from tests.e2e.migrate.conftest import CREATE, RENAME, Shop

NOTE = "-- expand\nALTER TABLE orders ADD COLUMN note text;\n-- down\nALTER TABLE orders DROP COLUMN note;\n"


def test_every_verb_is_held_to_the_rule(shop: Shop):
    shop.write("1_create.sql", CREATE)
    note = shop.write("2_note.sql", NOTE)
    shop.deploy()

    # Taking back what the running release needs.
    refused = shop.migrate("down", "2", status=1)
    assert "needs 2/expand" in refused.told
    assert "note" in shop.columns("orders")
    assert shop.standings()["2/expand"] == "applied"

    # Giving it another version, under which the running release would not know it.
    note.rename(note.with_name("3_note.sql"))
    refused = shop.migrate("mark", "3", "--renamed", "2", status=1)
    assert "give the file its old version back" in refused.told
    (note.parent / "3_note.sql").rename(note)

    # Removing what the running release may use: by running it, or by saying that it was run.
    shop.write("4_rename.sql", RENAME)
    shop.migrate("run", "4")
    for verb in ("run", "mark"):
        refused = shop.migrate(verb, "4/contract", status=1)
        assert "4/contract may not run yet" in refused.told
        assert "does not know 4" in refused.told
    assert shop.columns("orders") == {"id", "item", "note", "product"}
    assert shop.standings()["4/contract"] == "held"
    assert shop.migrate("status", "--json").json["intents"] == []

    # The release that ships it runs: now it may.
    shop.deploy()
    refused = shop.migrate("mark", "4/contract", "--verify", status=1)
    assert "orders.item is gone" in refused.told
    shop.execute("ALTER TABLE orders DROP COLUMN item")
    shop.migrate("mark", "4/contract", "--verify")
    assert shop.standings()["4/contract"] == "applied"


def test_what_somebody_changes_after_a_deploy_is_found(shop: Shop):
    shop.write("1_create.sql", CREATE)
    shop.write("2_note.sql", NOTE)
    shop.deploy()
    assert "no drift from the schema as it was after its last change" in (
        shop.migrate("verify").out.replace("\n", " ")
    )

    shop.execute("ALTER TABLE orders ADD COLUMN by_hand text")
    found = shop.migrate("verify", status=1)
    assert "+" in found.out
    assert "by_hand" in found.out

    # The next change by a deploy is what counts from then on.
    shop.write("3_more.sql", "ALTER TABLE orders ADD COLUMN more text;\n")
    shop.deploy()
    shop.migrate("verify")


def test_a_plan_suggests_to_run_apart_what_reads_a_large_table(shop: Shop):
    shop.configure("migrations: {large_table: 500}\n")
    shop.write("1_create.sql", CREATE)
    shop.deploy()
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 600)"
    shop.execute(f"INSERT INTO orders (id) {numbers} SELECT i FROM n")
    index = shop.write("2_index.sql", "CREATE INDEX orders_item ON orders (item);\n")
    shop.commit()
    (said,) = [note for note in shop.pilotage("plan", "--json").json["notes"] if "600 rows" in note]
    assert said.startswith("2/expand builds an index on orders")
    assert "pilotage migrate run 2 --detach" in said

    index.write_text("-- pilotage: out-of-band\n\n" + index.read_text())
    shop.commit()
    plan = shop.pilotage("plan", "--json", status=1).json
    assert not any("600 rows" in note for note in plan["notes"])
    assert plan["refusals"][0]["next"] == "pilotage migrate run 2"
