"""What a half does to whole tables."""

from __future__ import annotations

import pytest
from tests.migrations import migration

from pilotage.migrate.heavy import heavy
from pilotage.model import Half


@pytest.mark.parametrize(
    ("text", "does"),
    [
        ("CREATE INDEX CONCURRENTLY i ON orders (a)", "builds an index on"),
        ("ALTER TABLE orders ADD FOREIGN KEY (a) REFERENCES x", "checks a foreign key constraint of"),
        ("ALTER TABLE orders VALIDATE CONSTRAINT c", "validates a constraint of"),
        ("ALTER TABLE orders ALTER a SET NOT NULL", "looks for NULLs in"),
        ("ALTER TABLE orders ALTER a TYPE bigint", "may rewrite"),
        ("UPDATE orders SET a = 1", "changes rows of"),
    ],
)  # fmt: skip
def test_what_reads_a_table_from_end_to_end(text: str, does: str) -> None:
    (found,) = heavy(migration("7", expand=text), Half.EXPAND, "postgresql")
    assert (found.does, str(found.table), str(found.ref)) == (does, "orders", "7/expand")
    assert heavy(migration("7", expand=text), Half.CONTRACT, "postgresql") == ()


@pytest.mark.parametrize(
    "text",
    [
        "ALTER TABLE orders ADD COLUMN a int",
        "ALTER TABLE orders ADD CHECK (a > 0) NOT VALID",
        "ALTER TABLE orders ADD CONSTRAINT k UNIQUE USING INDEX k",
        "CREATE TABLE orders (a int);\nCREATE INDEX ON orders (a)",
        "UPDATE orders SET a = 1 WHERE id = 3",
        "ALTER DOMAIN d SET NOT NULL",
    ],
)
def test_what_takes_a_moment(text: str) -> None:
    assert heavy(migration("7", expand=text), Half.EXPAND, "postgresql") == ()


def test_a_backfill_counts_and_each_table_is_told_once() -> None:
    one = migration(
        "7",
        expand='ALTER TABLE shop."Orders" ADD COLUMN a int;\nCREATE INDEX ON x (a);\nCREATE INDEX ON x (b)',
        backfill='UPDATE shop."Orders" SET a = 1 WHERE a IS NULL',
    )
    found = heavy(one, Half.EXPAND, "postgresql")
    assert [each.sql_name("postgresql") for each in found] == ["x", 'shop."Orders"']
