"""``pilotage init`` writes what works, and overwrites nothing."""

from __future__ import annotations

import pytest

from pilotage.cli import main
from pilotage.config import load_config


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    root = tmp_path / "My Shop"
    root.mkdir()
    monkeypatch.chdir(root)
    return root


def test_configuration_that_it_writes_is_read(project, capsys):
    assert main(["init"]) == 0
    config = load_config(destination=None)
    assert config.service == "my-shop"
    assert config.target == "local"
    assert config.primary_role.traffic
    assert config.databases["primary"].url.reveal().startswith("sqlite:////")
    assert config.env("web")["DATABASE_URL"]
    assert (project / "db/migrations/example.sql.example").exists()
    assert (project / ".gitignore").read_text() == ".pilotage/\n"
    assert (project / ".pilotage/secrets").stat().st_mode & 0o077 == 0
    assert "✓ config/deploy.yml" in capsys.readouterr().out


def test_roles_come_from_a_procfile(project):
    (project / "Procfile").write_text("worker: sidekiq -q 'a: b'\nweb: puma -p $PORT\n")
    assert main(["init"]) == 0
    config = load_config()
    assert [(role.name, role.cmd) for role in config.roles] == [
        ("web", "puma -p $PORT"),
        ("worker", "sidekiq -q 'a: b'"),
    ]


def test_what_is_there_stays(project, capsys):
    (project / "deploy.yml").write_text("mine")
    (project / ".gitignore").write_text("*.pyc")
    assert main(["init"]) == 0
    assert (project / "deploy.yml").read_text() == "mine"
    assert not (project / "config/deploy.yml").exists()
    assert (project / ".gitignore").read_text() == "*.pyc\n.pilotage/\n"
    before = {path: path.read_text() for path in project.rglob("*") if path.is_file()}
    assert main(["init"]) == 0
    assert {path: path.read_text() for path in project.rglob("*") if path.is_file()} == before
