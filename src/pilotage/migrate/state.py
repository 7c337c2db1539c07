"""How the rows of pilotage's own tables are read and written (see `pilotage.migrate.tables`).

Nothing here takes a lock or judges anything; `pilotage.migrate.runner` calls it at the right moment.
"""

# ruff: noqa: S608  (what is formatted in is the tables' own schema and the dialect's fragments)

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict, Unpack

from pilotage.errors import LeaseLost
from pilotage.migrate.dialects.base import Call, Dialect, Session
from pilotage.model import (
    REVERTING,
    Half,
    HalfRef,
    HalfRow,
    Intent,
    Kind,
    Registration,
    Ships,
    version_key,
)

NEARLY = 0.99
"""The most of a backfill's walk that is told before its end is seen: how large a table is, is estimated."""


@dataclass(frozen=True, slots=True)
class StoredHalf:
    """A row of ``pilotage_migrations`` with what only the runner needs.

    ``in_statement``: the statement after ``statements_done`` was begun outside a transaction.
    ``done_digest``: a digest of the text of the statements that are done.
    """

    row: HalfRow
    in_statement: bool
    done_digest: str


@dataclass(frozen=True, slots=True)
class Cursor:
    """A row of ``pilotage_backfills``: how far a backfill has come."""

    digest: str
    final: bool
    number: int  # of the pass, from 1
    statement: int  # index from 0
    position: list[str] | None  # the key of the last row of the last batch
    pass_rows: int
    total_rows: int
    scanned: int = 0  # rows of the statement's table that this pass has walked over
    finished: bool = False
    key: list[str] | None = None  # what the key of `position` is made of; see `Walk.identity`
    end: list[str] | None = None  # the key at which this pass over the statement's table ends
    estimate: int | None = None  # about how many rows that table has
    eta: float | None = (
        None  # s of work that this pass has left, as it was told after the batch before
    )


class _HalfValues(TypedDict):
    """The columns of a row of ``pilotage_migrations`` that a runner writes."""

    name: str
    checksum: str
    release: str | None
    statements_done: NotRequired[int]
    done_digest: NotRequired[str]
    in_statement: NotRequired[bool]
    finished: NotRequired[bool]
    how: NotRequired[str]


class State:
    """The tables of one stream, as statements over a `Session`."""

    def __init__(self, dialect: Dialect, home: str, stream: str) -> None:
        self._dialect = dialect
        self._home = home
        self._stream = stream
        self._release = dialect.quote("release")  # which MySQL reserves
        self._half_upserts: dict[bool, str] = {}  # by whether the half is finished

    # -- the stream ----------------------------------------------------------------------------

    async def has_stream(self, session: Session) -> bool:
        """Whether the stream was made known."""
        return bool(
            await session.query(
                f"SELECT 1 FROM {self._home}pilotage_streams WHERE stream = $1", self._stream
            )
        )

    async def add_stream(self, session: Session, *, born_empty: bool) -> None:
        """Make the stream known."""
        await session.execute(
            self._dialect.upsert(
                f"{self._home}pilotage_streams",
                {"stream": "$1", "born_empty": "$2", "made_at": self._dialect.now},
                key=("stream",),
                replace=False,
            ),
            self._stream,
            born_empty,
        )

    async def is_fresh(self, session: Session) -> bool:
        """Whether the database was empty at first, and no instance ever registered."""
        rows = await session.query(
            f"SELECT born_empty AND first_start_at IS NULL FROM {self._home}pilotage_streams"
            " WHERE stream = $1",
            self._stream,
        )
        return bool(rows and rows[0][0])

    async def put_dump(self, session: Session, text: str) -> None:
        """Keep a schema dump."""
        await session.execute(
            f"UPDATE {self._home}pilotage_streams SET schema_dump = $2,"
            f" dumped_at = {self._dialect.now} WHERE stream = $1",
            self._stream,
            text,
        )

    async def recorded_dump(self, session: Session) -> str | None:
        """The schema dump that was kept last."""
        rows = await session.query(
            f"SELECT schema_dump FROM {self._home}pilotage_streams WHERE stream = $1",
            self._stream,
        )
        return rows[0][0] if rows else None

    # -- the fence -----------------------------------------------------------------------------

    async def compare(self, session: Session, domain: str, token: int) -> int | None:
        """Compare ``token`` with the fence; returns what the fence is, None before the first.

        Raises
        ------
        LeaseLost
            It is higher.
        """
        rows = await session.query(
            f"SELECT token FROM {self._home}pilotage_fence WHERE stream = $1 AND domain = $2",
            self._stream,
            domain,
        )
        if rows and rows[0][0] > token:
            raise LeaseLost(
                f"another deployer took over: the schema of {self._stream} was claimed with token "
                f"{rows[0][0]}, ours is {token}",
                where=self._dialect.where,
                state="nothing more is touched from here",
                next="pilotage status",
            )
        return rows[0][0] if rows else None

    async def fence(self, session: Session, domain: str, token: int) -> None:
        """Raise the fence to ``token``; call it with the migration lock held.

        Raises
        ------
        LeaseLost
            It is higher already.
        """
        seen = await self.compare(session, domain, token)
        if seen is None:
            await session.execute(
                f"INSERT INTO {self._home}pilotage_fence (stream, domain, token)"
                " VALUES ($1, $2, $3)",
                self._stream,
                domain,
                token,
            )
        elif seen < token:
            await session.execute(
                f"UPDATE {self._home}pilotage_fence SET token = $3"
                " WHERE stream = $1 AND domain = $2",
                self._stream,
                domain,
                token,
            )

    # -- halves --------------------------------------------------------------------------------

    async def halves(self, session: Session) -> tuple[HalfRow, ...]:
        """Every row, in file order."""
        return tuple(stored.row for stored in await self._halves(session))

    async def half(self, session: Session, ref: HalfRef) -> StoredHalf | None:
        """One row."""
        found = await self._halves(
            session, " AND version = $2 AND half = $3", ref.version, str(ref.half)
        )
        return found[0] if found else None

    async def _halves(self, session: Session, where: str = "", *values: object) -> list[StoredHalf]:
        epoch = self._dialect.epoch
        rows = await session.query(
            f"SELECT version, half, name, checksum, {self._release}, {epoch('started_at')},"
            f" {epoch('finished_at')}, statements_done, how, {epoch('opened_at')}, in_statement,"
            f" done_digest FROM {self._home}pilotage_migrations WHERE stream = $1{where}",
            self._stream,
            *values,
        )
        found = [
            StoredHalf(
                HalfRow(HalfRef(version, Half(half)), *rest), bool(in_statement), done_digest
            )
            for version, half, *rest, in_statement, done_digest in rows
        ]
        return sorted(found, key=lambda stored: stored.row.ref)

    async def put_half(self, session: Session, ref: HalfRef, **values: Unpack[_HalfValues]) -> None:
        """Write the row of a half, keeping when it was started and opened."""
        call = self.half_row(ref, **values)
        await session.execute(call.sql, *call.values)

    def half_row(self, ref: HalfRef, **values: Unpack[_HalfValues]) -> Call:
        """What `put_half` runs."""
        values_of = (
            self._stream,
            ref.version,
            str(ref.half),
            values["name"],
            values["checksum"],
            values["release"],
            values.get("statements_done", 0),
            values.get("done_digest", ""),
            values.get("in_statement", False),
            values.get("how", "applied"),
        )
        return Call(
            self._half_upsert(finished=values.get("finished", False)), values_of, often=True
        )

    def _half_upsert(self, *, finished: bool) -> str:
        """The statement alone, the same for every half."""
        text = self._half_upserts.get(finished)
        if text is None:
            now = self._dialect.now
            text = self._half_upserts[finished] = self._dialect.upsert(
                f"{self._home}pilotage_migrations",
                _placed(
                    "stream",
                    "version",
                    "half",
                    "name",
                    "checksum",
                    "release",
                    "statements_done",
                    "done_digest",
                    "in_statement",
                    "how",
                    started_at=now,
                    finished_at=now if finished else "NULL",
                ),
                key=_KEY,
                keep=("started_at",),
            )
        return text

    async def revert_half(
        self,
        session: Session,
        ref: HalfRef,
        *,
        statements_done: int,
        done_digest: str,
        in_statement: bool,
    ) -> None:
        """Write how far an applied half is taken back. It counts as applied no more."""
        await session.execute(
            f"UPDATE {self._home}pilotage_migrations SET how = '{REVERTING}', finished_at = NULL,"
            " statements_done = $4, done_digest = $5, in_statement = $6"
            " WHERE stream = $1 AND version = $2 AND half = $3",
            self._stream,
            ref.version,
            str(ref.half),
            statements_done,
            done_digest,
            in_statement,
        )

    async def restore_half(self, session: Session, ref: HalfRef, before: StoredHalf) -> None:
        """Write a half as it was; where it was finished, it is so from now on."""
        finished = self._dialect.now if before.row.finished_at is not None else "NULL"
        await session.execute(
            f"UPDATE {self._home}pilotage_migrations SET how = $4, finished_at = {finished},"
            " statements_done = $5, done_digest = $6, in_statement = $7"
            " WHERE stream = $1 AND version = $2 AND half = $3",
            self._stream,
            ref.version,
            str(ref.half),
            before.row.how,
            before.row.statements_done,
            before.done_digest,
            before.in_statement,
        )

    async def known_expands(self, session: Session, versions: Sequence[str]) -> set[str]:
        """Those of the versions whose expand half has a row."""
        rows = await session.query(
            f"SELECT version FROM {self._home}pilotage_migrations"
            f" WHERE stream = $1 AND half = 'expand' AND version IN ({_places(versions, after=1)})",
            self._stream,
            *versions,
        )
        return {version for (version,) in rows}

    async def finish_expands(self, session: Session, versions: Sequence[str]) -> int:
        """Write that the expand halves of these versions, all of whose statements are done, are
        applied to their end; how many were not so before."""
        return await session.execute(
            f"UPDATE {self._home}pilotage_migrations SET finished_at = {self._dialect.now}"
            " WHERE stream = $1 AND half = 'expand' AND finished_at IS NULL"
            f" AND version IN ({_places(versions, after=1)})",
            self._stream,
            *versions,
        )

    async def finish_half(self, session: Session, ref: HalfRef, checksum: str) -> None:
        """Write that an expand half is applied to its end, its backfill included."""
        await session.execute(
            f"UPDATE {self._home}pilotage_migrations SET checksum = $4,"
            f" finished_at = coalesce(finished_at, {self._dialect.now})"
            " WHERE stream = $1 AND version = $2 AND half = $3",
            self._stream,
            ref.version,
            str(ref.half),
            checksum,
        )

    async def delete_half(self, session: Session, ref: HalfRef) -> None:
        """Forget a half."""
        await session.execute(
            f"DELETE FROM {self._home}pilotage_migrations"
            " WHERE stream = $1 AND version = $2 AND half = $3",
            self._stream,
            ref.version,
            str(ref.half),
        )

    async def rename(self, session: Session, old: str, new: str, name: str) -> None:
        """Give the rows of a version another version and name."""
        for table in ("pilotage_migrations", "pilotage_backfills", "pilotage_intents"):
            naming = ", name = $4" if table == "pilotage_migrations" else ""
            values = [self._stream, old, new, *([name] if naming else [])]
            await session.execute(
                f"UPDATE {self._home}{table} SET version = $3{naming}"
                " WHERE stream = $1 AND version = $2",
                *values,
            )

    async def open(self, session: Session, versions: Iterable[str]) -> None:
        """Write that new data of these versions may be there from now on."""
        now = self._dialect.now
        for version in sorted(versions, key=version_key):
            there = await session.query(
                f"SELECT 1 FROM {self._home}pilotage_migrations WHERE stream = $1 AND version = $2",
                self._stream,
                version,
            )
            await session.execute(
                f"UPDATE {self._home}pilotage_migrations SET opened_at = coalesce(opened_at, {now})"
                " WHERE stream = $1 AND version = $2",
                self._stream,
                version,
            )
            if not there:
                # A migration with a contract half alone has no row yet: an expand row that never
                # finishes says nothing but this.
                await session.execute(
                    f"INSERT INTO {self._home}pilotage_migrations"
                    " (stream, version, half, name, checksum, how, opened_at)"
                    f" VALUES ($1, $2, 'expand', '', '', 'opened', {now})",
                    self._stream,
                    version,
                )

    # -- intents -------------------------------------------------------------------------------

    async def intents(self, session: Session) -> tuple[Intent, ...]:
        """Every intent."""
        rows = await session.query(
            f"SELECT version, half, token, revert FROM {self._home}pilotage_intents"
            " WHERE stream = $1",
            self._stream,
        )
        found = (Intent(HalfRef(v, Half(half)), token, bool(r)) for v, half, token, r in rows)
        return tuple(sorted(found, key=lambda intent: intent.ref))

    async def put_intent(self, session: Session, intent: Intent) -> None:
        """Write an intent, in place of an older one for the same half."""
        await session.execute(
            self._dialect.upsert(
                f"{self._home}pilotage_intents",
                _placed(
                    "stream", "version", "half", "revert", "token", written_at=self._dialect.now
                ),
                key=_KEY,
            ),
            self._stream,
            intent.ref.version,
            str(intent.ref.half),
            intent.revert,
            intent.token,
        )

    async def delete_intent(self, session: Session, ref: HalfRef) -> None:
        """Take an intent back."""
        await session.execute(
            f"DELETE FROM {self._home}pilotage_intents"
            " WHERE stream = $1 AND version = $2 AND half = $3",
            self._stream,
            ref.version,
            str(ref.half),
        )

    # -- instances -----------------------------------------------------------------------------

    async def registered(self, session: Session) -> tuple[Registration, ...]:
        """Every registration, oldest first."""
        rows = await session.query(
            f"SELECT instance, service, host, {self._release}, ships, kind,"
            f" {self._dialect.epoch('registered_at')} FROM {self._home}pilotage_instances"
            " WHERE stream = $1 ORDER BY registered_at, instance",
            self._stream,
        )
        return tuple(
            Registration(
                instance=instance,
                service=service,
                host=host,
                release=release,
                ships=Ships.from_json(_loaded(ships)) if ships is not None else None,
                kind=Kind(kind),
                registered_at=at,
            )
            for instance, service, host, release, ships, kind, at in rows
        )

    async def register(self, session: Session, registration: Registration) -> None:
        """Write a registration, in place of an older one of the same instance; in a transaction.

        Without ON CONFLICT … DO UPDATE, which would ask for the UPDATE privilege.
        """
        now = self._dialect.now
        await self.deregister(session, [registration.instance])
        await session.execute(
            f"INSERT INTO {self._home}pilotage_instances"
            f" (stream, instance, service, host, {self._release}, ships, kind, registered_at)"
            f" VALUES ($1, $2, $3, $4, $5, $6, $7, {now})",
            self._stream,
            registration.instance,
            registration.service,
            registration.host,
            registration.release,
            json.dumps(registration.ships.to_json()) if registration.ships else None,
            str(registration.kind),
        )
        # A release command comes before any code that uses the database: it begins nothing.
        if registration.kind is not Kind.ONCE and await self.is_fresh(session):
            await session.execute(
                f"UPDATE {self._home}pilotage_streams SET first_start_at = {now}"
                " WHERE stream = $1 AND first_start_at IS NULL",
                self._stream,
            )

    async def deregister(self, session: Session, instances: Iterable[str]) -> None:
        """Delete registrations."""
        for instance in instances:
            await session.execute(
                f"DELETE FROM {self._home}pilotage_instances WHERE stream = $1 AND instance = $2",
                self._stream,
                instance,
            )

    # -- backfills -----------------------------------------------------------------------------

    async def cursor(self, session: Session, version: str) -> Cursor | None:
        """How far the backfill of a version has come."""
        rows = await session.query(
            "SELECT digest, final, pass, statement, position, pass_rows, total_rows, scanned,"
            f" finished_at IS NOT NULL, estimate FROM {self._home}pilotage_backfills"
            " WHERE stream = $1 AND version = $2",
            self._stream,
            version,
        )
        if not rows:
            return None
        digest, final, number, statement, place, pass_rows, total, scanned, over, estimate = rows[0]
        place = place_of(place)
        return Cursor(
            digest=digest,
            final=bool(final),
            number=number,
            statement=statement,
            position=place["after"],
            pass_rows=pass_rows,
            total_rows=total,
            scanned=scanned,
            finished=bool(over),
            key=place["key"],
            end=place["end"],
            estimate=estimate,
            eta=place["eta"],
        )

    async def put_cursor(self, session: Session, version: str, cursor: Cursor) -> None:
        """Write how far the backfill has come; in the transaction of the batch."""
        call = self.cursor_row(version, cursor)
        await session.execute(call.sql, *call.values)

    def cursor_row(self, version: str, cursor: Cursor) -> Call:
        """What `put_cursor` runs."""
        now = self._dialect.now
        values = (
            self._stream,
            version,
            cursor.digest,
            cursor.final,
            cursor.number,
            cursor.statement,
            json.dumps(
                {
                    "key": cursor.key,
                    "after": cursor.position,
                    "end": cursor.end,
                    "eta": cursor.eta,
                }
            ),
            cursor.pass_rows,
            cursor.total_rows,
            cursor.scanned,
            cursor.estimate,
        )
        return Call(
            self._dialect.upsert(
                f"{self._home}pilotage_backfills",
                _placed(
                    "stream",
                    "version",
                    "digest",
                    "final",
                    "pass",
                    "statement",
                    "position",
                    "pass_rows",
                    "total_rows",
                    "scanned",
                    "estimate",
                    started_at=now,
                    updated_at=now,
                    finished_at=now if cursor.finished else "NULL",
                ),
                key=("stream", "version"),
                keep=("started_at",),
            ),
            values,
        )

    async def delete_cursor(self, session: Session, version: str) -> None:
        """Forget the backfill of a version."""
        await session.execute(
            f"DELETE FROM {self._home}pilotage_backfills WHERE stream = $1 AND version = $2",
            self._stream,
            version,
        )


def place_of(position: Any) -> dict[str, Any]:
    """What the column ``position`` of a backfill says: ``key``, ``after``, ``end`` and ``eta``."""
    place = _loaded(position)
    if not isinstance(place, dict):  # as versions before 0.2 wrote it
        place = {"after": place, "end": None}
    return {"key": None, "eta": None, **place}


def _loaded(value: Any) -> Any:
    """A JSON column: psycopg has decoded it, SQLite gives its text."""
    return json.loads(value) if isinstance(value, str) else value


_KEY = ("stream", "version", "half")


def _placed(*columns: str, **more: str) -> dict[str, str]:
    """Columns with the places of their values, ``$1`` for the first; ``more`` are SQL already."""
    return {column: f"${number}" for number, column in enumerate(columns, start=1)} | more


def _places(values: Sequence[object], *, after: int) -> str:
    """``$2, $3, …``: the places of values that follow ``after`` others."""
    return ", ".join(f"${number}" for number in range(after + 1, after + 1 + len(values)))
