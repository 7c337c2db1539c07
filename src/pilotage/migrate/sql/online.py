"""What ``-- pilotage: online`` makes of a statement that locks: steps that stop nobody. Pure.

The author writes the plain statement; a dialect says in which steps it is safe. Each step runs on its own,
is recorded on its own, and can be looked for in the catalogue, so a run that broke off goes on where
it was, and what is there already is not made again. A dialect without such forms runs statements as they
are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Literal, cast

from pilotage.migrate.sql.change import AddColumn, Change, Name
from pilotage.migrate.sql.statement import Statement

StepKind = Literal["plain", "index", "constraint", "validate", "not null"]


@dataclass(frozen=True, slots=True)
class Step(Statement):
    """One step of carrying a statement out. ``text`` is what runs; ``start`` and ``line`` are the statement's.

    ``author`` is the statement as it was written, and this is step ``number`` of ``of`` of it. What the
    step makes: an index, a constraint (not valid yet, or using an index), its validation, or a NOT
    NULL; called ``name``, on ``table``. ``column``: where it is NOT NULL already, the step is done.
    ``offenders``: ``FROM … WHERE …`` of the rows that would make it fail, ``t`` being the table; ``grouped``:
    with the SQL that such rows have in common.
    """

    author: str = ""
    number: int = 1
    of: int = 1
    kind: StepKind = "plain"
    table: Name | None = None
    name: str = ""
    column: str | None = None
    offenders: str = ""
    grouped: str = ""

    @property
    def identity(self) -> str:
        """What it is recognised by once it is done: what the author wrote, and which step of it."""
        return self.author if self.of == 1 else f"{self.author}\n-- step {self.number} of {self.of}"


Compile = Callable[[Sequence[Statement]], tuple[Step, ...]]

_MODULES = {"postgresql": "pilotage.migrate.sql.postgresql.online"}


def online(statements: Sequence[Statement], dialect: str) -> tuple[Step, ...]:
    """The steps of a section's statements, in their order."""
    module = _MODULES.get(dialect)
    if module is None:
        return tuple(plain(statement) for statement in statements)
    return cast(Compile, import_module(module).steps)(statements)


def has_steps(change: Change, dialect: str) -> bool:
    """Whether all that a change does is carried out in steps that stop nobody.

    Not an ADD COLUMN, whose default may rewrite the table whatever becomes of the constraints beside it
    (`takes_apart`).
    """
    if dialect not in _MODULES or not change.sql or isinstance(change, AddColumn):
        return False
    steps = online((Statement(change.sql, 0, 1),), dialect)
    return all(step.kind != "plain" or step.text != change.sql for step in steps)


def takes_apart(change: Change, dialect: str) -> bool:
    """Whether a change is carried out in more than one step."""
    return dialect in _MODULES and len(online((Statement(change.sql, 0, 1),), dialect)) > 1


def plain(statement: Statement) -> Step:
    """A statement that runs as it stands."""
    return Step(statement.text, statement.start, statement.line, author=statement.text)
