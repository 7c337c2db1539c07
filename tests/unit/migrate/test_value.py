"""Changes are values like any frozen dataclass, though no code is generated for them."""

from __future__ import annotations

import pickle
from copy import deepcopy

import pytest

from pilotage.migrate.sql import change as c

DROP = c.DropColumn(table=c.Name(None, "orders"), column="note", sql="ALTER TABLE orders …")


def test_a_default_stands_in_for_what_is_not_given() -> None:
    assert (DROP.offset, DROP.restated) == (0, False)
    assert DROP.but(offset=7).offset == 7
    assert DROP.offset == 0


def test_equal_are_those_of_one_kind_with_the_same_in_all_fields() -> None:
    same = c.DropColumn(column="note", sql=DROP.sql, table=c.Name(None, "orders"), offset=0)
    assert same == DROP
    assert hash(same) == hash(DROP)
    assert DROP.but(column="other") != DROP
    null = c.DropNotNull(table=DROP.table, column=DROP.column, sql=DROP.sql)
    assert null != DROP
    assert len({DROP, same, null}) == 2


@pytest.mark.parametrize(
    ("given", "named"),
    [({"column": "note"}, "table"), ({"tabel": 1}, "column, table")],
)
def test_what_is_missing_is_named(given: dict[str, object], named: str) -> None:
    with pytest.raises(TypeError, match=rf"DropColumn: missing or unknown: {named}$"):
        c.DropColumn(**given)  # type: ignore[arg-type]


def test_what_is_unknown_is_named() -> None:
    with pytest.raises(TypeError, match=r"DropColumn: missing or unknown: tabel$"):
        DROP.but(tabel=1)


def test_nothing_of_it_can_be_set() -> None:
    with pytest.raises(AttributeError, match=r"'column'.*frozen"):
        DROP.column = "other"  # type: ignore[misc]
    with pytest.raises(AttributeError, match=r"'column'.*frozen"):
        del DROP.column
    with pytest.raises(AttributeError, match=r"'offset'.*frozen"):
        DROP.offset = 3  # type: ignore[misc]


def test_it_shows_its_fields_and_can_be_copied() -> None:
    assert repr(DROP).startswith("DropColumn(sql='ALTER TABLE orders …', offset=0, ")
    assert deepcopy(DROP) == pickle.loads(pickle.dumps(DROP)) == DROP
