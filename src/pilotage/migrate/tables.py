"""Pilotage's own tables in the application's database, described in ``docs/reference/state-tables.md``."""

# ruff: noqa: S608  (what is formatted in is the tables' own schema and the dialect's fragments)

from __future__ import annotations

from collections.abc import Mapping

from pilotage.errors import DatabaseError
from pilotage.migrate.dialects.base import Dialect, Session

FORMAT = 3
"""The version of the tables below. A change of them is a new entry of `_UPGRADES`."""

_TABLES = """
CREATE TABLE IF NOT EXISTS {home}pilotage_streams (
    stream {short} NOT NULL PRIMARY KEY,
    born_empty boolean NOT NULL,
    made_at {timestamp} NOT NULL,
    first_start_at {timestamp},
    schema_dump {text},
    dumped_at {timestamp}
);
CREATE TABLE IF NOT EXISTS {home}pilotage_migrations (
    stream {short} NOT NULL,
    version {short} NOT NULL,
    half {short} NOT NULL CHECK (half IN ('expand', 'contract')),
    name {short} NOT NULL,
    checksum {short} NOT NULL,
    {release} {short},
    started_at {timestamp},
    finished_at {timestamp},
    statements_done integer NOT NULL DEFAULT 0,
    done_digest {short} NOT NULL DEFAULT '',
    in_statement boolean NOT NULL DEFAULT false,
    how {short} NOT NULL DEFAULT 'applied',
    opened_at {timestamp},
    PRIMARY KEY (stream, version, half)
);
CREATE TABLE IF NOT EXISTS {home}pilotage_instances (
    stream {short} NOT NULL,
    instance {short} NOT NULL,
    service {short} NOT NULL,
    host {short} NOT NULL,
    {release} {short} NOT NULL,
    ships {json},
    kind {short} NOT NULL,
    registered_at {timestamp} NOT NULL,
    PRIMARY KEY (stream, instance)
);
CREATE TABLE IF NOT EXISTS {home}pilotage_intents (
    stream {short} NOT NULL,
    version {short} NOT NULL,
    half {short} NOT NULL CHECK (half IN ('expand', 'contract')),
    revert boolean NOT NULL DEFAULT false,
    token bigint,
    written_at {timestamp} NOT NULL,
    PRIMARY KEY (stream, version, half)
);
CREATE TABLE IF NOT EXISTS {home}pilotage_backfills (
    stream {short} NOT NULL,
    version {short} NOT NULL,
    digest {short} NOT NULL,
    final boolean NOT NULL,
    pass integer NOT NULL,
    statement integer NOT NULL,
    position {json},
    pass_rows bigint NOT NULL,
    total_rows bigint NOT NULL,
    scanned bigint NOT NULL,
    estimate bigint,
    started_at {timestamp} NOT NULL,
    updated_at {timestamp} NOT NULL,
    finished_at {timestamp},
    PRIMARY KEY (stream, version)
);
CREATE TABLE IF NOT EXISTS {home}pilotage_throttles (
    stream {short} NOT NULL,
    version {short} NOT NULL,
    paused_by {text},
    paused_at {timestamp},
    reason {text},
    duty double precision,
    rate double precision,
    waits_for {text},
    PRIMARY KEY (stream, version)
);
CREATE TABLE IF NOT EXISTS {home}pilotage_fence (
    stream {short} NOT NULL,
    domain {short} NOT NULL,
    token bigint NOT NULL,
    PRIMARY KEY (stream, domain)
);
CREATE TABLE IF NOT EXISTS {home}pilotage_state (
    service {short} NOT NULL PRIMARY KEY,
    version bigint NOT NULL,
    body {json} NOT NULL,
    updated_at {timestamp} NOT NULL
);
CREATE TABLE IF NOT EXISTS {home}pilotage_audit (
    service {short} NOT NULL,
    run {short} NOT NULL,
    at double precision NOT NULL,
    who {text} NOT NULL,
    origin {text} NOT NULL,
    command {text} NOT NULL,
    result {short} NOT NULL,
    detail {text} NOT NULL,
    PRIMARY KEY (run, result)
);
CREATE TABLE IF NOT EXISTS {home}pilotage_meta (
    format integer NOT NULL,
    made_at {timestamp} NOT NULL
);
INSERT INTO {home}pilotage_meta (format, made_at) VALUES (3, {now})
"""

_UPGRADES: Mapping[int, str] = {
    2: """
ALTER TABLE {home}pilotage_backfills ADD COLUMN estimate bigint;
CREATE TABLE {home}pilotage_throttles (
    stream {short} NOT NULL,
    version {short} NOT NULL,
    paused_by {text},
    paused_at {timestamp},
    reason {text},
    duty double precision,
    rate double precision,
    waits_for {text},
    PRIMARY KEY (stream, version)
)
""",
    3: """
CREATE TABLE {home}pilotage_audit (
    service {short} NOT NULL,
    run {short} NOT NULL,
    at double precision NOT NULL,
    who {text} NOT NULL,
    origin {text} NOT NULL,
    command {text} NOT NULL,
    result {short} NOT NULL,
    detail {text} NOT NULL,
    PRIMARY KEY (run, result)
)
""",
}
"""Format → the statements that make the tables of the format before into it."""


async def table_format(dialect: Dialect, session: Session, home: str) -> int:
    """The format of the tables that are there, 0 for none.

    Raises
    ------
    DatabaseError
        They were made by a later version of pilotage.
    """
    if not await dialect.has_table(session, home, "pilotage_meta"):
        return 0
    # Empty where its making broke off, in a database that cannot roll that back.
    found = int((await session.query(f"SELECT max(format) FROM {home}pilotage_meta"))[0][0] or 0)
    if found > FORMAT:
        raise DatabaseError(
            f"pilotage's tables have format {found}, and this version knows {FORMAT}",
            where=dialect.where,
            state="nothing was changed",
            next="use the version of pilotage that the last deploy used, or a later one",
        )
    return found


async def create_tables(dialect: Dialect, session: Session, home: str, present: int) -> None:
    """Make the tables, or bring them from format ``present`` to ours; inside a transaction."""
    if not present:
        await _script(dialect, session, home, _TABLES)
        return
    for number in range(present + 1, FORMAT + 1):
        await _script(dialect, session, home, _UPGRADES[number])
        await session.execute(f"UPDATE {home}pilotage_meta SET format = {number}")


async def _script(dialect: Dialect, session: Session, home: str, script: str) -> None:
    text = script.format(
        home=home,
        timestamp=dialect.timestamp,
        json=dialect.json,
        text=dialect.text,
        short=dialect.short,
        release=dialect.quote("release"),
        now=dialect.now,
    )
    for statement in text.split(";\n"):
        await session.execute(statement)
