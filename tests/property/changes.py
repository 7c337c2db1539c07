"""What a migration does to the database, and what the code that ships with it does differently.

A `Change` is written the way a developer would write it: the expand half, the backfill, the check and
the contract half of a file, and the edit of the code that goes with it. Both sides come from the same
object, but nothing links them: whether they agree is found out by running them against each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pilotage.migrate.migration import Directives, Migration, Section
from pilotage.model import HalfRef

from .database import Column, Database, Sync

LEVEL = 1_000_000
"""Values from ``n * LEVEL`` on are understood by code of level ``n`` and above."""

UNSAID = -1
"""What a backfill writes where no code ever said a value."""

BATCH = 3


@dataclass(frozen=True, slots=True)
class Codec:
    """How a column holds a logical value (an int)."""

    name: str
    encode: Callable[[int], Any]
    decode: Callable[[Any], int]


PLAIN = Codec("plain", lambda v: v, lambda v: v)
TEXT = Codec("text", str, int)
TENTHS = Codec("tenths", lambda v: v * 10, lambda v: v // 10)
CODECS = (PLAIN, TEXT, TENTHS)


@dataclass(frozen=True, slots=True)
class Use:
    """How a version of the code uses one attribute: through which column, and what it understands.

    ``once``: the attribute is written by inserts and never updated; while it moves from one column
    to another without triggers, readers live with a null.
    """

    column: str
    codec: Codec = PLAIN
    level: int = 0
    once: bool = False


Code = Mapping[str, Mapping[str, Use]]
"""What a version of the code reads and writes: attributes by table."""


def edit(code: Code, table: str, attr: str, use: Use | None) -> Code:
    """The code with one attribute used differently, or no longer."""
    uses = dict(code[table])
    if use is None:
        del uses[attr]
    else:
        uses[attr] = use
    return {**code, table: uses}


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement, and how the catalogue shows that it has been run already."""

    run: Callable[[Database], None]
    done: Callable[[Database], bool]

    def run_once(self, db: Database) -> None:
        """Run it, unless the catalogue shows that it has been run."""
        if not self.done(db):
            self.run(db)


def add_column(table: str, name: str, column: Column) -> Statement:
    """ADD COLUMN."""
    return Statement(
        lambda db: db.add_column(table, name, Column(column.nullable, column.default)),
        lambda db: db.has(table, name),
    )


def drop_column(table: str, name: str) -> Statement:
    """DROP COLUMN."""
    return Statement(lambda db: db.drop_column(table, name), lambda db: not db.has(table, name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """What the directives of a file say, and which optional sections it has."""

    oob_expand: bool = False
    oob_contract: bool = False
    transaction: bool = True
    verify: bool = True
    backfill: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One migration and the edit of the code that ships with it."""

    version: str
    table: str
    flags: Flags = field(default_factory=Flags)

    requires: frozenset[HalfRef] = frozenset()
    replaces: tuple[tuple[str, str], ...] = ()
    breaks_old: bool = False

    def expand(self) -> list[Statement] | None:
        """The statements of the expand half, or None when the file has none."""
        return None

    def has_backfill(self) -> bool:
        """Whether the file has a backfill."""
        return False

    def backfill(self, db: Database) -> int:
        """Run one batch of it; the number of rows changed."""
        raise NotImplementedError

    def has_verify(self) -> bool:
        """Whether the file has a ``verify`` query."""
        return False

    def bad_rows(self, db: Database) -> list[int]:
        """The keys that the query returns."""
        raise NotImplementedError

    def contract(self) -> list[Statement] | None:
        """The statements of the contract half, or None."""
        return None

    def down(self) -> list[Statement] | None:
        """The statements of the ``down`` section, or None."""
        return None

    def code(self, before: Code) -> Code:
        """The code that ships with this file."""
        return before

    def attrs(self) -> tuple[tuple[str, str], ...]:
        """The (table, attribute) pairs whose values the ``down`` section may take away."""
        return ()

    def ends(self) -> tuple[tuple[str, str | None], ...]:
        """The (table, attribute) pairs that its contract half is meant to remove for good."""
        return ()

    def migration(self) -> Migration:
        """The file, as pilotage reads it."""
        directives = Directives(
            transaction=self.flags.transaction,
            requires=self.requires,
            replaces=self.replaces,
            breaks_old=self.breaks_old,
        )

        def section(name: str, there: object, *, oob: bool = False) -> Section | None:
            if not there:
                return None
            text = f"-- {name} of {type(self).__name__} {self.version} on {self.table}"
            return Section(text, 1, replace(directives, out_of_band=oob))

        return Migration(
            version=self.version,
            name=f"{type(self).__name__.lower()}_{self.table}",
            path=Path(f"{self.version}.sql"),
            expand=section("expand", self.expand(), oob=self.flags.oob_expand),
            backfill=section("backfill", self.has_backfill()),
            verify=section("verify", self.has_verify()),
            contract=section("contract", self.contract(), oob=self.flags.oob_contract),
            down=section("down", self.down()),
        )


def _rows(db: Database, table: str, *columns: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows; a query that names a column which is not there fails, as any other does."""
    known = db.table(table)
    known.need(*columns)
    return iter(list(known.rows.items()))


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateTable(Change):
    """A new table: columns by attribute, and whether each is required."""

    columns: tuple[tuple[str, Use, bool], ...]

    def expand(self) -> list[Statement]:
        """CREATE TABLE."""
        columns = {use.column: Column(nullable=not required) for _, use, required in self.columns}
        return [
            Statement(
                lambda db: db.create_table(
                    self.table, {n: Column(c.nullable) for n, c in columns.items()}
                ),
                lambda db: db.has(self.table),
            )
        ]

    def down(self) -> list[Statement]:
        """DROP TABLE."""
        return [Statement(lambda db: db.drop_table(self.table), lambda db: not db.has(self.table))]

    def code(self, before: Code) -> Code:
        """The code uses the table."""
        return {**before, self.table: {attr: use for attr, use, _ in self.columns}}

    def attrs(self) -> tuple[tuple[str, str], ...]:
        """All of them."""
        return tuple((self.table, attr) for attr, _, _ in self.columns)


@dataclass(frozen=True, slots=True, kw_only=True)
class DropTable(Change):
    """The code no longer uses a table; the contract half drops it."""

    def contract(self) -> list[Statement]:
        """DROP TABLE."""
        return [Statement(lambda db: db.drop_table(self.table), lambda db: not db.has(self.table))]

    def code(self, before: Code) -> Code:
        """Without the table."""
        return {table: uses for table, uses in before.items() if table != self.table}

    def ends(self) -> tuple[tuple[str, str | None], ...]:
        """The whole table."""
        return ((self.table, None),)


@dataclass(frozen=True, slots=True, kw_only=True)
class AddColumn(Change):
    """A new attribute in a new column. ``required``: contract sets NOT NULL once it is filled."""

    attr: str
    use: Use
    required: bool = False

    def expand(self) -> list[Statement]:
        """ADD COLUMN, nullable: old code does not know it."""
        return [add_column(self.table, self.use.column, Column())]

    def has_backfill(self) -> bool:
        """Where it must not stay null."""
        return self.required and self.flags.backfill

    def backfill(self, db: Database) -> int:
        """Old rows get a value."""
        batch = self._empty(db)[:BATCH]
        for key in batch:
            db.update(self.table, key, {self.use.column: self.use.codec.encode(UNSAID)})
        return len(batch)

    def _empty(self, db: Database) -> list[int]:
        column = self.use.column
        return [key for key, row in _rows(db, self.table, column) if row[column] is None]

    def has_verify(self) -> bool:
        """Where it must not stay null."""
        return self.required and self.flags.verify

    def bad_rows(self, db: Database) -> list[int]:
        """Rows that have none."""
        return self._empty(db)

    def contract(self) -> list[Statement] | None:
        """SET NOT NULL."""
        if not self.required:
            return None

        def done(db: Database) -> bool:
            known = db.tables.get(self.table)
            column = known.columns.get(self.use.column) if known else None
            return column is None or not column.nullable

        return [Statement(lambda db: db.set_not_null(self.table, self.use.column), done)]

    def down(self) -> list[Statement]:
        """DROP COLUMN."""
        return [drop_column(self.table, self.use.column)]

    def code(self, before: Code) -> Code:
        """The code uses it."""
        return edit(before, self.table, self.attr, self.use)

    def attrs(self) -> tuple[tuple[str, str], ...]:
        """The one."""
        return ((self.table, self.attr),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rename(Change):
    """An attribute moves to another column, under another codec perhaps, with triggers both ways."""

    attr: str
    old: Use
    new: Use

    def _sync(self) -> Sync:
        old, new = self.old.codec, self.new.codec
        return Sync(
            a=self.old.column,
            b=self.new.column,
            to_b=lambda v: new.encode(old.decode(v)),
            to_a=lambda v: old.encode(new.decode(v)),
        )

    def expand(self) -> list[Statement]:
        """ADD COLUMN, CREATE TRIGGER."""
        a, b = self.old.column, self.new.column

        def synced(db: Database) -> bool:
            known = db.tables.get(self.table)
            return known is not None and any((s.a, s.b) == (a, b) for s in known.syncs)

        return [
            add_column(self.table, b, Column()),
            Statement(lambda db: db.add_sync(self.table, self._sync()), synced),
        ]

    def _unequal(self, db: Database) -> list[int]:
        a, b, sync = self.old.column, self.new.column, self._sync()
        return [
            key
            for key, row in _rows(db, self.table, a, b)
            if row[b] != (None if row[a] is None else sync.to_b(row[a]))
        ]

    def has_backfill(self) -> bool:
        """Always."""
        return True

    def backfill(self, db: Database) -> int:
        """Rows from before the triggers."""
        batch = self._unequal(db)[:BATCH]
        for key in batch:
            row = db.tables[self.table].rows[key]
            value = row[self.old.column]
            db.update(
                self.table,
                key,
                {self.new.column: None if value is None else self._sync().to_b(value)},
            )
        return len(batch)

    def has_verify(self) -> bool:
        """As it was drawn."""
        return self.flags.verify

    def bad_rows(self, db: Database) -> list[int]:
        """Rows in which the two differ."""
        return self._unequal(db)

    def contract(self) -> list[Statement]:
        """DROP NOT NULL, DROP TRIGGER, DROP COLUMN.

        In this order: outside a transaction, new code inserts between any two of them.
        """
        a, b = self.old.column, self.new.column
        return [
            Statement(
                lambda db: db.drop_not_null(self.table, a), lambda db: not db.has(self.table, a)
            ),
            Statement(
                lambda db: db.drop_sync(self.table, a, b), lambda db: not db.has(self.table, a)
            ),
            drop_column(self.table, a),
        ]

    def down(self) -> list[Statement]:
        """The new column goes, and its triggers with it."""
        return [drop_column(self.table, self.new.column)]

    def code(self, before: Code) -> Code:
        """The code uses the new column."""
        level = before[self.table][self.attr].level
        return edit(before, self.table, self.attr, replace(self.new, level=level))


@dataclass(frozen=True, slots=True, kw_only=True)
class Move(Change):
    """An attribute that is written once moves to another column *without* triggers.

    Rows that old code writes while it drains arrive in the old column only: the backfill has to run
    again when the last old instance is gone, or the contract half takes them away.
    """

    attr: str
    old: Use
    new: Use

    def expand(self) -> list[Statement]:
        """ADD COLUMN."""
        return [add_column(self.table, self.new.column, Column())]

    def _behind(self, db: Database) -> list[int]:
        a, b = self.old.column, self.new.column
        return [
            key for key, row in _rows(db, self.table, a, b) if row[a] is not None and row[b] is None
        ]

    def has_backfill(self) -> bool:
        """As it was drawn."""
        return self.flags.backfill

    def backfill(self, db: Database) -> int:
        """Rows that only the old column has."""
        batch = self._behind(db)[:BATCH]
        for key in batch:
            value = self.old.codec.decode(db.tables[self.table].rows[key][self.old.column])
            db.update(self.table, key, {self.new.column: self.new.codec.encode(value)})
        return len(batch)

    def has_verify(self) -> bool:
        """As it was drawn; a file without a backfill always has it."""
        return self.flags.verify or not self.flags.backfill

    def bad_rows(self, db: Database) -> list[int]:
        """Rows that would be lost."""
        return self._behind(db)

    def contract(self) -> list[Statement]:
        """DROP COLUMN."""
        return [drop_column(self.table, self.old.column)]

    def down(self) -> list[Statement]:
        """The new column goes, with what only it had."""
        return [drop_column(self.table, self.new.column)]

    def code(self, before: Code) -> Code:
        """The code uses the new column."""
        level = before[self.table][self.attr].level
        return edit(before, self.table, self.attr, replace(self.new, level=level))

    def attrs(self) -> tuple[tuple[str, str], ...]:
        """What only the new column has goes with it."""
        return ((self.table, self.attr),)


@dataclass(frozen=True, slots=True, kw_only=True)
class DropColumn(Change):
    """The code no longer uses an attribute; the contract half drops its column.

    ``defaults``: columns of the attribute that must not be null; the expand half gives those that
    are still there a default, so that new code may leave them out.
    """

    attr: str
    use: Use
    defaults: tuple[tuple[str, Codec], ...] = ()

    def expand(self) -> list[Statement] | None:
        """SET DEFAULT, where new code's inserts need it."""
        if not self.defaults:
            return None

        def one(column: str, value: Any) -> Statement:
            def done(db: Database) -> bool:
                known = db.table(self.table).columns
                return column not in known or known[column].default == value

            def run(db: Database) -> None:
                if not done(db):
                    db.set_default(self.table, column, value)

            return Statement(run, done)

        return [one(column, codec.encode(UNSAID)) for column, codec in self.defaults]

    def contract(self) -> list[Statement]:
        """DROP COLUMN."""
        return [drop_column(self.table, self.use.column)]

    def code(self, before: Code) -> Code:
        """Without it."""
        return edit(before, self.table, self.attr, None)

    def ends(self) -> tuple[tuple[str, str | None], ...]:
        """The attribute."""
        return ((self.table, self.attr),)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewValue(Change):
    """The code writes values that older code cannot read (a new member of an enum)."""

    attr: str
    level: int
    breaks_old: bool = True

    def expand(self) -> list[Statement]:
        """A check constraint is widened; nothing that the model has."""
        return [Statement(lambda db: None, lambda db: True)]

    def code(self, before: Code) -> Code:
        """The code writes and reads them."""
        use = before[self.table][self.attr]
        return edit(before, self.table, self.attr, replace(use, level=self.level))


@dataclass(frozen=True, slots=True, kw_only=True)
class Squash(Change):
    """One file in place of all that came before it in its lane: creates what they left."""

    code_then: Code
    required: frozenset[tuple[str, str]] = frozenset()  # (table, column) that must not be null

    def expand(self) -> list[Statement]:
        """CREATE TABLE, each as the replaced files left it."""

        def one(table: str, uses: Mapping[str, Use]) -> Statement:
            return Statement(
                lambda db: db.create_table(
                    table,
                    {
                        use.column: Column(nullable=(table, use.column) not in self.required)
                        for use in uses.values()
                    },
                ),
                lambda db: db.has(table),
            )

        return [one(table, uses) for table, uses in self.code_then.items()]
