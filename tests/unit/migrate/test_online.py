"""What ``-- pilotage: online`` makes of statements that lock: the exact steps."""

from __future__ import annotations

from pathlib import Path

import pytest

from pilotage.errors import MigrationFileError
from pilotage.hazards import check
from pilotage.migrate import sql
from pilotage.migrate.loader import parse_migration
from pilotage.migrate.script import script
from pilotage.migrate.settings import RunnerSettings
from pilotage.migrate.sql.online import Step, online
from pilotage.migrate.sql.postgresql.names import default_name
from pilotage.migrate.sql.postgresql.online import same_constraint, same_index
from pilotage.migrate.work import digest
from pilotage.model import Half


def steps(text: str, dialect: str = "postgresql") -> tuple[Step, ...]:
    return online(sql.split(text, dialect), dialect)


def texts(text: str, dialect: str = "postgresql") -> list[str]:
    return [step.text for step in steps(text, dialect)]


INDEX = {
    "CREATE INDEX o_c ON orders (customer)": [
        "CREATE INDEX CONCURRENTLY o_c ON orders USING btree (customer)"
    ],
    "CREATE UNIQUE INDEX ON shop.orders (lower(email), item) WHERE live": [
        "CREATE UNIQUE INDEX CONCURRENTLY orders_lower_item_idx ON shop.orders USING btree"
        " (lower(email), item) WHERE live"
    ],
    # What the author wrote safely stays letter by letter.
    "CREATE INDEX  CONCURRENTLY o_c ON orders  (customer)": [
        "CREATE INDEX  CONCURRENTLY o_c ON orders  (customer)"
    ],
    "DROP INDEX o_c": ["DROP INDEX CONCURRENTLY o_c"],
    "DROP INDEX IF EXISTS o_c, shop.o_d": [
        "DROP INDEX CONCURRENTLY IF EXISTS o_c",
        "DROP INDEX CONCURRENTLY IF EXISTS shop.o_d",
    ],
}

CONSTRAINTS = {
    "ALTER TABLE orders ADD CONSTRAINT cheap CHECK (price < 100)": [
        "ALTER TABLE orders ADD CONSTRAINT cheap CHECK (price < 100) NOT VALID",
        "ALTER TABLE orders VALIDATE CONSTRAINT cheap",
    ],
    "ALTER TABLE orders ADD FOREIGN KEY (customer) REFERENCES shop.customers ON DELETE CASCADE": [
        "ALTER TABLE orders ADD CONSTRAINT orders_customer_fkey FOREIGN KEY (customer)"
        " REFERENCES shop.customers ON DELETE CASCADE NOT VALID",
        "ALTER TABLE orders VALIDATE CONSTRAINT orders_customer_fkey",
    ],
    "ALTER TABLE orders ALTER item SET NOT NULL": [
        "ALTER TABLE orders ADD CONSTRAINT orders_item_present CHECK (item IS NOT NULL) NOT VALID",
        "ALTER TABLE orders VALIDATE CONSTRAINT orders_item_present",
        "ALTER TABLE orders ALTER COLUMN item SET NOT NULL;\n"
        "ALTER TABLE orders DROP CONSTRAINT orders_item_present",
    ],
    'ALTER TABLE ONLY shop.orders ADD UNIQUE NULLS NOT DISTINCT (item, "For") INCLUDE (id)'
    " DEFERRABLE": [
        'CREATE UNIQUE INDEX CONCURRENTLY "orders_item_For_id_key" ON ONLY shop.orders USING btree'
        ' (item, "For") INCLUDE (id) NULLS NOT DISTINCT',
        'ALTER TABLE ONLY shop.orders ADD CONSTRAINT "orders_item_For_id_key" UNIQUE USING INDEX'
        ' "orders_item_For_id_key" DEFERRABLE',
    ],
    "ALTER TABLE orders ADD CONSTRAINT pk PRIMARY KEY (id)": [
        "ALTER TABLE orders ADD CONSTRAINT orders_id_present CHECK (id IS NOT NULL) NOT VALID",
        "ALTER TABLE orders VALIDATE CONSTRAINT orders_id_present",
        "ALTER TABLE orders ALTER COLUMN id SET NOT NULL;\n"
        "ALTER TABLE orders DROP CONSTRAINT orders_id_present",
        "CREATE UNIQUE INDEX CONCURRENTLY pk ON orders USING btree (id)",
        "ALTER TABLE orders ADD CONSTRAINT pk PRIMARY KEY USING INDEX pk",
    ],
    # Two foreign keys never stand in one transaction; a column comes before what refers to it.
    "ALTER TABLE orders ADD FOREIGN KEY (a) REFERENCES x, ADD FOREIGN KEY (b) REFERENCES y,"
    " ADD COLUMN b int, ADD COLUMN c int": [
        "ALTER TABLE orders ADD COLUMN b int, ADD COLUMN c int",
        "ALTER TABLE orders ADD CONSTRAINT orders_a_fkey FOREIGN KEY (a) REFERENCES x NOT VALID",
        "ALTER TABLE orders VALIDATE CONSTRAINT orders_a_fkey",
        "ALTER TABLE orders ADD CONSTRAINT orders_b_fkey FOREIGN KEY (b) REFERENCES y NOT VALID",
        "ALTER TABLE orders VALIDATE CONSTRAINT orders_b_fkey",
    ],
    "ALTER TABLE orders ADD COLUMN r bigint DEFAULT 3 REFERENCES x INITIALLY DEFERRED CHECK (r > 0)": [
        "ALTER TABLE orders ADD COLUMN r bigint DEFAULT 3",
        "ALTER TABLE orders ADD CONSTRAINT orders_r_fkey FOREIGN KEY (r) REFERENCES x"
        " DEFERRABLE INITIALLY DEFERRED NOT VALID",
        "ALTER TABLE orders VALIDATE CONSTRAINT orders_r_fkey",
        "ALTER TABLE orders ADD CONSTRAINT orders_r_check CHECK (r > 0) NOT VALID",
        "ALTER TABLE orders VALIDATE CONSTRAINT orders_r_check",
    ],
}

AS_IT_STANDS = [
    "ALTER TABLE orders ADD COLUMN note text",
    "ALTER TABLE orders ADD COLUMN id bigserial PRIMARY KEY",
    "ALTER TABLE orders ADD COLUMN IF NOT EXISTS note text UNIQUE",
    "ALTER TABLE IF EXISTS orders ALTER note SET NOT NULL",
    "ALTER TABLE orders ADD CONSTRAINT cheap CHECK (price < 100) NOT VALID",
    "ALTER TABLE orders ADD CONSTRAINT k UNIQUE USING INDEX k",
    "ALTER TABLE orders ADD EXCLUDE USING gist (span WITH &&)",
    "ALTER TABLE orders ALTER price TYPE numeric",
    "ALTER FOREIGN TABLE orders ALTER note SET NOT NULL",
    "UPDATE orders SET note = ''",
]


@pytest.mark.parametrize("text", INDEX | CONSTRAINTS)
def test_the_steps_of_a_statement(text: str) -> None:
    found = steps(text)

    assert [step.text for step in found] == (INDEX | CONSTRAINTS)[text]
    assert [(step.number, step.of) for step in found] == [
        (n, len(found)) for n in range(1, len(found) + 1)
    ]
    assert {step.author for step in found} == {text}


@pytest.mark.parametrize("text", AS_IT_STANDS)
def test_what_has_no_other_form_stays_letter_by_letter(text: str) -> None:
    assert texts(text) == [text]
    assert steps(text)[0].kind == "plain"


def test_what_the_section_itself_makes_needs_no_care() -> None:
    text = (
        "CREATE TABLE new (i int);\nCREATE INDEX ON new (i);\nALTER TABLE new ALTER i SET NOT NULL;\n"
        "CREATE TABLE IF NOT EXISTS old (i int);\nCREATE INDEX old_i ON old (i)"
    )
    assert texts(text)[:4] == [s.text for s in sql.split(text, "postgresql")][:4]
    assert "CONCURRENTLY" in texts(text)[4]


def test_a_step_knows_its_statement() -> None:
    found = steps("SELECT 1;\n\nALTER TABLE t ALTER a SET NOT NULL")

    assert [step.line for step in found] == [1, 3, 3, 3]
    assert len({step.identity for step in found}) == 4
    # How far a half has come is recognised by what its author wrote, not by what is made of it.
    plain = sql.split("SELECT 1", "postgresql")
    assert digest(plain) == digest(found[:1])


def test_sqlite_runs_statements_as_they_are() -> None:
    text = "CREATE INDEX i ON t (a)"
    assert texts(text, "sqlite") == [text]


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        (("orders", "item", "key"), "orders_item_key"),
        (("orders", "", "pkey"), "orders_pkey"),
        (("t" * 60, "c" * 10, "idx"), f"{'t' * 48}_{'c' * 10}_idx"),
        (("t" * 40, "c" * 40, "fkey"), f"{'t' * 29}_{'c' * 28}_fkey"),
    ],
)
def test_names_are_those_of_the_server(parts: tuple[str, str, str], name: str) -> None:
    assert default_name(*parts) == name
    assert len(name) <= 63


def test_what_is_there_is_compared_by_meaning() -> None:
    (index,) = steps("CREATE UNIQUE INDEX i ON orders (item)")
    assert same_index(index, "CREATE UNIQUE INDEX i ON public.orders USING btree (item)")
    assert not same_index(index, "CREATE INDEX i ON public.orders USING btree (item)")
    assert not same_index(index, "CREATE UNIQUE INDEX i ON public.orders USING btree (id)")
    (anything,) = steps("CREATE INDEX IF NOT EXISTS i ON orders (item)")
    assert same_index(anything, "CREATE INDEX i ON public.orders USING btree (id)")

    foreign, _ = steps("ALTER TABLE orders ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES x")
    assert same_constraint(foreign, "FOREIGN KEY (a) REFERENCES x(id) NOT VALID", "")
    assert same_constraint(foreign, "FOREIGN KEY (a) REFERENCES x(id)", "")
    assert not same_constraint(foreign, "FOREIGN KEY (b) REFERENCES x(id)", "")
    assert not same_constraint(foreign, "CHECK ((a > 1))", "")
    check, _ = steps("ALTER TABLE orders ADD CONSTRAINT c CHECK (a > 1)")
    assert same_constraint(check, "CHECK ((a > 1)) NOT VALID", "")
    assert not same_constraint(check, "CHECK ((a > 2))", "")
    _, unique = steps("ALTER TABLE orders ADD CONSTRAINT u UNIQUE (a)")
    assert same_constraint(unique, "UNIQUE (a)", "u")
    assert not same_constraint(unique, "UNIQUE (a)", "v")


# ----------------------------------------------------------------------------------------------
# In a file
# ----------------------------------------------------------------------------------------------

PATH = Path("db/migrations/2_change.sql")


def test_the_steps_are_what_is_printed() -> None:
    migration = parse_migration(
        "-- pilotage: online lock_timeout=200ms\n\n-- expand\nALTER TABLE t ADD UNIQUE (a);\n",
        path=PATH,
        dialect="postgresql",
    )
    text = script(
        migration,
        Half.EXPAND,
        dialect="postgresql",
        settings=RunnerSettings(lock_timeout=0.5, timeout=60.0),
    )
    assert text.splitlines()[3:] == [
        "-- 2/expand: statement by statement; a run that breaks off resumes",
        "",
        "-- statement 1 of 2",
        "-- step 1 of 2 of ALTER TABLE t ADD UNIQUE (a)",
        "SET lock_timeout = '0ms';",
        "SET statement_timeout = '60000ms';",
        "CREATE UNIQUE INDEX CONCURRENTLY t_a_key ON t USING btree (a);",
        "-- (where it broke off it left an INVALID index: DROP INDEX CONCURRENTLY t_a_key;)",
        "",
        "-- statement 2 of 2",
        "-- step 2 of 2 of ALTER TABLE t ADD UNIQUE (a)",
        "BEGIN;",
        "SET LOCAL lock_timeout = '200ms';",
        "SET LOCAL statement_timeout = '60000ms';",
        "ALTER TABLE t ADD CONSTRAINT t_a_key UNIQUE USING INDEX t_a_key;",
        "-- (recorded: 2/expand)",
        "COMMIT;",
        "",
        "-- whoever ran this by hand says so: pilotage migrate mark 2 --verify",
    ]


def test_the_checksum_is_of_what_the_author_wrote() -> None:
    def parsed(head: str) -> str:
        text = f"{head}-- expand\nCREATE INDEX i ON t (a);\n"
        return parse_migration(text, path=PATH, dialect="postgresql").checksum(Half.EXPAND)

    assert parsed("-- pilotage: online\n\n") == parsed("")


@pytest.mark.parametrize("words", ["online transaction=true", "transaction=true online"])
def test_a_transaction_around_all_of_it_contradicts_it(words: str) -> None:
    with pytest.raises(MigrationFileError, match="a transaction of its own"):
        parse_migration(
            f"-- expand\n-- pilotage: {words}\nSELECT 1;\n", path=PATH, dialect="postgresql"
        )


@pytest.mark.parametrize(
    ("text", "plainly", "safely"),
    [
        ("CREATE INDEX i ON t (a)", {"create-index"}, set()),
        ("ALTER TABLE t ADD CONSTRAINT u UNIQUE (a)", {"add-constraint", "stricter-constraint"},
         {"duplicates", "stricter-constraint"}),
        ("ALTER TABLE t ALTER a SET NOT NULL", {"set-not-null"}, {"set-not-null"}),
        ("ALTER TABLE t ADD COLUMN b int REFERENCES x", {"inline-constraint"}, set()),
        ("ALTER TABLE t ADD COLUMN b bigserial PRIMARY KEY", {"inline-constraint"},
         {"inline-constraint", "add-column-rewrite"}),
        ("ALTER TABLE t ADD EXCLUDE USING gist (a WITH =)",
         {"add-constraint", "stricter-constraint"}, {"add-constraint", "stricter-constraint"}),
    ],
)  # fmt: skip
def test_the_linter_lets_pass_what_the_steps_make_safe(
    text: str, plainly: set[str], safely: set[str]
) -> None:
    def rules(head: str) -> set[str]:
        migration = parse_migration(f"{head}-- expand\n{text};\n", path=PATH, dialect="postgresql")
        return {finding.rule for finding in check(migration, dialect="postgresql")}

    assert plainly <= rules("")
    assert rules("-- pilotage: online\n\n") == safely


def test_in_a_contract_half_nothing_is_left_to_say_of_set_not_null() -> None:
    text = "-- pilotage: online\n\n-- contract\nALTER TABLE t ALTER a SET NOT NULL;\n"
    assert check(parse_migration(text, path=PATH, dialect="postgresql"), dialect="postgresql") == ()
