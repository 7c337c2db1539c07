"""``pilotage hazards --trace`` as it is called, on the embedded server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.servers import server

FILES = {
    "1_create.sql": "CREATE TABLE orders (id int PRIMARY KEY, n int);\n"
    "INSERT INTO orders SELECT g, g FROM generate_series(1, 2000) g;\n",
    "2_widen.sql": "-- contract\nALTER TABLE orders ALTER n TYPE bigint;\n",
    "3_guess.sql": "-- expand\nALTER TABLE orders ADD COLUMN x nonsense;\n",
}


@pytest.fixture
def here() -> Iterator[Path]:
    # Not pytest's own folder: under root the server runs as another user, who may not pass through that.
    with tempfile.TemporaryDirectory(prefix="trace-test-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        (folder / "tmp").mkdir()
        (folder / "tmp").chmod(0o711)
        for file, text in FILES.items():
            (folder / file).write_text(text)
        yield folder


def start(here: Path, *words: str, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "pilotage", "hazards", "--dialect", "postgresql", *words],
        cwd=here,
        env={**os.environ, "TMPDIR": str(here / "tmp"), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_text(here: Path) -> None:
    running = start(here, "--trace", "2_widen.sql")
    out, err = running.communicate(timeout=120)

    assert running.returncode == 4, err
    assert "traced-lock" not in out  # a rule warns of it
    assert "measured on PostgreSQL 18" in out
    assert "ACCESS EXCLUSIVE on orders" in out
    assert "orders written anew" in out
    assert "  measured: ACCESS EXCLUSIVE on orders" in out  # in the finding
    assert list((here / "tmp").iterdir()) == []


def test_what_only_the_trace_can_see(here: Path) -> None:
    (here / "2_widen.sql").write_text(
        "-- contract\nDO $$ BEGIN EXECUTE 'ALTER TABLE orders ALTER n TYPE bigint'; END $$;\n"
    )
    running = start(here, "--trace", "2_widen.sql")
    out, err = running.communicate(timeout=120)

    assert running.returncode == 4, err
    assert "traced-lock" in out
    assert "readers and writers wait while orders is worked through" in out


def test_json_and_a_half_that_fails(here: Path) -> None:
    running = start(here, "--trace", "--json", "2_widen.sql", "3_guess.sql")
    out, err = running.communicate(timeout=120)
    assert running.returncode == 4 | 64, err
    told: dict[str, Any] = json.loads(out)

    widen = next(f for f in told["findings"] if f["rule"] == "rewrite-type")
    assert widen["trace"]["rewrites"][0]["table"] == "orders"
    assert widen["trace"]["line"] == widen["line"] == 2
    failed = next(f for f in told["findings"] if f["rule"] == "fails-on-clone")
    assert (failed["file"], failed["line"]) == ("3_guess.sql", 2)
    assert told["trace"]["error"]["error"] == "HalfFailed"
    assert [half["version"] for half in told["trace"]["halves"]] == ["2"]


def test_a_role_of_the_application(here: Path) -> None:
    (here / "2_widen.sql").write_text("GRANT SELECT ON orders TO the_application;\n")

    running = start(here, "--trace", "--json", "--only", "availability", "2_widen.sql")
    out, err = running.communicate(timeout=120)

    assert running.returncode == 0, err
    assert json.loads(out)["trace"]["error"] is None


def test_on_a_given_server_of_a_database(here: Path) -> None:
    postgres = server(16)
    with postgres.database((here / "1_create.sql").read_text(), "ANALYZE") as name:
        url = {"SOURCE": postgres.url(name), "SERVER": postgres.url()}
        words = ("--trace-on", "SERVER", "--database", "SOURCE", "--sample", "1000", "--json")
        running = start(here, *words, "2_widen.sql", **url)
        out, err = running.communicate(timeout=120)

    told = json.loads(out)
    assert running.returncode == 0, err  # the table is small, so no rule warns
    assert told["trace"]["server"].startswith("PostgreSQL 16.")
    assert "with 1000 rows of it" in told["trace"]["schema"]
    assert told["trace"]["halves"][0]["statements"][0]["estimate"]["rows"] == 2000
    assert postgres.password not in out + err


@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_leaves_nothing(here: Path, which: signal.Signals) -> None:
    (here / "2_widen.sql").write_text("SELECT pg_sleep(600);\n")
    running = start(here, "--trace", "2_widen.sql")
    process = psutil.Process(running.pid)
    deadline = time.monotonic() + 120
    while not any("SELECT" in title for title in _children(process).values()):
        assert running.poll() is None, running.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    children = _children(process)

    running.send_signal(which)
    out, err = running.communicate(timeout=60)

    assert running.returncode in (1, 128 + which), (out, err)
    _, alive = psutil.wait_procs(list(children), timeout=30)
    assert alive == []
    assert list((here / "tmp").iterdir()) == []


def _children(process: psutil.Process) -> dict[psutil.Process, str]:
    """What it has started, and what these say that they do."""
    found = {}
    for child in process.children(recursive=True):
        with suppress(psutil.Error):
            found[child] = " ".join(child.cmdline())
    return found
