"""A view, function, type, schema, … that old code may use goes."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rewrites import in_contract
from pilotage.hazards.rule import EXPAND, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c

# Rule → its place in the catalogue of hazards, the kinds of object, and one that it is tried on.
_KINDS = {
    "drop-view": (46, ("view", "materialized view"), "VIEW recent"),
    "drop-function": (46, ("function", "procedure", "aggregate", "operator"), "FUNCTION f(int)"),
    "drop-type": (46, ("type", "domain"), "TYPE mood"),
    "drop-sequence": (46, ("sequence",), "SEQUENCE numbers"),
    "drop-schema": (41, ("schema",), "SCHEMA archive"),
    "drop-extension": (46, ("extension",), "EXTENSION citext"),
    "drop-trigger": (46, ("trigger", "rule", "event trigger"), "TRIGGER g ON orders"),
    "drop-policy": (48, ("policy",), "POLICY p ON orders"),
}

# Everything else that can be dropped (a cast, a collation, a role, a server, …), but for what has a
# rule of its own or is used by nobody.
_OTHER = "drop-other"
_ELSEWHERE = {
    "table",
    "index",
    "database",
    "statistic ext",
    *(kind for _, group, _ in _KINDS.values() for kind in group),
}


def _rule(name: str, number: int, kinds: tuple[str, ...], tried: str) -> Rule:
    def check(change: c.Change, context: Context) -> Iterator[Hazard]:
        """`DROP` of what this file did not make, and does not make again."""
        if not isinstance(change, c.Drop):
            return
        if change.kind in _ELSEWHERE if name == _OTHER else change.kind not in kinds:
            return
        if context.new_object(change.kind, change.name, change.table):
            return
        if change.if_exists and any(_same(change, later) for later in context.later):
            return  # DROP … IF EXISTS, then CREATE: a replacement, see `replace-object`
        yield Hazard(
            f"the {change.kind} {change.name} is dropped while old code may still use it",
            in_contract(change.sql),
        )

    return Rule(
        id=name,
        numbers=(number,),
        class_=Class.OLD_CODE,
        severity=Severity.ERROR,
        halves=EXPAND,
        why="Older releases, and triggers or views that serve them, may use it until the last of "
        "them is gone.",
        on=(c.Drop,),
        check=check,
        mechanical=True,
        bad=(Example(f"»DROP {tried};"),),
        good=(Example(f"-- contract\nDROP {tried};"),),
    )


def _same(drop: c.Drop, other: c.Change) -> bool:
    """Whether a CREATE makes again what the DROP removed."""
    return (
        isinstance(other, c.Create)
        and (other.kind, other.name.key) == (drop.kind, drop.name.key)
        and (drop.table is None or other.table is None or drop.table.key == other.table.key)
    )


RULES = (
    *(_rule(name, *of) for name, of in _KINDS.items()),
    _rule(_OTHER, 46, (), "COLLATION german"),
)
