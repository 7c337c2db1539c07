"""What the runner needs of a database: one session, and one dialect that knows the rest.

The runner, the backfill and the state tables are written once, over these two. What differs between
databases (how a lock is taken, what the catalogue says, which errors mean "try again") is a method
here, so that no other module asks which database it talks to.

Statements of our own carry their values as ``$1``, ``$2`` …, which both drivers understand; an
author's statement carries none and reaches the server exactly as it was written.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from pilotage.model import Session as SeenSession

if TYPE_CHECKING:
    from pilotage.hazards.catalogue import Catalogue
    from pilotage.migrate.sql import Effect
    from pilotage.migrate.sql.online import Step

Row = tuple[Any, ...]

APPLICATION_NAME = "pilotage"
"""What our own sessions are called in the database's list of sessions."""

OWN_PATIENCE = 10.0
"""Seconds that a statement of our own waits for a lock, where `Dialect.limit` does not say else."""

TABLE_PREFIX = "pilotage_"


class Trouble(StrEnum):
    """What a failed statement means to the runner."""

    LOCK = "lock"  # a lock was not granted in time
    DEADLOCK = (
        "deadlock"  # chosen as the victim, or not serialisable: the transaction may be retried
    )
    TIMEOUT = "timeout"  # it ran longer than it may
    LOST = "lost"  # the connection is gone, so the outcome of what ran is unknown
    DENIED = "denied"  # a privilege is missing
    ABSENT = "absent"  # a table that it names is not there
    TAKEN = "taken"  # what it makes has the name of something that is there
    DUPLICATE = "duplicate"  # a unique key is taken
    VIOLATED = "violated"  # rows do not obey another constraint
    FULL = "full"  # the server has no room left: its disk, or a limit of its own
    OTHER = "other"

    @property
    def passes(self) -> bool:
        """Whether the same transaction may succeed if it is tried again."""
        return self in (Trouble.LOCK, Trouble.DEADLOCK)


class StatementError(Exception):
    """A statement failed: a driver's error, classified by its code.

    ``position`` is the 0-based character of the statement's text that the server points at.
    """

    def __init__(
        self,
        message: str,
        *,
        trouble: Trouble = Trouble.OTHER,
        code: str = "",
        detail: str = "",
        hint: str = "",
        position: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.trouble = trouble
        self.code = code
        self.detail = detail
        self.hint = hint
        self.position = position

    def __str__(self) -> str:
        parts = [self.message]
        if self.detail:
            parts.append(f"DETAIL: {self.detail}")
        if self.hint:
            parts.append(f"HINT: {self.hint}")
        return "; ".join(parts)


class Call(NamedTuple):
    """A statement and its values, to be sent with others; see `Dialect.pipeline`.

    ``often``: the same text is sent again and again, so the session may keep it prepared.
    """

    sql: str
    values: tuple[object, ...] = ()
    often: bool = False


class Answer(NamedTuple):
    """What a `Call` gave: its rows, each value as the server writes it, how many rows it changed, and when
    its answer was there (by the monotonic clock); see `Dialect.together`."""

    rows: tuple[tuple[str | None, ...], ...]
    changed: int
    at: float


class Session(Protocol):
    """One session of the database. What it runs, it runs in order; outside `transaction`, at once.

    Every method raises `StatementError`.
    """

    @property
    def usable(self) -> bool:
        """Whether it is connected and not left inside a transaction."""
        ...

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        ...

    async def query(self, sql: str, *values: object) -> list[Row]:
        """The rows of a query."""
        ...

    async def query_some(self, sql: str, most: int) -> list[Row]:
        """The first rows of an author's query; the others are not fetched."""
        ...

    async def execute(self, sql: str, *values: object) -> int:
        """Run a statement; the number of rows that it changed (0 where that means nothing)."""
        ...

    def transaction(self, *, snapshot: bool = False) -> AbstractAsyncContextManager[None]:
        """A transaction, committed at the end and rolled back on an exception.

        ``snapshot``: read-only, and everything is read as of one moment.
        """
        ...

    async def reset(self) -> None:
        """Undo what an author's statements may have set (role, search path, temporary tables)."""
        ...

    async def close(self) -> None:
        """End the session, and with it every lock that it holds. Never raises."""
        ...


@dataclass(frozen=True, slots=True)
class Walk:
    """A table as an author wrote it, the columns (quoted) of the key to walk it by, and what stands
    before them in a predicate: the table's alias or its bare name.

    ``types`` of the columns, where a dialect needs them. ``end``: the last key of this pass (see
    `Dialect.last`); rows that are inserted beyond it are the next pass's, so that a pass ends however
    fast they come. None: no bound.
    """

    table: str
    key: tuple[str, ...]
    qualifier: str
    types: tuple[str, ...] = ()
    end: list[str] | None = None

    @property
    def identity(self) -> list[str]:
        """What the values of a cursor belong to: the columns of the key, and their types."""
        return [*self.key, *self.types]


@dataclass(frozen=True, slots=True)
class Window:
    """The next batch of a walk over a table in the order of a key.

    ``predicate``: SQL that holds for the batch's rows. ``cursor``: where the batch after it begins,
    or None when this is the last. ``rows``: how many rows of the table it spans.
    """

    predicate: str
    cursor: list[str] | None
    rows: int


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a statement is: the phase, in the database's words, and 0…1 of it where that is known."""

    phase: str
    fraction: float | None = None


@dataclass(frozen=True, slots=True)
class Offenders:
    """Rows that make a step fail. ``rows``: a few, by ``key`` alone; ``query`` finds all of them."""

    key: str
    rows: tuple[str, ...]
    query: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """A session that waits: for a lock, or (see `Dialect.oldest_transaction`) has others wait.

    ``who``: the session, in words. ``seconds``: for how long. ``for_us``: one of ours is in its way.
    """

    who: str
    seconds: float
    for_us: bool = False


@dataclass(frozen=True, slots=True)
class Vacuum:
    """What autovacuum, or what removes old versions of rows in its stead, has to do with a table.

    ``dead``: its dead rows as a multiple of how many it waits for; None where it is off for the table, or
    nothing counts them. ``wraparound``: a vacuum against wraparound runs on it. ``words``: that it does
    not keep up.
    """

    dead: float | None
    wraparound: bool
    words: str


class Dialect(ABC):
    """A database, as the runner needs it. One instance belongs to one database."""

    name: str
    timestamp: str
    json: str
    text: str = "text"
    short: str = "text"  # a text that can be a key
    now: str
    names_blockers: bool

    transactional_ddl: bool = True
    """Whether what defines or drops something can be rolled back."""

    # -- connections ---------------------------------------------------------------------------

    @property
    @abstractmethod
    def where(self) -> str:
        """The database's place, without a password: for ``where`` of an error."""

    @abstractmethod
    async def connect(self) -> Session:
        """A new session.

        Raises
        ------
        DatabaseUnavailable
            No server, wrong password, no such database, or no right to connect.
        """

    @abstractmethod
    async def exists(self) -> bool:
        """Whether the database is there. Raises `DatabaseUnavailable` where nobody can tell."""

    @abstractmethod
    async def create(self) -> None:
        """Create the database. Idempotent, also when two do it at once."""

    @abstractmethod
    async def server_clock(self) -> float:
        """The Unix time of the server, also while the database is not there."""

    @abstractmethod
    async def prove_session(self, session: Session) -> None:
        """Raise `PoolerUnsafe` when two statements of ``session`` may reach different sessions."""

    # -- SQL fragments ---------------------------------------------------------------------------

    @abstractmethod
    def epoch(self, column: str) -> str:
        """An expression: the column's time as Unix seconds."""

    def quote(self, name: str) -> str:
        """A name as SQL, quoted where it must be."""
        from pilotage.migrate.sql import grammar

        return grammar(self.name).quote(name)

    def upsert(
        self,
        table: str,
        values: Mapping[str, str],
        *,
        key: Sequence[str],
        keep: Sequence[str] = (),
        replace: bool = True,
    ) -> str:
        """INSERT of a row (column → its value's SQL) in place of the one with the same ``key``.

        ``keep``: columns that stay as they are there, unless they are NULL. Not ``replace``: the row
        that is there stays, and no row is changed.
        """
        names = ", ".join(self.quote(column) for column in values)
        insert = f"INSERT INTO {table} AS old ({names}) VALUES ({', '.join(values.values())})"  # noqa: S608
        if not replace:
            return f"{insert} ON CONFLICT DO NOTHING"
        new = []
        for column in values:
            name = self.quote(column)
            if column in keep:
                new.append(f"{name} = coalesce(old.{name}, excluded.{name})")
            elif column not in key:
                new.append(f"{name} = excluded.{name}")
        return f"{insert} ON CONFLICT ({', '.join(key)}) DO UPDATE SET {', '.join(new)}"

    @abstractmethod
    async def home(self, session: Session) -> str:
        """The prefix (``"schema".``) under which our own tables are, or will be."""

    @abstractmethod
    async def has_table(self, session: Session, home: str, table: str) -> bool:
        """Whether one of our own tables is there."""

    @abstractmethod
    async def user_tables(self, session: Session) -> int:
        """How many tables the database has that are not pilotage's."""

    # -- locks and limits --------------------------------------------------------------------------

    @abstractmethod
    async def try_lock(self, session: Session, key: str) -> bool:
        """Try to take a lock that ``session`` holds until `unlock` or its end. Never waits."""

    @abstractmethod
    async def unlock(self, session: Session, key: str) -> None:
        """Release it."""

    @abstractmethod
    async def holder(self, session: Session, key: str) -> tuple[str, str]:
        """Who holds the lock, and what ends that session; empty strings when nobody does."""

    @abstractmethod
    async def limit(
        self, session: Session, *, lock: float | None, total: float | None, local: bool
    ) -> None:
        """Bound the waits for locks and the statements that follow, in seconds; None: no bound.

        ``local``: until the end of the transaction, else until the next call or `Session.reset`.
        """

    @abstractmethod
    async def become_self(self, session: Session) -> None:
        """Take back a change of role until the end of the transaction, to write our own rows."""

    @abstractmethod
    async def blockers(self, watcher: Session, session: Session) -> list[str]:
        """Whom ``session`` waits for at this moment, each as one line; asked from ``watcher``."""

    @abstractmethod
    async def sessions(
        self, session: Session, own: Sequence[Session]
    ) -> tuple[SeenSession, ...] | None:
        """The other sessions of this database, or None where there is no such evidence."""

    @abstractmethod
    async def missing_grants(self, session: Session, home: str, role: str | None) -> list[str]:
        """The statements that would let ``role`` register instances and read what is applied."""

    @property
    @abstractmethod
    def role(self) -> str | None:
        """The role that the URL names, where roles exist."""

    @asynccontextmanager
    async def bounded(
        self, session: Session, *, lock: float | None, total: float | None
    ) -> AsyncIterator[None]:
        """A transaction under `limit`."""
        async with session.transaction():
            await self.limit(session, lock=lock, total=total, local=True)
            yield

    @asynccontextmanager
    async def change(
        self, session: Session, *, lock: float | None, total: float | None
    ) -> AsyncIterator[None]:
        """`bounded`, for statements that change the schema."""
        async with self.bounded(session, lock=lock, total=total):
            yield

    async def to_run(self, session: Session, statement: str) -> str:
        """An author's statement as it is run now; see `Grammar.guarded`."""
        return statement

    # -- many statements in one round trip -----------------------------------------------------------

    pipelines: bool = False
    """Whether the methods of this part can be called; see `pilotage.migrate.series`."""

    async def pipeline(
        self, session: Session, calls: Sequence[Call], done: Callable[[int], None]
    ) -> None:
        """Run statements in order, without waiting for one before the next is sent; ``done(index)``
        is told of each that passed. Nothing after the first that fails is run.

        Raises
        ------
        StatementError
            Of the statement that failed. A transaction that it was in is left open.
        """
        raise NotImplementedError

    async def together(
        self, session: Session, calls: Sequence[Call], early: int = -1
    ) -> list[Answer]:
        """Run statements in one round trip; the answers to all of them.

        ``early``: the index of one whose answer is not kept back until the rest has run.

        Raises
        ------
        StatementError
            Of the statement that failed. Nothing after it was run; a transaction that was open is
            rolled back.
        """
        raise NotImplementedError

    def opening(
        self, session: Session, *, lock: float | None, total: float | None, durable: bool
    ) -> tuple[Call, ...]:
        """What begins a transaction under `limit`. Not ``durable``: its commit does not wait for the
        disk, so a crash of the server may undo it, together with all that was committed after it."""
        raise NotImplementedError

    def closing(self, row: Call, *, own: bool = True) -> tuple[Call, ...]:
        """What writes a row of ours, then commits. ``own``: as ourselves (see `become_self`), else as
        whoever the session is by then."""
        raise NotImplementedError

    async def alone(self, session: Session, own: Sequence[Session]) -> bool:
        """Whether nobody but us is connected to the database."""
        raise NotImplementedError

    # -- backfills ---------------------------------------------------------------------------------

    @abstractmethod
    async def key(self, session: Session, table: str) -> tuple[str, ...] | None:
        """The columns to walk the table by (quoted): its primary key, else a unique key without
        NULLs, else the row's own address; None when it has none of them."""

    @abstractmethod
    async def window(
        self, session: Session, walk: Walk, cursor: list[str] | None, rows: int
    ) -> Window | None:
        """The next batch of at most ``rows`` rows after ``cursor``; None at the end of the table."""

    def ahead(self, walk: Walk, cursor: list[str] | None, rows: int) -> Call:
        """The question for the batch after ``cursor``, to be sent with others (see `pipelines`)."""
        raise NotImplementedError

    def read_ahead(
        self, walk: Walk, cursor: list[str] | None, rows: int, answer: Answer
    ) -> Window | None:
        """What was answered to `ahead`; None where fewer rows than ``rows`` are left."""
        raise NotImplementedError

    @abstractmethod
    async def estimate(self, session: Session, table: str) -> int | None:
        """About how many rows the table has, cheaply; None when nobody knows."""

    @abstractmethod
    async def total_rows(self, session: Session) -> int:
        """About how many rows all tables have together."""

    async def walk(self, session: Session, table: str, qualifier: str) -> Walk | None:
        """How to walk a table; None where it has no `key`."""
        key = await self.key(session, table)
        return Walk(table, key, qualifier) if key is not None else None

    async def last(self, session: Session, walk: Walk) -> list[str] | None:
        """The key of the table's last row now, as `Walk.end` takes it; None: empty, or no bound."""
        return None

    @asynccontextmanager
    async def batch(
        self, session: Session, *, lock: float | None, total: float | None
    ) -> AsyncIterator[None]:
        """`bounded`, for a batch of a backfill. Its commit need not wait for the disk: after a crash of
        the server its rows and its cursor are there together, or neither is."""
        async with self.bounded(session, lock=lock, total=total):
            yield

    # -- who suffers --------------------------------------------------------------------------------
    #
    # Asked from a session that watches while another works. None, everywhere: this database, or this
    # role, cannot tell.

    async def others_at_work(self, watcher: Session, own: Sequence[Session]) -> bool | None:
        """Whether somebody runs a statement, or is in a transaction, in this database at this moment;
        our own sessions apart."""
        return None

    async def standbys_behind(self, watcher: Session, position: str) -> list[str] | None:
        """The replicas, as the primary sees them, that have not replayed what was written up to
        ``position``."""
        return None

    async def longest_wait(self, watcher: Session, own: Sequence[Session]) -> list[Waiting] | None:
        """The session that has waited longest for a lock that is bound to pass (not an advisory one),
        ours apart; [] where none waits."""
        return None

    async def oldest_transaction(
        self, watcher: Session, own: Sequence[Session]
    ) -> list[Waiting] | None:
        """The oldest open transaction that keeps dead rows from being removed, ours apart; [] for
        none."""
        return None

    async def vacuum(self, watcher: Session, table: str) -> Vacuum | None:
        """How far behind vacuum is with a table."""
        return None

    # -- the catalogue ----------------------------------------------------------------------------

    @abstractmethod
    async def holds(self, session: Session, effect: Effect) -> bool | None:
        """Whether the catalogue shows what a statement would have made; None: it cannot tell."""

    @abstractmethod
    async def dump(self, session: Session) -> str:
        """The statements that would make the schema again, without pilotage's tables.

        Raises
        ------
        DatabaseError
            It cannot be dumped from here; ``next`` says what to install.
        """

    async def survey(self, session: Session, *, exact: bool) -> Catalogue | None:
        """The schema with the sizes of its tables, for the hazard linter; None: it cannot say.

        A few queries, in the transaction of the caller. ``exact``: say which tables are empty, even
        if that waits for locks on them.
        """
        return None

    async def position(self, session: Session) -> str:
        """How far the database has written, for `has_replayed` of a replica."""
        return ""

    async def has_replayed(self, session: Session, position: str) -> bool | None:
        """Whether this replica has everything up to ``position``; None: it is no replica."""
        return None

    async def repair(self, session: Session, effect: Effect) -> bool:
        """Drop what a statement left half-made (an INVALID index); True when there was any."""
        return False

    async def sweep(self, session: Session) -> list[str]:
        """Drop what a rebuilding that broke off left under names of its own; their names."""
        return []

    # -- steps of statements that lock (`pilotage.migrate.sql.online`) ------------------------------------

    tells_progress: bool = False
    """Whether `progress` ever says anything."""

    async def has_made(self, session: Session, step: Step, *, by_name: bool) -> bool:
        """Whether the catalogue shows that a step need not run.

        ``by_name``: what has its name is taken to be it, since we made it; else it must be the same.
        """
        return False

    async def offenders(self, session: Session, step: Step, most: int) -> Offenders | None:
        """Rows that a step which failed has met, at most so many; None where nobody can say."""
        return None

    async def progress(self, watcher: Session, session: Session) -> Progress | None:
        """How far the statement is that ``session`` runs, asked from ``watcher``; None: it does not say."""
        return None

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """A session for the length of a block."""
        session = await self.connect()
        try:
            yield session
        finally:
            await session.close()
