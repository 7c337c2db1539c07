"""The verbs on SQL files of ours, where a framework has the migrations: one error, and what to type instead."""

from __future__ import annotations

import subprocess

import pytest

from pilotage.cli import main

CONFIG = """\
service: shop
target: local
servers: {{web: {{cmd: x}}}}
databases: {{primary: {{url: "sqlite:///{database}"}}}}
migrations: {{engine: {engine}{more}}}
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    def make(engine, more=""):
        (tmp_path / "config").mkdir()
        text = CONFIG.format(database=tmp_path / "shop.db", engine=engine, more=more)
        (tmp_path / "config/deploy.yml").write_text(text)
        subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
        monkeypatch.chdir(tmp_path)

    return make


@pytest.mark.parametrize(
    ("engine", "verb", "instead"),
    [
        ("rails", ("new", "x"), "bin/rails generate migration"),
        ("rails", ("apply",), "bin/rails db:migrate"),
        ("rails", ("run", "1"), "bin/rails db:migrate:up"),
        ("rails", ("down", "1"), "bin/rails db:migrate:down"),
        ("rails", ("mark", "1"), "INSERT INTO schema_migrations"),
        ("rails", ("baseline", "1"), "bin/rails db:schema:dump"),
        ("rails", ("sql", "1"), "use that tool's own command"),
        ("alembic", ("mark", "1"), "alembic stamp"),
        ("django", ("sql", "1"), "python manage.py sqlmigrate"),
    ],
)
def test_each_names_the_frameworks_own_command(project, capsys, engine, verb, instead):
    project(engine)
    assert main(["migrate", *verb]) == 2
    err = " ".join(capsys.readouterr().err.split())
    assert f"`migrate {verb[0]}` is for SQL files that pilotage runs itself" in err
    assert f"{engine}'s" in err
    assert instead in err
    assert "nothing was touched" in err


def test_no_file_where_there_should_be_some(project, capsys):
    project("rails")
    assert main(["migrate", "status"]) == 2
    assert "the worktree has no migration of rails" in capsys.readouterr().err


def test_a_status_command_that_fails_is_told(project, capsys, tmp_path):
    project(
        "command", ", files: m/*, status: {command: echo oh no >&2; exit 3}, commands: {expand: x}"
    )
    (tmp_path / "m").mkdir()
    (tmp_path / "m/1_a.sql").write_text("")
    (tmp_path / "shop.db").touch()
    assert main(["migrate", "status"]) == 1
    err = " ".join(capsys.readouterr().err.split())
    assert "the status command failed: it exited 3: oh no" in err
