"""What a statement does to a schema, in words that every dialect shares.

A dialect module reads its own tree or tokens into these; the hazard rules, the known catalogue and the
effects of a half are written against them alone. Names are canonical: as PostgreSQL folds them, in lower
case for SQLite, which ignores case, and for MySQL as they are written, but columns, indexes and
constraints in lower case, for of these it ignores it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pilotage.migrate.sql.value import Value

_DEFAULT_SCHEMAS = (None, "public", "main")


@dataclass(frozen=True, slots=True)
class Name:
    """The name of an object, with its schema where one is written."""

    schema: str | None
    name: str

    @property
    def key(self) -> tuple[str, str]:
        """Equal for names that mean the same object under the usual search path."""
        return ("" if self.schema in _DEFAULT_SCHEMAS else self.schema or "", self.name)

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}" if self.schema else self.name


@dataclass(frozen=True, slots=True)
class Column:
    """A column's definition. ``type`` is ``""`` where none is written, ``default`` its SQL or None.

    ``generated``: its value comes from the database without a DEFAULT; ``source`` says how: ``identity``,
    ``serial``, ``stored`` or ``virtual``. ``calls`` are the functions that its default calls.
    MySQL's own: ``position`` is ``first`` or ``after NAME``, ``charset`` and ``collation`` are those that
    are written, and ``marks`` the words that say more of it, such as ``AUTO_INCREMENT``.
    """

    name: str
    type: str = ""
    not_null: bool = False
    default: str | None = None
    generated: bool = False
    source: str = ""
    calls: tuple[str, ...] = ()
    position: str = ""
    charset: str = ""
    collation: str = ""
    marks: frozenset[str] = frozenset()

    @property
    def must_be_given(self) -> bool:
        """Whether an INSERT that leaves it out fails: NOT NULL, and the database has no value for it."""
        return self.not_null and self.default is None and not self.generated


@dataclass(frozen=True, slots=True)
class Constraint:
    """A table constraint: ``kind`` is check, unique, primary key, foreign key, exclude or not null.

    ``referenced`` are the columns that a foreign key names (``()``: the primary key), ``expression`` is
    what a CHECK demands, and ``offset`` where it stands in its statement, where that is known.
    """

    kind: str
    name: str | None = None
    columns: tuple[str, ...] = ()
    valid: bool = True
    using_index: str | None = None
    references: Name | None = None
    referenced: tuple[str, ...] = ()
    expression: str = ""
    offset: int | None = field(default=None, compare=False)


class Change(Value):
    """One thing that a statement does. ``sql`` is a statement that does it alone, without ``;``.

    ``offset`` is where it begins, in characters of the statement's own text. ``algorithm`` and ``lock``
    are what a MySQL statement says of how it is to be done (``INSTANT``, ``NONE``; upper case), ``""``
    where it says nothing. ``restated``: a part of a definition that is written anew as a whole (MySQL's
    MODIFY), which may have been just so before.
    """

    sql: str = ""
    offset: int = 0
    algorithm: str = ""
    lock: str = ""
    restated: bool = False


class CreateTable(Change):
    """A table, with what its columns and constraints are, where that is written.

    ``partition_of`` is its parent, ``partition_by`` its own partition key as written: ``RANGE (day)``.
    """

    table: Name
    columns: tuple[Column, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    if_not_exists: bool = False
    temporary: bool = False
    partition_of: Name | None = None
    partition_by: str = ""


class AddColumn(Change):
    """A column, with the constraints written beside it."""

    table: Name
    column: Column
    constraints: tuple[Constraint, ...] = ()
    if_not_exists: bool = False


class DropColumn(Change):
    """A column goes, and its data."""

    table: Name
    column: str


class RenameColumn(Change):
    """A column changes its name."""

    table: Name
    column: str
    to: str


class AlterType(Change):
    """A column changes its type; ``using``: with an expression of its own. ``definition``: all of the
    column, where it is written anew as a whole (MySQL's MODIFY)."""

    table: Name
    column: str
    type: str
    using: bool = False
    definition: Column | None = None


class SetNotNull(Change):
    """A column accepts NULL no longer; ``domain``: ``table`` is a domain, and its value does not."""

    table: Name
    column: str
    domain: bool = False


class DropNotNull(Change):
    """A column accepts NULL."""

    table: Name
    column: str


class SetDefault(Change):
    """A column has this default from now on."""

    table: Name
    column: str
    default: str


class DropDefault(Change):
    """A column (or domain) has no default any longer, nor an identity or an expression."""

    table: Name
    column: str
    domain: bool = False


class AddConstraint(Change):
    """A constraint on a table that exists."""

    table: Name
    constraint: Constraint


class ValidateConstraint(Change):
    """The rows that a NOT VALID constraint never looked at are read."""

    table: Name
    constraint: str


class DropConstraint(Change):
    """A constraint goes."""

    table: Name
    constraint: str


class CreateIndex(Change):
    """An index; ``name`` is None where the database chooses it, and ``""`` among ``columns`` is an
    expression. ``only``: of a partitioned table, and not of its partitions."""

    table: Name
    name: str | None
    columns: tuple[str, ...] = ()
    only: bool = False
    unique: bool = False
    concurrently: bool = False
    if_not_exists: bool = False


class Create(Change):
    """Any other object: view, materialized view, function, type, sequence, trigger, schema, …

    ``detail`` is a function's argument types, or what fires a trigger's function: its name. ``values``
    are those of an enum type; ``constrained``: a domain with a CHECK or NOT NULL.
    """

    kind: str
    name: Name
    table: Name | None = None
    replace: bool = False
    if_not_exists: bool = False
    detail: str = ""
    values: tuple[str, ...] = ()
    constrained: bool = False


class Drop(Change):
    """An object goes: a table, an index, a view, a function, …; ``cascade``: and what depends on it."""

    kind: str
    name: Name
    table: Name | None = None
    concurrently: bool = False
    if_exists: bool = False
    cascade: bool = False
    detail: str = ""


class Rename(Change):
    """An object changes its name, or its schema."""

    kind: str
    name: Name
    to: Name
    table: Name | None = None


class AddEnumValue(Change):
    """An enum type has one more value, before (or ``after``) its ``neighbour`` where one is named."""

    type: Name
    value: str
    neighbour: str = ""
    after: bool = True


class RenameEnumValue(Change):
    """A value of an enum type changes its name."""

    type: Name
    value: str
    to: str


class Truncate(Change):
    """All rows of a table go; ``cascade``: and those of the tables that reference it."""

    table: Name
    cascade: bool = False


class ChangeRows(Change):
    """UPDATE or DELETE; ``whole`` when no WHERE bounds it, ``columns`` those that an UPDATE sets."""

    verb: str
    table: Name
    whole: bool
    columns: tuple[str, ...] = ()


class Detach(Change):
    """A partition or child leaves its parent, and its rows with it."""

    table: Name
    child: Name
    concurrently: bool = False
    partition: bool = True


class Restrict(Change):
    """Rights are taken away, or rows hidden: REVOKE, row-level security."""

    what: str
    table: Name | None = None


class TableOption(Change):
    """Something of a whole table (MySQL): ``kind`` is convert, charset, engine, partition, index
    visibility, force, … and ``detail`` what is written after it."""

    table: Name
    kind: str
    detail: str = ""


class Opaque(Change):
    """Something that cannot be read: DO, CALL, a function's body that replaces another."""

    what: str


class Other(Change):
    """Something that neither makes nor removes what a release could use: SET, COMMENT, INSERT, …

    ``visible``: it leaves something behind that is not looked for in the catalogue (rows, rights).
    """

    what: str
    visible: bool = True


class InsertRows(Other):
    """INSERT; ``query``: of what a query finds, in any number. ``again``: safe to repeat (ON CONFLICT)."""

    table: Name
    query: bool = False
    again: bool = False


class Attach(Other):
    """A table becomes a partition. ``bound`` is its FOR VALUES … as written, or DEFAULT."""

    table: Name
    child: Name
    bound: str = ""


class Rewrite(Other):
    """A table, an index or a database is written anew, or read under a lock: VACUUM FULL, CLUSTER,
    REINDEX, REFRESH, SET TABLESPACE, SET LOGGED, LOCK.

    ``kind`` is what it works on (``table``, ``index``, ``schema``, …),
    and ``name`` is None for all that there is. ``mode`` is that of a LOCK.
    """

    kind: str = "table"
    name: Name | None = None
    concurrently: bool = False
    mode: str = ""


class SetVariable(Other):
    """A setting of the session changes: ``value`` is None for RESET and TO DEFAULT. ``local``: of the
    transaction."""

    name: str
    value: str | None
    local: bool = False


class UpgradeExtension(Other):
    """An extension gets another version."""

    name: str


class ConstrainDomain(Other):
    """A domain gets a CHECK or NOT NULL; ``valid``: and all values that there are, are read."""

    domain: Name
    constraint: str | None = None
    valid: bool = True


class TransactionControl(Other):
    """BEGIN, COMMIT, …"""
