"""A database that a framework migrates by its own command: `Schema` and `Engine` for it.

Registrations, intents, the lock and the fence are as with our own files. What is applied is the
framework's word; ``pilotage_migrations`` is kept like it whenever we hold the lock, and adds which half
each version is.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from pilotage.errors import HalfFailed, PilotageError, UsageError
from pilotage.events import Emit, HalfFinished, HalfStarted
from pilotage.migrate.base import Command, RunCommand
from pilotage.migrate.connections import WORK
from pilotage.migrate.database import DatabaseSchema
from pilotage.migrate.dialects.base import Session
from pilotage.migrate.engines.status import Reader
from pilotage.migrate.engines.truth import Reading, applied, found_rows, made_true
from pilotage.migrate.migration import Migration, Migrations
from pilotage.migrate.state import State
from pilotage.model import Applied, Half, HalfRef, HalfRow, Registration, SchemaView
from pilotage.plan.framework import half_of
from pilotage.secret import Secret


@dataclass(frozen=True, slots=True)
class Lines:
    """A framework's commands, and where they are run. ``fresh`` None: an empty database is like any other.

    ``env`` comes over the environment of ``role``; ``timeout``: seconds for one run.
    """

    framework: str
    expand: str
    contract: str
    fresh: str | None
    service: str
    role: str
    host: str
    timeout: float
    env: Mapping[str, str | Secret] = field(default_factory=dict)

    def command(self, migrations: tuple[Migration, ...], *, fresh: bool, apps: str) -> Command:
        """One run that is to apply these."""
        versions = tuple(migration.version for migration in migrations)
        before = {version for migration in migrations for version in migration.after}
        halves = {half_of(migration).half for migration in migrations}
        line = self.contract if halves == {Half.CONTRACT} else self.expand
        if fresh and self.fresh:
            line = self.fresh
        about = {
            "PILOTAGE_VERSIONS": " ".join(versions),
            "PILOTAGE_TARGETS": " ".join(v for v in versions if v not in before),
            "PILOTAGE_VERSION": versions[-1] if versions else "",
            "PILOTAGE_HALF": str(halves.pop()) if len(halves) == 1 else "all",
            "PILOTAGE_APPS": apps,
        }
        return Command(
            line,
            service=self.service,
            role=self.role,
            host=self.host,
            timeout=self.timeout,
            versions=versions,
            env={**self.env, **about},
        )


class BareEngine:
    """A command for a database that pilotage does not speak to: run, and believed."""

    known = False

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    def learn(self, migrations: Migrations) -> None:
        """There is nothing to understand."""

    async def run(
        self,
        migrations: tuple[Migration, ...],
        *,
        fresh: bool,
        release: str | None,
        token: int,
        emit: Emit,
        command: RunCommand,
    ) -> None:
        """Run it."""
        await command(self._lines.command(migrations, fresh=fresh, apps=""))


class CommandSchema(DatabaseSchema):
    """`pilotage.migrate.base.Schema` and `Engine`. ``reader`` None: nothing says what is applied.

    The other parameters are those of `DatabaseSchema`.
    """

    def __init__(self, *, lines: Lines, reader: Reader | None, **database: object) -> None:
        super().__init__(**database)  # type: ignore[arg-type]
        self._lines = lines
        self._reader = reader
        self._files: dict[str, Migration] = {}

    @property
    def known(self) -> bool:
        """Whether anything says what is applied."""
        return self._reader is not None

    @property
    def framework(self) -> str:
        """Its name."""
        return self._lines.framework

    def learn(self, migrations: Migrations) -> None:
        """Remember files, of whichever release."""
        self._files |= migrations.by_version

    # -- what is applied -------------------------------------------------------------------------

    async def view(self) -> SchemaView:
        """As `DatabaseSchema.view`, with rows for what the framework says is applied."""
        await self._ask(now=False)
        return await super().view()

    async def register(self, registration: Registration) -> Applied:
        """As `DatabaseSchema.register`."""
        await self._ask(now=False)
        return await super().register(registration)

    async def _ask(self, *, now: bool) -> None:
        if self._reader is not None:
            await self._reader.ask(now=now)

    async def _true(self, session: Session, view: SchemaView) -> SchemaView:
        if self._reader is None:
            return replace(view, known=False)
        halves = {
            version: HalfRow(half_of(file), file.name, started_at=1.0, finished_at=1.0)
            for version, file in self._files.items()
        }
        return made_true(view, await self._applied(session, view.rows), halves)

    async def _applied(self, session: Session, rows: tuple[HalfRow, ...]) -> frozenset[str]:
        assert self._reader is not None
        reading: Reading = await self._reader.read(self._dialect, session)
        after = {version: migration.after for version, migration in self._files.items()}
        recorded = [row.ref.version for row in rows if row.finished_at]
        versions = applied(reading, after, recorded)
        if self._reader.grouped:
            own = {group(version) for version in (*self._files, *recorded)}
            versions = frozenset(version for version in versions if group(version) in own)
        return versions

    async def _first_look(self) -> None:
        """Record what the framework had applied before pilotage came."""
        if self._reader is None:
            return
        await self._ask(now=True)
        async with self._connections.use(WORK) as session:
            state = await self._state(session)
            if await state.halves(session) or await state.is_fresh(session):
                return
            async with session.transaction():
                for row in found_rows(await self._applied(session, ())):
                    await state.put_half(
                        session, row.ref, name="", checksum="", release=None,
                        finished=True, how=row.how,
                    )  # fmt: skip

    async def claim(self, *, token: int) -> None:
        """Raise the fence, and bring our rows up to what the framework says."""
        await self._ask(now=True)
        async with self._locked(token) as session:
            await self._copy(session, release=None)

    async def _copy(self, session: Session, *, release: str | None) -> frozenset[str]:
        """Make our rows like the framework's word, as far as files say which half is which."""
        if self._reader is None:
            return frozenset()
        state = await self._state(session)
        async with session.transaction():
            rows = {row.ref: row for row in await state.halves(session)}
            versions = await self._applied(session, tuple(rows.values()))
            recorded = {ref.version for ref, row in rows.items() if row.finished_at}
            for version in sorted(versions - recorded):
                ref = self._half(version, rows)
                if ref is not None:
                    await self._record(state, session, ref, release=release)
            for ref, row in rows.items():
                if ref.version not in versions and row.finished_at:
                    await state.delete_half(session, ref)
        return versions

    def _half(self, version: str, rows: Mapping[HalfRef, HalfRow]) -> HalfRef | None:
        if version in self._files:
            return half_of(self._files[version])
        return next((ref for ref in rows if ref.version == version), None)

    async def _record(
        self,
        state: State,
        session: Session,
        ref: HalfRef,
        *,
        release: str | None,
        finished: bool = True,
    ) -> None:
        file = self._files.get(ref.version)
        await state.put_half(
            session,
            ref,
            name=file.name if file else "",
            checksum="",  # frameworks do not mind an edited file, and neither do we
            release=release,
            finished=finished,
        )
        if finished:
            await state.delete_intent(session, ref)

    # -- applying --------------------------------------------------------------------------------

    async def run(
        self,
        migrations: tuple[Migration, ...],
        *,
        fresh: bool,
        release: str | None,
        token: int,
        emit: Emit,
        command: RunCommand,
    ) -> None:
        """See `pilotage.migrate.base.Engine.run`."""
        self._files |= {migration.version: migration for migration in migrations}
        await self._ask(now=True)
        async with self._locked(token) as session:
            before = await self._copy(session, release=None)
            wanted = tuple(m for m in migrations if m.version not in before)
            began = time.monotonic()
            if migrations and not wanted:
                return
            await self._begin(session, wanted, release)
            async with self._told(session, wanted, before, release):
                emit(HalfStarted(half=self._what(wanted), name=self.framework, statements=1))
                await command(self._lines.command(wanted, fresh=fresh, apps=self._apps()))
            after = await self._ended(session, release)
            self._judge(wanted, before, after)
        seconds = time.monotonic() - began
        emit(HalfFinished(half=self._what(wanted), name=self.framework, seconds=seconds))

    def _apps(self) -> str:
        return " ".join(sorted({group(version) for version in self._files}))

    async def _begin(
        self, session: Session, wanted: tuple[Migration, ...], release: str | None
    ) -> None:
        """A contract half counts from here on, whatever becomes of the command."""
        state = await self._state(session)
        async with session.transaction():
            for migration in wanted:
                if migration.contract:
                    ref = half_of(migration)
                    await self._record(state, session, ref, release=release, finished=False)

    async def _ended(self, session: Session, release: str | None) -> frozenset[str]:
        await self._ask(now=True)
        return await self._copy(session, release=release)

    @asynccontextmanager
    async def _told(
        self,
        session: Session,
        wanted: tuple[Migration, ...],
        before: frozenset[str],
        release: str | None,
    ) -> AsyncIterator[None]:
        """A command that failed says what is applied all the same."""
        try:
            yield
        except PilotageError as error:
            error.state = "nothing says what it has applied by then"
            if self.known:
                after = await self._ended(session, release)
                error.state = _state(wanted, before, after)
            raise

    def _judge(
        self, wanted: tuple[Migration, ...], before: frozenset[str], after: frozenset[str]
    ) -> None:
        """The exit status is not believed: what the framework says is applied decides."""
        if not self.known:
            return
        missing = [str(half_of(m)) for m in wanted if m.version not in after]
        beyond = [self._shown(v) for v in sorted(after - before - {m.version for m in wanted})]
        state = _state(wanted, before, after)
        if beyond:
            raise HalfFailed(
                f"the command of {self.framework} went too far: asked for {self._what(wanted)}, it also "
                f"applied {', '.join(beyond)}",
                where=self.where,
                state=state,
                next="`pilotage status` shows what does not fit any more; take back what came too early "
                "with the framework's own command, if that loses nothing; and have the command apply "
                "$PILOTAGE_VERSIONS and nothing else",
            )
        if missing:
            raise HalfFailed(
                f"the command of {self.framework} ended well, and {', '.join(missing)} is not applied",
                where=self.where,
                state=state,
                next="see what it printed: it may not look in the folder of these files, or may have "
                "changed another database than the one that `migrations: {database: …}` names",
            )

    def _shown(self, version: str) -> str:
        file = self._files.get(version)
        return str(half_of(file)) if file else version

    def _what(self, wanted: tuple[Migration, ...]) -> str:
        return ", ".join(str(half_of(m)) for m in wanted) or "what is pending"

    # -- what is not ours to do --------------------------------------------------------------------

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
        """Refused: see `run`."""
        raise self._not_ours(migration)

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
        """Refused: see `run`."""
        raise self._not_ours(migrations[0])

    async def backfill(self, migration: Migration, *, final: bool, token: int, emit: Emit) -> None:
        """Refused: a framework's migration has no backfill of ours."""
        raise self._not_ours(migration)

    async def verify(self, migration: Migration) -> None:
        """Refused."""
        raise self._not_ours(migration)

    async def adopt(self, migration: Migration, *, release: str | None, token: int) -> None:
        """Refused."""
        raise self._not_ours(migration)

    async def mark(
        self, migration: Migration, half: Half, *, release: str | None, token: int
    ) -> None:
        """Refused."""
        raise self._not_ours(migration)

    async def rename(self, old: str, migration: Migration, *, token: int) -> None:
        """Refused."""
        raise self._not_ours(migration)

    async def revert(self, migration: Migration, *, token: int, emit: Emit) -> None:
        """Refused."""
        raise self._not_ours(migration)

    def _not_ours(self, migration: Migration) -> UsageError:
        return UsageError(
            f"{migration} is a migration of {self.framework}, which alone can do that",
            where=str(migration.path),
            state="nothing was touched",
            next=f"use the command of {self.framework}",
        )


def group(version: str) -> str:
    """Whose a version is: Django's app."""
    return version.partition(".")[0]


def _state(wanted: tuple[Migration, ...], before: frozenset[str], after: frozenset[str]) -> str:
    """What of what was wanted is applied now, and what not."""
    done = [str(half_of(m)) for m in wanted if m.version in after]
    left = [str(half_of(m)) for m in wanted if m.version not in after]
    parts = [f"applied now: {', '.join(done)}"] if done else []
    parts += [f"not applied: {', '.join(left)}"] if left else []
    return "; ".join(parts) or "nothing more is applied than before"
