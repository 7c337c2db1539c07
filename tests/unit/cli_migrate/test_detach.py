"""A run that is to go on without its terminal, on hosts: what it is given, and where it is refused."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest

from pilotage.cli import main
from pilotage.config import load_config
from pilotage.wiring.database import database_of
from pilotage.wiring.detached import configuration, host_of, tar_of

CONFIG = """\
service: shop
image: shop
servers: [192.0.2.1, 192.0.2.2]
registry: {server: "localhost:5000"}
builder: {arch: amd64}
env: {secret: [API_KEY]}
databases:
  primary:
    url: DATABASE_URL
    migration_url: "postgresql://migrator:pw@192.0.2.1/shop"
    replicas: [REPLICA_URL, "postgresql://192.0.2.3/shop"]
    via: 192.0.2.2
"""

MIGRATIONS = """\
migrations:
  path: ./sql
  image: acme/pilotage
  lock_timeout: 2s
  timeout: 6h
  schema: schema.sql
  backfill: {batch_time: 50ms, duty: 35%, replication_lag: off, dead_rows: off, lock_wait: 1s}
"""


def project(root: Path, text: str) -> None:
    """A project with this configuration."""
    (root / "config").mkdir()
    (root / "config/deploy.yml").write_text(text)


@pytest.mark.parametrize(
    ("more", "half", "told"),
    [
        ("migrations: {path: sql}\n", "1", "names no image for it|key migrations.image"),
        (
            "migrations: {image: p}\nstate: target\n",
            "1",
            "which a detached run has no key to|key state",
        ),
        (MIGRATIONS, "1/contract", "a contract half must look at every host"),
    ],
)
def test_what_a_host_cannot_run(
    more: str,
    half: str,
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    project(tmp_path, CONFIG + more)
    monkeypatch.chdir(tmp_path)

    assert main(["migrate", "run", half, "--detach"]) == 2

    err = " ".join(capsys.readouterr().err.split())
    assert all(words in err for words in told.split("|")), err
    assert "nothing was begun" in err
    assert f"`pilotage migrate run {half}` in tmux or screen" in err


def test_one_or_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project(tmp_path, CONFIG + MIGRATIONS)
    monkeypatch.chdir(tmp_path)
    assert main(["migrate", "run", "1", "--detach", "--no-hosts"]) == 2


def test_its_configuration_runs_halves_as_ours_does(tmp_path: Path) -> None:
    project(tmp_path, CONFIG + MIGRATIONS)
    ours = load_config(tmp_path / "config/deploy.yml", environ={})
    database = database_of(ours)
    assert database is not None
    (tmp_path / "there/config").mkdir(parents=True)
    path = tmp_path / "there/config/deploy.yml"
    path.write_text(json.dumps(configuration(ours, database)))

    urls = {
        "RUN_DATABASE_URL": "postgresql://192.0.2.1/shop",
        "RUN_MIGRATION_URL": "postgresql://migrator:pw@192.0.2.1/shop",
        "RUN_REPLICA_URL_0": "postgresql://192.0.2.2/shop",
        "RUN_REPLICA_URL_1": "postgresql://192.0.2.3/shop",
    }
    theirs = load_config(path, environ=urls)

    assert ours.migrations is not None
    assert theirs.migrations is not None
    for name in ("engine", "stream", "lock_timeout", "timeout", "backfill"):
        assert getattr(theirs.migrations, name) == getattr(ours.migrations, name), name
    assert theirs.migrations.path == tmp_path / "there/sql"
    # It reaches the database without anybody's help, and dumps no schema that nobody would see.
    assert (theirs.migrations.schema, theirs.migrations.image) == (None, None)
    given = database_of(theirs)
    assert given is not None
    assert (given.via, theirs.state, theirs.hosts) == (None, "database", ours.hosts)
    assert given.migration_url is not None
    found = [given.url, given.migration_url, *given.replicas]
    assert [url.reveal() for url in found] == list(urls.values())
    # No secret is written into it.
    assert "pw" not in path.read_text()


def test_it_runs_on_the_host_that_leads_to_the_database(tmp_path: Path) -> None:
    project(tmp_path, CONFIG + MIGRATIONS)
    there = load_config(tmp_path / "config/deploy.yml", environ={})
    assert host_of(there, "192.0.2.1") == "192.0.2.2"
    (tmp_path / "other").mkdir()
    project(tmp_path / "other", CONFIG.replace("via: 192.0.2.2", "via: primary"))
    first = load_config(tmp_path / "other/config/deploy.yml", environ={})
    assert host_of(first, "192.0.2.1") == "192.0.2.1"


def test_its_files_are_for_everybody_to_read() -> None:
    with tarfile.open(fileobj=io.BytesIO(tar_of({"sql/1_a.sql": b"SELECT 1"}))) as tar:
        (entry,) = tar.getmembers()
        assert (entry.name, entry.mode, entry.uid) == ("pilotage/sql/1_a.sql", 0o644, 0)
        read = tar.extractfile(entry)
        assert read is not None
        assert read.read() == b"SELECT 1"
