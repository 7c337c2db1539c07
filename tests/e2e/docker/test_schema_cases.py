"""The eleven cases of deploys with a schema that Kamal's own tests lack, on Docker hosts, by the real command line.

=== ============================================================== ==================================
 1  traffic during the switch, and no request fails                `test_in_containers_of_the_release`
 2  web hosts, a worker, a database: one run of the migration,     `test_in_containers_of_the_release`
    from the right image, with fresh secrets
 3  a migration that takes longer than the health limit            `test_migrations_in_trouble`
 4  a migration that fails: once, at once, in its own words        both of these
 5  a worker never starts before expand                            `test_in_containers_of_the_release`
 6  no contract half while anything old runs                       `test_what_a_release_leaves_behind`
 7  no rollback to what does not fit the schema                    `test_what_a_release_leaves_behind`
 8  Ctrl-C in the middle of a migration                            `test_migrations_in_trouble`
 9  a connection that is lost in the middle of one                 `test_migrations_in_trouble`,
                                                                   `test_a_release_container_whose_link_…`
10  one host of several fails                                      `test_one_host_of_several_fails`
11  two deployers, one database                                    `test_two_deployers_and_one_database`
=== ============================================================== ==================================
"""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from tests.e2e.docker.conftest import Ship
from tests.e2e.docker.faults import serves_again
from tests.lab import images
from tests.lab.host import Host
from tests.lab.postgres import url_from
from tests.servers import Postgres

PATIENCE = 20
"""Seconds that an instance has to become healthy: no time that a failed migration takes part in."""

CONFIG = """\
service: shop
image: acme/shop
servers:
  web:
    hosts: [{first}, {{{second}: odd}}]
  job:
    hosts: [{first}]
    cmd: {job}
registry: {{server: "{registry}", username: me, password: [REGISTRY_PASSWORD]}}
builder: {{arch: amd64}}
readiness_delay: 1
deploy_timeout: {patience}
rollout: {{verify: 0}}
ssh: {{config: {ssh}}}
env:
  clear: {{PYTHONPATH: /app/lib}}
  secret: [DATABASE_URL, API_KEY]
  tags: {{odd: {{FAIL: "{fail}"}}}}
databases: {{primary: {{url: DATABASE_URL, via: primary}}}}
"""

OWN = "migrations: {path: db/migrations}\n"
COMMAND = "migrations: {engine: command, commands: {expand: python3 /app/migrate.py}}\n"

MIGRATE = """\
import os, psycopg
with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as it:
    it.execute("INSERT INTO runs VALUES (%s, %s)", (os.environ["VERSION"], os.environ["API_KEY"]))
    if os.environ["VERSION"] == "three":
        print("the disk of this table is full: its last line")
        raise SystemExit(1)
    it.execute(f"ALTER TABLE items ADD COLUMN {os.environ['VERSION']} text")
"""

MIGRATE_IN_TURN = """\
import os, psycopg
version = os.environ["VERSION"]
with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as it:
    it.execute("INSERT INTO runs VALUES (%s, %s)", (version, os.environ["API_KEY"]))
    print(f"{version}: half of it", flush=True)
    it.execute("SELECT pg_advisory_lock(9)")
    it.execute(f"ALTER TABLE items ADD COLUMN {version} text")
"""

WORKER = """\
import os, runpy, sys, psycopg
with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as it:
    it.execute("INSERT INTO starts SELECT %s, %s, string_agg(column_name, ' ' ORDER BY ordinal_position)"
               " FROM information_schema.columns WHERE table_name = 'items'",
               (os.environ["VERSION"], os.environ["API_KEY"]))
sys.argv[1:] = ["worker"]
runpy.run_path("/app/app.py", run_name="__main__")
"""


@dataclass(slots=True)
class Voyage:
    """A shop with its database."""

    ship: Ship
    postgres: Postgres
    database: str

    @property
    def hosts(self) -> tuple[Host, Host]:
        """Those that serve."""
        return self.ship.hosts[0], self.ship.hosts[1]

    def configure(
        self, migrations: str = OWN, *, job: str = "python3 /app/app.py worker", fail: str = ""
    ) -> None:
        """Write the configuration. ``fail``: what goes wrong on the second host."""
        text = CONFIG.format(
            first=self.ship.hosts[0].address, second=self.ship.hosts[1].address,
            registry=self.ship.lab.registry.address, ssh=self.ship.lab.ssh_config, job=job, fail=fail,
            patience=PATIENCE,
        )  # fmt: skip
        self.ship.write("config/deploy.yml", text + migrations)

    def migration(self, number: int, text: str) -> None:
        """Write a migration file."""
        self.ship.write(f"db/migrations/2026112{number}000000_m{number}.sql", text)

    def query(self, sql: str) -> list[tuple[object, ...]]:
        """Ask the database."""
        return self.postgres.execute(sql, database=self.database)

    def serving(self) -> list[str]:
        """What both hosts answer with."""
        return [self.ship.serving(host) for host in self.hosts]

    @contextmanager
    def load(self) -> Iterator[set[str]]:
        """Ask both hosts all the while: no request fails. Afterwards, the versions that answered."""
        answers: set[str] = set()
        first, second = self.hosts
        with self.ship.load(first) as one, self.ship.load(second) as other:
            yield answers
        for told in (one, other):
            assert told["failed"] == 0, told
            assert told["done"] > 0
            answers |= set(told["answers"])

    def sleeping(self) -> int:
        """How many sessions are in a `pg_sleep`."""
        sql = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()"
        return int(str(self.query(sql)[0][0]))


def seconds_from_failure(events: list[dict[str, Any]]) -> float:
    """How long the deploy went on after its step had failed."""
    at = {event["event"]: event.get("at", 0.0) for event in events}
    return float(at["Ended"] - at["StepFailed"])


def until(it: Callable[[], object], *, within: float = 60.0) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + within
    while not it():
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.05)


@pytest.fixture
def voyage(ship: Ship, postgres: Postgres) -> Iterator[Voyage]:
    """Nothing is deployed yet."""
    with postgres.database(
        "CREATE TABLE runs (version text, key text)",
        "CREATE TABLE starts (version text, key text, columns text)",
        "CREATE SEQUENCE tries",
    ) as name:
        ship.secrets["DATABASE_URL"] = url_from(ship.lab, postgres, name)
        ship.secrets["API_KEY"] = "key-0001"
        made = Voyage(ship, postgres, name)
        made.configure()
        made.migration(1, "CREATE TABLE items (id int PRIMARY KEY, name text);\n")
        yield made


def test_in_containers_of_the_release(voyage: Voyage) -> None:
    ship = voyage.ship
    voyage.configure(COMMAND, job="python3 /app/worker.py")
    voyage.query("CREATE TABLE items (id int PRIMARY KEY, name text)")
    image = {
        "base": images.psycopg(),
        "files": {"/app/migrate.py": MIGRATE, "/app/worker.py": WORKER},
    }
    ship.release("one", **image)
    ship.deploy()
    # 2: the command ran once, from the image of the release, with the secrets of now.
    ship.secrets["API_KEY"] = "key-0002"
    ship.release("two", **image)
    with voyage.load() as answers:
        ship.deploy()
    assert answers == {"one", "two"}  # 1: and no request failed
    runs = [("one", "key-0001"), ("two", "key-0002")]
    assert voyage.query("SELECT * FROM runs ORDER BY version") == runs
    for host in voyage.hosts:
        assert json.loads(ship.get(host, "/env"))["API_KEY"] == "key-0002"
    # 5: a worker that starts finds what its release expanded.
    until(lambda: voyage.query("SELECT 1 FROM starts WHERE version = 'two'"))
    starts = voyage.query("SELECT version, key, columns FROM starts ORDER BY version")
    assert starts == [("one", "key-0001", "id name one"), ("two", "key-0002", "id name one two")]
    # 4: it fails in its own words, is not run again, and the old release serves.
    ship.release("three", **image)
    with voyage.load() as answers:
        failed = ship.deploy("--json", status=1)
    assert "the disk of this table is full: its last line" in failed.events[-1]["error"]["what"]
    assert seconds_from_failure(failed.events) < PATIENCE
    assert answers == {"two"}
    assert voyage.query("SELECT * FROM runs WHERE version = 'three'") == [("three", "key-0002")]
    assert voyage.query("SELECT count(*) FROM starts") == [(2,)]


def test_migrations_in_trouble(voyage: Voyage) -> None:
    ship = voyage.ship
    first, _ = voyage.hosts
    ship.release("one")
    ship.deploy()
    old = ship.git("rev-parse", "HEAD")[:12]
    # 3: longer than any health check may take; nobody waits for its health.
    voyage.migration(2, "SELECT pg_sleep(21);\nALTER TABLE items ADD COLUMN two text;\n")
    ship.release("two")
    with voyage.load() as answers:
        done = ship.deploy("--json")
    assert answers == {"one", "two"}
    applied = [e for e in done.events if e["event"] == "HalfFinished"]
    assert [e["half"] for e in applied] == ["20261122000000/expand"]
    assert applied[0]["seconds"] >= 21
    # 4: `nextval` counts attempts, whatever is rolled back.
    voyage.migration(3, "SELECT nextval('tries'), 1 / (nextval('tries') - 2);\n")
    ship.release("three")
    with voyage.load() as answers:
        failed = ship.deploy("--json", status=1)
    assert "division by zero" in failed.events[-1]["error"]["what"]
    assert seconds_from_failure(failed.events) < PATIENCE
    assert answers == {"two"}
    assert voyage.query("SELECT last_value FROM tries") == [(2,)]
    # 8: Ctrl-C ends the statement as well as the command.
    voyage.migration(3, "SELECT pg_sleep(60);\nALTER TABLE items ADD COLUMN three text;\n")
    ship.release("four")
    deploying = ship.start("deploy", "--skip-push")
    until(voyage.sleeping)
    deploying.send_signal(signal.SIGINT)
    _, told = deploying.communicate(timeout=60)
    assert deploying.returncode == 1
    assert "interrupted by Ctrl-C" in told
    until(lambda: not voyage.sleeping())
    assert voyage.serving() == ["two", "two"]
    stands = ship.status()
    assert not stands["settled"]
    assert stands["release"]["id"] not in {old, ship.git("rev-parse", "HEAD")[:12]}
    # 9: the link that the session goes through breaks; the same command finishes, and applies it once.
    voyage.migration(3, "SELECT pg_sleep(4);\nALTER TABLE items ADD COLUMN three text;\n")
    ship.release("five")
    deploying = ship.start("deploy", "--skip-push")
    until(voyage.sleeping)
    first.cut()
    try:
        _, told = deploying.communicate(timeout=120)
        assert deploying.returncode == 1, told
    finally:
        first.restore()
    assert voyage.serving() == ["two", "two"]
    until(lambda: not voyage.sleeping())
    ship.deploy("--lock-wait", "60")
    assert voyage.serving() == ["five", "five"]
    columns = "SELECT column_name FROM information_schema.columns WHERE table_name = 'items'"
    assert {name for (name,) in voyage.query(columns)} == {"id", "name", "two", "three"}


def test_a_release_container_whose_link_is_cut_is_joined(voyage: Voyage) -> None:
    ship = voyage.ship
    first, _ = voyage.hosts
    voyage.configure(COMMAND)
    voyage.query("CREATE TABLE items (id int PRIMARY KEY, name text)")
    image = {"base": images.psycopg(), "files": {"/app/migrate.py": MIGRATE_IN_TURN}}
    ship.release("one", **image)
    ship.deploy()
    ship.release("two", **image)
    held = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = 9 AND NOT granted"
    with (
        psycopg.connect(voyage.postgres.url(voyage.database), autocommit=True) as holder,
        voyage.load() as answers,
    ):
        holder.execute("SELECT pg_advisory_lock(9)")
        deploying = ship.start("deploy", "--skip-push")
        until(lambda: voyage.query(held))
        first.cut()
        try:
            _, told = deploying.communicate(timeout=120)
        finally:
            first.restore()
        assert deploying.returncode == 1, told
        assert "Traceback" not in told, told
        assert told.count("✗ ") == 1, told
        assert first.address in told
        assert "run this again once the host answers" in told
        # The statement waits in the container, which runs on; the same command joins it there.
        assert voyage.query(held)
        again = ship.start("deploy", "--skip-push", "--json", "--lock-wait", "60")
        assert again.stdout is not None
        events = map(json.loads, again.stdout)
        assert any(e["event"] == "Output" and e["line"] == "two: half of it" for e in events)
        holder.execute("SELECT pg_advisory_unlock(9)")
        _, told = again.communicate(timeout=120)
        assert again.returncode == 0, told
    assert answers == {"one", "two"}
    runs = [("one", "key-0001"), ("two", "key-0001")]
    assert voyage.query("SELECT * FROM runs ORDER BY version") == runs
    columns = "SELECT column_name FROM information_schema.columns WHERE table_name = 'items'"
    assert {name for (name,) in voyage.query(columns)} == {"id", "name", "one", "two"}
    assert voyage.serving() == ["two", "two"]


def test_to_one_host_while_the_other_is_down(voyage: Voyage) -> None:
    ship = voyage.ship
    first, second = voyage.hosts
    ship.release("one")
    ship.deploy()
    voyage.migration(
        2,
        "-- expand\nALTER TABLE items ADD COLUMN title text;\n"
        "-- contract\nALTER TABLE items DROP COLUMN name;\n",
    )
    ship.release("two")
    ship.deploy()
    voyage.migration(3, "ALTER TABLE items ADD COLUMN three text;\n")
    ship.release("three")
    columns = "SELECT column_name FROM information_schema.columns WHERE table_name = 'items'"
    first.cut()
    try:
        needed = ship.deploy("--hosts", second.address, status=1)
        said = " ".join(needed.err.split())
        assert "it was not selected, but is the way to the database" in said
        path = ship.root / "config/deploy.yml"
        path.write_text(path.read_text().replace(", via: primary", ""))
        # What serves is stopped, started and booted anew on the host that answers.
        assert first.address in ship.pilotage("app", "stop", status=1).err
        stopped = ship.pilotage("app", "stop", "--hosts", second.address)
        left_out = f"{first.address} was not selected, and is left out as unknown"
        assert left_out in " ".join((stopped.out + stopped.err).split())
        assert {row["host"] for row in ship.status()["stopped"]} == {second.address}
        assert ship.ask(second)[0] == 503
        ship.pilotage("app", "start", "--hosts", second.address)
        assert ship.serving(second) == "two"
        with ship.load(second) as told:
            ship.pilotage("app", "boot", "--hosts", second.address)
        assert told["failed"] == 0, told
        assert ship.status()["stopped"] == []
        ship.release("three")
        with ship.load(second) as told:
            part = ship.deploy("--hosts", second.address)
        assert told["failed"] == 0, told
        assert set(told["answers"]) == {"two", "three"}
        said = " ".join((part.out + part.err).split())
        assert left_out in said
        assert f"20261122000000/contract stays held: host {first.address} does not answer" in said
        assert {name for (name,) in voyage.query(columns)} == {"id", "name", "title", "three"}
        stands = ship.status()
        assert not stands["settled"]
        assert stands["unreachable"] == [first.address]
        refused = ship.pilotage("app", "boot", "--hosts", second.address, status=1)
        assert "is unfinished" in refused.err
        # It is in nobody's way either who works with the other host alone.
        ship.pilotage("proxy", "restart", "--hosts", second.address)
        ship.pilotage("prune", "--hosts", second.address)
        assert ship.serving(second) == "three"
        # The whole fleet needs every host, as ever.
        assert first.address in ship.deploy(status=1).err
    finally:
        first.restore()
    assert voyage.serving() == ["two", "three"]
    with voyage.load() as answers:
        ship.deploy()
    assert answers == {"two", "three"}
    assert voyage.serving() == ["three", "three"]
    assert ship.status()["settled"]
    # What was held had its proof once every host was seen.
    assert {name for (name,) in voyage.query(columns)} == {"id", "title", "three"}
    # A host whose Docker is down is as unknown as one that is.
    ship.release("four")
    first.stop_dockerd()
    try:
        part = ship.deploy("--hosts", second.address)
    finally:
        first.start_dockerd()
    note = f"{first.address} does not answer and was not selected: what runs there is unknown"
    assert note in " ".join((part.out + part.err).split())
    serves_again(ship, first, "three")
    assert voyage.serving() == ["three", "four"]


def test_what_a_release_leaves_behind(voyage: Voyage) -> None:
    ship = voyage.ship
    ship.release("one")
    ship.deploy()
    before = ship.git("rev-parse", "HEAD")
    voyage.migration(
        2,
        "-- expand\nALTER TABLE items ADD COLUMN title text;\n"
        "-- backfill\nUPDATE items SET title = name WHERE title IS NULL AND name IS NOT NULL;\n"
        "-- contract\nALTER TABLE items DROP COLUMN name;\n",
    )
    ship.release("two")
    ship.deploy()
    # 6: somebody starts the old release by hand, on a host that serves.
    second = voyage.hosts[1]
    image = f"{ship.lab.registry.address}/acme/shop:{before}"
    labels = ("service=shop", "role=web", "destination=")
    name = f"shop-web-{before}"
    second.docker(
        "run", "--detach", "--name", name, *(w for one in labels for w in ("--label", one)), image
    )
    refused = ship.pilotage("contract", status=1)
    assert "may not run yet" in refused.err
    assert before[:12] in refused.err
    assert voyage.query("SELECT name FROM items") == []  # the column is there
    second.docker("rm", "--force", name)
    ship.pilotage("contract")
    # 7: the release before needs what is gone.
    with voyage.load() as answers:
        barred = ship.pilotage("rollback", status=1)
    assert f"release {before[:12]} does not fit the schema" in barred.err
    assert answers == {"two"}


def test_one_host_of_several_fails(voyage: Voyage) -> None:
    ship = voyage.ship
    ship.release("one")
    ship.deploy()
    # 10: on the second host the new release crashes; no host switches.
    voyage.configure(fail="crash")
    ship.release("two")
    with voyage.load() as answers:
        failed = ship.deploy(status=1)
    assert answers == {"one"}
    assert voyage.hosts[1].address in failed.err
    assert "serves as before" in failed.err
    stands = ship.status()
    assert {i["release"] for i in stands["instances"]} == {ship.git("rev-parse", "HEAD~1")[:12]}
    voyage.configure()
    ship.release("three")
    with voyage.load():
        ship.deploy()
    assert voyage.serving() == ["three", "three"]


def test_two_deployers_and_one_database(voyage: Voyage) -> None:
    ship = voyage.ship
    ship.release("one")
    ship.deploy()
    voyage.migration(
        2, "SELECT nextval('tries'), pg_sleep(9);\nALTER TABLE items ADD COLUMN two text;\n"
    )
    ship.release("two")
    with voyage.load() as answers:
        deployers = [ship.start("deploy", "--skip-push", "--lock-wait", "120") for _ in range(2)]
        until(voyage.sleeping)
        refused = ship.deploy(status=1)
        told = [_ended(deployer) for deployer in deployers]
    # 11: one run, one switch; who did not wait is told who has the lock.
    assert answers == {"one", "two"}
    assert voyage.query("SELECT last_value FROM tries") == [(1,)]
    assert [status for status, _ in told] == [0, 0], told
    assert sum("runs already; nothing to do" in out for _, out in told) == 1, told
    assert "lock" in refused.err
    assert voyage.serving() == ["two", "two"]


def _ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    out, err = process.communicate(timeout=180)
    return process.returncode, out + err
