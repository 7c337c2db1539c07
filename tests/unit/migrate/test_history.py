"""What was applied against what the files say now."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.migrations import migration, migrations, section

from pilotage.errors import MigrationFileError
from pilotage.migrate.history import applied_lines, applied_text, check_applied, renamed
from pilotage.migrate.migration import Migration
from pilotage.model import Half, HalfRow, SchemaView, contract, expand

NOV_21 = 1795296828.0
FILE = migration("1", "one", expand="CREATE TABLE t (i int)", contract="DROP TABLE u")


def row(file: Migration, half: Half = Half.EXPAND, **changes: object) -> HalfRow:
    ref = expand(file.version) if half is Half.EXPAND else contract(file.version)
    done = HalfRow(ref, file.name, file.checksum(half), "4f2a", NOV_21, NOV_21, 1)
    return replace(done, **changes)  # type: ignore[arg-type]


def view(*rows: HalfRow) -> SchemaView:
    return SchemaView(rows=rows)


def test_files_as_they_were_applied() -> None:
    check_applied(view(row(FILE), row(FILE, Half.CONTRACT)), migrations(FILE))


def test_white_space_at_the_ends_is_no_edit() -> None:
    after = migration(
        "1", "one", expand="\n  CREATE TABLE t (i int)  \n\n", contract="DROP TABLE u"
    )
    check_applied(view(row(FILE)), migrations(after))


@pytest.mark.parametrize("half", list(Half))
def test_an_edited_file_is_named_with_when_and_by_whom(half: Half) -> None:
    texts = {"expand": "CREATE TABLE t (i int)", "contract": "DROP TABLE u"}
    edited = {k: section(v + " -- now" * (k == half), line=9) for k, v in texts.items()}
    with pytest.raises(MigrationFileError) as caught:
        check_applied(view(row(FILE, half)), migrations(migration("1", "one", **edited)))
    error = caught.value
    assert error.where == "db/migrations/1_one.sql:9"
    assert f"1/{half} was applied 2026-11-21 21:33 UTC by release 4f2a" in error.what
    assert "git checkout -- db/migrations/1_one.sql" in error.next
    assert f"pilotage migrate mark 1/{half}" in error.next


def test_an_edited_backfill_is_an_edit_once_the_expand_half_is_finished() -> None:
    before = migration("1", expand="SELECT 1", backfill="UPDATE t SET a = 1 WHERE a = 2")
    after = migration("1", expand="SELECT 1", backfill="UPDATE t SET a = 1 WHERE a = 3")
    check_applied(view(row(before, finished_at=None)), migrations(after))
    with pytest.raises(MigrationFileError):
        check_applied(view(row(before)), migrations(after))


def test_a_half_that_is_gone_from_its_file_is_not_an_edit() -> None:
    check_applied(view(row(FILE, Half.CONTRACT)), migrations(migration("1", expand="SELECT 1")))


def test_a_file_that_was_renamed() -> None:
    after = replace(FILE, version="7", name="seven")
    found = renamed(view(row(FILE)), migrations(after))
    assert [(old.ref, new.version) for old, new in found] == [(expand("1"), "7")]
    with pytest.raises(MigrationFileError) as caught:
        check_applied(view(row(FILE)), migrations(after))
    assert "pilotage migrate mark 7 --renamed 1" in caught.value.next


@pytest.mark.parametrize(
    "files",
    [
        (FILE, replace(FILE, version="7")),  # a copy: both are there
        (migration("7", "other", expand="SELECT 7"),),
        (
            replace(FILE, version="7"),
            migration("9", expand=section("SELECT 9", replaces=(("1", "5"),))),
        ),
    ],
)
def test_what_is_no_rename(files: tuple[Migration, ...]) -> None:
    assert renamed(view(row(FILE)), migrations(*files)) == []


def test_a_schema_file_says_which_halves_it_holds() -> None:
    rows = (
        row(FILE, name="a name"),
        row(FILE, Half.CONTRACT, checksum=""),
        row(migration("2", expand="SELECT 2"), finished_at=None),
    )
    text = "CREATE TABLE t (i int);\n" + applied_text(view(*rows))
    found = list(applied_lines(text))
    assert [(r.ref, r.name, r.checksum) for r in found] == [
        (r.ref, r.name, r.checksum) for r in rows[:2]
    ]
