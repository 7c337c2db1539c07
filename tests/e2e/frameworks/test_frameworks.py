"""Rails, Alembic and Django by their own commands, with the rule intact: the real ones, on PostgreSQL."""

from __future__ import annotations

import signal
import sys
import time

import pytest
from tests.e2e.frameworks.kits import Kit
from tests.e2e.frameworks.load import load
from tests.e2e.local.conftest import App

pytestmark = pytest.mark.e2e


def test_a_release_that_drops_a_column_is_deployed_without_a_failed_request(kit: Kit) -> None:
    one = kit.release(1)
    kit.app.pilotage("deploy")
    assert kit.columns() == {"name", "price"}

    with load(kit.app.port) as seen:
        two = kit.release(2)
        held = f"{kit.versions[2][1][0]}/contract"
        assert held in kit.app.pilotage("deploy").out
        assert kit.columns() == {"name", "price", "note"}
        kit.app.pilotage("rollback")  # still possible
        kit.app.pilotage("deploy", "--again")
        three = kit.release(3)
        kit.app.pilotage("deploy")
    assert not seen.failures, seen.failures[:5]
    assert set(seen.answers) == {one, two, three}
    assert kit.columns() == {"name", "note", "tag"}
    assert len(kit.ran()) == len(set(kit.ran())) == 4

    refused = kit.app.pilotage("rollback", one, status=1)
    assert held in refused.err
    assert kit.app.serving() == three
    kit.app.pilotage("rollback", two)
    assert kit.app.serving() == two


def test_a_migration_that_fails_leaves_the_old_release_serving_and_is_run_again(kit: Kit) -> None:
    one = kit.release(1)
    kit.app.pilotage("deploy")
    version = kit.versions[2][0][0]
    flag = kit.gate / f"fail-{version}"
    flag.touch()
    two = kit.release(2)

    for attempt in (1, 2):  # the second time it is run again, not only remembered
        failed = kit.app.pilotage("deploy", status=1)
        assert f"{version} was told to fail" in failed.err  # its own last words
        assert f"not applied: {version}/expand" in failed.err
        assert f"{one} serves" in " ".join(failed.err.split())
        assert kit.ran().count(version) == attempt
        assert kit.app.serving() == one
    flag.unlink()
    kit.app.pilotage("deploy")

    assert kit.app.serving() == two
    assert kit.ran().count(version) == 3
    assert kit.columns() == {"name", "price", "note"}


def test_a_deployer_that_is_killed_in_the_command_is_followed_by_one_that_joins_it(
    kit: Kit,
) -> None:
    kit.release(1)
    kit.app.pilotage("deploy")
    version = kit.versions[2][0][0]
    flag = kit.gate / f"wait-{version}"
    flag.touch()
    two = kit.release(2)
    killed = kit.app.start("deploy", "--json")
    until(lambda: kit.ran().count(version) == 1)
    kit.app.kill(killed)

    second = kit.app.start("deploy", "--json")
    waiting = kit.app.until(second, event="Note")
    assert "running still" in waiting["text"]
    flag.unlink()
    kit.app.ended(second)

    assert kit.app.serving() == two
    assert kit.ran().count(version) == 1
    assert kit.columns() == {"name", "price", "note"}
    assert not [
        i for i in kit.app.status()["instances"] if i["kind"] == "once" and i["life"] != "dead"
    ]


def until(true: object, *, limit: float = 60.0) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + limit
    while not true():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.05)


def test_two_deployers_at_once_run_each_migration_once(rails: Kit) -> None:
    rails.instances = 2
    rails.configure()
    release = rails.release(1)
    both = [rails.app.start("deploy", "--lock-wait", "120") for _ in range(2)]
    for one in both:
        rails.app.ended(one)
    assert rails.ran() == list(rails.versions[1][0])
    assert rails.app.serving() == release


def test_a_command_that_goes_too_far_is_told_on(rails: Kit) -> None:
    """`db:migrate` runs whatever is pending, contract halves too; the status says what it did."""
    one = rails.release(1)
    rails.app.pilotage("deploy")
    rails.configure(', commands: {expand: "bin/rails db:migrate"}')
    rails.release(2)
    expand, contract = rails.versions[2][0][0], rails.versions[2][1][0]

    failed = rails.app.pilotage("deploy", status=1)

    assert "went too far" in failed.err
    assert f"also applied {contract}/contract" in " ".join(failed.err.split())
    assert f"applied now: {expand}/expand" in failed.err
    (web, *_) = [i for i in rails.app.status()["instances"] if i["role"] == "web"]
    assert web["release"] == one
    assert web["fits"] is False
    assert f"{contract}/contract" in web["why"]
    rails.app.pilotage("deploy")  # forward is the only way left, and it is open
    assert rails.columns() == {"name", "note"}


def test_what_somebody_runs_by_hand_counts(rails: Kit) -> None:
    rails.release(1)
    rails.app.pilotage("deploy")
    rails.release(2)
    version = rails.versions[2][0][0]
    rails.app.execute(
        "ALTER TABLE items ADD COLUMN note text",
        f"INSERT INTO schema_migrations (version) VALUES ('{version}')",
    )
    plan = rails.app.pilotage("plan", "--json").json
    assert not [step for step in plan["steps"] if step["kind"] == "RunFramework"]
    rails.app.pilotage("deploy")
    assert rails.ran() == list(rails.versions[1][0])


def test_a_contract_half_in_between_means_a_stop_over(make) -> None:
    kit = make("alembic")
    one = kit.release(1)
    kit.app.pilotage("deploy")
    two = kit.release(2)
    three = kit.release(3)

    refused = kit.app.pilotage("plan", status=1).out
    words = " ".join(refused.split())
    assert "d3/expand comes after c2/contract in the order of alembic" in words
    assert "first deploy a release whose migrations end with c2" in words
    kit.app.pilotage("deploy", status=1)
    assert kit.app.serving() == one
    assert kit.columns() == {"name", "price"}

    kit.app.pilotage("deploy", "--version", two)
    kit.app.pilotage("deploy", "--version", three)
    assert kit.columns() == {"name", "note", "tag"}


def test_an_application_that_was_there_before_is_taken_over(make) -> None:
    """What the framework had applied is in nobody's way, and is not applied again."""
    kit = make("alembic")
    kit.release(1)
    kit.release(2)
    kit.app.postgres.execute(f'CREATE DATABASE "{kit.app.url.rpartition("/")[2]}"')
    kit.app.execute(
        "CREATE TABLE items (id serial PRIMARY KEY, name text, note text)",
        "CREATE TABLE alembic_version (version_num text)",
        "INSERT INTO alembic_version VALUES ('c2')",
    )
    plan = kit.app.pilotage("plan", "--json").json
    assert not [step for step in plan["steps"] if step["kind"] in ("RunFramework", "Contract")]
    kit.app.pilotage("deploy")
    assert kit.ran() == []
    status = kit.app.pilotage("migrate", "status", "--json").json
    assert status["counts"] == {"applied": 3}
    kit.release(3)
    kit.app.pilotage("deploy")
    assert kit.ran() == ["d3"]


def test_without_a_status_nothing_is_guaranteed_and_a_rollback_is_forced(make) -> None:
    kit = make("alembic")
    kit.engine = "command"
    kit.configure(', commands: {expand: "alembic upgrade head"}')
    one = kit.release(1)
    kit.app.pilotage("deploy")
    two = kit.release(2)
    plan = kit.app.pilotage("plan").out
    assert "nothing is guaranteed" in " ".join(plan.split())
    kit.app.pilotage("deploy")
    assert kit.app.serving() == two
    assert kit.columns() == {"name", "note"}  # it ran all, as it was told to
    assert {i["fits"] for i in kit.app.status()["instances"] if i["life"] != "dead"} == {None}

    refused = kit.app.pilotage("rollback", status=1)
    assert "nobody can say whether" in refused.err
    assert kit.app.serving() == two
    assert "nothing to do" in kit.app.pilotage("deploy").out
    kit.app.pilotage("rollback", "--force")
    assert kit.app.get("/up").split()[0] == one


def test_ctrl_c_ends_the_command_and_the_next_deploy_runs_it_again(make) -> None:
    kit = make("alembic")
    one = kit.release(1)
    kit.app.pilotage("deploy")
    kit.release(2)
    flag = kit.gate / "wait-b2"
    flag.touch()
    interrupted = kit.app.start("deploy")
    until(lambda: kit.ran().count("b2") == 1)
    interrupted.send_signal(signal.SIGINT)
    out, err = interrupted.communicate(timeout=60)
    assert interrupted.returncode == 1, out + err
    assert "interrupted by Ctrl-C" in err
    assert kit.app.serving() == one
    assert not [i for i in kit.app.status()["instances"] if i["kind"] == "once"]
    flag.unlink()
    kit.app.pilotage("deploy")
    assert kit.ran().count("b2") == 2
    assert kit.columns() == {"name", "price", "note"}


TOOL = """\
import json, os, pathlib, sqlite3, sys

database = sqlite3.connect(os.environ["DATABASE_URL"].removeprefix("sqlite:///"))
database.execute("CREATE TABLE IF NOT EXISTS done (version text)")
done = [version for (version,) in database.execute("SELECT version FROM done ORDER BY version")]
if sys.argv[1] == "status":
    print(json.dumps({"version": done[-1] if done else None}))
    sys.exit()
for path in sorted(pathlib.Path("changes").glob("*.sql")):
    version = path.name.partition("_")[0]
    if version not in done and version <= sys.argv[2]:
        print("applying", path.name, flush=True)
        database.executescript(path.read_text())
        database.execute("INSERT INTO done VALUES (?)", [version])
        database.commit()
"""

CHANGES = {
    1: {"1_create_items.sql": "CREATE TABLE items (id integer PRIMARY KEY, name text, price int);"},
    2: {
        "2_add_note.sql": "ALTER TABLE items ADD COLUMN note text;",
        "3_contract_price.sql": "ALTER TABLE items DROP COLUMN price;",
    },
    3: {"4_add_tag.sql": "ALTER TABLE items ADD COLUMN tag text;"},
}


@pytest.mark.parametrize("database", ["known", "unknown"])
def test_a_tool_of_ones_own_on_sqlite(app: App, database: str) -> None:
    """Linear, with a status command. And with a database that pilotage is not told of: run, and believed."""
    app.write("tool.py", TOOL)
    tool = f"{sys.executable} tool.py"
    text = (app.root / "config/deploy.yml").read_text()
    head = text[: text.index("migrations:")].replace("[MARK]", "[MARK, DATABASE_URL]")
    if database == "known":
        more = (
            "databases: {primary: {url: DATABASE_URL}}\n"
            "migrations:\n  engine: command\n  files: changes/*.sql\n"
            f"  contract_files: '*_contract*'\n  status: {{command: {tool} status}}\n"
            f"  commands: {{expand: {tool} up $PILOTAGE_VERSION}}\n"
        )
    else:
        more = f"migrations: {{engine: command, commands: {{expand: {tool} up 9}}}}\n"
    app.write("config/deploy.yml", head + more)
    columns = {1: {"id", "name", "price"}}
    columns |= {2: columns[1] | {"note"}, 3: {"id", "name", "note", "tag"}}
    if database == "unknown":
        columns[2] = {"id", "name", "note"}
    releases = []
    for number in (1, 2, 3):
        for name, sql in CHANGES[number].items():
            app.write(f"changes/{name}", sql)
        releases.append(app.commit(f"v{number}"))
        said = app.pilotage("deploy").out
        assert "applying" in said
        assert {c for t, c in app.schema() if t == "items"} == columns[number]
        assert app.serving() == releases[-1]
        assert "nothing to do" in app.pilotage("deploy").out
    refused = app.pilotage("rollback", releases[0], status=1).err
    assert ("3/contract" if database == "known" else "nobody can say") in refused
