"""The schema as a file: dumped after a change, loaded into a new database, compared; and baselines."""

from __future__ import annotations

from tests.e2e.migrate.conftest import CREATE, RENAME, Shop

SCHEMA = "migrations:\n  schema: db/schema.sql\n  seed: db/seed.sql\n"
SEED = "INSERT INTO orders (id, product) VALUES (1, 'rope');\n"


def test_it_is_written_loaded_and_compared(shop: Shop):
    shop.configure(SCHEMA)
    shop.write("1_create.sql", CREATE)
    shop.write("2_rename.sql", RENAME)
    seed = shop.root / "db" / "seed.sql"
    seed.write_text("SELECT 1;\n")
    shop.migrate("apply")
    path = shop.root / "db" / "schema.sql"
    dumped = path.read_text()
    assert "product" in dumped
    assert "pilotage_" not in dumped.replace("-- pilotage:", "")
    assert "restrict" not in dumped

    # Nothing changed: not a byte of it changes.
    shop.migrate("apply")
    assert path.read_text() == dumped
    assert shop.migrate("verify", "--json").json["ok"] is True

    # A new database begins with it, and with the seed.
    seed.write_text(SEED)
    other = shop.another_database()
    assert "nothing is pending" in other.migrate("apply").out
    assert other.execute("SELECT id, product FROM orders") == [(1, "rope")]
    assert set(other.standings().values()) == {"applied"}

    # Somebody changes a table by hand.
    shop.execute("ALTER TABLE orders ADD COLUMN secretly text")
    drifted = shop.migrate("verify", status=1)
    assert "+" in drifted.out
    assert "secretly" in drifted.out
    assert "drifted" in shop.migrate("status").out
    assert "secretly" in shop.migrate("status", "--json").json["drift"]
    if other.postgres is not None:
        other.postgres.execute(f"DROP DATABASE {other.url.rpartition('/')[2]} WITH (FORCE)")


def test_it_is_left_alone_where_nothing_is_to_be_dumped(shop: Shop):
    shop.configure("migrations:\n  schema: db/schema.sql\n")
    shop.write("1_create.sql", CREATE)
    shop.migrate("apply")
    path = shop.root / "db" / "schema.sql"
    before = path.read_text()
    shop.write("2_rename.sql", RENAME)
    shop.migrate("apply", "--no-dump-schema")
    assert path.read_text() == before
    assert "it was not recorded after its last change" in shop.migrate("verify").out


def test_a_baseline_stands_for_all_before_it(shop: Shop):
    shop.write("0001_create.sql", CREATE)
    shop.write("0002_rename.sql", RENAME)
    shop.write(
        "0003_fill.sql",
        "INSERT INTO orders VALUES (1, 'rope');\n".replace("VALUES", "(id, product) VALUES"),
    )
    later = shop.write("0004_note.sql", "ALTER TABLE orders ADD COLUMN note text;\n")
    shop.migrate("run", "0001")
    shop.migrate("run", "0002")

    # The database must hold exactly that.
    refused = shop.migrate("baseline", "0003", status=1)
    assert "0002/contract, 0003/expand is not applied" in refused.told
    shop.migrate("apply")
    refused = shop.migrate("baseline", "0003", status=1)
    assert "0004/expand is applied" in refused.told

    # Its version must be free.
    later.rename(later.with_name("0009_note.sql"))
    clean = shop.another_database()
    clean.migrate("run", "0001")
    clean.migrate("run", "0002")
    clean.migrate("run", "0002/contract")
    clean.migrate("run", "0003")

    # Files that git does not have are not deleted.
    refused = clean.migrate("baseline", "0003", status=1)
    assert "not committed: db/migrations/0001_create.sql" in refused.told
    shop.commit()
    told = clean.migrate("baseline", "0003", "--name", "The start").out
    assert "wrote db/migrations/0004_the_start.sql" in told
    assert "0003_fill: wrote rows" in told
    files = sorted(path.name for path in (shop.root / "db" / "migrations").iterdir())
    assert files == ["0004_the_start.sql", "0009_note.sql"]
    squash = (shop.root / "db" / "migrations" / "0004_the_start.sql").read_text()
    assert "-- pilotage: replaces=0001..0003" in squash

    # The database that went through them adopts it, and runs nothing of it.
    clean.migrate("apply")
    found = clean.migrate("status", "--json").json["migrations"]
    how = {m["version"]: (m["halves"][0]["standing"], m["halves"][0]["how"]) for m in found}
    assert how["0001"] == ("replaced", "applied")
    assert how["0004"] == ("applied", "adopted")
    assert how["0009"] == ("applied", "applied")
    assert clean.execute("SELECT product FROM orders") == [("rope",)]

    # A new one begins with it, and ends as the others did.
    new = shop.another_database()
    new.migrate("apply")
    assert new.columns("orders") == clean.columns("orders") == {"id", "product", "note"}
    for used in (clean, new):
        if used.postgres is not None:
            used.postgres.execute(f"DROP DATABASE {used.url.rpartition('/')[2]} WITH (FORCE)")
