"""Doppler: ``doppler``. A secret is its name; ``--from`` is ``PROJECT/CONFIG``."""

from __future__ import annotations

from collections.abc import Sequence

from pilotage.errors import ConfigError
from pilotage.vaults.names import prefixed
from pilotage.vaults.program import Program, missing


def fetch(
    program: Program, names: Sequence[str], *, account: str | None, source: str | None
) -> dict[str, str]:
    """Each by its name. A service token says its project and its configuration itself."""
    if not names:
        raise missing(program.vendor, ["secret without a name"])
    if not program.succeeds("me", "--json"):
        program.log_in("login", "-y")
    wanted = prefixed(names, source)
    where: tuple[str, ...] = ()
    if not program.environ.get("DOPPLER_TOKEN", "").startswith("dp.st"):
        parts = wanted[0].split("/")
        if len(parts) < 3:
            raise ConfigError(
                "Doppler needs a project and a configuration", next="--from PROJECT/CONFIG"
            )
        where = ("-p", parts[0], "-c", parts[1])
    bare = [name.rpartition("/")[2] for name in wanted]
    given = program.json("secrets", "get", *bare, "--json", *where, what=", ".join(bare))
    if lacking := [n for n in bare if (given.get(n) or {}).get("computed") is None]:
        raise missing(program.vendor, lacking)
    return {name: secret["computed"] for name, secret in given.items()}
