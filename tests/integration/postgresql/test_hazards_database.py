"""``pilotage hazards``, and the plan of a deploy, with what a live database says of its tables."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.servers import VERSIONS, Postgres, server

from pilotage.cli import main
from pilotage.events import ignore
from pilotage.hazards.catalogue import Catalogue
from pilotage.migrate.loader import load_migrations
from pilotage.migrate.migration import Migrations
from pilotage.migrate.runner import SqlSchema
from pilotage.model import Half, SchemaView
from pilotage.secret import Secret
from pilotage.wiring import goals

FOLDER = Path("db/migrations")


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A project in an empty folder, and its database with a small, a large and an empty table."""
    monkeypatch.chdir(tmp_path)
    postgres: Postgres = server(VERSIONS[0])
    with postgres.database() as name:
        postgres.execute(
            "CREATE TABLE small (a int)",
            "CREATE TABLE large (a int)",
            "CREATE TABLE nobody (a int)",
            "INSERT INTO small SELECT generate_series(1, 40)",
            "INSERT INTO large SELECT generate_series(1, 20000)",
            "ANALYZE",
            database=name,
        )
        monkeypatch.setenv("SHOP_URL", postgres.url(name))
        (tmp_path / "config").mkdir()
        (tmp_path / "config/deploy.yml").write_text(
            "service: shop\ntarget: local\nservers: {web: {cmd: 'true'}}\n"
            f"databases: {{primary: {{url: '{postgres.url(name)}'}}}}\n"
        )
        FOLDER.mkdir(parents=True)
        for number, table in enumerate(("small", "large", "nobody"), 1):
            file = FOLDER / f"{number}_{table}.sql"
            file.write_text(f"CREATE INDEX {table}_a ON {table} (a);\n")
        yield postgres.url(name)


def found(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[dict[str, str]], str]:
    status = main(["hazards", "--json", *words])
    said = capsys.readouterr()
    return status, json.loads(said.out) if said.out else [], said.err


def applied(url: str, *numbers: int) -> None:
    """Apply some of the files."""
    migrations = load_migrations(FOLDER, dialect="postgresql")

    async def story() -> None:
        async with SqlSchema(url=Secret(url), stream="shop", service="shop") as schema:
            await schema.prepare()
            for number in numbers:
                one = migrations.by_version[str(number)]
                await schema.apply(one, Half.EXPAND, release="r", token=1, emit=ignore)

    asyncio.run(story())


def looked(url: str) -> tuple[Migrations, SchemaView, Catalogue | None]:
    async def story() -> tuple[SchemaView, Catalogue | None]:
        async with SqlSchema(url=Secret(url), stream="shop", service="shop") as schema:
            return await schema.view(), await schema.survey()

    view, known = asyncio.run(story())
    return load_migrations(FOLDER, dialect="postgresql"), view, known


@pytest.mark.parametrize("name", ["primary", "SHOP_URL"])
def test_only_the_large_table_alarms_and_says_how_large(
    url: str, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert len(found(capsys)[1]) == 3
    status, findings, err = found(capsys, "--database", name)

    assert (status, [f["file"] for f in findings]) == (4, ["db/migrations/2_large.sql"])
    assert "about 20 000 rows" in findings[0]["message"]
    assert "judged with the schema of" in err


def test_what_is_applied_is_not_judged(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    applied(url, 1, 2)

    assert found(capsys, "--database", "primary")[1] == []


def test_a_database_that_is_not_there(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = found(
        capsys, "--dialect", "postgresql", "--database", "postgresql://nobody@localhost:1/x", "."
    )

    assert status == 1
    assert "localhost:1" in err


def test_an_applied_file_is_not_fixed(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    applied(url, 2)
    before = {path: path.read_text() for path in FOLDER.iterdir()}
    status, _, err = found(capsys, "--fix")

    assert status == 1
    assert "2_large.sql is applied" in err
    assert {path: path.read_text() for path in FOLDER.iterdir()} == before


def test_what_is_not_applied_is(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    applied(url)
    status, findings, _ = found(capsys, "--fix")

    assert (status, findings) == (0, [])
    assert all("CONCURRENTLY" in path.read_text() for path in FOLDER.iterdir())


def test_the_plan_and_the_deploy_judge_with_it(url: str) -> None:
    migrations, view, known = looked(url)
    assert known is not None

    # As `plan` shows them and `deploy` refuses by them; twice, for they may not change what they get.
    for _ in range(2):
        told = goals._findings("postgresql", migrations, view, known)
        assert [f.file.name for f in told] == ["2_large.sql"]
        assert "about 20 000 rows" in told[0].message
    assert len(goals._findings("postgresql", migrations, view, None)) == 3
