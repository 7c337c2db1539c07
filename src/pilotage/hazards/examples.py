"""The test cases that stand beside the rules: how one is read, and what is found in it.

The tests run every one of them, and the pages of ``docs/reference/hazards/`` show them. Pure.
"""

from __future__ import annotations

from pathlib import Path

from pilotage.hazards.catalogue import Catalogue, Size
from pilotage.hazards.check import check
from pilotage.hazards.finding import Finding
from pilotage.hazards.framework import LANGUAGES, check_file
from pilotage.hazards.rule import Example
from pilotage.migrate.loader import read_migration
from pilotage.migrate.migration import Migration, Section
from pilotage.migrate.sql.change import Name
from pilotage.model import Half

MARK = "»"

SCHEMA = {
    "postgresql": """\
CREATE TYPE state AS ENUM ('new', 'paid');
CREATE TABLE customers (
    id bigint PRIMARY KEY,
    name text NOT NULL,
    email varchar(80)
);
CREATE TABLE orders (
    id bigint PRIMARY KEY,
    customer_id bigint,
    item varchar(20) NOT NULL,
    amount int,
    price numeric(10, 2) CONSTRAINT price_positive CHECK (price > 0),
    state state DEFAULT 'new',
    note text
);
CREATE INDEX orders_item_idx ON orders (item);
""",
    "mysql": """\
CREATE TABLE customers (id bigint PRIMARY KEY, name varchar(80) NOT NULL);
CREATE TABLE orders (
    id bigint PRIMARY KEY,
    customer_id bigint,
    item varchar(20) NOT NULL,
    amount int,
    state enum('new', 'paid'),
    note varchar(200),
    KEY orders_item (item)
);
""",
    "sqlite": """\
CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE orders (id INTEGER PRIMARY KEY, item TEXT, amount INT);
""",
}
"""What is there before an example, by dialect, unless the example says so itself."""


def text_of(example: Example) -> str:
    """The migration file without the mark."""
    return example.sql.replace(MARK, "")


def before(example: Example) -> str:
    """The migrations before it."""
    return SCHEMA[example.dialect] if example.before is None else example.before


def place_of(example: Example) -> tuple[int, int]:
    """The line and the column, from 1, before which the mark stands."""
    ahead = example.sql[: example.sql.index(MARK)]
    return ahead.count("\n") + 1, len(ahead) - ahead.rfind("\n")


def findings(example: Example) -> tuple[Finding, ...]:
    """Everything that is found in an example."""
    if example.dialect not in SCHEMA:
        return tuple(check_file(_of_a_framework(example), Half.EXPAND))
    return check(
        _read(text_of(example), 2, example), dialect=example.dialect, known=known_before(example)
    )


def known_before(example: Example) -> Catalogue:
    """What an example's file meets."""
    known = Catalogue(server=example.server)
    check(_read(before(example), 1, example), dialect=example.dialect, known=known)
    for name, rows in example.rows.items():
        table = known.table(Name(None, name))
        assert table, name
        table.size = Size(rows)
    known.complete = example.complete
    return known


def _read(text: str, version: int, example: Example) -> Migration:
    path = Path(f"{version}_example.sql")
    return read_migration(text or "SELECT 1;", path=path, dialect=example.dialect)


def _of_a_framework(example: Example) -> Migration:
    ending = next(end for end, name in LANGUAGES.items() if name == example.dialect)
    section = Section(text_of(example), 1)
    return Migration("2", "example", Path(f"2_example{ending}"), expand=section)
