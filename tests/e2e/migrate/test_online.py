"""A file with `online`, by the command line, on a new database and on one in use."""

from __future__ import annotations

from tests.e2e.migrate.conftest import CREATE, Shop

ONLINE = "-- pilotage: online\n\n-- expand\nCREATE INDEX orders_item ON orders (item);\n"
KEY = "-- pilotage: online\n\n-- contract\nALTER TABLE orders ALTER item SET NOT NULL;\n"


def test_on_a_new_database_and_in_a_deploy(shop: Shop):
    shop.write("1_create.sql", CREATE)
    shop.write("2_index.sql", ONLINE)
    done = shop.migrate("apply", "--json").result
    assert done["halves"] == ["1/expand", "2/expand"]

    shop.deploy()
    if shop.dialect == "sqlite":  # it has no SET NOT NULL
        return
    shop.write("3_not_null.sql", KEY)
    shop.deploy()
    assert shop.standings()["3/contract"] == "held"
    shop.pilotage("contract")
    rows = shop.execute(
        "SELECT attnotnull FROM pg_attribute"
        " WHERE attrelid = 'orders'::regclass AND attname = 'item'"
    )
    assert rows == [(True,)]
    assert shop.standings() == {
        f"{ref}": "applied" for ref in ("1/expand", "2/expand", "3/contract")
    }
