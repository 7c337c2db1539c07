"""The deployer is killed with SIGKILL in the middle of a deploy, a rollback and a contract on Docker hosts, under load.

Every time the same command, run again, ends right, and not one request fails. Usually there is a kill at each turn of
a deploy (it contracts for the release before), and one in a rollback. ``PILOTAGE_KILLS`` says how many of each of the
three verbs instead, spread over its events; ``all``: one after each event, which takes hours.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import pytest
from tests.e2e.docker.conftest import Ship
from tests.e2e.docker.faults import loads, run_at, settled
from tests.lab.postgres import url_from
from tests.servers import Postgres

KILLS = os.environ.get("PILOTAGE_KILLS", "")

TURNS = (
    "HalfStarted:0",  # the contract half of the release before
    "HalfStarted:1",  # the expand half of this one
    "InstanceStarted:0",
    "Switched:0",  # one host, and perhaps the other
    "InstanceStopped:0",
)
"""After which events of a deploy there is a kill; see `tests.e2e.docker.at`."""

COLUMNS = "SELECT column_name FROM information_schema.columns WHERE table_name = 'items'"
MIGRATION = """\
-- expand
ALTER TABLE items ADD COLUMN c{new} text;

-- contract
ALTER TABLE items DROP COLUMN c{old};
"""

Words = tuple[str, ...]


@dataclass
class Shop:
    """Releases 1, 2, …, each of which adds a column, and drops that of the one before."""

    ship: Ship
    postgres: Postgres
    database: str
    releases: list[str] = field(default_factory=list)

    @property
    def number(self) -> int:
        """Of the newest release."""
        return len(self.releases)

    def commit(self) -> None:
        """Make the next release."""
        number = self.number + 1
        name = f"db/migrations/{20261121000000 + number}_c{number}.sql"
        first = "CREATE TABLE items (id int PRIMARY KEY, c1 text);\n"
        text = MIGRATION.format(new=number, old=number - 1) if self.releases else first
        self.ship.write(name, text)
        self.releases.append(self.ship.release(f"v{number}")[:12])

    def deploy(self) -> None:
        """Make the next release, and deploy it."""
        self.commit()
        self.ship.deploy()

    def runs(self, number: int, *columns: int) -> None:
        """A release serves alone, on a schema with these columns."""
        settled(self.ship, f"v{number}")
        found = self.postgres.execute(COLUMNS, database=self.database)
        assert {name for (name,) in found} == {"id", *(f"c{column}" for column in columns)}


@pytest.fixture
def shop(ship: Ship, postgres: Postgres) -> Iterator[Shop]:
    """The service at its second release."""
    with postgres.database() as name:
        ship.secrets["DATABASE_URL"] = url_from(ship.lab, postgres, name)
        ship.configure(
            more="env: {secret: [DATABASE_URL]}\n"
            "databases: {primary: {url: DATABASE_URL, via: primary}}\n"
            "migrations: {path: db/migrations}\n"
        )
        made = Shop(ship, postgres, name)
        made.deploy()
        made.deploy()
        yield made


def spread(shop: Shop, *words: str) -> list[str]:
    """Run a command to its end, to see its events; as many of them as are wanted, from the first to the last."""
    count = len(shop.ship.pilotage(*words, "--json").events)
    wanted = count if KILLS == "all" else min(int(KILLS), count)
    return [f":{count * part // wanted}" for part in range(wanted)]


def killed(
    shop: Shop,
    prepare: Callable[[], None],
    verb: Callable[[], Words],
    check: Callable[[], None],
    turns: Sequence[str],
) -> int:
    """Kill a verb at each of these turns (or as `KILLS` says), and run it again. How many kills those were."""
    if KILLS:
        prepare()
        turns = spread(shop, *verb())
        check()
    kills = 0
    for moment in turns:
        prepare()
        words = verb()
        ran = run_at(shop.ship, moment, "kill -KILL $PPID", *words)
        last = ran.out.splitlines()[-1]
        if ran.status == 0:
            assert KILLS, f"nothing is at {moment}"
            check()  # it had fewer events this time
            continue
        kills += 1
        assert ran.status == -9, f"{last}\n{ran.err}"
        shop.ship.pilotage("lock", "release", "--yes")
        shop.ship.pilotage(*words, "--json")
        try:
            check()
        except AssertionError as error:
            raise AssertionError(f"after a kill at {last}: {error}") from error
    return kills


def test_deploy_rollback_and_contract(shop: Shop) -> None:
    def deployed() -> None:
        shop.runs(shop.number, shop.number - 1, shop.number)

    def rolled_back() -> None:
        shop.runs(shop.number - 1, shop.number - 1, shop.number)
        shop.ship.deploy()

    def contracted() -> None:
        shop.runs(shop.number, shop.number)

    def back() -> Words:
        # By name: one that had ended when it was killed is not to go one further back.
        return "rollback", shop.releases[-2]

    with loads(shop.ship):
        kills = killed(shop, shop.commit, lambda: ("deploy", "--skip-push"), deployed, TURNS)
        kills += killed(shop, shop.deploy, back, rolled_back, ["Switched:0"])
        kills += killed(shop, shop.deploy, lambda: ("contract",), contracted, [])
    print(kills, "kills")
    assert kills >= 6
