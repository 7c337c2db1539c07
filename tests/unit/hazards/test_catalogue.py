"""What is known of a schema after changes."""

from __future__ import annotations

import pytest

from pilotage.hazards.catalogue import Catalogue, Index, Size, Table
from pilotage.migrate.sql import changes
from pilotage.migrate.sql.change import Name

BEFORE = """\
CREATE TYPE state AS ENUM ('new', 'paid');
CREATE DOMAIN positive AS int CHECK (value > 0);
CREATE TABLE a (id bigint PRIMARY KEY, x int CHECK (x > 0), y text UNIQUE);
CREATE TABLE b (id bigint PRIMARY KEY, a_id bigint REFERENCES a (id), n int);
CREATE INDEX b_n ON b (n, lower('x'));
"""


def after(sql: str, known: Catalogue | None = None) -> Catalogue:
    known = known or Catalogue()
    for change in changes(BEFORE + sql, "postgresql"):
        known.apply(change)
    return known


def table(known: Catalogue, name: str) -> Table:
    found = known.table(Name(None, name))
    assert found
    return found


def test_what_a_table_has() -> None:
    known = after("")
    a, b = table(known, "a"), table(known, "b")

    assert a.primary_key == ("id",)
    assert set(a.constraints) == {"a_pkey", "a_x_check", "a_y_key"}
    assert a.constraints["a_x_check"].expression == "x > 0"
    assert b.constraints["b_a_id_fkey"].references == Name(None, "a")
    assert b.indexes == {"b_n": Index("b_n", ("n", ""))}
    assert [(t.name.name, x.columns) for t, x in known.referencing(a.name)] == [("b", ("a_id",))]
    assert known.enums == {("", "state"): ("new", "paid")}
    assert known.domains == {("", "positive"): True}
    assert (a.indexed("y"), a.indexed("x"), b.indexed("n")) == (True, False, True)


@pytest.mark.parametrize(
    ("sql", "constraints"),
    [
        ("ALTER TABLE a DROP CONSTRAINT a_x_check", {"a_pkey", "a_y_key"}),
        ("ALTER TABLE a DROP x", {"a_pkey", "a_y_key"}),
        ("ALTER TABLE a RENAME CONSTRAINT a_x_check TO k", {"a_pkey", "a_y_key", "k"}),
        ("ALTER TABLE a ADD CHECK (x < 9)", {"a_pkey", "a_y_key", "a_x_check", "a_x_check1"}),
        ("ALTER TABLE a ADD z int UNIQUE", {"a_pkey", "a_y_key", "a_x_check", "a_z_key"}),
    ],
)
def test_constraints(sql: str, constraints: set[str]) -> None:
    assert set(table(after(sql), "a").constraints) == constraints


def test_validity() -> None:
    added = "ALTER TABLE a ADD CONSTRAINT k CHECK (x < 9) NOT VALID;"

    assert not table(after(added), "a").constraints["k"].valid
    assert table(after(f"{added} ALTER TABLE a VALIDATE CONSTRAINT k"), "a").constraints["k"].valid


def test_a_rename_is_followed() -> None:
    known = after(
        "ALTER TABLE a RENAME TO c; ALTER TABLE b RENAME n TO m; ALTER INDEX b_n RENAME TO i"
    )
    b = table(known, "b")

    assert known.table(Name(None, "a")) is None
    assert b.constraints["b_a_id_fkey"].references == Name(None, "c")
    assert list(b.columns) == ["id", "a_id", "m"]
    assert b.indexes["i"].columns == ("m", "")
    assert known.has("table", Name("public", "c"))


def test_what_goes() -> None:
    known = after("DROP INDEX b_n; DROP TABLE a")

    assert table(known, "b").indexes == {}
    assert known.table(Name(None, "a")) is None
    assert not known.has("table", Name(None, "a"))


def test_a_schema_goes_with_all_in_it() -> None:
    known = after("CREATE TABLE s.t (n int); CREATE VIEW s.v AS SELECT 1; DROP SCHEMA s CASCADE")

    assert known.table(Name("s", "t")) is None
    assert not known.has("view", Name("s", "v"))
    assert table(known, "a")


def test_a_constraint_takes_its_index() -> None:
    known = after(
        "CREATE UNIQUE INDEX u ON b (n); ALTER TABLE b ADD CONSTRAINT u UNIQUE USING INDEX u"
    )
    b = table(known, "b")

    assert "u" not in b.indexes
    assert b.constraints["u"].columns == ("n",)


@pytest.mark.parametrize(
    ("sql", "values"),
    [
        ("ALTER TYPE state ADD VALUE 'sent'", ("new", "paid", "sent")),
        ("ALTER TYPE state ADD VALUE 'sent' BEFORE 'paid'", ("new", "sent", "paid")),
        ("ALTER TYPE state ADD VALUE 'sent' AFTER 'new'", ("new", "sent", "paid")),
        ("ALTER TYPE state RENAME VALUE 'new' TO 'open'", ("open", "paid")),
    ],
)
def test_enum_values(sql: str, values: tuple[str, ...]) -> None:
    assert after(sql).enums["", "state"] == values


def test_partitions() -> None:
    known = after(
        "CREATE TABLE p (y int) PARTITION BY RANGE (y);"
        "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (1) TO (2); CREATE TABLE p2 (y int);"
        "ALTER TABLE p ATTACH PARTITION p2 FOR VALUES FROM (2) TO (3)"
    )
    p = Name(None, "p")

    assert table(known, "p").partitioned == "RANGE (y)"
    assert [child.name.name for child in known.partitions(p)] == ["p1", "p2"]
    for change in changes("ALTER TABLE p DETACH PARTITION p1", "postgresql"):
        known.apply(change)
    assert [child.name.name for child in known.partitions(p)] == ["p2"]


def test_rows_that_are_inserted_make_a_size_unknown() -> None:
    known = Catalogue()
    known.put(Table(Name(None, "t"), size=Size(0)))
    for change in changes("INSERT INTO t SELECT 1", "postgresql"):
        known.apply(change)

    assert table(known, "t").size is None
