"""Hazards of pending halves in plans and deploys, judged with the tables that are really there."""

from __future__ import annotations

import psycopg
import pytest
from tests.e2e.local.conftest import App

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.parametrize("app", ["postgresql-15"], indirect=True),
]

FILE = "db/migrations/20260606000000_look_up.sql"
ROWS = 40_000
INDEX = "CREATE INDEX items_name ON items (name);\n"


@pytest.fixture
def deployed(app: App) -> App:
    """Release 2 runs; its table has rows, and another one has few."""
    app.release(2)
    app.pilotage("deploy")
    app.execute(
        f"INSERT INTO items SELECT n, 'n' || n FROM generate_series(1, {ROWS}) n",
        "CREATE TABLE sizes (id integer PRIMARY KEY, name text)",
        "INSERT INTO sizes VALUES (1, 's')",
        "ANALYZE items, sizes",
    )
    return app


def test_a_plan_says_how_large_the_table_is(deployed: App) -> None:
    app = deployed
    app.write(FILE, f"-- expand\n{INDEX}CREATE INDEX sizes_name ON sizes (name);\n")
    app.commit()

    page = app.pilotage("plan").out
    (finding,) = app.pilotage("plan", "--json").json["hazards"]

    assert "Hazards" in page
    assert "about 40 000 rows" in " ".join(page.split())
    assert (finding["rule"], finding["class"]) == ("create-index", "availability")
    assert (finding["line"], finding["column"]) == (2, 1)
    assert finding["file"].endswith(FILE)
    assert "items" in finding["message"]  # the index of the small table is in nobody's way
    assert "CREATE INDEX CONCURRENTLY items_name" in finding["rewrite"]


def test_what_is_written_instead_has_no_hazard_and_is_deployed(deployed: App) -> None:
    app = deployed
    app.write(FILE, INDEX)
    app.pilotage("hazards", "--fix", FILE, "--dialect", "postgresql", "--allow-dirty")
    assert "CONCURRENTLY" in (app.root / FILE).read_text()
    release = app.commit()

    assert app.pilotage("plan", "--json").json["hazards"] == []
    app.pilotage("deploy")
    assert app.serving() == release


def test_a_deploy_refuses_what_is_not_allowed(deployed: App) -> None:
    app = deployed
    before = app.serving()
    app.write(FILE, "-- expand\nALTER TABLE items DROP COLUMN price;\n")
    app.commit()

    for command in ("plan", "deploy"):
        refused = app.pilotage(command, status=2).err
        assert "drop-column" in refused
        assert "-- contract\n" in refused  # what to write instead
    assert app.serving() == before
    assert ("items", "price") in app.schema()

    app.write(
        FILE,
        "-- expand\n-- pilotage: allow=drop-column because nobody ever read it\n"
        "ALTER TABLE items DROP COLUMN price;\n",
    )
    release = app.commit()
    assert "allows drop-column, because nobody ever read it" in app.pilotage("plan").out
    app.pilotage("deploy")
    assert app.serving() == release


def test_a_half_of_two_databases_is_refused_by_its_line(deployed: App) -> None:
    app = deployed
    before = app.serving()
    app.write(
        FILE,
        "-- expand\nCREATE TABLE colours (id integer);\nALTER TABLE colours MODIFY COLUMN id bigint;\n",
    )
    app.commit()

    for command in ("plan", "deploy"):
        refused = app.pilotage(command, status=2).err
        assert f"{FILE}:3" in refused
        assert "MODIFY COLUMN is MySQL's SQL" in refused
    assert app.serving() == before
    assert ("colours", "id") not in app.schema()


def test_a_lock_that_is_never_granted_ends_the_deploy_and_stops_nobody(deployed: App) -> None:
    app = deployed
    before = app.serving()
    app.write(
        FILE,
        "-- pilotage: lock_timeout=1s timeout=6s\n\n-- expand\n"
        "ALTER TABLE items ADD COLUMN colour text;\n",
    )
    release = app.commit()

    with psycopg.connect(app.url) as session:
        session.execute(
            "SELECT * FROM items LIMIT 1"
        )  # and nothing more: it stays in its transaction
        refused = app.pilotage("deploy", status=1).err
        pid = session.info.backend_pid
        assert "did not get its lock" in refused
        assert f"session {pid} (" in refused  # who is in the way
        assert app.serving() == before
        assert ("items", "colour") not in app.schema()
    app.pilotage("deploy", "--again")
    assert app.serving() == release
