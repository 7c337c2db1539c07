"""What a hazard rule is, and what it may look at. Each rule is one small module in ``rules/``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pilotage.hazards.catalogue import Catalogue
from pilotage.hazards.finding import Class, Finding, Severity
from pilotage.hazards.rewrites import NO_TRANSACTION, Rewriter, section
from pilotage.migrate.migration import Migration, Section
from pilotage.migrate.sql.change import Change, Column, Name
from pilotage.migrate.sql.statement import Statement
from pilotage.migrate.sql.token import column_of, line_of
from pilotage.model import Half

EXPAND = frozenset({Half.EXPAND})
CONTRACT = frozenset({Half.CONTRACT})
BOTH = EXPAND | CONTRACT

POSTGRESQL = frozenset({"postgresql"})
MYSQL = frozenset({"mysql"})
SQLITE = frozenset({"sqlite"})
FRAMEWORKS = frozenset({"python", "ruby"})  # what migrations of frameworks are written in

# The oldest version that its makers still maintain: what an unknown server is taken for.
_MAINTAINED = {"postgresql": (14, 0)}


@dataclass(frozen=True, slots=True)
class Hazard:
    """What a rule says: a sentence or two, and the SQL to write instead.

    ``at`` is the offset of the place in the section's text; None: where the change begins. ``line`` is a
    line of the file in its stead, for what a directive says.
    """

    message: str
    rewrite: str = ""
    at: int | None = None
    line: int | None = None


@dataclass(frozen=True, slots=True)
class HalfContext:
    """One half of a migration, and the schema that it meets.

    ``known`` is the schema before what is being looked at; ``made`` is what this file itself has made
    so far, which no running code knows. ``pairs`` are the changes of the half with their statements.
    A rule for a whole half is asked when the half has been gone through.
    """

    migration: Migration
    half: Half
    section: Section
    dialect: str
    known: Catalogue
    made: Catalogue
    rewriter: Rewriter
    pairs: Sequence[tuple[Statement, Change]]

    @property
    def statements(self) -> tuple[Statement, ...]:
        """The statements of the half, each once."""
        return tuple({statement.start: statement for statement, _ in self.pairs}.values())

    def is_new(self, table: Name) -> bool:
        """Whether this file made the table."""
        return self.made.has("table", table)

    def is_empty(self, table: Name) -> bool:
        """Whether the table is known to have no row."""
        found = self.known.table(table)
        return found is not None and found.size is not None and found.size.rows == 0

    def is_idle(self, table: Name) -> bool:
        """Whether locks on the table and work over its rows hurt nobody: it is new, or empty."""
        return self.is_new(table) or self.is_empty(table)

    def new_column(self, table: Name, column: str) -> bool:
        """Whether this file made the column, or its table."""
        return self.is_new(table) or self.made.column(table, column) is not None

    def new_object(self, kind: str, name: Name, table: Name | None = None) -> bool:
        """Whether this file made the object; one that belongs to a new table is new as well."""
        return self.made.has(kind, name, table) or (table is not None and self.is_new(table))

    def column(self, table: Name, column: str) -> Column | None:
        """The column as far as it is known, or None."""
        return self.known.column(table, column)

    def type_of(self, table: Name, column: str) -> str:
        """The type of a column; ``""`` where it is not known."""
        found = self.known.column(table, column)
        return found.type if found else ""

    def one_by_one(self) -> str:
        """The half with every statement in a transaction of its own, ready to paste."""
        texts = dict.fromkeys(statement.text for statement in self.statements)
        return section(self.half, *texts, note=NO_TRANSACTION)

    def server_before(self, version: tuple[int, int]) -> bool:
        """Whether the server may be older than ``version``.

        An unknown one is taken for the oldest that its makers still maintain.
        """
        server = self.known.server or _MAINTAINED.get(self.dialect)
        return server is not None and server < version


@dataclass(frozen=True, slots=True)
class Context(HalfContext):
    """One change, in its half: ``index`` is its place among ``pairs``."""

    index: int

    @property
    def statement(self) -> Statement:
        """The statement that does it."""
        return self.pairs[self.index][0]

    @property
    def earlier(self) -> Sequence[Change]:
        """The changes of this half before this one."""
        return [change for _, change in self.pairs[: self.index]]

    @property
    def later(self) -> Sequence[Change]:
        """The changes of this half after this one."""
        return [change for _, change in self.pairs[self.index + 1 :]]


@dataclass(frozen=True, slots=True)
class Example:
    """A migration file and what its reader should know of it: a test, and a part of the documentation.

    In ``sql`` a ``»`` stands before the place that is found. ``before`` are earlier migrations
    (None: the ones that all examples of the dialect share). ``rows``, ``server`` and ``complete`` are what a
    database has said: tables → number of rows, and the rest as in `Catalogue`.
    """

    sql: str
    why: str = ""
    before: str | None = None
    rows: Mapping[str, int] = field(default_factory=dict)
    server: tuple[int, int] | None = None
    complete: bool = False
    dialect: str = "postgresql"


Check = Callable[[Change, Context], Iterator[Hazard]]
CheckHalf = Callable[[HalfContext], Iterator[Hazard]]


def _no_hazard(_change: Change, _context: Context) -> Iterator[Hazard]:
    return iter(())


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One hazard: how to find it, and why it is one.

    ``id`` is what ``allow=`` names; ``numbers`` are its places in the catalogue of hazards. It is asked
    with ``check`` about changes of the types in ``on`` (and of no subtype), and with ``check_half`` about
    each half. ``dialects`` are those that it is for; None: all of SQL. ``bad`` and ``good`` are its test cases.
    ``mechanical``: its rewrites leave nothing for a person to decide (no placeholder, no new name that
    code must learn), so ``--fix`` may write them: what stands there in the section of the finding goes
    in place of the statement, and every other section to the end of the file's own.
    """

    id: str
    numbers: tuple[int, ...]
    class_: Class
    severity: Severity
    halves: frozenset[Half]
    why: str
    on: tuple[type[Change], ...] = ()
    check: Check = _no_hazard
    check_half: CheckHalf | None = None
    dialects: frozenset[str] | None = None
    mechanical: bool = False
    bad: tuple[Example, ...] = ()
    good: tuple[Example, ...] = ()

    def is_for(self, dialect: str) -> bool:
        """Whether it is for files of this dialect, or language."""
        if self.dialects is None:
            return dialect not in FRAMEWORKS
        return dialect in self.dialects


def finding_of(rule: Rule, hazard: Hazard, begin: int, context: HalfContext) -> Finding:
    """What a rule says of a half, as a finding; ``begin`` is where its change begins in the section."""
    section = context.section
    place = begin if hazard.at is None else hazard.at
    return Finding(
        rule=rule.id,
        class_=rule.class_,
        severity=rule.severity,
        file=context.migration.path,
        line=hazard.line or section.line + line_of(section.text, place) - 1,
        column=1 if hazard.line else column_of(section.text, place),
        message=hazard.message,
        rewrite=_in_half(hazard.rewrite, context.half),
        half=context.half,
    )


def _in_half(rewrite: str, half: Half) -> str:
    """A rewrite that is one section alone, as a section of the half that it is for."""
    first, _, rest = rewrite.partition("\n")
    if half is Half.CONTRACT and first == "-- expand":
        sections = ("-- contract", "-- backfill", "-- verify")
        if not any(line in sections for line in rest.splitlines()):
            return f"-- contract\n{rest}"
    return rewrite
