"""The name, the version and the text of a new file; and a squash in the place of others."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

from pilotage.errors import MigrationFileError, UsageError
from pilotage.migrate import scaffold
from pilotage.migrate.loader import load_migrations, parse_migration
from pilotage.migrate.squash import squash, write


def test_examples_hold():
    failed, tried = doctest.testmod(scaffold)
    assert (failed, tried > 0) == (0, True)


@pytest.mark.parametrize("title", ["", "…", "---"])
def test_a_name_needs_a_letter(title):
    with pytest.raises(ValueError, match="no letter"):
        scaffold.slug(title)


@pytest.mark.parametrize("dialect", ["postgresql", "sqlite"])
def test_a_new_file_says_that_it_is_empty_and_becomes_what_its_comments_say(dialect):
    text = scaffold.text("rename item", "7")
    path = Path("7_rename_item.sql")
    with pytest.raises(MigrationFileError, match="holds no SQL"):
        parse_migration(text, path=path, dialect=dialect)

    written = text.replace("triggers.\n", "triggers.\nALTER TABLE t ADD COLUMN new text;\n")
    head, _, optional = written.partition("delete them.\n")
    bare = "".join(line.removeprefix("-- ") for line in optional.splitlines(keepends=True))
    bare = bare.replace("SELECT …", "SELECT * FROM t").replace("…", "t")
    bare += "ALTER TABLE t DROP COLUMN new;\n"
    one = parse_migration(head + "\n" + bare, path=path, dialect=dialect)
    sections = (one.expand, one.backfill, one.verify, one.contract, one.down)
    assert all(section is not None for section in sections)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files = {
        "0001_a.sql": "CREATE TABLE a (id int);\n",
        "0002_b.sql": "CREATE TABLE b (id int);\nINSERT INTO b VALUES (1);\n",
        "0005_c.sql": "-- expand\n-- pilotage: requires=0002\nCREATE TABLE c (id int);\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    return tmp_path


TEXT = "-- expand\n-- pilotage: replaces=0001..{}\nCREATE TABLE a (id int);\n"


def test_a_squash_takes_the_place_of_its_files(folder):
    (folder / "0005_c.sql").write_text("CREATE TABLE c (id int);\n")
    made = squash(
        load_migrations(folder, dialect="postgresql"),
        TEXT.format("0002"),
        through="0002",
        name="base",
        folder=folder,
        dialect="postgresql",
    )
    assert made.path.name == "0003_base.sql"
    assert [str(m) for m in made.replaced] == ["0001_a", "0002_b"]
    assert [str(m) for m in made.fills] == ["0002_b"]
    write(made, archive=folder / "old")
    assert sorted(p.name for p in folder.glob("*.sql")) == ["0003_base.sql", "0005_c.sql"]
    assert sorted(p.name for p in (folder / "old").iterdir()) == ["0001_a.sql", "0002_b.sql"]
    assert len(load_migrations(folder, dialect="postgresql")) == 2


def test_a_folder_that_could_not_be_loaded_afterwards_is_left_alone(folder):
    with pytest.raises(MigrationFileError, match="replaces it"):
        squash(
            load_migrations(folder, dialect="postgresql"),
            TEXT.format("0002"),
            through="0002",
            name="base",
            folder=folder,
            dialect="postgresql",
        )
    assert len(list(folder.iterdir())) == 3


def test_its_version_must_be_free(folder):
    (folder / "0003_d.sql").write_text("CREATE TABLE d (id int);\n")
    with pytest.raises(UsageError, match="0003_d has"):
        squash(
            load_migrations(folder, dialect="postgresql"),
            TEXT.format("0002"),
            through="0002",
            name="base",
            folder=folder,
            dialect="postgresql",
        )
