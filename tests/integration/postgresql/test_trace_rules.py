"""Where trace and rule disagree, this says which of them is right, and why.

Every example beside an availability rule is run on real servers. What the rule warns of must be measured in
its bad examples and must not be in its good ones. `DISAGREEMENTS` are the exceptions, and each must be one.
"""

from __future__ import annotations

from asyncio import run
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.servers import VERSIONS, Postgres, server

from pilotage.hazards import RULES, Class
from pilotage.hazards.examples import before, text_of
from pilotage.hazards.rule import Example, Rule
from pilotage.hazards.rules import BY_ID
from pilotage.migrate.loader import load_files
from pilotage.secret import Secret
from pilotage.trace import Options, Stops, Trace, TracedHalf, trace

ROWS = 3000
COPIED = 100_000  # bytes of the log: the files of a table with that many rows are larger, empty ones smaller


# -- what a rule's reason names, as something that can be measured ---------------------------------


def work(found: Trace) -> bool:
    """Writers, or all, wait while rows are read or written: those of the table or of another."""
    return any(_worked(half, Stops.WRITERS) for half in found.halves)


def work_under_all(found: Trace) -> bool:
    """Readers wait, too."""
    return any(_worked(half, Stops.EVERYBODY) for half in found.halves)


def _worked(half: TracedHalf, least: Stops) -> bool:
    """In a transaction, what comes after the lock counts as well."""
    locked = False
    for statement in half.statements:
        locked = statement.stops >= least or (locked and half.transaction)
        read = any(scan.rows for scan in statement.scans or ())
        copied = statement.rewrites and statement.wal > COPIED  # SET TABLESPACE reads no rows
        if locked and (read or copied):
            return True
    return False


def lock_on_all(found: Trace) -> bool:
    """Readers of something that was there wait, if only for a moment."""
    return any(
        lock.stops is Stops.EVERYBODY and lock.relation.kind == "table"
        for statement in found.statements
        for lock in statement.locks
    )


def lock_on_writers(found: Trace) -> bool:
    """Writers wait, if only for a moment."""
    return any(statement.stops >= Stops.WRITERS for statement in found.statements)


def many_rows(found: Trace) -> bool:
    """All rows of a table of some size change in one transaction, so that each stays locked."""
    return any(
        statement.rows > 1000
        for half in found.halves
        if half.section != "backfill"
        for statement in half.statements
    )


def several_tables(found: Trace) -> bool:
    """A transaction holds locks on several tables of some size that writers wait for."""
    for half in found.halves:
        if not half.transaction:
            continue
        tables = {
            lock.relation.table
            for statement in half.statements
            for lock in statement.locks
            if lock.stops >= Stops.WRITERS
        }
        if len(tables) > 1:
            return True
    return False


def work_or_second_table(found: Trace) -> bool:
    """Readers wait while rows are read, or until a second table is locked as well."""
    return work_under_all(found) or several_tables(found)


def three_tables(found: Trace) -> bool:
    """A statement takes ACCESS EXCLUSIVE on more than two tables."""
    return any(
        len({x.relation.table for x in s.locks if x.stops is Stops.EVERYBODY}) > 2
        for s in found.statements
    )


Evidence = Callable[[Trace], bool]

EVIDENCE: dict[str, Evidence] = {
    "add-column-rewrite": work_under_all,
    "add-constraint": work,
    "attach-partition": work,
    "bundled-reference": work_under_all,
    "change-all-rows": many_rows,
    "change-rows": many_rows,
    "change-rows-at-once": many_rows,
    "change-storage": work_under_all,
    "constrained-domain": work,
    "create-index": work,
    "detach-lock": lock_on_all,
    "drop-index": lock_on_all,
    "drop-referencing-table": three_tables,
    "inline-constraint": work_or_second_table,
    "lock-table": lock_on_writers,
    "recheck-type": work_under_all,
    "refresh-view": work_under_all,
    "reindex": work,
    "rewrite-type": work_under_all,
    "scan-for-null": work_under_all,
    "several-foreign-keys": several_tables,
    "several-tables": several_tables,
    "vacuum-full": work_under_all,
    "validate-at-once": work,
    "work-under-lock": work_under_all,
}

NOT_LOCKS = {
    "default-before-11": "no server older than PostgreSQL 11 is maintained, and none runs here",
    "int-key": "numbers that run out in some years lock nothing today",
    "key-type-mismatch": "numbers that run out in some years lock nothing today",
    "no-lock-timeout": "what it prolongs is the wait for a lock; nobody is in the way on a clone",
    "no-statement-timeout": "what it prolongs is the wait for a lock; nobody is in the way on a clone",
    "replace-index": "what is slow are the application's queries between the two statements",
}
"""Rules whose reason is nothing that a trace of the statement itself could show."""


# -- what must be there for an example to run ------------------------------------------------------


FILL = {
    "CREATE TABLE customers (": (
        "customers",
        "INSERT INTO customers SELECT n, 'c' || n FROM generate_series(1, {rows}) n;",
    ),
    "customer_id bigint,": (
        "orders",
        "INSERT INTO orders (id, customer_id, item, amount, price)"
        " SELECT n, n, 'item ' || n, n, 1 FROM generate_series(1, {rows}) n;",
    ),
    "CREATE TABLE orders (id bigint PRIMARY KEY);": (
        "orders",
        "INSERT INTO orders SELECT generate_series(1, {rows});",
    ),
    "CREATE TABLE keyless (": (
        "keyless",
        "INSERT INTO keyless SELECT generate_series(1, {rows});",
    ),
    "CREATE TABLE log_2020 ": (
        "log_2020",
        "INSERT INTO log_2020 SELECT 2020 FROM generate_series(1, {rows});",
    ),
    "CREATE TABLE t (": ("t", "INSERT INTO t SELECT generate_series(1, {rows});"),
}
"""What makes a table → its name, and what fills it. As many rows as an example says, or `ROWS`."""

LOG = """
CREATE TABLE log (year int) PARTITION BY RANGE (year);
CREATE TABLE log_2020 PARTITION OF log FOR VALUES FROM (2020) TO (2021);
"""

NEEDS = {
    "next_code()": "CREATE FUNCTION next_code() RETURNS text LANGUAGE sql AS 'SELECT random()::text';",
    "USING INDEX k": "CREATE UNIQUE INDEX k ON orders (item);",
    "ALTER DOMAIN positive": "CREATE DOMAIN positive AS int CHECK (value > 0);\n"
    "ALTER TABLE orders ADD COLUMN weight positive;",
    "DETACH PARTITION log_2020": LOG,
    "ALTER TABLE a NO INHERIT b": "CREATE TABLE b (n int);\nCREATE TABLE a () INHERITS (b);",
    "VIEW totals;": "CREATE MATERIALIZED VIEW totals AS SELECT id, amount FROM orders;\n"
    "CREATE UNIQUE INDEX totals_id ON totals (id);",
    "CONCURRENTLY totals;": "CREATE MATERIALIZED VIEW totals AS SELECT id, amount FROM orders;\n"
    "CREATE UNIQUE INDEX totals_id ON totals (id);",
    "elsewhere": "CREATE TABLE elsewhere (id int PRIMARY KEY);",
}
"""What an example names, where no example says how it came to be."""

LATE = ("VIEW totals;", "CONCURRENTLY totals;", "ALTER DOMAIN positive")
"""What is made of the rows, and so comes after them."""


# -- the exceptions ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Disagreement:
    """``right``: ``rule`` or ``trace``. ``on``: the versions of the server on which they disagree."""

    right: str
    why: str
    on: tuple[int, ...] = VERSIONS


MOMENT = "the lock is as the trace says, and it is held for a moment: {}"

DISAGREEMENTS = {
    ("detach-lock", "-- contract\nALTER TABLE a NO INHERIT b;"): Disagreement(
        "rule", MOMENT.format("there is no other way to write it, so nothing to advise")
    ),
    ("constrained-domain", "»CREATE DOMAIN weight AS int CHECK (value > 0);"): Disagreement(
        "rule",
        "no column has the domain yet, so there is nothing to lock; each that is added later is a rewrite, "
        "and then the advice comes too late",
    ),
    ("drop-index", "DROP INDEX orders_item_idx;"): Disagreement(
        "rule", MOMENT.format("nobody reads an empty table for long")
    ),
    (
        "several-tables",
        "ALTER TABLE orders ADD COLUMN x int;\nALTER TABLE customers ADD COLUMN y int;",
    ): Disagreement(
        "rule",
        "both locks are held, as the trace says; which tables are in demand it cannot measure, and one of 20 "
        "rows is taken not to be",
    ),
    (
        "several-foreign-keys",
        "CREATE TABLE lines (order_id bigint REFERENCES orders (id), "
        "customer_id bigint REFERENCES customers (id));",
    ): Disagreement(
        "trace",
        "writers of orders wait until customers is locked, too, just as where the keys are added to a table "
        "that was there; the rule keeps silent because nearly every new table has two of them",
    ),
}
"""By rule and the text of the example."""

CANNOT_RUN = {
    "GENERATED ALWAYS AS (amount * 2) VIRTUAL": (
        (15, 16),
        "virtual columns came with PostgreSQL 18",
    ),
    "UNIQUE NULLS NOT DISTINCT DEFERRABLE DEFAULT 0": (
        VERSIONS,
        "every row gets the same value: it fails on the rows of a clone, as it would on real ones",
    ),
}
"""What a version of the server has not got, or refuses for its rows: nothing to compare there."""


# -- the test ------------------------------------------------------------------------------------------


def judged() -> list[tuple[Rule, str, Example]]:
    """Every example for PostgreSQL beside an availability rule."""
    return [
        (rule, verdict, example)
        for rule in RULES
        if rule.class_ is Class.AVAILABILITY and rule.id not in NOT_LOCKS
        for verdict, examples in (("bad", rule.bad), ("good", rule.good))
        for example in examples
        if example.dialect == "postgresql"
    ]


def earlier(example: Example) -> str:
    """The migration before the example: its schema, and rows."""
    schema, sql = before(example), text_of(example)
    needs = [
        text
        for word, text in NEEDS.items()
        if word in sql
        and f"CREATE {text.split()[1]} {text.split()[2]}" not in schema + sql
        and "CREATE MATERIALIZED VIEW totals" not in sql
    ]
    early = [text for text in needs if not any(NEEDS[word] == text for word in LATE)]
    made = "\n".join([schema, *early])
    fill = [
        text.format(rows=example.rows.get(table, ROWS))
        for word, (table, text) in FILL.items()
        if word in made
    ]
    late = [text for text in needs if text not in early]
    return "\n".join([made, *fill, *late])


def traced(postgres: Postgres, example: Example) -> Trace:
    """The example, run."""
    named = {
        Path("1_before.sql"): earlier(example).encode(),
        Path("2_example.sql"): text_of(example).encode(),
    }
    options = Options(server=Secret(postgres.url()))
    return run(trace(load_files(named, dialect="postgresql"), {"2"}, options))


@pytest.fixture(params=VERSIONS)
def postgres(request: pytest.FixtureRequest) -> Postgres:
    """Each server, with a tablespace."""
    found = server(request.param)
    if not found.execute("SELECT 1 FROM pg_tablespace WHERE spcname = 'fast'"):
        found.execute("SET allow_in_place_tablespaces = true", "CREATE TABLESPACE fast LOCATION ''")
    return found


@pytest.mark.parametrize("id", EVIDENCE)
def test_a_rule_and_its_trace(postgres: Postgres, id: str) -> None:
    rule, wrong = BY_ID[id], []
    for one, verdict, example in judged():
        if one is not rule:
            continue
        sql = text_of(example)
        if any(word in sql and postgres.major in on for word, (on, _) in CANNOT_RUN.items()):
            continue
        if example.server is not None and example.server[0] < VERSIONS[0]:
            continue  # what it says of a server that is not maintained any more
        found = traced(postgres, example)
        assert found.error is None, f"{verdict} {sql}\n{found.error}"
        agree = EVIDENCE[rule.id](found) == (verdict == "bad")
        known = DISAGREEMENTS.get((rule.id, example.sql))
        expected = known is None or postgres.major not in known.on
        if agree != expected:
            wrong.append(f"{verdict}: {sql}\n{_told(found)}")
    assert not wrong, f"{rule.id} ({rule.why}) and its trace:\n" + "\n".join(wrong)


def _told(found: Trace) -> str:
    return "\n".join(
        f"    {statement.text[:60]}: "
        f"{[(str(lock.relation), lock.mode) for lock in statement.locks if lock.stops]}, "
        f"rewritten {[str(relation) for relation in statement.rewrites]}, "
        f"read {[(str(scan.relation), scan.rows) for scan in statement.scans or ()]}, "
        f"{statement.rows} rows, {statement.wal} bytes"
        for statement in found.statements
    )


def test_every_rule_is_compared_or_says_why_not() -> None:
    rules = {rule.id for rule, _, _ in judged()} | set(NOT_LOCKS)

    assert rules == set(EVIDENCE) | set(NOT_LOCKS)
    assert not set(EVIDENCE) & set(NOT_LOCKS)


def test_every_disagreement_is_of_an_example_that_is_there() -> None:
    there = {(rule.id, example.sql) for rule, _, example in judged()}

    assert set(DISAGREEMENTS) <= there
    assert {known.right for known in DISAGREEMENTS.values()} <= {"rule", "trace"}
