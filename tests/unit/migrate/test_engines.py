"""What frameworks' files say, what their tables say, and what is applied by both."""

from __future__ import annotations

import asyncio
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest

from pilotage.errors import DatabaseError, HalfFailed, MigrationFileError
from pilotage.migrate.engines.files import read
from pilotage.migrate.engines.globs import matcher
from pilotage.migrate.engines.lines import Lines
from pilotage.migrate.engines.outcome import Outcome
from pilotage.migrate.engines.status import CommandReader
from pilotage.migrate.engines.truth import Reading, applied, found_rows, made_true
from pilotage.migrate.migration import Framework, Migrations
from pilotage.model import Half, HalfRef, HalfRow, SchemaView, contract, expand, fits
from pilotage.model.rule import Ships

TOOL = Framework("tool", "tool up")


def files(**texts: str) -> dict[Path, bytes]:
    return {Path(path): textwrap.dedent(text).encode() for path, text in texts.items()}


def alembic(*revisions: tuple[str, str, str]) -> Migrations:
    """Files of (revision, down_revision as written, name)."""
    return read(
        {
            Path(f"versions/{revision}_{name}.py"): (
                f'"""{name}"""\nrevision: str = "{revision}"\ndown_revision = {before}\n'
            ).encode()
            for revision, before, name in revisions
        },
        contract_files=["*_contract*"],
        status="alembic_version",
        order="linear",
        framework=TOOL,
    )


def halves(migrations: Migrations) -> list[str]:
    return [str(ref) for m in migrations for ref in m.halves()]


# ----------------------------------------------------------------------------------------------
# Globs
# ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("glob", "path", "matches"),
    [
        ("db/migrate/*.rb", "db/migrate/1_a.rb", True),
        ("db/migrate/*.rb", "db/migrate/more/1_a.rb", False),
        ("db/migrate/*.rb", "engines/db/migrate/1_a.rb", False),
        ("db/post_migrate/", "db/post_migrate/deep/1_a.rb", True),
        ("*_contract*", "shop/migrations/0003_contract_price.py", True),
        ("*_contract*", "a_contract/0003_price.py", False),
        ("**/migrations/[0-9]*.py", "shop/migrations/0001_initial.py", True),
        ("**/migrations/[0-9]*.py", "migrations/0001_initial.py", True),
        ("**/migrations/[0-9]*.py", "shop/migrations/__init__.py", False),
        ("**/migrations/[!0-9]*.py", "shop/migrations/__init__.py", True),
        ("a?.sql", "x/ab.sql", True),
        ("a.sql", "axsql", False),
        ("./db/*.sql", "db/a.sql", True),
    ],
)
def test_globs(glob, path, matches):
    assert matcher([glob])(path) is matches


# ----------------------------------------------------------------------------------------------
# Files
# ----------------------------------------------------------------------------------------------


def test_versions_by_name_in_their_order():
    found = read(
        {Path(f"db/{folder}/{name}.rb"): b"" for folder, name in (
            ("post_migrate", "20260202000001_drop_price"),
            ("migrate", "20260202000000_add_note"),
            ("migrate", "9_early"),
        )},
        contract_files=["db/post_migrate/*.rb"],
        status="schema_migrations",
        order="set",
        framework=TOOL,
    )  # fmt: skip
    assert halves(found) == ["9/expand", "20260202000000/expand", "20260202000001/contract"]
    assert [m.name for m in found] == ["early", "add_note", "drop_price"]
    assert not any(m.after for m in found)


def test_versions_by_name_in_a_line():
    found = read(
        {Path("m/2_b.sql"): b"", Path("m/1_a.sql"): b"", Path("m/setup.sql"): b""},
        contract_files=[],
        status="command",
        order="linear",
        framework=TOOL,
    )
    assert [(m.version, m.after) for m in found] == [
        ("setup", ()),
        ("1", ("setup",)),
        ("2", ("1",)),
    ]
    assert found.ancestors("2") == {"setup", "1"}


def test_two_files_of_one_version():
    with pytest.raises(
        MigrationFileError, match=r"m/2_b.sql.*version 2 has another file: m/2_a.sql"
    ):
        read(
            {Path("m/2_a.sql"): b"", Path("m/2_b.sql"): b""},
            contract_files=[], status="command", order="linear", framework=TOOL,
        )  # fmt: skip


def test_alembic_says_its_order_itself():
    found = alembic(
        ("zz", "None", "first"),
        ("aa", '"zz"', "second"),
        ("mm", '"aa"', "contract_price"),
        ("bb", '("mm", "cc")', "merge"),
        ("cc", '"aa"', "branch"),
    )
    assert [m.version for m in found][:2] == ["zz", "aa"]
    assert [m.version for m in found][-1] == "bb"
    assert "mm/contract" in halves(found)
    assert found.ancestors("bb") == {"zz", "aa", "mm", "cc"}
    assert found.by_version["aa"].name == "second"


def test_alembic_files_that_make_no_sense():
    with pytest.raises(MigrationFileError, match="comes after the revision 'gone'"):
        alembic(("a1", '"gone"', "x"))
    with pytest.raises(MigrationFileError, match="each come after the other"):
        alembic(("a1", '"b2"', "x"), ("b2", '"a1"', "y"))
    with pytest.raises(
        MigrationFileError, match=r"versions/a1_x.py:3: `down_revision` is computed"
    ):
        alembic(("a1", "f()", "x"))
    with pytest.raises(MigrationFileError, match="another file"):
        alembic(("a1", "None", "x"), ("a1", "None", "y"))
    with pytest.raises(MigrationFileError, match=r"versions/a1_x.py:3: it is not Python"):
        alembic(("a1", "(", "x"))


DJANGO = {
    "shop/apps.py": "class Shop:\n    label = 'store'\n",
    "shop/migrations/0001_initial.py": """\
        class Migration(migrations.Migration):
            initial = True
            dependencies = [migrations.swappable_dependency(settings.AUTH_USER_MODEL),
                            ("auth", "0001_initial")]
        """,
    "shop/migrations/0002_contract_x.py": """\
        class Migration(migrations.Migration):
            dependencies = [("store", "0001_initial"), ("people", "__first__")]
        """,
    "people/migrations/0001_initial.py": """\
        class Migration(migrations.Migration):
            dependencies = []
            run_before = [("store", "0001_initial")]
        """,
}


def test_django_apps_have_labels_and_depend_on_each_other():
    found = read(
        files(**DJANGO),
        contract_files=["*_contract*"],
        status="django_migrations",
        order="linear",
        framework=TOOL,
    )
    assert halves(found) == [
        "people.0001_initial/expand",
        "store.0001_initial/expand",
        "store.0002_contract_x/contract",
    ]
    assert found.ancestors("store.0002_contract_x") == {
        "store.0001_initial",
        "people.0001_initial",
    }
    assert "people.0001_initial" in found.ancestors("store.0001_initial")


# ----------------------------------------------------------------------------------------------
# What is applied
# ----------------------------------------------------------------------------------------------

AFTER = {"a": (), "b": ("a",), "c": ("b",)}


def test_a_head_stands_for_all_before_it():
    assert applied(Reading(frozenset({"b"}), heads=True), AFTER, ()) == {"a", "b"}
    assert applied(Reading(frozenset({"b"})), AFTER, ()) == {"b"}
    assert applied(Reading(frozenset(), heads=True), AFTER, ("a",)) == set()


def test_of_a_head_without_a_file_our_rows_tell_what_came_before():
    assert applied(Reading(frozenset({"x"}), heads=True), AFTER, ("a", "b")) == {"a", "b", "x"}


def view(*rows: HalfRow, **more: object) -> SchemaView:
    return SchemaView(rows=rows, **more)  # type: ignore[arg-type]


def done(ref: HalfRef) -> HalfRow:
    return HalfRow(ref, started_at=5.0, finished_at=6.0)


def test_the_frameworks_word_decides_and_our_rows_say_which_half():
    rows = (done(expand("a")), done(contract("b")), replace(done(expand("c")), finished_at=None))
    seen = made_true(view(*rows), frozenset({"a", "c", "x"}), {})
    assert seen.applied.expanded == {"a", "c"}  # c: applied, whatever we saw of it
    assert not seen.applied.contracted  # b was taken back by hand
    assert seen.loose == {"x"}


def test_a_contract_half_that_began_stays_begun():
    begun = replace(done(contract("b")), finished_at=None)
    seen = made_true(view(begun), frozenset(), {})
    assert seen.applied.contracted == {"b"}
    assert not seen.applied.finished


def test_a_version_run_by_hand_whose_file_was_read_is_not_loose():
    seen = made_true(view(), frozenset({"x"}), {"x": done(contract("x"))})
    assert seen.applied.contracted == {"x"}
    assert not seen.loose


def test_what_was_there_before_us_is_in_nobodys_way():
    seen = made_true(view(exists=False), frozenset({"a", "b"}), {})
    assert seen.rows == found_rows(["a", "b"])
    assert seen.applied.has(expand("a"))
    assert seen.applied.has(contract("a"))
    assert fits(Ships(), seen.applied)
    assert fits(Ships(expands=frozenset({"a"}), contracts=frozenset({"b"})), seen.applied)


# ----------------------------------------------------------------------------------------------
# A status command
# ----------------------------------------------------------------------------------------------


def told(text: str) -> Reading:
    asked = []

    async def run(line: str) -> str:
        asked.append(line)
        return text

    async def ask() -> Reading:
        reader = CommandReader("bin/status", run)
        await reader.ask(now=False)
        await reader.ask(now=False)
        assert len(asked) == 1, "what it said a moment ago will do"
        await reader.ask(now=True)
        assert len(asked) == 2
        return await reader.read(None, None)  # type: ignore[arg-type]

    return asyncio.run(ask())


def test_a_status_command_lists_versions_or_says_where_it_stands():
    assert told('{"version": "3", "applied": ["1", 3]}') == Reading(frozenset({"1", "3"}))
    assert told('{"version": "3"}') == Reading(frozenset({"3"}), heads=True)
    assert told('{"version": 7}') == Reading(frozenset({"7"}), heads=True)
    assert told('{"version": null}') == Reading(frozenset(), heads=True)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("up to date", "it is not JSON"),
        ("[]", "neither `version` nor `applied`"),
        ('{"Version": 1}', "neither `version` nor `applied`"),
        ('{"applied": "3"}', "`applied` is no list"),
    ],
)
def test_a_status_command_that_says_something_else(text, why):
    with pytest.raises(DatabaseError, match=why) as caught:
        told(text)
    assert "bin/status" in caught.value.where


# ----------------------------------------------------------------------------------------------
# What the command is told
# ----------------------------------------------------------------------------------------------


def test_the_command_is_told_what_to_apply():
    lines = Lines("alembic", "up", "down", "all", "shop", "web", "host", 60.0, {"X": "y"})
    found = alembic(
        ("a1", "None", "a"), ("b2", '"a1"', "b"), ("c3", '"a1"', "c"), ("d4", '"c3"', "contract")
    )
    a1, b2, c3, d4 = (found.by_version[v] for v in ("a1", "b2", "c3", "d4"))
    command = lines.command((a1, b2, c3), fresh=False, apps="p q")
    assert command.line == "up"
    assert command.env == {
        "X": "y",
        "PILOTAGE_VERSIONS": "a1 b2 c3",
        "PILOTAGE_TARGETS": "b2 c3",
        "PILOTAGE_VERSION": "c3",
        "PILOTAGE_HALF": str(Half.EXPAND),
        "PILOTAGE_APPS": "p q",
    }
    assert lines.command((d4,), fresh=False, apps="").line == "down"
    assert lines.command((a1, d4), fresh=True, apps="").line == "all"
    assert lines.command((a1, d4), fresh=True, apps="").env["PILOTAGE_HALF"] == "all"
    assert replace(lines, fresh=None).command((a1,), fresh=True, apps="").line == "up"


# ----------------------------------------------------------------------------------------------
# How it came out
# ----------------------------------------------------------------------------------------------


def test_what_was_asked_for_and_nothing_else():
    Outcome("tool", (expand("1"), expand("2")), ()).judge(where="here")


def test_what_was_left_out_and_what_went_too_far_are_told():
    with pytest.raises(HalfFailed, match="ended well, and 2/expand is not applied") as left:
        Outcome("tool", (expand("1"),), (expand("2"),)).judge(where="here")
    assert left.value.state == "applied now: 1/expand; not applied: 2/expand"
    with pytest.raises(HalfFailed, match="asked for 1/expand, it also applied 3/contract") as far:
        Outcome("tool", (expand("1"),), (), ("3/contract",)).judge(where="here")
    assert far.value.state == "applied now: 1/expand; applied besides: 3/contract"
    assert Outcome("tool", (), ()).state == "nothing more is applied than before"
