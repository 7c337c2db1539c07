"""What running a half means, written out as SQL: ``pilotage migrate sql``.

Statements are the author's own text. What pilotage adds around them is written out as well: the
transactions, their time limits, the batches of a backfill. What a person cannot do by hand (the lock,
the proof before a contract half) stands there as a comment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pilotage.migrate import sql
from pilotage.migrate.dialects.base import Dialect, Session, StatementError, Walk, Window
from pilotage.migrate.dialects.spelling import Spelling, spelling
from pilotage.migrate.half import runs_bare, runs_whole
from pilotage.migrate.migration import Migration, Section
from pilotage.migrate.settings import RunnerSettings
from pilotage.migrate.sql import Batchable, Statement
from pilotage.migrate.work import steps_of
from pilotage.model import Half, HalfRef

Windows = Mapping[str, Window | None]
"""The first batch of each statement of a backfill, by its text, as far as a database was asked."""


def script(
    migration: Migration,
    half: Half,
    *,
    dialect: str,
    settings: RunnerSettings,
    windows: Windows | None = None,
) -> str:
    """The half as a text of SQL and comments. Pure.

    Raises
    ------
    MigrationFileError
        A statement cannot be read.
    """
    writer = _Writer(migration, settings, spelling(dialect), dialect, windows or {})
    return "\n".join(writer.lines(half)) + "\n"


async def first_windows(
    migration: Migration, dialect: Dialect, session: Session, settings: RunnerSettings
) -> dict[str, Window | None]:
    """Ask the database for the first batch of every backfill statement whose table is there already."""
    found: dict[str, Window | None] = {}
    if migration.backfill is None:
        return found
    for statement in _statements(migration, migration.backfill, dialect.name):
        batch = sql.batched(statement.text, dialect.name)
        if batch.kind == "repeat":
            continue
        try:
            key = await dialect.key(session, batch.table)
            if key is not None:
                found[statement.text] = await dialect.window(
                    session,
                    Walk(batch.table, key, batch.qualifier),
                    None,
                    settings.backfill.batch_rows,
                )
        except StatementError:
            continue  # the expand half makes the table, or the column that it is walked by
    return found


def _statements(migration: Migration, section: Section, dialect: str) -> Sequence[Statement]:
    with sql.located(migration.path, section.line):
        return sql.split(section.text, dialect)


class _Writer:
    def __init__(
        self,
        migration: Migration,
        settings: RunnerSettings,
        spelled: Spelling,
        dialect: str,
        windows: Windows,
    ) -> None:
        self._migration = migration
        self._settings = settings
        self._spelled = spelled
        self._dialect = dialect
        self._windows = windows

    def lines(self, half: Half) -> Iterator[str]:
        """The whole text, line by line."""
        migration = self._migration
        yield f"-- {migration}: the {half} half, as pilotage runs it on {self._dialect}"
        yield "-- under the migration lock, in one session"
        if half is Half.CONTRACT:
            yield "-- only once it is proven that nothing older runs, with the door closed behind it"
            yield from self._backfill("again, for what old code wrote until it ended")
            yield from self._verify()
        section = migration.section(half)
        if section is not None:
            for required in sorted(section.directives.requires):
                yield f"-- only once {required} is applied, which it requires"
            yield from self._half(HalfRef(migration.version, half), section)
        if half is Half.EXPAND:
            yield from self._backfill("for the rows that are there")
        name = migration.version if half is Half.EXPAND else f"{migration.version}/{half}"
        yield from (
            "",
            f"-- whoever ran this by hand says so: pilotage migrate mark {name} --verify",
        )

    def _half(self, ref: HalfRef, section: Section) -> Iterator[str]:
        statements = steps_of(section, self._migration, self._dialect)
        if runs_whole(section, statements, self._dialect):
            yield from ("", f"-- {ref}: one transaction, retried as a whole")
            yield from self._transaction(section, [s.text for s in statements], record=str(ref))
            return
        yield from ("", f"-- {ref}: statement by statement; a run that breaks off resumes")
        for number, statement in enumerate(statements, 1):
            yield from ("", f"-- statement {number} of {len(statements)}")
            if statement.of > 1 or statement.text != statement.author:
                which = (
                    f"step {statement.number} of {statement.of} of"
                    if statement.of > 1
                    else "online:"
                )
                yield f"-- {which} {' '.join(statement.author.split())}"
            if runs_bare(statement.text, self._dialect):
                # A concurrent build, which nobody queues behind, gets the whole of the time.
                alone = sql.needs_no_transaction(statement.text, self._dialect)
                yield from self._limits(section, local=False, wait=not alone)
                yield self._ended(sql.grammar(self._dialect).guarded(statement.text))
                index = sql.creates_index_concurrently(statement.text, self._dialect)
                if index and index.name:
                    name = _beside(self._dialect, index.table.schema, index.name)
                    yield f"-- (where it broke off it left an INVALID index: DROP INDEX CONCURRENTLY {name};)"
            else:
                yield from self._transaction(section, [statement.text], record=str(ref))

    def _transaction(
        self, section: Section, statements: Sequence[str], *, record: str, rows: bool = False
    ) -> Iterator[str]:
        spelled = self._spelled
        yield from spelled.rows if rows else spelled.schema
        if not spelled.inside:
            yield from self._limits(section, local=False)
        yield spelled.begin
        yield from self._limits(section, local=True)
        yield from map(self._ended, statements)
        if not rows:
            yield from spelled.check
        yield f"-- (recorded: {record})"
        yield "COMMIT;"

    def _limits(self, section: Section, *, local: bool, wait: bool = True) -> list[str]:
        """``wait`` false: no limit on a wait for a lock but that of the whole."""
        settings, given = self._settings, section.directives
        lock = (given.lock_timeout or settings.lock_timeout) if wait else None
        total = given.timeout or settings.timeout
        return self._spelled.limits(lock=lock, total=total, local=local)

    def _backfill(self, why: str) -> Iterator[str]:
        section = self._migration.backfill
        if section is None:
            return
        yield from ("", f"-- backfill {why}: in passes, until a whole pass changes no row")
        for statement in _statements(self._migration, section, self._dialect):
            batch = sql.batched(statement.text, self._dialect)
            if batch.kind == "repeat":
                yield from ("", "-- repeated until it changes no row")
                text = statement.text
            else:
                yield from ("", *self._batches(batch))
                text = batch.render(self._predicate(batch))
            yield from self._transaction(section, [text], record="the cursor", rows=True)

    def _batches(self, batch: Batchable) -> Iterator[str]:
        settings = self._settings.backfill
        yield f"-- in batches of at most {settings.batch_rows} rows of {batch.table}, in the order of its key,"
        yield f"-- each in a transaction of its own, sized to take {settings.batch_time * 1000:g} ms"
        if self._windows.get(batch.text):
            yield "-- the first one, as of now; each that follows begins where the one before ended:"
        else:
            yield "-- (:after and :until are the keys between which a batch lies)"

    def _predicate(self, batch: Batchable) -> str:
        window = self._windows.get(batch.text)
        if window is not None:
            return window.predicate
        key = f"{batch.qualifier}.<key>"
        return f"{key} > :after AND {key} <= :until"

    def _verify(self) -> Iterator[str]:
        section = self._migration.verify
        if section is None:
            return
        yield from ("", "-- verify: each must return no row, or the half is not run")
        for statement in _statements(self._migration, section, self._dialect):
            yield self._ended(statement.text)

    def _ended(self, statement: str) -> str:
        tokens = sql.grammar(self._dialect).tokens(statement)
        return self._spelled.ended(statement, body=any(token.is_(";") for token in tokens))


def _beside(dialect: str, schema: str | None, name: str) -> str:
    """A name in a schema, as SQL."""
    quote = sql.grammar(dialect).quote
    return f"{quote(schema)}.{quote(name)}" if schema else quote(name)
