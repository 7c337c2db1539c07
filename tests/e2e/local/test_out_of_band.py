"""Out-of-band halves: run apart from a deploy, detached, followed, killed, and waited for."""

from __future__ import annotations

import json
import os
import pty
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from tests.e2e.local.conftest import App

from pilotage.migrate.sql import split
from pilotage.performer import performer

VERSION = "20260505000000"
HALF = f"{VERSION}/expand"
FILE = f"db/migrations/{VERSION}_index_name.sql"
TEXT = """\
-- pilotage: out-of-band online

-- expand
CREATE INDEX items_name ON items (name);
ALTER TABLE items ADD UNIQUE (name);
"""
FIRST = f"tiny-run-{VERSION}-expand-1"
SECOND = f"tiny-run-{VERSION}-expand-2"

postgresql = pytest.mark.parametrize("app", ["postgresql-15"], indirect=True)


@contextmanager
def old_snapshot(app: App) -> Iterator[psycopg.Connection]:
    """Somebody's long transaction: a concurrent build waits for its end, and nobody waits for the build."""
    with psycopg.connect(app.url) as session:
        session.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        session.execute("SELECT count(*) FROM items")
        yield session


@contextmanager
def load(app: App) -> Iterator[list[str]]:
    """Requests without a pause; yields what went wrong with any of them, and with writes to the table."""
    wrong: list[str] = []
    over = threading.Event()

    def ask() -> None:
        with psycopg.connect(app.url, autocommit=True) as session:
            session.execute("SET statement_timeout = '10s'")
            number = 0
            while not over.wait(0.05):
                number += 1
                try:
                    app.get()
                    session.execute("INSERT INTO items VALUES (%s, %s)", [number, f"n{number}"])
                    session.execute("UPDATE items SET name = name WHERE id = %s", [number])
                except Exception as error:
                    wrong.append(repr(error))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield wrong
    finally:
        over.set()
        thread.join()


def building(app: App) -> bool:
    """Whether the first statement is at work and waits for the old snapshot."""
    rows = app.execute(
        "SELECT 1 FROM pg_stat_progress_create_index WHERE phase = 'waiting for old snapshots'"
        " AND datname = current_database()"
    )
    return bool(rows)


def until_building(app: App) -> None:
    """Wait until the first statement is at work; what the run said where it never is."""
    try:
        app.wait(lambda: building(app))
    except AssertionError as error:
        logs = (app.root / ".pilotage" / "logs").glob("*-run-*.log")
        raise AssertionError("\n".join(log.read_text() for log in logs)) from error


def indexes(app: App) -> set[str]:
    rows = app.execute(
        "SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
        " WHERE i.indrelid = 'items'::regclass AND i.indisvalid"
    )
    return {row[0] for row in rows}


def standing(app: App) -> str:
    found = app.pilotage("migrate", "status", "--json").json["migrations"]
    return next(h["standing"] for m in found for h in m["halves"] if m["version"] == VERSION)


def runs(app: App) -> dict[str, str]:
    found = app.pilotage("migrate", "status", "--json").json["runs"]
    return {run["instance"]: run["detail"] for run in found}


def add_index(app: App) -> str:
    """Deploy release 1, then commit the out-of-band file; the id of its release."""
    app.pilotage("deploy")
    app.write(FILE, TEXT)
    return app.commit("an index")


@postgresql
def test_detached_under_load_and_followed_from_another_terminal(app):
    release = add_index(app)

    # A deploy that needs it is refused, with the command.
    refused = app.pilotage("deploy", status=1)
    assert f"pilotage migrate run {VERSION}" in refused.err
    sql = app.pilotage("migrate", "sql", VERSION).out
    assert "CREATE INDEX CONCURRENTLY items_name" in sql
    assert "UNIQUE USING INDEX items_name_key" in sql

    with load(app) as wrong, old_snapshot(app) as old:
        begun = app.pilotage("migrate", "run", VERSION, "--detach")
        assert FIRST in begun.out
        until_building(app)
        assert HALF in app.pilotage("migrate", "status").out
        assert list(runs(app)) == [FIRST]
        # It is no instance of a release: it is shown, and nothing is asked of it.
        shown = {i["id"]: i["kind"] for i in app.status()["instances"]}
        assert shown[FIRST] == "tool"

        # Who asks for it again joins it; who detaches it again is told.
        assert "runs already" in app.pilotage("migrate", "run", VERSION, "--detach").out
        joined = app.start("migrate", "run", VERSION, "--json")
        app.until(joined, event="Output", source=FIRST)
        follower = app.start("migrate", "follow", VERSION)

        # A deploy meanwhile is told who is at work, and touches nothing.
        held = app.pilotage("deploy", status=1)
        assert f"detached run of {HALF}" in held.err
        assert app.serving() != release

        old.rollback()
        followed = app.ended(follower)
        assert f"{FIRST} ended with status 0" in followed.out
        assert "waiting for old snapshots" in followed.out
        assert app.ended(joined).result["outcome"] == "done"
    assert wrong == []
    assert indexes(app) >= {"items_name", "items_name_key"}
    assert standing(app) == "applied"
    # What it was is on record, and it is not run again.
    assert runs(app)[FIRST].startswith("exited 0")
    assert app.pilotage("migrate", "follow", VERSION, "--json").result["status"] == 0
    assert "applied already" in app.pilotage("migrate", "run", VERSION, "--detach").out

    app.pilotage("deploy")
    assert app.serving() == release


@postgresql
def test_it_outlives_its_terminal_and_its_deployer(app):
    add_index(app)
    command = f"{sys.executable} -m pilotage migrate run {VERSION}"
    with old_snapshot(app) as old:
        # Somebody begins the run on a terminal, joins it there, and closes the terminal.
        parent, child = pty.openpty()
        shell = app.run(
            *("setsid", "--ctty", "/bin/sh", "-c", f"{command} --detach && {command}"),
            stdin=child,
            stdout=child,
            stderr=child,
        )
        os.close(child)
        shown = b""
        while f"{FIRST}: following it".encode() not in shown:
            shown += os.read(parent, 65536)
        os.close(parent)
        assert shell.wait(timeout=60) != 0
        # Somebody else follows it, and is killed.
        follower = app.start("migrate", "follow", VERSION)
        assert follower.stdout is not None
        follower.stdout.readline()
        follower.kill()
        follower.communicate()
        until_building(app)
        old.rollback()
    assert "ended with status 0" in app.pilotage("migrate", "follow", VERSION).out
    assert standing(app) == "applied"


@postgresql
def test_the_instance_is_killed_and_the_next_run_goes_on(app):
    add_index(app)
    app.execute("INSERT INTO items VALUES (1, 'same'), (2, 'other')")
    with old_snapshot(app) as old:
        app.pilotage("migrate", "run", VERSION, "--detach")
        until_building(app)
        found = app.pilotage("status", "--json").json["instances"]
        pid = next(int(i["detail"].split()[-1]) for i in found if i["id"] == FIRST)
        os.kill(pid, signal.SIGKILL)
        app.wait(lambda: "SIGKILL" in runs(app)[FIRST])
        assert app.pilotage("migrate", "follow", VERSION, status=137).status == 137
        assert "killed by SIGKILL" in app.pilotage("migrate", "status").out
        old.rollback()
    # Its lease is still there, and nobody renews it: the next run waits until it is over.
    app.pilotage("lock", "release", "--yes")
    app.pilotage("migrate", "run", VERSION, "--detach")
    followed = app.pilotage("migrate", "follow", VERSION)
    assert f"{SECOND} ended with status 0" in followed.out
    assert indexes(app) >= {"items_name", "items_name_key"}


@postgresql
def test_a_run_that_fails_says_so_wherever_it_is_looked_at(app):
    add_index(app)
    app.execute("INSERT INTO items VALUES (1, 'same'), (2, 'same')")
    app.pilotage("migrate", "run", VERSION, "--detach")
    followed = app.pilotage("migrate", "follow", VERSION, status=1)
    assert "could not create unique index" in followed.out
    assert "by id: 1 and 2" in followed.out
    assert runs(app)[FIRST].startswith("exited 1")
    assert "exited 1" in app.pilotage("migrate", "status").out
    assert standing(app) == "started"

    app.execute("DELETE FROM items WHERE id = 2")
    app.pilotage("migrate", "run", VERSION)
    assert standing(app) == "applied"


@postgresql
def test_stopped_it_can_be_begun_again(app):
    add_index(app)
    with old_snapshot(app):
        app.pilotage("migrate", "run", VERSION, "--detach")
        until_building(app)
        stopped = app.pilotage("migrate", "stop", VERSION)
        assert "ended" in stopped.out
        assert not building(app)
        assert app.status()["lock"] is None
    app.pilotage("migrate", "run", VERSION, "--detach")
    assert "ended with status 0" in app.pilotage("migrate", "follow", VERSION).out
    assert "interrupted" not in app.pilotage("migrate", "follow", VERSION).out


@postgresql
def test_two_runs_at_once(app):
    add_index(app)
    with old_snapshot(app) as old:
        both = [app.start("migrate", "run", VERSION, "--detach", "--json") for _ in range(2)]
        results = [json.loads(p.communicate(timeout=120)[0]) for p in both]
        assert {r["instance"] for r in results} == {FIRST}
        until_building(app)
        # One in a terminal would need the lock that the run has: it joins instead.
        third = app.start("migrate", "run", VERSION, "--json")
        app.until(third, event="Note", text=f"{HALF} runs in {FIRST}: following it")
        old.rollback()
        assert app.ended(third).result["outcome"] == "done"
    assert runs(app)[FIRST].startswith("exited 0"), app.pilotage("migrate", "follow", VERSION).out
    assert len(runs(app)) == 1


@postgresql
def test_another_half_of_the_same_version_is_not_taken_for_it(app):
    release = add_index(app)
    with old_snapshot(app) as old:
        app.pilotage("migrate", "run", VERSION, "--detach")
        until_building(app)
        # Somebody else has the file otherwise, and a commit of his own.
        app.write(FILE, TEXT.replace("ADD UNIQUE (name)", "ADD UNIQUE (id, name)"))
        other = app.commit("another index")
        for words, where in (
            (("--detach",), other),
            ((), "the worktree"),
            (("--version", other), other),
        ):
            refused = app.pilotage("migrate", "run", VERSION, *words, status=1)
            told = " ".join(refused.err.split())
            assert f"{FIRST} runs {HALF} as it is in {release} for {performer(app.root)}" in told
            assert f"in {where} it is another one" in told
            assert f"`pilotage migrate stop {VERSION}` ends it" in told
        # Of the same file it is no matter from where it comes.
        again = app.pilotage("migrate", "run", VERSION, "--version", release, "--detach")
        assert "runs already" in again.out
        assert f"{HALF} of {release} runs for " in app.pilotage("migrate", "status").out
        old.rollback()
        app.pilotage("migrate", "follow", VERSION)
    assert list(runs(app)) == [FIRST]
    assert "items_name_key" in indexes(app)


@postgresql
def test_a_file_that_is_not_committed_is_run_in_the_terminal_alone(app):
    app.pilotage("deploy")
    app.write(FILE, TEXT)
    refused = app.pilotage("migrate", "run", VERSION, "--detach", status=2)
    assert "is not in HEAD" in refused.err
    app.commit()
    app.write(FILE, TEXT + "-- more\nCREATE INDEX more ON items (id);\n")
    refused = app.pilotage("migrate", "run", VERSION, "--detach", status=2)
    assert "is not as it is here in HEAD" in refused.err
    app.pilotage("migrate", "run", VERSION, "--detach", "--version", "HEAD")
    app.pilotage("migrate", "follow", VERSION)
    assert "more" not in indexes(app)


def test_on_sqlite(app):
    add_index(app)
    app.pilotage("migrate", "run", VERSION, "--detach", status=0)
    # ALTER TABLE … ADD UNIQUE is no SQL of SQLite: the run says so, and what came before it stays.
    followed = app.pilotage("migrate", "follow", VERSION, status=1)
    assert "syntax error" in followed.out
    assert app.pilotage("migrate", "follow", "1", status=2).err
    app.write(
        FILE, TEXT.replace("ALTER TABLE items ADD UNIQUE (name)", "CREATE INDEX b ON items (id)")
    )
    app.commit()
    app.pilotage("migrate", "run", VERSION, "--detach")
    assert "ended with status 0" in app.pilotage("migrate", "follow", VERSION).out
    assert standing(app) == "applied"


@postgresql
def test_a_person_runs_what_is_printed(app):
    release = add_index(app)
    refused = app.pilotage("migrate", "mark", VERSION, "--verify", status=1)
    assert "items_name is there" in refused.err
    printed = app.pilotage("migrate", "sql", VERSION).out
    with psycopg.connect(app.url, autocommit=True) as session:
        for statement in split(printed, "postgresql"):
            session.execute(statement.text)
    app.pilotage("migrate", "mark", VERSION, "--verify")
    app.pilotage("deploy")
    assert app.serving() == release


@postgresql
def test_a_run_in_a_terminal_ends_with_it_and_is_taken_up_again(app):
    add_index(app)
    with old_snapshot(app):
        first = app.start("migrate", "run", VERSION)
        until_building(app)
        second = app.pilotage("migrate", "run", VERSION, status=1)
        assert f"holds the deploy lock (migrate run {HALF})" in second.err
        first.send_signal(signal.SIGHUP)
        ended = app.ended(first, status=1)
        assert "interrupted by SIGHUP" in ended.err
        assert f"{HALF} is applied in part" in ended.err
        assert not building(app)
    app.pilotage("migrate", "run", VERSION)
    assert standing(app) == "applied"
    assert indexes(app) >= {"items_name", "items_name_key"}
