"""A schema, view, function, type, … changes its name under the code that uses it."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rewrites import in_contract
from pilotage.hazards.rule import EXPAND, Context, Hazard, Rule
from pilotage.migrate.sql import change as c

_KINDS = {
    "rename-schema": (33, ("schema",)),
    "rename-view": (46, ("view", "materialized view")),
    "rename-function": (46, ("function", "procedure", "aggregate")),
    "rename-type": (34, ("type", "domain")),
    "rename-sequence": (31, ("sequence",)),
}


def _rule(name: str, number: int, kinds: tuple[str, ...]) -> Rule:
    def check(change: c.Change, context: Context) -> Iterator[Hazard]:
        if not isinstance(change, c.Rename) or change.kind not in kinds:
            return
        if context.new_object(change.kind, change.name):
            return
        if change.kind == "view":
            rewrite = context.rewriter.rename_table(change, ())
        else:
            rewrite = in_contract(
                change.sql,
                note=f"Until then both names must work: make {change.to} beside {change.name} in the"
                "\nexpand half, and drop the old one here instead.",
            )
        yield Hazard(
            f"the {change.kind} {change.name} becomes {change.to} while old code uses the old name",
            rewrite,
        )

    return Rule(
        id=name,
        numbers=(number,),
        class_=Class.OLD_CODE,
        severity=Severity.ERROR,
        halves=EXPAND,
        why="Old and new releases run at the same time and need both names.",
        on=(c.Rename,),
        check=check,
    )


RULES = tuple(_rule(name, number, kinds) for name, (number, kinds) in _KINDS.items())
