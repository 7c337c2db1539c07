"""The schema protocol over the model database: what the SQL engine is to a real one.

`Server` is the database server with pilotage's own tables; a `ModelSchema` is one client of it. Between
any two things that a real client commits apart from each other stands a ``step``: there the test may
kill the client, fail its statement, or let somebody else act.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from pilotage.errors import HalfFailed, LeaseLost, LockUnavailable, NotConverging, VerifyFailed
from pilotage.events import Emit
from pilotage.migrate.migration import Migration
from pilotage.model import (
    Applied,
    Half,
    HalfRef,
    HalfRow,
    Intent,
    Registration,
    SchemaView,
    Session,
    contract,
    expand,
)

from .changes import Change, Squash
from .database import Database, SqlError

Step = Callable[[str], Awaitable[None]]
Watch = Callable[[Change], None]

LOCK_WAIT = 40.0
BATCHES = 500


def nobody(change: Change) -> None:
    """The `Watch` of a server that nobody watches."""


@dataclass
class Server:
    """The database server: the application's tables and pilotage's.

    ``done`` and ``begun`` are the truth about effects, whatever the rows say of them.
    ``contracted`` is called after the last effect of a contract half, ``reverted`` after a ``down``.
    """

    change: dict[str, Change]
    now: Callable[[], float]
    sessions: Callable[[], tuple[Session, ...] | None] = tuple
    db: Database = field(default_factory=Database)
    rows: dict[HalfRef, HalfRow] = field(default_factory=dict)
    intents: dict[HalfRef, Intent] = field(default_factory=dict)
    registered: dict[str, Registration] = field(default_factory=dict)
    prepared: bool = False
    used: bool = False
    fence: int = 0
    locked: bool = False
    done: set[HalfRef] = field(default_factory=set)
    begun: set[HalfRef] = field(default_factory=set)
    contracted: Watch = nobody
    reverted: Watch = nobody

    def view(self) -> SchemaView:
        """What the database says of itself."""
        return SchemaView(
            exists=self.prepared,
            fresh=not self.used,
            rows=tuple(self.rows.values()),
            intents=tuple(self.intents.values()),
            registered=tuple(self.registered.values()),
            sessions=self.sessions(),
            dialect="model",
        )


class ModelSchema:
    """`pilotage.migrate.base.Schema` over a `Server`.

    ``contracting`` is called before the first effect of a contract half of this client.
    """

    def __init__(self, server: Server, step: Step, contracting: Watch = nobody) -> None:
        self._server = server
        self._step = step
        self._contracting = contracting

    @contextlib.asynccontextmanager
    async def _lock(self, token: int) -> AsyncIterator[Server]:
        """Hold the migration lock, polled; then compare the token."""
        server = self._server
        waited = 0.0
        while server.locked:
            if waited > LOCK_WAIT:
                raise LockUnavailable("another runner holds the migration lock")
            await asyncio.sleep(0.5)
            waited += 0.5
        server.locked = True
        try:
            self._compare(token)
            yield server
        finally:
            server.locked = False

    def _compare(self, token: int) -> None:
        if token < self._server.fence:
            raise LeaseLost(f"the schema has seen token {self._server.fence}, not {token}")

    async def prepare(self) -> None:
        """Create pilotage's tables."""
        self._server.prepared = True

    async def view(self) -> SchemaView:
        """What the database says of itself."""
        return self._server.view()

    async def claim(self, *, token: int) -> None:
        """Raise the fence."""
        async with self._lock(token) as server:
            server.fence = token

    async def apply(
        self,
        migration: Migration,
        half: Half,
        *,
        release: str | None,
        token: int,
        emit: Emit,
        fresh: bool = False,
    ) -> None:
        """Run a half, in a transaction or statement by statement."""
        async with self._lock(token) as server:
            await self._apply(server, migration, half, release=release, fresh=fresh)

    async def _apply(
        self, server: Server, migration: Migration, half: Half, *, release: str | None, fresh: bool
    ) -> None:
        ref = HalfRef(migration.version, half)
        row = server.rows.get(ref)
        statements = self._statements(migration, half)
        if row is not None and (row.finished_at or row.statements_done == len(statements)):
            return
        section = migration.section(half)
        assert section is not None
        change = server.change[migration.version]
        if section.directives.transaction:
            await self._step("schema.statement")
            self._in_transaction(change, ref)
        else:
            server.rows[ref] = row or HalfRow(ref, release=release, started_at=server.now())
            server.begun.add(ref)
            for number, statement in enumerate(statements):
                await self._step("schema.statement")
                if number == 0 and half is Half.CONTRACT:
                    self._contracting(change)
                self._run(ref, number, lambda s=statement: s.run_once(server.db))
                await self._step("schema.recorded")
                server.rows[ref] = replace(server.rows[ref], statements_done=number + 1)
        self._finish(migration, ref, release, statements=len(statements), fresh=fresh)
        if half is Half.CONTRACT:
            server.contracted(change)

    async def apply_some(
        self,
        migrations: Sequence[Migration],
        *,
        release: str | None,
        token: int,
        emit: Emit,
        fresh: bool = False,
        seconds: float,
    ) -> int:
        """Two halves at most, so that a longer series has a place where others come between."""
        some = migrations[:2]
        async with self._lock(token) as server:
            for migration in some:
                if migration is not some[0]:
                    await self._step("schema.apply")
                    await self._step("schema.apply")
                await self._apply(server, migration, Half.EXPAND, release=release, fresh=fresh)
        return len(some)

    def _statements(self, migration: Migration, half: Half) -> list[object]:
        change = self._server.change[migration.version]
        statements = change.expand() if half is Half.EXPAND else change.contract()
        assert statements is not None, f"{migration.version} has no {half} half"
        return statements  # type: ignore[return-value]

    @staticmethod
    def _run(ref: HalfRef, number: int, statement: Callable[[], None]) -> None:
        try:
            statement()
        except SqlError as error:
            raise HalfFailed(
                f"statement {number + 1} of {ref} failed: {error!r}",
                state=f"{number} statements of it are applied",
            ) from error

    def _in_transaction(self, change: Change, ref: HalfRef) -> None:
        server = self._server
        if ref.half is Half.CONTRACT:
            self._contracting(change)
        before = copy.deepcopy(server.db.tables)
        statements = change.expand() if ref.half is Half.EXPAND else change.contract()
        try:
            for number, statement in enumerate(statements or ()):
                self._run(ref, number, lambda s=statement: s.run(server.db))
        except HalfFailed:
            server.db.tables = before
            server.db.structure += 1
            raise

    def _finish(
        self,
        migration: Migration,
        ref: HalfRef,
        release: str | None,
        *,
        statements: int,
        fresh: bool,
    ) -> None:
        """Record the half in the transaction that ends it."""
        server = self._server
        row = server.rows.get(ref) or HalfRow(ref, release=release, started_at=server.now())
        left = ref.half is Half.EXPAND and migration.backfill is not None
        server.rows[ref] = replace(
            row,
            name=migration.name,
            checksum=migration.checksum(ref.half),
            statements_done=statements,
            finished_at=None if left else server.now(),
        )
        server.begun.add(ref)
        if not left:
            server.done.add(ref)
        if ref.half is Half.CONTRACT:
            server.intents.pop(ref, None)
        change = server.change[migration.version]
        if fresh and isinstance(change, Squash):
            marker = contract(migration.version)
            now = server.now()
            server.rows[marker] = HalfRow(marker, started_at=now, finished_at=now)
            server.begun.add(marker)
            server.done.add(marker)

    async def backfill(self, migration: Migration, *, final: bool, token: int, emit: Emit) -> None:
        """Batch after batch, each committed, until one changes nothing."""
        change = self._server.change[migration.version]
        ref = expand(migration.version)
        async with self._lock(token) as server:
            for _ in range(BATCHES):
                await self._step("schema.batch")
                try:
                    changed = change.backfill(server.db)
                except SqlError as error:
                    raise HalfFailed(f"the backfill of {migration} failed: {error!r}") from error
                if not changed:
                    break
            else:
                raise NotConverging(f"the backfill of {migration} goes on and on")
            await self._step("schema.recorded")
            row = server.rows.get(ref)
            if row is not None and row.finished_at is None:
                server.rows[ref] = replace(row, finished_at=server.now())
                server.done.add(ref)

    async def replayed(self) -> None:
        """There are no replicas."""

    async def verify(self, migration: Migration) -> None:
        """Run the check."""
        try:
            bad = self._server.change[migration.version].bad_rows(self._server.db)
        except SqlError as error:
            raise HalfFailed(f"the verify query of {migration} failed: {error!r}") from error
        if bad:
            raise VerifyFailed(f"{migration}: rows {bad[:3]}")

    async def adopt(self, migration: Migration, *, release: str | None, token: int) -> None:
        """Record a squash."""
        await self._record(migration, Half.EXPAND, release, token, how="adopted")

    async def mark(
        self, migration: Migration, half: Half, *, release: str | None, token: int
    ) -> None:
        """Record a half because a person says so."""
        await self._record(migration, half, release, token, how="marked")

    async def _record(
        self, migration: Migration, half: Half, release: str | None, token: int, *, how: str
    ) -> None:
        ref = HalfRef(migration.version, half)
        async with self._lock(token) as server:
            now = server.now()
            server.rows[ref] = HalfRow(
                ref,
                migration.name,
                migration.checksum(half),
                release,
                started_at=now,
                finished_at=now,
                how=how,
            )
            server.begun.add(ref)
            server.done.add(ref)

    async def revert(self, migration: Migration, *, token: int, emit: Emit) -> None:
        """Run the ``down`` section and delete the row, in one transaction."""
        ref = expand(migration.version)
        async with self._lock(token) as server:
            await self._step("schema.statement")
            change = server.change[migration.version]
            if ref not in server.rows:
                return
            server.done.discard(ref)
            server.begun.discard(ref)
            for statement in change.down() or ():
                if not statement.done(server.db):
                    statement.run(server.db)
            del server.rows[ref]
            server.reverted(change)

    async def intend(self, intents: Iterable[Intent], *, token: int) -> None:
        """Write intents."""
        async with self._lock(token) as server:
            server.intents.update({intent.ref: intent for intent in intents})

    async def withdraw(self, refs: Iterable[HalfRef], *, token: int) -> None:
        """Take intents back."""
        async with self._lock(token) as server:
            for ref in refs:
                server.intents.pop(ref, None)

    async def register(self, registration: Registration) -> Applied:
        """Commit the registration; then, apart from that, read what is announced."""
        self._server.registered[registration.instance] = registration
        self._server.used = True
        await self._step("schema.registered")
        return self._server.view().announced

    async def deregister(self, instances: Iterable[str], *, token: int | None = None) -> None:
        """Delete registrations."""
        if token is not None:
            self._compare(token)
        for instance in instances:
            self._server.registered.pop(instance, None)

    async def open(self, versions: Iterable[str], *, token: int) -> None:
        """Record that new data may be written."""
        async with self._lock(token) as server:
            for ref in map(expand, versions):
                row = server.rows.get(ref)
                if row is not None and row.opened_at is None:
                    server.rows[ref] = replace(row, opened_at=server.now())
