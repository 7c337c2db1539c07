"""The main job on Docker hosts: releases with their schema, under load, and the way back."""

from __future__ import annotations

from tests.e2e.docker.conftest import Ship
from tests.lab.postgres import url_from
from tests.servers import Postgres

RENAME = """\
-- expand
ALTER TABLE items ADD COLUMN title text;

-- backfill
UPDATE items SET title = name WHERE title IS NULL AND name IS NOT NULL;

-- contract
ALTER TABLE items DROP COLUMN name;
"""


def test_two_releases_and_back_under_load(ship: Ship) -> None:
    ship.release("one")
    ship.deploy()
    first, second, _ = ship.hosts
    assert [ship.serving(host) for host in (first, second)] == ["one", "one"]
    ship.release("two")
    with ship.load(first) as one, ship.load(second) as other:
        ship.deploy()
        ship.pilotage("rollback")
    for told in (one, other):
        assert told["failed"] == 0, told
        assert set(told["answers"]) == {"one", "two"}
        assert told["done"] > 100
    names = first.docker("ps", "--format", '{{.Names}} {{.Label "service"}} {{.Label "role"}}')
    running = sorted(line.split() for line in names.splitlines() if "edge" not in line)
    revision = ship.git("rev-parse", "HEAD~1")
    assert [line for line in running if line[0] != "pilotage-door"] == [
        [f"shop-job-{revision}", "shop", "job"],
        [f"shop-web-{revision}", "shop", "web"],
    ]


def test_what_is_old_is_removed_at_the_end_of_a_deploy(ship: Ship) -> None:
    ship.configure(more="retain_containers: 1\n")
    for version in ("one", "two", "three"):
        ship.release(version)
        ship.deploy()
    host = ship.hosts[1]
    revisions = ship.git("log", "--format=%H").split()

    def web() -> set[str]:
        told = host.docker("ps", "--all", "--format", "{{.Names}}", "--filter", "label=role=web")
        return {name.split("_retired_")[0] for name in told.split()}

    assert web() == {f"shop-web-{revision}" for revision in revisions[:2]}
    images = host.docker(
        "image", "ls", "--format", "{{.Tag}}", f"{ship.lab.registry.address}/acme/shop"
    )
    assert revisions[2] not in images.split()
    assert revisions[0] in images.split()
    ship.pilotage("lock", "acquire", "-m", "a freeze")
    assert "a freeze" in ship.pilotage("prune", status=1).err
    ship.pilotage("lock", "release")
    ship.pilotage("prune", "all")
    details = ship.pilotage("proxy", "details")
    assert details.out.count("pilotage-door") == 2
    ship.pilotage("proxy", "reboot", "--confirmed")
    assert ship.serving(host) == "three"

    ship.configure(more="retain_containers: 2\n")
    ship.release("four")
    ship.deploy()
    kept = [f"shop-web-{revision}" for revision in ship.git("log", "--format=%H").split()]
    assert web() == {*kept[:3]}
    assert "no `prune containers`" in ship.pilotage("prune", "containers", status=2).err
    ship.pilotage("prune", "--retain", "1")
    assert web() == {*kept[:2]}


def test_assets_of_both_releases_answer_during_a_switch_and_after(ship: Ship) -> None:
    text = (ship.root / "config/deploy.yml").read_text()
    ship.write("config/deploy.yml", text + "asset_path: /app/public/assets\n")
    assets = "/app/public/assets"
    ship.release("one", files={f"{assets}/one.css": "one", f"{assets}/site.css": "old"})
    ship.deploy()
    host = ship.hosts[1]
    assert ship.get(host, "/assets/one.css") == "one"
    ship.release("two", files={f"{assets}/two.css": "two", f"{assets}/site.css": "new"})
    with ship.load(host, "/assets/one.css") as told:
        ship.deploy()
    assert told["failed"] == 0, told
    assert set(told["answers"]) == {"one"}
    found = [ship.get(host, f"/assets/{name}.css") for name in ("one", "two", "site")]
    assert found == ["one", "two", "new"]
    ship.pilotage("rollback")
    found = [ship.get(host, f"/assets/{name}.css") for name in ("one", "two", "site")]
    assert found == ["one", "two", "old"]


def test_the_schema_goes_with_the_release_through_a_host(ship: Ship, postgres: Postgres) -> None:
    with postgres.database() as name:
        ship.secrets["DATABASE_URL"] = url_from(ship.lab, postgres, name)
        ship.configure(
            more="env: {secret: [DATABASE_URL]}\n"
            "databases: {primary: {url: DATABASE_URL, via: primary}}\n"
            "migrations: {path: db/migrations}\n"
        )
        ship.write(
            "db/migrations/20261121000000_items.sql",
            "CREATE TABLE items (id int PRIMARY KEY, name text);\n",
        )
        ship.release("one")
        ship.deploy()
        before = ship.git("rev-parse", "HEAD")[:12]
        postgres.execute("INSERT INTO items VALUES (1, 'lamp')", database=name)
        ship.write("db/migrations/20261122000000_rename.sql", RENAME)
        ship.release("two")
        with ship.load(ship.hosts[1]) as told:
            ship.deploy()
            assert postgres.execute("SELECT name, title FROM items", database=name) == [
                ("lamp", "lamp")
            ]
            ship.pilotage("contract")
        assert told["failed"] == 0, told
        columns = postgres.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_name = 'items'"
            " ORDER BY ordinal_position",
            database=name,
        )
        assert columns == [("id",), ("title",)]
        refused = ship.pilotage("rollback", status=1)
        assert f"release {before} does not fit the schema" in refused.err
        assert [ship.serving(host) for host in ship.hosts[:2]] == ["two", "two"]


def test_a_host_that_is_down_is_named_before_anything_is_changed(ship: Ship) -> None:
    ship.release("one")
    ship.deploy()
    ship.release("two")
    second = ship.hosts[1]
    second.cut()
    try:
        refused = ship.deploy(status=1)
    finally:
        second.restore()
    assert second.address in refused.err
    assert "nothing was" in refused.err
    assert ship.serving(ship.hosts[0]) == "one"


def test_an_unhealthy_release_leaves_everything_as_it_was(ship: Ship) -> None:
    ship.release("one")
    ship.deploy()
    ship.release("two", env={"FAIL": "crash"})
    with ship.load(ship.hosts[0]) as told:
        failed = ship.deploy(status=1)
    assert told["failed"] == 0, told
    assert set(told["answers"]) == {"one"}
    assert "this is its last line" in failed.err
    instances = ship.status()["instances"]
    assert {i["release"] for i in instances} == {ship.git("rev-parse", "HEAD~1")[:12]}


def test_remove_leaves_nothing_behind(ship: Ship) -> None:
    ship.release("one")
    ship.deploy()
    ship.pilotage("remove", "--yes")
    for host in ship.hosts[:2]:
        assert host.docker("ps", "--all", "--format", "{{.Names}}").split() == []
        assert not (host.home / ".pilotage" / "shop").exists()
