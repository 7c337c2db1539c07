"""Halves that run apart from a deploy, in a container of their own on a Docker host, by the real command line."""

from __future__ import annotations

import json
import os
import pty
import select
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from tests.e2e.docker.conftest import Ship
from tests.lab import images
from tests.lab.postgres import url_from
from tests.servers import Postgres

INDEX, FILL, BROKEN = "20260505000000", "20260506000000", "20260507000000"
IMAGE, BARE, NOWHERE = "acme/pilotage:here", "acme/bare:1", "acme/nowhere:1"

INDEX_TEXT = """\
-- pilotage: out-of-band online

-- expand
CREATE INDEX items_name ON items (name);
"""

FILL_TEXT = """\
-- pilotage: out-of-band batch_rows=20

-- expand
ALTER TABLE items ADD COLUMN shout text;

-- backfill
UPDATE items SET shout = upper(name) WHERE shout IS NULL;

-- contract
ALTER TABLE items DROP COLUMN name;
"""


BROKEN_TEXT = """\
-- pilotage: out-of-band

-- expand
CREATE UNIQUE INDEX items_ends ON items (right(name, 1));
"""


@dataclass(slots=True)
class Shop:
    """A service with a table of 400 rows, deployed once."""

    ship: Ship
    postgres: Postgres
    database: str

    def query(self, sql: str) -> list[tuple[object, ...]]:
        """Ask the database."""
        return self.postgres.execute(sql, database=self.database)

    def runs(self) -> dict[str, dict[str, str]]:
        """What `migrate status` says of detached runs."""
        found = json.loads(self.ship.pilotage("migrate", "status", "--json").out)["runs"]
        return {run["instance"]: run for run in found}

    def standing(self, version: str, half: str = "expand") -> str:
        """How far a half is."""
        found = json.loads(self.ship.pilotage("migrate", "status", "--json").out)["migrations"]
        halves = next(m["halves"] for m in found if m["version"] == version)
        return next(h["standing"] for h in halves if h["half"] == half)

    def filled(self) -> int:
        """Rows that the backfill has changed."""
        if not self.query("SELECT 1 FROM pg_attribute WHERE attname = 'shout'"):
            return 0
        ((count,),) = self.query("SELECT count(shout) FROM items")
        assert isinstance(count, int)
        return count

    def building(self) -> bool:
        """Whether the index is being built and waits for an old snapshot."""
        return bool(
            self.query(
                "SELECT 1 FROM pg_stat_progress_create_index WHERE phase = 'waiting for old snapshots'"
                " AND datname = current_database()"
            )
        )

    def name_image(self, image: str) -> None:
        """Have the configuration name the image of detached runs."""
        reference = f"{self.ship.lab.registry.address}/{image}"
        self.ship.configure(web=1, more=SCHEMA.format(image=reference))

    def hosts_refuse(self) -> None:
        """Cut every SSH connection to a host, and let nobody in."""
        for host in self.ship.hosts:
            host.kill_sshd()

    def hosts_admit(self) -> None:
        """Let everybody in again."""
        for host in self.ship.hosts:
            host.start_sshd()

    def wait(self, condition: Callable[[], bool], run: str) -> None:
        """Wait until something is so; what the run said where it never is."""
        deadline = time.monotonic() + 90
        while not condition():
            said = self.ship.hosts[0].docker("logs", run, check=False)
            assert time.monotonic() < deadline, said
            time.sleep(0.1)

    @contextmanager
    def old_snapshot(self) -> Iterator[psycopg.Connection]:
        """Somebody's long transaction: a concurrent build waits for its end."""
        with psycopg.connect(self.postgres.url(self.database)) as session:
            session.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            session.execute("SELECT count(*) FROM items")
            yield session


@pytest.fixture
def shop(ship: Ship, postgres: Postgres) -> Iterator[Shop]:
    """Release one is deployed on one host; an index and a backfill wait to be run by a person."""
    with postgres.database(
        "CREATE TABLE items (id int PRIMARY KEY, name text)",
        "INSERT INTO items SELECT n, 'item ' || n FROM generate_series(1, 400) n",
    ) as database:
        ship.secrets["DATABASE_URL"] = url_from(ship.lab, postgres, database)
        shop = Shop(ship, postgres, database)
        shop.name_image(IMAGE)
        ship.write(
            "db/migrations/20260101000000_first.sql", "-- expand\nCREATE TABLE first (id int);\n"
        )
        ship.release("one")
        ship.deploy()
        yield shop


SCHEMA = """
env: {{secret: [DATABASE_URL]}}
databases: {{primary: {{url: DATABASE_URL, via: primary}}}}
migrations: {{path: db/migrations, image: {image}}}
"""


def test_it_outlives_its_terminal_and_is_steered_from_another(shop: Shop) -> None:
    ship, host = shop.ship, shop.ship.hosts[0]
    ship.lab.push(images.pilotage(), IMAGE)
    ship.write(f"db/migrations/{INDEX}_name.sql", INDEX_TEXT)
    release = ship.release("two")[:12]
    first = f"shop-run-{INDEX}-expand-1"
    # A deploy that needs it is refused, with the command.
    assert f"pilotage migrate run {INDEX}" in ship.deploy(status=1).err

    with shop.old_snapshot() as old:
        # Somebody begins it on a terminal, joins it there, and closes the terminal.
        command = f"{sys.executable} -m pilotage migrate run {INDEX}"
        parent, child = pty.openpty()
        terminal = ship.start(
            "-c", f"{command} --detach && {command}", program=("setsid", "--ctty", "/bin/sh"),
            streams={"stdin": child, "stdout": child, "stderr": child},
        )  # fmt: skip
        os.close(child)
        shown, deadline = b"", time.monotonic() + 90
        while f"{first}: following it".encode() not in shown:
            assert time.monotonic() < deadline, shown.decode()
            if select.select([parent], [], [], 1)[0]:
                shown += os.read(parent, 65536)
        os.close(parent)
        assert terminal.wait(timeout=60) != 0
        shop.wait(shop.building, first)

        # It is a container of its own on the host, and what it was given is no more than it needs.
        assert shop.runs()[first]["life"] == "running"
        assert shop.runs()[first]["host"] == host.address
        (found,) = json.loads(host.docker("inspect", first))
        given = dict(line.split("=", 1) for line in found["Config"]["Env"])
        assert given["RUN_DATABASE_URL"].startswith(ship.secrets["DATABASE_URL"])
        assert not {"DATABASE_URL", "REGISTRY_PASSWORD"} & set(given)
        # No release is judged by it, and a deploy meanwhile is told who is at work.
        shown_kinds = {i["id"]: i["kind"] for i in ship.status()["instances"]}
        assert shown_kinds[first] == "tool"
        assert f"detached run of {INDEX}/expand" in ship.deploy(status=1).err
        assert "runs already" in ship.pilotage("migrate", "run", INDEX, "--detach").out

        # Killed from outside, as by an out-of-memory killer: the next run goes on with what is left.
        host.docker("kill", first)
        killed = ship.pilotage("migrate", "follow", INDEX, status=137)
        assert "ended with status 137" in killed.out
        old.rollback()
    ship.pilotage("lock", "release", "--yes")
    second = f"shop-run-{INDEX}-expand-2"
    assert second in ship.pilotage("migrate", "run", INDEX, "--detach").out
    followed = ship.pilotage("migrate", "follow", INDEX)
    assert f"{second} ended with status 0" in followed.out
    assert shop.standing(INDEX) == "applied"
    assert shop.query(
        "SELECT 1 FROM pg_index WHERE indexrelid = 'items_name'::regclass AND indisvalid"
    )
    ship.deploy()
    assert ship.serving(host) == "two"
    assert {i["release"] for i in ship.status()["instances"] if i["kind"] == "traffic"} == {release}


def test_a_backfill_is_paused_throttled_and_ended_from_elsewhere(shop: Shop) -> None:
    ship = shop.ship
    ship.lab.push(images.pilotage(), IMAGE)
    ship.write(f"db/migrations/{FILL}_shout.sql", FILL_TEXT)
    ship.release("two")
    first = f"shop-run-{FILL}-expand-1"
    # What is set before it begins holds from its first batch on.
    ship.pilotage("migrate", "throttle", FILL, "--rate", "10")
    begun = json.loads(ship.pilotage("migrate", "run", FILL, "--detach", "--json").out)
    assert (begun["outcome"], begun["instance"]) == ("begun", first)
    told = "SELECT 1 FROM pilotage_backfills WHERE position->>'eta' IS NOT NULL"
    shop.wait(lambda: shop.query(told), first)
    ship.pilotage("migrate", "pause", FILL, "--reason", "lunch")
    shop.wait(lambda: "lunch" in ship.pilotage("migrate", "status").out, first)
    assert " s of work left" in ship.pilotage("migrate", "status").out.replace("\n    ", " ")
    assert shop.filled() > 0
    # Whoever follows it loses the connection; the run is not theirs.
    cut = ship.start("migrate", "follow", FILL)
    assert cut.stdout is not None
    assert cut.stdout.readline()
    shop.hosts_refuse()
    cut.communicate(timeout=90)
    assert cut.returncode != 0
    shop.hosts_admit()
    # It is followed from another checkout, as on another machine.
    elsewhere = replace(ship, root=ship.root.parent / "elsewhere")
    ship.git("clone", "-q", str(ship.root), str(elsewhere.root))
    follower = elsewhere.start("migrate", "follow", FILL)
    assert follower.stdout is not None
    assert follower.stdout.readline()
    # Its lock is held, so no contract half of anybody runs.
    assert f"detached run of {FILL}/expand" in ship.pilotage("contract", status=1).err
    before = shop.filled()
    assert before < 400
    ended = elsewhere.pilotage("migrate", "stop", FILL)
    assert "ended" in ended.out
    follower.communicate(timeout=60)
    assert follower.returncode != 0
    assert ship.status()["lock"] is None
    assert shop.standing(FILL) in ("backfilling", "applied, backfilling", "started")

    ship.pilotage("migrate", "resume", FILL)
    ship.pilotage("migrate", "throttle", FILL, "--off")
    ship.pilotage("migrate", "run", FILL, "--detach")
    assert "ended with status 0" in ship.pilotage("migrate", "follow", FILL).out
    assert shop.filled() == 400
    assert shop.standing(FILL) == "applied"
    # The contract half waits for the old release to be gone, whoever ran the expand half.
    refused = ship.pilotage("migrate", "run", f"{FILL}/contract", status=1)
    assert "may not run yet" in refused.err
    ship.deploy()
    ship.pilotage("migrate", "run", f"{FILL}/contract")
    assert shop.query("SELECT attname FROM pg_attribute WHERE attname = 'shout'")


def test_what_is_refused_and_what_fails_says_why(shop: Shop) -> None:
    ship, host = shop.ship, shop.ship.hosts[0]
    ship.write(f"db/migrations/{FILL}_shout.sql", FILL_TEXT)
    ship.write(f"db/migrations/{BROKEN}_ends.sql", BROKEN_TEXT)
    ship.release("two")
    # A contract half is proved by a look at every host, which its container could not take.
    refused = ship.pilotage("migrate", "run", f"{FILL}/contract", "--detach", status=2)
    assert "must look at every host" in refused.err
    # There is no such image.
    shop.name_image(NOWHERE)
    missing = ship.pilotage("migrate", "run", FILL, "--detach", status=1)
    assert f"{NOWHERE} could not be pulled" in missing.err
    # One without pilotage in it says so where the run is looked at.
    ship.lab.push(images.python(), BARE)
    shop.name_image(BARE)
    ship.pilotage("migrate", "run", FILL, "--detach")
    assert "pilotage" in ship.pilotage("migrate", "follow", FILL, status=127).out
    assert shop.filled() == 0

    # A half that fails: its last lines are there for whoever follows it, and for whoever comes later.
    ship.lab.push(images.pilotage(), IMAGE)
    shop.name_image(IMAGE)
    run = f"shop-run-{BROKEN}-expand-1"
    assert run in ship.pilotage("migrate", "run", BROKEN, "--detach").out
    followed = ship.pilotage("migrate", "follow", BROKEN, status=1)
    assert "could not create unique index" in followed.out
    assert f"{run} ended with status 1" in followed.out
    assert "could not create unique index" in ship.pilotage("logs", run).out
    assert (shop.runs()[run]["life"], ship.status()["lock"]) == ("dead", None)
    # The password is in the environment of its container, and nowhere else.
    (found,) = json.loads(host.docker("inspect", run))
    password = urlsplit(ship.secrets["DATABASE_URL"]).password
    assert password
    assert {path for path, value in leaves(found) if password in value} == {"Config.Env"}
    assert password not in followed.out + followed.err

    # From a machine that reaches the database alone, while no host lets anybody in.
    shop.hosts_refuse()
    try:
        ended = ship.pilotage("migrate", "run", FILL, "--no-hosts")
        assert "is applied" in ended.out
        # Nobody can say there that nothing older runs.
        blocked = ship.pilotage("migrate", "run", f"{FILL}/contract", "--no-hosts", status=1)
    finally:
        shop.hosts_admit()
    assert f"host {host.address} does not answer" in blocked.err
    assert shop.filled() == 400
    assert shop.standing(FILL, "contract") != "applied"


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every text in what Docker says of a container, by its path."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from leaves(each, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list):
        for each in value:
            yield from leaves(each, path)
    else:
        yield path, str(value)
