"""A schema, view, function, type, … changes its name under the code that uses it."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.rewrites import in_contract
from pilotage.hazards.rule import EXPAND, Context, Example, Hazard, Rule
from pilotage.migrate.sql import change as c

_KINDS = {
    "rename-schema": (33, ("schema",), "SCHEMA archive RENAME TO old"),
    "rename-view": (46, ("view", "materialized view"), "VIEW recent RENAME TO latest"),
    "rename-function": (46, ("function", "procedure", "aggregate"), "FUNCTION f(int) RENAME TO g"),
    "rename-type": (34, ("type", "domain"), "TYPE state RENAME TO stage"),
    "rename-sequence": (31, ("sequence",), "SEQUENCE numbers RENAME TO counts"),
}


def _rule(name: str, number: int, kinds: tuple[str, ...], tried: str) -> Rule:
    def check(change: c.Change, context: Context) -> Iterator[Hazard]:
        """`ALTER … RENAME` and `SET SCHEMA` of what this file did not make."""
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
        bad=(Example(f"»ALTER {tried};"),),
        good=(Example(f"-- contract\nALTER {tried};"),),
    )


RULES = tuple(_rule(name, *of) for name, of in _KINDS.items())
