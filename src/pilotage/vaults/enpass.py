"""Enpass: ``enpass-cli``. A secret is ``ITEM[/LABEL]``; ``--from`` is the vault's folder."""

from __future__ import annotations

from collections.abc import Sequence

from pilotage.errors import ConfigError
from pilotage.vaults.program import Program, missing


def fetch(
    program: Program, names: Sequence[str], *, account: str | None, source: str | None
) -> dict[str, str]:
    """Each by ``ITEM/LABEL``, or by ``ITEM`` where it has no label."""
    if source is None:
        raise ConfigError("Enpass needs the folder of a vault", next="--from /path/to/vault")
    titles = list(dict.fromkeys(name.rpartition("/")[0] or name for name in names))
    items = program.json("-json", "-vault", source, "show", *titles, what=", ".join(names))
    found: dict[str, str] = {}
    for item in items:
        title, password = item.get("title"), item.get("password")
        key = "/".join(filter(None, (title, item.get("label"))))
        if not (title and password and (title in names or key in names)):
            continue
        if key in found:
            raise ConfigError(f"Enpass has {key} more than once", next="give one another label")
        found[key] = password
    if lacking := [n for n in names if n not in found and not _below(n, found)]:
        raise missing(program.vendor, lacking)
    return found


def _below(item: str, found: dict[str, str]) -> bool:
    return any(key.startswith(f"{item}/") for key in found)
