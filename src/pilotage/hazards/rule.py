"""What a hazard rule is, and what it may look at. Each rule is one small module in ``rules/``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from pilotage.hazards.catalogue import Catalogue
from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rewrites import Rewriter
from pilotage.migrate.migration import Migration, Section
from pilotage.migrate.sql.change import Change, Column, Name
from pilotage.migrate.sql.statement import Statement
from pilotage.model import Half

EXPAND = frozenset({Half.EXPAND})
CONTRACT = frozenset({Half.CONTRACT})
BOTH = EXPAND | CONTRACT


@dataclass(frozen=True, slots=True)
class Hazard:
    """What a rule says of one change: a sentence or two, and the SQL to write instead."""

    message: str
    rewrite: str = ""


@dataclass(frozen=True, slots=True)
class Context:
    """Everything around the change that a rule looks at.

    ``known`` is the schema as far as the migrations before this change say it; ``made`` is what this
    file itself has made so far, which no running code knows. ``changes`` are all changes of the half
    and ``index`` is the place of the change among them.
    """

    migration: Migration
    half: Half
    section: Section
    statement: Statement
    changes: Sequence[Change]
    index: int
    known: Catalogue
    made: Catalogue
    rewriter: Rewriter

    @property
    def earlier(self) -> Sequence[Change]:
        """The changes of this half before this one."""
        return self.changes[: self.index]

    @property
    def later(self) -> Sequence[Change]:
        """The changes of this half after this one."""
        return self.changes[self.index + 1 :]

    def new_table(self, table: Name) -> bool:
        """Whether this file made the table."""
        return self.made.has("table", table)

    def new_column(self, table: Name, column: str) -> bool:
        """Whether this file made the column, or its table."""
        return self.new_table(table) or self.made.column(table, column) is not None

    def new_object(self, kind: str, name: Name, table: Name | None = None) -> bool:
        """Whether this file made the object; one that belongs to a new table is new as well."""
        return self.made.has(kind, name, table) or (table is not None and self.new_table(table))

    def column(self, table: Name, column: str) -> Column | None:
        """The column as the migrations so far define it, or None where they do not say."""
        return self.known.column(table, column)


Check = Callable[[Change, Context], Iterator[Hazard]]


@dataclass(frozen=True, slots=True)
class Rule:
    """One hazard: how to find it, and why it is one.

    ``id`` is what ``allow=`` names; ``numbers`` are its places in ``docs/reference/hazards.md``.
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
    check: Check
    mechanical: bool = False
