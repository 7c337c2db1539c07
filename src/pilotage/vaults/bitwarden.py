"""Bitwarden: ``bw``. A secret is ``ITEM[/FIELD]``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pilotage.errors import ConfigError
from pilotage.vaults.names import prefixed
from pilotage.vaults.program import Program, missing


def fetch(
    program: Program, names: Sequence[str], *, account: str | None, source: str | None
) -> dict[str, str]:
    """Each field by ``ITEM/FIELD``; the password of a login by ``ITEM``, else all fields of the item."""
    assert account is not None
    program = _unlocked(program, account)
    program.text("sync", what="what is new in the vault")
    found: dict[str, str] = {}
    for item, fields in _grouped(prefixed(names, source)).items():
        given = program.json("get", "item", item, what=item)
        password = (given.get("login") or {}).get("password")
        if not fields and password:
            found[item] = password
            continue
        known = {f["name"]: f["value"] for f in given.get("fields") or ()}
        if not fields and not known:
            raise missing(program.vendor, [f"password in {item}, nor any field"])
        if lacking := [f"{item}/{field}" for field in fields if field not in known]:
            raise missing(program.vendor, lacking)
        found |= {f"{item}/{field}": known[field] for field in fields or known}
    return found


def _unlocked(program: Program, account: str) -> Program:
    status = _status(program)
    if status == "unauthenticated":
        program.log_in("login", account)
        status = _status(program)
    if status == "locked":
        # The session goes by the environment, as the program itself proposes it.
        program = program.having(BW_SESSION=program.log_in("unlock", "--raw").strip())
        status = _status(program)
    if status != "unlocked":
        raise ConfigError("the vault of Bitwarden is not unlocked", next="`bw unlock`")
    return program


def _status(program: Program) -> Any:
    return program.json("status", what="its status").get("status")


def _grouped(names: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in names:
        item, _, field = name.partition("/")
        fields = found.setdefault(item, [])
        if field:
            fields.append(field)
    return found
