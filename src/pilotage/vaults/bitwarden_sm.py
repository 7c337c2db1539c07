"""Bitwarden's Secrets Manager: ``bws``. A secret is its id, or ``[PROJECT/]all``."""

from __future__ import annotations

from collections.abc import Sequence

from pilotage.errors import ConfigError
from pilotage.vaults.names import prefixed
from pilotage.vaults.program import Program, missing


def fetch(
    program: Program, names: Sequence[str], *, account: str | None, source: str | None
) -> dict[str, str]:
    """Each by its key."""
    if not names:
        raise missing(program.vendor, ["secret without a name: give ids, or `all`"])
    if not program.succeeds("project", "list"):
        raise ConfigError(
            "nobody is logged in to Bitwarden's Secrets Manager",
            next="put an access token into BWS_ACCESS_TOKEN",
        )
    wanted = prefixed(names, source)
    if len(wanted) == 1 and (wanted[0] == "all" or wanted[0].endswith("/all")):
        project = wanted[0].removesuffix("all").removesuffix("/")
        which = (project,) if project else ()
        given = program.json("secret", "list", *which, what=f"the secrets of {project or 'all'}")
        return {secret["key"]: secret["value"] for secret in given}
    secrets = [program.json("secret", "get", name, what=name) for name in wanted]
    return {secret["key"]: secret["value"] for secret in secrets}
