"""Passbolt: ``passbolt``. A secret is ``[FOLDER/…/]NAME``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from pilotage.errors import ConfigError
from pilotage.vaults.names import prefixed
from pilotage.vaults.program import Program, missing


def fetch(
    program: Program, names: Sequence[str], *, account: str | None, source: str | None
) -> dict[str, str]:
    """Each by its name, without the folder."""
    if not names:
        raise missing(program.vendor, ["secret without a name"])
    if not program.succeeds("verify"):
        raise ConfigError("nobody is logged in to Passbolt", next="`passbolt configure`")
    wanted = prefixed(names, source)
    paths = dict.fromkeys(tuple(n.split("/")[:-1]) for n in wanted if "/" in n)
    folders: dict[tuple[str, ...], str] = {}
    for path in paths:
        _find(program, path, folders)
    conditions = [_condition(name.split("/"), folders) for name in wanted]
    within = [part for folder in folders.values() for part in ("--folder", folder)]
    which = ("--filter", " || ".join(conditions), *within)
    items = program.json("list", "resources", *which, "--json", what=", ".join(wanted))
    found = {item["name"]: item["password"] for item in items}
    if lacking := [n for n in wanted if n.rpartition("/")[2] not in found]:
        raise missing(program.vendor, lacking)
    return found


def _condition(parts: Sequence[str], folders: dict[tuple[str, ...], str]) -> str:
    named = f"Name == {json.dumps(parts[-1])}"
    if len(parts) == 1:
        return named
    return f"({named} && FolderParentID == {json.dumps(folders[tuple(parts[:-1])])})"


def _find(program: Program, path: tuple[str, ...], known: dict[tuple[str, ...], str]) -> None:
    """The ids of a folder and of all above it."""
    for depth in range(1, len(path) + 1):
        here = path[:depth]
        if here in known:
            continue
        condition = f"Name == {json.dumps(here[-1])}"
        if depth > 1:
            condition += f" && FolderParentID == {json.dumps(known[here[:-1]])}"
        command = ("list", "folders", "--filter", condition, "--json")
        items: list[Any] = program.json(*command, what=f"the folder {'/'.join(here)}")
        if depth == 1:
            items = [item for item in items if not item.get("folder_parent_id")]
        if not items:
            raise missing(program.vendor, [f"folder {'/'.join(here)}"])
        known[here] = items[0]["id"]
