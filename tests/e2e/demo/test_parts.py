"""What the demo is made of: its repository, its database server, and how it tells its story."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg
import pytest

from pilotage import embedded
from pilotage.demo import repository
from pilotage.demo.narrator import Narrator, Plain, Rich, Row, narrator
from pilotage.demo.process import environment
from pilotage.migrate.loader import load_migrations


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> repository.Repository:
    return repository.build(tmp_path_factory.mktemp("demo") / "shop", port=4321)


def test_every_release_is_a_commit_on_top_of_the_last(built: repository.Repository) -> None:
    tags = ["v1", "v2", "v3", "v4", "v5"]
    log = built.git("log", "--reverse", "--format=%H", "v5").split()
    assert [built.revision(tag) for tag in tags] == log
    for broken in ("v5-unhealthy", "v5-bad-migration"):
        assert built.revision(f"{broken}^").strip() == built.revision("v4")
    assert built.git("status", "--porcelain") == ""


def test_the_edge_listens_where_the_demo_says(built: repository.Repository) -> None:
    text = (built.path / "config/deploy.yml").read_text()
    assert "  port: 4321 " in text
    assert "8080" not in text


@pytest.mark.parametrize(
    ("tag", "migrations"),
    [("v1", 1), ("v2", 3), ("v3", 4), ("v4", 7), ("v5-bad-migration", 8), ("v5", 8)],
)
def test_the_migrations_of_every_release_are_read(
    built: repository.Repository, tmp_path: Path, tag: str, migrations: int
) -> None:
    built.git("worktree", "add", "--detach", str(tmp_path / tag), tag)
    loaded = load_migrations(tmp_path / tag / "db/migrations", dialect="postgresql")
    assert len(loaded) == migrations


def test_git_ignores_what_a_person_configured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config").write_text("[commit]\n  gpgsign = true\n[core]\n  hooksPath = /nowhere\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "config"))
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    built = repository.build(tmp_path / "shop", port=1)
    assert built.git("log", "-1", "--format=%an <%ae>") == "The shop <shop@example.com>\n"


def test_a_substitution_must_find_its_text(built: repository.Repository) -> None:
    with pytest.raises(ValueError, match="0 times"):
        built.substitute("shop/web.py", "not there", "x")


def test_the_server_wants_a_password_and_stops() -> None:
    with tempfile.TemporaryDirectory(prefix="demo-test-") as path:
        Path(path).chmod(0o711)  # under root the server runs as another user
        _lives_and_ends(Path(path))


def _lives_and_ends(folder: Path) -> None:
    server = embedded.start(folder, "shop")
    try:
        with psycopg.connect(server.url("postgres")) as connection:
            row = connection.execute("SELECT rolsuper, rolcreatedb FROM pg_roles WHERE rolname = "
                                     "current_user").fetchone()  # fmt: skip
        assert row == (False, True)
        wrong = server.url("postgres").replace(server.password, "wrong")
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(wrong)
    finally:
        server.stop()
    assert not (server.data / "postmaster.pid").exists()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(server.url("postgres"))
    server.stop()  # again: nothing to do


def test_python_is_the_interpreter_of_the_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGHOST", "elsewhere")
    monkeypatch.setenv("DATABASE_URL", "postgresql://production/")
    found = environment(tmp_path / "bin")
    said = subprocess.run(
        ["python", "-c", "import psycopg_pool, sys; print(sys.prefix)"],
        env={"PATH": found["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.strip() == sys.prefix
    assert "PGHOST" not in found
    assert "DATABASE_URL" not in found
    assert found["HOME"] == os.environ["HOME"]


def tell(teller: Narrator) -> None:
    teller.scene(1, "The shop opens", "Why")
    teller.command("pilotage deploy --version v1")
    teller.output("line [of] output")
    teller.detail("90 %")
    teller.load({"requests": 1234, "failed": 0, "rate": 250, "p99_ms": None})
    teller.load({"requests": 2345, "failed": 1, "rate": 250, "p99_ms": 7.4})
    teller.outcome("it works", good=True)
    teller.scene(2, "The end", "")
    teller.outcome("it does not", good=False)
    teller.table("Numbers", [Row("requests", "2,345"), Row("failed", "1", good=False)])
    teller.close()


def test_the_story_in_plain_lines() -> None:
    out = io.StringIO()
    teller = narrator(out)
    assert isinstance(teller, Plain)
    tell(teller)
    assert out.getvalue() == (
        "\n1. The shop opens\n"
        "   Why\n"
        "   $ pilotage deploy --version v1\n"
        "   | line [of] output\n"
        "   ok: it works\n"
        "   load: 2,345 requests, 1 failed, 250 a second, p99 7 ms\n"
        "\n2. The end\n"
        "   NOT OK: it does not\n"
        "\nNumbers\n"
        "   requests  2,345\n"
        " ! failed    1\n"
    )


def test_the_story_on_a_terminal() -> None:
    out = io.StringIO()
    tell(Rich(out))
    told = out.getvalue()
    for text in ("The shop opens", "$ pilotage deploy", "line [of] output", "✓ it works",
                 "✗ it does not", "2,345"):  # fmt: skip
        assert text in told
