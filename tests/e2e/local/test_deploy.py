"""Deploy, look, go back, contract: the life of a service, on SQLite and on PostgreSQL."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from tests.e2e.local.conftest import BOTH, App
from tests.servers import free_port


@BOTH
def test_first_deploy_makes_the_database_and_serves(app):
    release = app.git("rev-parse", "HEAD")[:12]
    assert app.pilotage("plan", "--json").json["to"] == release

    said = app.pilotage("deploy").out

    assert app.serving() == release
    assert app.schema() == {("items", "id"), ("items", "name")}
    assert f"{release} is what runs now" in said
    status = app.status()
    assert status["release"]["id"] == release
    assert status["settled"]
    assert {(i["role"], i["traffic"], i["fits"]) for i in status["instances"]} == {
        ("web", "active", True),
        ("job", None, True),
    }
    assert status["schema"]["version"] == "20260101000000"
    assert status["lock"] is None


@BOTH
def test_second_deploy_replaces_every_instance_and_a_third_has_nothing_to_do(app):
    app.pilotage("deploy")
    before = {i["id"] for i in app.status()["instances"]}
    release = app.release(2)

    app.pilotage("deploy")

    assert app.serving() == release
    after = app.status()["instances"]
    assert {i["release"] for i in after} == {release}
    assert not before & {i["id"] for i in after}
    assert "nothing to do" in app.pilotage("deploy").out
    assert {i["id"] for i in app.status()["instances"]} == {i["id"] for i in after}


@BOTH
def test_every_route_ends_in_the_same_schema(app, tmp_path):
    for number in (1, 2, 3, 4):
        app.release(number)
        app.pilotage("deploy")
    app.pilotage("contract")
    step_by_step = app.schema()

    assert step_by_step == {
        ("items", "id"),
        ("items", "title"),
        ("notes", "id"),
        ("notes", "text"),
    }
    app.pilotage("remove", "-y")
    app.url = f"sqlite:///{tmp_path}/other.db" if app.postgres is None else f"{app.url}_other"
    try:
        app.pilotage("deploy")
        assert app.schema() == step_by_step, "a fresh v4"
        app.pilotage("remove", "-y")
        app.url = f"{app.url}x"
        app.pilotage("deploy", "--version", "HEAD~3")
        app.pilotage("deploy")
        app.pilotage("contract")
        assert app.schema() == step_by_step, "v1, then v4"
        app.pilotage("remove", "-y")
    finally:
        if app.postgres is not None:
            for name in (app.url, app.url.removesuffix("x")):
                database = name.rpartition("/")[2]
                app.postgres.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")


@BOTH
def test_a_held_contract_runs_at_the_next_deploy_and_bars_the_way_back(app):
    ids = [app.git("rev-parse", "HEAD")[:12]]
    app.pilotage("deploy")
    app.execute("INSERT INTO items (id, name) VALUES (1, 'a'), (2, 'b')")
    for number in (2, 3):
        ids.append(app.release(number))
        said = app.pilotage("deploy").out
    assert "held: 20260303000000/contract" in said
    assert ("items", "name") in app.schema()
    assert app.execute("SELECT title FROM items ORDER BY id") == [("a",), ("b",)]
    assert app.status()["schema"]["held"] == ["20260303000000/contract"]

    app.execute("INSERT INTO items (id, name) VALUES (3, 'c')")  # by old code that drained late
    ids.append(app.release(4))
    plan = app.pilotage("plan").out
    assert "then contract 20260303000000" in plan
    app.pilotage("deploy")

    assert ("items", "name") not in app.schema()
    assert app.execute("SELECT title FROM items ORDER BY id") == [("a",), ("b",), ("c",)]
    refused = app.pilotage("rollback", ids[1], status=1)
    assert "20260303000000/contract" in refused.err
    assert app.serving() == ids[3]
    app.pilotage("rollback")
    assert app.serving() == ids[2], "it was written for a schema without the column"


@BOTH
def test_rollback_goes_to_the_release_before(app):
    first = app.git("rev-parse", "HEAD")[:12]
    app.pilotage("deploy")
    second = app.release(2)
    app.pilotage("deploy")

    app.pilotage("rollback")
    assert app.serving() == first
    assert app.status()["state"] == f"release {first} serves"
    assert "no release before" in app.pilotage("rollback", status=2).err

    app.pilotage("rollback", second)
    assert app.serving() == second
    verbs = [(e["verb"], e["to"], e["outcome"]) for e in app.pilotage("history", "--json").json]
    assert verbs == [
        ("rollback", second, "done"),
        ("rollback", first, "done"),
        ("deploy", second, "done"),
        ("deploy", first, "done"),
    ]


@BOTH
def test_an_open_console_of_an_older_release_refuses_a_contract(app):
    app.pilotage("deploy")
    app.release(2)
    app.pilotage("deploy")
    old = app.git("rev-parse", "HEAD")[:12]
    console = app.start(
        "exec", "--", "sh", "-c", "echo ready; read line; echo $line", stdin=-1, stderr=None
    )
    assert console.stdout.readline() == "ready\n"
    app.release(3)
    app.pilotage("deploy")

    refused = app.pilotage("contract", status=1).err
    assert f"of release {old}" in refused
    assert "console" in refused
    assert ("items", "name") in app.schema()

    out, _ = console.communicate("bye\n", timeout=30)
    assert out == "bye\n"
    assert console.returncode == 0
    app.pilotage("contract")
    assert ("items", "name") not in app.schema()


@BOTH
def test_exec_runs_in_the_release_and_passes_bytes_and_status_through(app):
    release = app.git("rev-parse", "HEAD")[:12]
    app.pilotage("deploy")
    ran = app.pilotage("exec", "--", "sh", "-c", "printf '%s' $PILOTAGE_RELEASE; exit 7", status=7)
    assert (ran.out, ran.err) == (release, "")

    data = bytes(range(256)) * 5000
    process = app.start("exec", "--", "cat", stdin=-1, text=False)
    out, err = process.communicate(data, timeout=60)
    assert (process.returncode, err) == (0, b"")
    assert out == data
    assert not [i for i in app.status()["instances"] if i["kind"] == "console"]


def test_exec_of_a_release_that_does_not_fit_is_refused(app):
    old = app.git("rev-parse", "HEAD")[:12]
    app.pilotage("deploy")
    app.release(3)
    app.pilotage("deploy")
    app.pilotage("contract")
    refused = app.pilotage("exec", "--version", old, "--", "true", status=1).err
    assert "does not fit" in refused
    assert app.pilotage("exec", "--role", "jbo", "--", "true", status=2).err.count("job") == 1


def test_a_dead_instance_is_shown_and_healed_by_deploying_the_same_release(app):
    app.configure(instances=2)
    release = app.commit()
    app.pilotage("deploy")
    victim = app.pids("web")[0]
    os.kill(victim, signal.SIGKILL)
    while [i["life"] for i in app.status()["instances"]].count("dead") != 1:
        pass
    assert "dead" in app.pilotage("status").out

    app.pilotage("deploy")

    lives = [(i["role"], i["life"], i["release"]) for i in app.status()["instances"]]
    assert sorted(lives) == [
        ("job", "running", release),
        ("web", "running", release),
        ("web", "running", release),
    ]
    assert app.serving() == release


def test_a_changed_secret_makes_new_instances_of_the_same_release(app):
    release = app.git("rev-parse", "HEAD")[:12]
    app.pilotage("deploy")
    before = {i["id"] for i in app.status()["instances"]}
    assert app.get() == f"{release} plain"

    app.mark = "rotated-secret-value"
    app.pilotage("deploy")

    assert app.get() == f"{release} rotated-secret-value"
    assert not before & {i["id"] for i in app.status()["instances"]}


def test_contract_manual_waits_for_a_person(app):
    app.configure(contract="manual")
    app.pilotage("deploy", "--version", app.commit())
    for number in (2, 3):
        app.release(number)
        app.pilotage("deploy")
    app.commit()
    app.pilotage("deploy")
    assert app.status()["schema"]["held"] == ["20260303000000/contract"]
    app.pilotage("contract", "20260303000000")
    assert ("items", "name") not in app.schema()


def test_a_service_without_a_database(app):
    text = app.root.joinpath("config/deploy.yml").read_text()
    app.write("config/deploy.yml", text[: text.index("migrations:")])
    first = app.commit()
    app.pilotage("deploy")
    assert app.serving() == first
    second = app.commit()
    app.pilotage("deploy")
    assert app.serving() == second
    app.pilotage("rollback")
    assert app.serving() == first
    assert app.status()["schema"]["dialect"] is None
    assert "nothing is held" in app.pilotage("contract").out


def test_plan_writes_nothing(app):
    app.pilotage("status")
    before = sorted(path for path in app.root.rglob("*") if ".git/" not in f"{path}")
    app.pilotage("plan")
    app.pilotage("plan", "--json")
    assert sorted(path for path in app.root.rglob("*") if ".git/" not in f"{path}") == before
    assert not Path(app.url.removeprefix("sqlite:///")).exists()


@BOTH
def test_json_of_a_deploy_is_events_and_one_result(app):
    release = app.git("rev-parse", "HEAD")[:12]
    ran = app.pilotage("deploy", "--json")
    assert ran.result["event"] == "Result"
    assert ran.result["outcome"] == "done"
    assert ran.result["to"] == release
    assert ran.result["error"] is None
    planned = next(e for e in ran.events if e["event"] == "Planned")
    finished = [e["index"] for e in ran.events if e["event"] == "StepFinished"]
    assert finished == list(range(len(planned["plan"]["steps"])))
    assert ran.result["fingerprint"] == planned["plan"]["fingerprint"]
    refused = app.pilotage("rollback", "--json", status=2).result
    assert refused["outcome"] == "failed"
    assert refused["error"]["error"] == "UsageError"


def test_the_plan_that_was_read_is_the_plan_that_runs(app):
    app.pilotage("deploy")
    release = app.release(2)
    fingerprint = app.pilotage("plan", "--json").json["fingerprint"]
    assert fingerprint in app.pilotage("plan").out
    refused = app.pilotage("deploy", "--expect", "0" * 12, status=1).err
    assert fingerprint in refused
    assert app.serving() != release
    app.pilotage("deploy", "--expect", fingerprint)
    assert app.serving() == release


def test_remove_leaves_the_database_and_the_secrets(app):
    app.pilotage("deploy")
    app.pilotage("remove", "-y")
    with pytest.raises(OSError):
        app.get()
    assert app.schema() == {("items", "id"), ("items", "name")}
    left = [path.name for path in (app.root / ".pilotage").rglob("*")]
    assert left == ["secrets"]
    assert app.status()["instances"] == []
    app.pilotage("deploy")
    assert app.serving()
    assert app.pilotage("history", "--json").json[-1]["verb"] == "deploy", "history is kept"


def test_logs_show_instances_by_role_and_by_id_and_follow_them(app):
    app.pilotage("deploy")
    assert "listening" in app.pilotage("logs", "web").out
    job = next(i["id"] for i in app.status()["instances"] if i["role"] == "job")
    assert app.pilotage("logs", job).out == "working\n"
    assert app.pilotage("logs", "--grep", "listen").out.count("\n") == 1
    assert app.pilotage("logs", "wbe", status=2)

    following = app.start("logs", "-f", job)
    assert following.stdout.readline() == "working\n"
    app.release(2)
    app.pilotage("deploy")
    assert following.wait(30) == 0, "it ends with its instance"
    assert app.pilotage("logs", job).out == "working\n", "and stays to be read"


def test_config_masks_secrets(app):
    app.mark = "hunter2-hunter2"
    shown = json.loads(app.pilotage("config", "--json").out)
    assert shown["roles"]["web"]["env"]["MARK"] == "[secret]"
    text = app.pilotage("config").out
    assert "hunter2" not in text
    assert app.url not in text


def test_init_writes_what_can_be_deployed(tmp_path):
    root = tmp_path / "shop"
    root.mkdir()
    app = App(root, f"sqlite:///{tmp_path}/shop.db", free_port())
    try:
        app.git("init", "-q", "-b", "main")
        app.pilotage("init")
        config = root / "config" / "deploy.yml"
        config.write_text(config.read_text().replace("port: 8080", f"port: {app.port}"))
        app.write("hello.txt", "hello")
        app.commit()
        app.pilotage("plan")
        app.pilotage("deploy")
        assert app.get("/hello.txt") == "hello"
    finally:
        app.close()


def test_destinations_live_side_by_side(app, tmp_path):
    port = free_port()
    app.write("config/deploy.staging.yml", f"proxy: {{port: {port}}}\n")
    release = app.commit()
    app.pilotage("deploy")
    app.write(
        ".pilotage/secrets.staging",
        f"DATABASE_URL=sqlite:///{tmp_path}/staging.db\nMARK=other-mark\n",
    )
    app.pilotage("-d", "staging", "deploy")
    production, app.port = app.port, port
    assert app.get() == f"{release} other-mark"
    assert app.pilotage("status", "-d", "staging", "--json").json["destination"] == "staging"
    app.pilotage("remove", "-y", "-d", "staging")
    app.port = production
    assert app.get() == f"{release} plain"


def test_old_checkouts_are_removed(app):
    text = (app.root / "config/deploy.yml").read_text()
    app.write("config/deploy.yml", f"{text}retain_containers: 2\n")
    releases = []
    for _ in range(4):
        releases.append(app.commit())
        app.pilotage("deploy")
    left = {path.name for path in (app.root / ".pilotage" / "releases").iterdir() if path.is_dir()}
    assert left == set(releases[-2:])
    app.pilotage("rollback", releases[0])
    assert app.serving() == releases[0], "a checkout that is gone is made again"


def test_end_of_following_is_no_failure(app):
    app.pilotage("deploy")
    following = app.start("logs", "-f")
    assert "│" in following.stdout.readline()
    following.send_signal(signal.SIGINT)
    _, err = following.communicate(timeout=30)
    assert (following.returncode, err) == (0, "")
    following = app.start("logs", "-f", "-n", "0")
    following.stdout.close()
    app.commit()
    app.pilotage("deploy")
    following.stdout = None
    _, err = following.communicate(timeout=60)
    assert "itself failed" not in err
