"""What a framework's command gets to know: the migrator's connection, and how long to wait for a lock."""

from __future__ import annotations

from pathlib import Path

from pilotage.config import load_config
from pilotage.secret import Secret
from pilotage.wiring.frameworks import _lines, framework_of

CONFIG = """\
service: shop
target: local
servers: {{web: {{cmd: x}}}}
env: {{clear: {{PGOPTIONS: "-c work_mem=64MB"}}}}
databases: {{primary: {databases}}}
migrations: {{engine: django{more}}}
"""


def lines(tmp_path: Path, databases: str, more: str = ""):
    path = tmp_path / "config/deploy.yml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(CONFIG.format(databases=databases, more=more))
    environ = {"APP_URL": "postgresql://app@h/d", "MIGRATOR_URL": "postgresql://boss:hush@h/d"}
    config = load_config(path, environ=environ)
    return _lines(config, "here"), framework_of(config)


def test_the_variable_that_the_app_reads_holds_the_migrators_connection(tmp_path):
    found, _ = lines(tmp_path, "{url: APP_URL, migration_url: MIGRATOR_URL}")
    assert found.env == {"APP_URL": Secret("postgresql://boss:hush@h/d")}
    assert "hush" not in repr(found)
    command = found.command((), fresh=False, apps="")
    assert isinstance(command.env["APP_URL"], Secret)
    assert "hush" not in command.line


def test_a_url_that_is_written_out_goes_by_the_usual_name(tmp_path):
    found, _ = lines(tmp_path, '{url: "postgresql://app@h/d", migration_url: MIGRATOR_URL}')
    assert set(found.env) == {"DATABASE_URL"}
    assert lines(tmp_path, "{url: APP_URL}")[0].env == {}


def test_a_lock_timeout_is_handed_to_the_server(tmp_path):
    found, _ = lines(tmp_path, "{url: APP_URL}", ", lock_timeout: 2s")
    assert found.env == {"PGOPTIONS": "-c work_mem=64MB -c lock_timeout=2000"}


def test_django_runs_for_every_release_because_of_its_packages(tmp_path):
    _, framework = lines(tmp_path, "{url: APP_URL}")
    assert framework.always
    assert framework.known
    assert framework.at_once
    assert framework.command == "python manage.py shell -c ' …"
    _, blind = lines(tmp_path, "{url: APP_URL}", ", status: none")
    assert not blind.known
