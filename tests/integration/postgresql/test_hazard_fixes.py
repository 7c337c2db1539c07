"""What ``--fix`` writes, carried out on a server: it runs, and ends in the schema that was meant."""

from __future__ import annotations

import asyncio
from copy import deepcopy
from pathlib import Path

import psycopg
import pytest
from tests.servers import VERSIONS, Postgres, server

from pilotage.events import ignore
from pilotage.hazards.catalogue import Catalogue
from pilotage.hazards.examples import before, text_of
from pilotage.hazards.finding import Finding
from pilotage.hazards.fix import Fixed, fix, mechanical
from pilotage.hazards.lint import Lint, lint
from pilotage.hazards.reading import Source
from pilotage.hazards.rule import Example
from pilotage.hazards.rules import RULES
from pilotage.migrate.dump import differences
from pilotage.migrate.loader import parse_migration
from pilotage.migrate.runner import RunnerSettings, SqlSchema
from pilotage.migrate.sql import changes
from pilotage.model import Half
from pilotage.secret import Secret

PATH = Path("2_change.sql")
PATIENT = RunnerSettings(lock_timeout=1.0, timeout=30.0, lock_wait=30.0)
ROWS = """
INSERT INTO customers SELECT g, 'n' || g, 'e' || g FROM generate_series(1, 50) g;
INSERT INTO orders (id, customer_id, item, amount, price)
SELECT g, 1 + g % 50, 'i' || g, g, 1 FROM generate_series(1, 2000) g;
"""


def known(example: Example) -> Catalogue:
    found = Catalogue(server=example.server, complete=example.complete)
    for change in changes(before(example), "postgresql"):
        found.apply(change)
    return found


def fixed(example: Example) -> Fixed:
    start = known(example)

    def judge(source: Source) -> list[Finding]:
        return list(lint([source], Lint("postgresql", known=deepcopy(start))).findings)

    return fix(text_of(example), PATH, dialect="postgresql", judge=judge)


CASES = [
    pytest.param(rule.id, example, id=f"{rule.id}-{index}")
    for rule in RULES
    if rule.mechanical
    for index, example in enumerate(rule.bad)
    if example.dialect == "postgresql"
]


@pytest.fixture(scope="module")
def postgres() -> Postgres:
    return server(max(VERSIONS))


@pytest.mark.parametrize(("rule", "example"), CASES)
def test_a_bad_example_is_fixed_to_one_that_lints_clean(rule: str, example: Example) -> None:
    result = fixed(example)
    if not result.changed:
        assert result.left or not [f for f in result.found if mechanical(f)]
        return

    left = {(f.message, f.rewrite) for f, _ in result.left}
    assert not [f for f in result.found if mechanical(f) and (f.message, f.rewrite) not in left]
    assert parse_migration(result.after, path=PATH, dialect="postgresql")


def test_nearly_all_of_them_are_fixed() -> None:
    whole = [case.values[1] for case in CASES]
    done = [example for example in whole if fixed(example).changed]  # type: ignore[arg-type]

    assert len(done) >= 0.8 * len(whole), f"{len(done)} of {len(whole)}"


# Whose very point is another type than the one that is written.
_OTHER_TYPE = {"int-key", "json-column"}
RUNS = [
    case
    for case in CASES
    if fixed(case.values[1]).changed and case.values[0] not in _OTHER_TYPE  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("rule", "example"), RUNS)
def test_it_ends_in_the_schema_that_was_meant(
    postgres: Postgres, rule: str, example: Example
) -> None:
    with postgres.database() as plain, postgres.database() as ours:
        for database in (plain, ours):
            prepare(postgres, database, example)
        meant = told(postgres, plain, example)
        if meant is None:
            return  # about things that this server does not have: only its form can be looked at
        carried_out(postgres, ours, fixed(example).after)

        one, other = dump(postgres, plain), dump(postgres, ours)
        assert differences(one, other, "postgresql") == ""


def prepare(postgres: Postgres, database: str, example: Example) -> None:
    text = before(example)
    with psycopg.connect(postgres.url(database), autocommit=True) as connection:
        connection.execute(text)  # type: ignore[arg-type]
        if example.before is None:
            connection.execute(ROWS)  # type: ignore[arg-type]


def told(postgres: Postgres, database: str, example: Example) -> bool | None:
    """The example as it stands, run by hand; None where it cannot run here."""
    migration = lint_free(text_of(example))
    with psycopg.connect(postgres.url(database), autocommit=True) as connection:
        for statement in migration:
            try:
                connection.execute(statement)  # type: ignore[arg-type]
            except psycopg.Error:
                return None
    return True


def lint_free(text: str) -> list[str]:
    """Its statements, one by one."""
    from pilotage.migrate.sql import split

    return [statement.text for statement in split(text, "postgresql")]


def carried_out(postgres: Postgres, database: str, text: str) -> None:
    migration = parse_migration(text, path=PATH, dialect="postgresql")

    async def story() -> None:
        url = Secret(postgres.url(database))
        async with SqlSchema(url=url, stream="s", service="s", settings=PATIENT) as schema:
            await schema.prepare()
            for half in Half:
                if migration.section(half) is None:
                    continue
                if half is Half.CONTRACT:
                    await schema.backfill(migration, final=True, token=1, emit=ignore)
                await schema.apply(migration, half, release="r", token=1, emit=ignore)
                if half is Half.EXPAND:
                    await schema.backfill(migration, final=False, token=1, emit=ignore)

    asyncio.run(story())


def dump(postgres: Postgres, database: str) -> str:
    async def story() -> str:
        url = Secret(postgres.url(database))
        async with SqlSchema(url=url, stream="s", service="s", settings=PATIENT) as schema:
            return await schema._raw_dump()

    return asyncio.run(story())
