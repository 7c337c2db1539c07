"""Every rule there is, in the order of their ids. A new rule is a module and a line here."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from pilotage.hazards.rule import Rule
from pilotage.hazards.rules import (
    add_column_not_null,
    add_column_rewrite,
    add_constraint,
    add_enum_value,
    change_all_rows,
    change_default,
    change_rows,
    change_type,
    create_index,
    create_trigger,
    detach,
    drop_column,
    drop_default,
    drop_index,
    drop_object,
    drop_table,
    loosen,
    opaque,
    rename_column,
    rename_enum_value,
    rename_object,
    rename_table,
    replace_object,
    restrict,
    rewrite_type,
    scan_for_null,
    set_not_null,
    stricter_constraint,
    truncate,
    validate_at_once,
    widen_type,
)
from pilotage.migrate.sql.change import Change
from pilotage.model import Half

RULES: tuple[Rule, ...] = tuple(
    sorted(
        (
            add_column_not_null.RULE,
            add_column_rewrite.RULE,
            add_constraint.RULE,
            add_enum_value.RULE,
            change_all_rows.RULE,
            change_default.RULE,
            change_rows.RULE,
            change_type.RULE,
            create_index.RULE,
            create_trigger.RULE,
            detach.RULE,
            drop_column.RULE,
            drop_default.RULE,
            drop_index.RULE,
            *drop_object.RULES,
            drop_table.RULE,
            loosen.RULE,
            opaque.RULE,
            rename_column.RULE,
            rename_enum_value.RULE,
            *rename_object.RULES,
            rename_table.RULE,
            replace_object.RULE,
            restrict.RULE,
            rewrite_type.RULE,
            scan_for_null.RULE,
            set_not_null.RULE,
            stricter_constraint.RULE,
            truncate.RULE,
            validate_at_once.RULE,
            widen_type.RULE,
        ),
        key=lambda rule: rule.id,
    )
)

BY_ID = {rule.id: rule for rule in RULES}


@cache
def rules_for(
    dialect: str, half: Half
) -> tuple[Mapping[type[Change], tuple[Rule, ...]], tuple[Rule, ...]]:
    """The rules that a half of a dialect's migration is asked about: by type of change, and as a whole."""
    mine = [
        rule
        for rule in RULES
        if half in rule.halves and (rule.dialects is None or dialect in rule.dialects)
    ]
    kinds = {kind for rule in mine for kind in rule.on}
    by_change = {kind: tuple(rule for rule in mine if kind in rule.on) for kind in kinds}
    return by_change, tuple(rule for rule in mine if rule.check_half)
