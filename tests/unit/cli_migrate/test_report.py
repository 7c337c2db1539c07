"""Where every migration stands."""

from __future__ import annotations

from dataclasses import replace

from tests.migrations import migration, migrations, section

from pilotage.migrate.report import Standing, counts, relative, report
from pilotage.model import HalfRef, HalfRow, SchemaView

CREATE = migration("1", "create", expand="CREATE TABLE t (id int)")
RENAME = migration(
    "2",
    "rename",
    expand="ALTER TABLE t ADD COLUMN b int; ALTER TABLE t ADD COLUMN c int",
    backfill="UPDATE t SET b = 1 WHERE b IS NULL",
    contract="ALTER TABLE t DROP COLUMN a",
)
BIG = migration("3", "big", expand=section("CREATE INDEX i ON t (b)", out_of_band=True))
ALL = migrations(CREATE, RENAME, BIG)


def row(ref: str, **changes: object) -> HalfRow:
    found = HalfRow(HalfRef.parse(ref), name="old", started_at=1.0, finished_at=2.0)
    return replace(found, **changes)  # type: ignore[arg-type]


def view(*rows: HalfRow, fresh: bool = False) -> SchemaView:
    return SchemaView(rows=rows, fresh=fresh, dialect="postgresql")


def standings(seen: SchemaView) -> dict[str, Standing]:
    return {str(half.ref): half.standing for one in report(seen, ALL) for half in one.halves}


def test_nothing_is_applied():
    assert standings(view()) == {
        "1/expand": Standing.PENDING,
        "2/expand": Standing.PENDING,
        "2/contract": Standing.PENDING,
        "3/expand": Standing.OUT_OF_BAND,
    }


def test_a_contract_half_is_held_once_its_expand_half_is_applied():
    expanded = view(row("2/expand"))
    assert standings(expanded)["2/contract"] is Standing.HELD
    alone = replace(expanded, fresh=True)
    assert standings(alone)["2/contract"] is Standing.PENDING


def test_a_half_that_was_begun():
    begun = row("2/expand", finished_at=None, statements_done=1)
    assert standings(view(begun))["2/expand"] is Standing.STARTED
    filling = replace(begun, statements_done=2)
    assert standings(view(filling))["2/expand"] is Standing.BACKFILLING
    contracting = row("2/contract", finished_at=None, statements_done=1)
    assert standings(view(row("2/expand"), contracting))["2/contract"] is Standing.STARTED


def test_an_opened_version_is_not_begun():
    opened = row("2/expand", finished_at=None, how="opened", opened_at=3.0)
    assert standings(view(opened))["2/expand"] is Standing.PENDING


def test_an_edited_file_is_trouble():
    same = row("1/expand", checksum=CREATE.checksum(HalfRef.parse("1").half))
    assert report(view(same), ALL)[0].trouble == ""
    edited = report(view(replace(same, checksum="0" * 64)), ALL)[0]
    assert edited.trouble == "the file was edited after 1/expand was applied"


def test_a_record_without_a_file():
    [*_, last] = report(view(row("9/expand"), row("9/contract")), ALL)
    assert (last.version, last.path, last.name) == ("9", None, "old")
    assert last.trouble == "is applied, and has no file here"
    assert [half.standing for half in last.halves] == [Standing.APPLIED] * 2


def test_a_record_that_a_squash_stands_for_is_no_trouble():
    squash = migration("5", "base", expand=section("SELECT 1", replaces=(("1", "4"),)))
    found = report(view(row("2/expand"), row("5/expand")), migrations(squash))
    assert [(one.version, one.trouble) for one in found] == [("2", ""), ("5", "")]
    assert found[0].halves[0].standing is Standing.REPLACED


def test_a_renamed_file_names_where_it_comes_from():
    applied = row("7/expand", checksum=CREATE.checksum(HalfRef.parse("1").half))
    found = {one.version: one for one in report(view(applied), ALL)}
    assert found["1"].renamed_from == "7"
    assert "renamed?" in found["1"].trouble
    assert found["7"].trouble == ""


def test_a_half_that_the_file_lost():
    found = report(view(row("1/expand"), row("1/contract")), ALL)
    assert found[0].trouble == "1/contract is applied, and the file has no such half any more"


def test_counts_and_paths():
    found = report(view(row("1/expand")), ALL)
    assert counts(found) == {"applied": 1, "pending": 2, "out-of-band": 1}
    absolute = tuple(replace(one, path=f"/srv/shop/{one.path}") for one in found)
    assert relative(absolute, "/srv/shop")[0].path == "db/migrations/1_create.sql"


def test_json_is_whole():
    told = report(view(row("1/expand", release="4f2a00000000")), ALL)[0].to_json()
    assert told == {
        "version": "1",
        "name": "create",
        "path": "db/migrations/1_create.sql",
        "halves": [
            {
                "half": "expand",
                "standing": "applied",
                "how": "applied",
                "release": "4f2a00000000",
                "started_at": 1.0,
                "finished_at": 2.0,
                "statements_done": 0,
            }
        ],
        "trouble": None,
        "renamed_from": None,
    }
