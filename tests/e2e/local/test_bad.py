"""What goes wrong ends in one clear error, with the old release serving and nothing lost."""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from tests.e2e.local.conftest import BOTH, App
from tests.servers import free_port, pgbouncer

POSTGRES = pytest.mark.parametrize("app", ["postgresql-15"], indirect=True)


def serving_still(app: App, release: str) -> None:
    """The release serves, its instances are the only ones, and the lock is free."""
    assert app.serving() == release
    status = app.status()
    assert {i["release"] for i in status["instances"]} == {release}
    assert status["lock"] is None


def patience(app: App, seconds: int) -> None:
    """Give a new instance so long to become healthy."""
    path = app.root / "config" / "deploy.yml"
    path.write_text(re.sub(r"deploy_timeout: \d+", f"deploy_timeout: {seconds}", path.read_text()))


@pytest.fixture
def served(app: App) -> str:
    """Release 1 is deployed; its id."""
    app.pilotage("deploy")
    return app.serving()


# ----------------------------------------------------------------------------------------------
# The new release
# ----------------------------------------------------------------------------------------------


@BOTH
def test_never_healthy(app, served):
    patience(app, 8)  # on a busy machine it takes its time until it answers at all
    app.code(on_request='if self.path == "/up": return self.answer(503, "not yet")')
    bad = app.release(2)

    failed = app.pilotage("deploy", status=1).err

    assert "answered 503" in failed
    assert f"release {served} serves as before" in failed
    assert "pilotage logs tiny-web" in failed
    serving_still(app, served)
    assert ("items", "price") in app.schema(), "expand stays, unused"
    assert app.pilotage("history", "--json").json[0]["outcome"] == "aborted"

    again = app.pilotage("deploy", status=1).err
    assert f"release {bad} was aborted before" in again
    assert "--again" in again
    app.code()
    patience(app, 30)
    mended = app.commit()
    app.pilotage("deploy")
    assert app.serving() == mended


@POSTGRES
@pytest.mark.parametrize("role", ["web", "job"])
def test_a_configuration_that_breaks_the_release_that_serves(app, role):
    refuse = "import os\nif os.environ['MARK'] == 'broken': raise SystemExit('no such mark')"
    if role == "web":
        app.code(at_start=refuse)
    else:
        path = app.root / "config" / "deploy.yml"
        app.write("job.py", f"{refuse}\nimport time\ntime.sleep(3600)\n")
        text = re.sub(r" -c \"import time.*", " job.py", path.read_text())
        path.write_text(text.replace("delay: 50ms", "delay: 5s"))
    release = app.commit()
    app.pilotage("deploy")
    before = {i["id"] for i in app.status()["instances"]}
    app.mark = "broken"

    failed = app.pilotage("deploy", status=1).err

    assert "no such mark" in failed
    assert "what ran before is as it was; what was started is stopped again" in failed
    assert app.get() == f"{release} plain"
    status = app.status()
    assert {i["id"] for i in status["instances"]} == before
    assert status["settled"]
    app.mark = "mended"
    app.pilotage("deploy")
    assert app.get() == f"{release} mended"


def test_aborted_release_is_taken_up_again_when_asked(app, served):
    flag = app.root.parent / "fine"
    app.code(at_start=f"import os\nif not os.path.exists({str(flag)!r}): raise SystemExit('no')")
    release = app.commit()
    app.pilotage("deploy", status=1)
    flag.touch()
    assert "was aborted" in app.pilotage("plan", status=1).out
    app.pilotage("deploy", "--again")
    assert app.serving() == release


@BOTH
def test_app_exits_at_start(app, served):
    app.code(at_start='print("cannot read the config", flush=True)\nraise SystemExit(3)')
    app.release(2)
    failed = app.pilotage("deploy", status=1).err
    assert "exited 3" in failed
    assert "cannot read the config" in failed, "its last words are quoted"
    assert f"release {served} serves as before" in failed
    serving_still(app, served)


def test_app_dies_between_its_check_and_the_switch(app, served):
    app.code(
        on_request='if self.path == "/up":\n'
        '            self.answer(200, "ok")\n'
        "            self.wfile.flush()\n"
        "            os._exit(1)"
    )
    app.commit()
    failed = app.pilotage("deploy", status=1).err
    assert f"release {served} serves as before" in failed
    serving_still(app, served)


def test_first_deploy_that_fails_leaves_nothing_running(app):
    app.code(at_start="raise SystemExit(3)")
    app.commit()
    failed = app.pilotage("deploy", status=1).err
    assert "nothing serves" in failed
    assert app.status()["instances"] == []
    app.code()
    release = app.commit()
    app.pilotage("deploy")
    assert app.serving() == release


# ----------------------------------------------------------------------------------------------
# Migrations
# ----------------------------------------------------------------------------------------------


@BOTH
def test_failing_migration(app, served):
    app.execute("INSERT INTO items (id, name) VALUES (1, 'same'), (2, 'same')")
    app.write(
        "db/migrations/20260202000000_unique.sql",
        "-- expand\n"
        "-- pilotage: allow=stricter-constraint because the old code writes every name once\n"
        "CREATE UNIQUE INDEX items_name ON items (name);\n",
    )
    app.commit()
    failed = app.pilotage("deploy", status=1).err
    assert "20260202000000" in failed
    assert "db/migrations/20260202000000_unique.sql" in failed
    assert f"release {served} serves" in failed
    serving_still(app, served)

    app.execute("DELETE FROM items WHERE id = 2")
    app.pilotage("deploy")


@BOTH
@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        (
            "20260202000000_broken.sql",
            "ALTER TABEL items ADD x int;",
            "20260202000000_broken.sql:1",
        ),
        ("20260101000000_twin.sql", "CREATE TABLE b (id int);", "version 20260101000000 is taken"),
        (
            "20260202000000_drop.sql",
            "-- expand\nALTER TABLE items DROP COLUMN name;",
            "-- contract",
        ),
        ("20260101000000_create_items.sql", "CREATE TABLE items (id int);", "was edited since"),
    ],
    ids=["syntax", "duplicate", "contract-in-expand", "edited"],
)
def test_wrong_migration_file(app, served, name, text, words):
    app.write(f"db/migrations/{name}", text)
    app.commit()
    for command in ("plan", "deploy"):
        refused = app.pilotage(command, status=2).err
        assert words in refused
        assert f"db/migrations/{name}" in refused
    assert app.pilotage("history", "--json").json[0]["outcome"] == "done", "no deploy began"
    serving_still(app, served)


def test_out_of_order_file(app, served):
    for number in (2, 3):
        app.release(number)
        app.pilotage("deploy")
    app.pilotage("contract")
    serving = app.serving()
    app.write("db/migrations/20260215000000_late.sql", "ALTER TABLE items ADD COLUMN late text;")
    app.commit()
    refused = app.pilotage("deploy", status=2).err
    assert "20260215000000/expand" in refused
    assert "20260303000000/contract" in refused
    serving_still(app, serving)


@POSTGRES
def test_half_that_does_not_get_its_lock(app, served):
    text = (app.root / "config/deploy.yml").read_text()
    limits = "{contract: next, lock_timeout: 50ms, timeout: 1s}"
    app.write("config/deploy.yml", text.replace("{contract: next}", limits))
    app.release(2)
    with psycopg.connect(app.url) as other:
        other.execute("LOCK TABLE items IN ACCESS SHARE MODE")
        failed = app.pilotage("deploy", status=1).err
        assert "20260202000000" in failed
        serving_still(app, served)
        other.rollback()
    app.write("config/deploy.yml", text)
    app.pilotage("deploy", "--version", "HEAD")


# ----------------------------------------------------------------------------------------------
# The database
# ----------------------------------------------------------------------------------------------


@POSTGRES
def test_wrong_password(app, served):
    url, app.url = app.url, app.url.replace("sup3r-s3cret", "wr0ng-passw0rd")
    app.release(2)
    failed = app.pilotage("deploy", status=1)
    assert "password" in failed.err
    assert "wr0ng" not in failed.err + failed.out
    app.url = url
    serving_still(app, served)


@POSTGRES
def test_no_database_server(app, served):
    url, app.url = app.url, f"postgresql://nobody:n0-s3cret@127.0.0.1:{free_port()}/none"
    app.release(2)
    failed = app.pilotage("deploy", status=1)
    assert "127.0.0.1" in failed.err
    assert "n0-s3cret" not in failed.err + failed.out
    shown = app.pilotage("status", status=1)
    assert "the database cannot be asked" in shown.out
    assert served in shown.out, "what runs is shown all the same"
    assert app.pilotage("status", "--json", status=1).json["error"]["error"] == "StoreError"
    assert app.serving() == served
    app.url = url
    serving_still(app, served)


@POSTGRES
def test_remove_when_the_database_is_gone(app, served):
    app.url = f"postgresql://nobody:n0-s3cret@127.0.0.1:{free_port()}/none"
    assert "--without-database" in app.pilotage("remove", "-y", status=1).err
    assert app.serving() == served
    app.pilotage("remove", "-y", "--without-database")
    assert app.processes() == []


@POSTGRES
def test_pooler_in_transaction_mode(app, served):
    with pgbouncer(app.postgres, "transaction") as port:
        url = app.url
        app.url = url.replace(f":{app.postgres.port}/", f":{port}/")
        app.release(2)
        refused = app.pilotage("deploy", status=1).err
        assert "pooler" in refused
        app.url = url
    serving_still(app, served)


# ----------------------------------------------------------------------------------------------
# The machine and the edge
# ----------------------------------------------------------------------------------------------


def test_port_of_the_edge_is_taken(app):
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", app.port))
        taken.listen()
        failed = app.pilotage("deploy", status=1).err
        assert str(app.port) in failed
        assert not [
            i for i in app.status()["instances"] if i["role"] == "web" and i["traffic"] == "active"
        ]
    app.pilotage("deploy")
    assert app.serving()


def test_envoy_is_gone(app, served):
    killed = [pid for pid in app.processes() if "envoy" in Path(f"/proc/{pid}/cmdline").read_text()]
    assert killed
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    release = app.release(2)
    app.pilotage("deploy")
    assert app.serving() == release


# ----------------------------------------------------------------------------------------------
# The command line
# ----------------------------------------------------------------------------------------------


def test_dirty_worktree(app, served):
    app.write("app.py", "raise SystemExit('not finished')\n")
    refused = app.pilotage("deploy", status=2).err
    assert "app.py" in refused
    assert "not committed" in refused
    assert "not committed" in app.pilotage("plan").out
    app.pilotage("deploy", "--version", "HEAD")
    serving_still(app, served)


def test_unknown_revision(app, served):
    for command in (("deploy", "--version"), ("plan", "--version"), ("rollback",)):
        refused = app.pilotage(*command, "no-such-branch", status=2).err
        assert "no-such-branch" in refused
    serving_still(app, served)


def test_missing_secret(app, served):
    text = (app.root / "config/deploy.yml").read_text()
    app.write("config/deploy.yml", text.replace("[MARK]", "[MARK, API_KEY]"))
    app.commit()
    refused = app.pilotage("deploy", status=2).err
    assert "API_KEY" in refused
    assert ".pilotage/secrets" in refused
    serving_still(app, served)


def test_what_is_not_built_yet_says_so(app):
    text = (app.root / "config/deploy.yml").read_text()
    for old, new, words in (
        ("target: local", "target: kubernetes\nimage: tiny", "not built yet"),
        ("health: {delay: 50ms}", "proxy: true", "one edge"),
    ):
        app.write("config/deploy.yml", text.replace(old, new))
        refused = app.pilotage("plan", status=2).err
        assert words in refused
        assert "config/deploy.yml" in refused


def test_two_deployers(app, served):
    go = app.held_back()
    release = app.release(2)
    first = app.start("deploy", "--json", "--reason", "a careful change")
    app.until(first, event="StepStarted", kind="Check")

    refused = app.pilotage("deploy", status=1).err
    assert "a careful change" in refused
    assert f":{first.pid} holds the deploy lock" in refused
    assert "wait until 1 × web healthy" in refused
    assert app.status()["lock"]["reason"] == "a careful change"
    waiting = app.start("deploy", "--lock-wait", "60")

    go.touch()
    app.ended(first)
    assert "nothing to do" in app.ended(waiting).out
    serving_still(app, release)


def test_a_person_holds_the_lock(app, served):
    app.pilotage("lock", "acquire", "-m", "no deploys before the talk")
    release = app.release(2)
    refused = app.pilotage("deploy", status=1).err
    assert "no deploys before the talk" in refused
    assert "does not expire" in refused
    assert "no deploys before the talk" in app.pilotage("status").out
    assert app.pilotage("lock", "--json", status=2)
    assert app.pilotage("lock", "status", "--json").json["lock"]["hold"] is True

    waiting = app.start("deploy", "--lock-wait", "60", "--json")
    app.until(waiting, event="LeaseWaiting")
    app.pilotage("lock", "release")
    app.ended(waiting)
    serving_still(app, release)


def test_requests_are_answered_through_a_deploy_that_fails(app, served):
    app.code(at_start="raise SystemExit(3)")
    app.commit()
    answers, over = [], threading.Event()

    def ask() -> None:
        while not over.is_set():
            answers.append(app.serving())

    asker = threading.Thread(target=ask)
    asker.start()
    try:
        app.pilotage("deploy", status=1)
    finally:
        over.set()
        asker.join()
    assert set(answers) == {served}
