"""1Password: ``op``. A secret is ``VAULT/ITEM[/[SECTION/]FIELD]``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from pilotage.vaults.program import Program, missing

_SESSION = re.compile(r"^export (OP_SESSION_\w+)=\"?([^\"\n]+)\"?", re.MULTILINE)


def fetch(
    program: Program, names: Sequence[str], *, account: str | None, source: str | None
) -> dict[str, str]:
    """Each field by ``VAULT/ITEM/FIELD``; a password by ``VAULT/ITEM``. Without names, a whole item."""
    assert account is not None
    program = _signed_in(program, account)
    found: dict[str, str] = {}
    if not names and source:
        vault, item = _parts(source)[:2]
        given = _get(program, vault, item, account, ())
        fields: list[Any] = [f for f in given.get("fields", ()) if f.get("reference")]
        return {_key(field): field["value"] for field in fields if field.get("value") is not None}
    for (vault, item), labels in _grouped(names, source).items():
        given = _get(program, vault, item, account, labels)
        several = given if isinstance(given, list) else [given]
        found |= {_key(f): f["value"] for f in several if f.get("value") is not None}
    return found


def _signed_in(program: Program, account: str) -> Program:
    if program.succeeds("account", "get", "--account", account):
        return program
    # Without --raw, so that the variable is named that takes the token: it must not stand in an argv.
    printed = program.log_in("signin", "--account", account, "--force")
    return program.having(**dict(_SESSION.findall(printed)))


def _get(program: Program, vault: str, item: str, account: str, labels: Sequence[str]) -> Any:
    which = ("--fields", ",".join(f"label={label}" for label in labels)) if labels else ()
    options = ("--vault", vault, "--format", "json", "--account", account, *which)
    what = f"{', '.join(labels) or 'the fields'} of {vault}/{item}"
    return program.json("item", "get", item, *options, what=what)


def _grouped(names: Sequence[str], source: str | None) -> dict[tuple[str, str], list[str]]:
    """(vault, item) → labels of fields, ``SECTION.FIELD`` where there is a section."""
    found: dict[tuple[str, str], list[str]] = {}
    for name in names:
        vault, item, *field = _parts("/".join(filter(None, (source, name))))
        found.setdefault((vault, item), []).append(".".join(field) or "password")
    return found


def _parts(name: str) -> list[str]:
    parts = name.removeprefix("op://").split("/")
    if len(parts) < 2:
        raise missing("1Password", [f"{name}: it should be VAULT/ITEM/FIELD"])
    return parts


def _key(field: Any) -> str:
    """``op://vault/item/[section/]field`` without what everybody knows."""
    reference: str = field["reference"]
    return reference.removeprefix("op://").removesuffix("/password")
