"""Google's Secret Manager: ``gcloud``. A secret is ``[PROJECT/]NAME[/VERSION]``.

``account`` is ``USER[|SERVICE_ACCOUNT,…]``; ``default`` means the one that is configured, as it does for a
project.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence

from pilotage.vaults.names import prefixed
from pilotage.vaults.program import Program


def fetch(
    program: Program, names: Sequence[str], *, account: str | None, source: str | None
) -> dict[str, str]:
    """Each by ``PROJECT/NAME``."""
    assert account is not None
    if not _accounts(program):
        program.log_in("auth", "login")
    user, _, chain = account.partition("|")
    found: dict[str, str] = {}
    for name in prefixed(names, source):
        project, secret, version = _parts(name)
        options = (
            *((f"--project={project}",) if project != "default" else ()),
            *((f"--account={user}",) if user != "default" else ()),
            *((f"--impersonate-service-account={chain}",) if chain else ()),
        )
        command = ("secrets", "versions", "access", version, f"--secret={secret}")
        given = program.json(*command, *options, "--format=json", what=f"{project}/{secret}")
        data = base64.b64decode(given["payload"]["data"])
        found[f"{project}/{secret}"] = data.decode(errors="surrogateescape")
    return found


def _accounts(program: Program) -> object:
    return program.json("auth", "list", "--format=json", what="who is logged in")


def _parts(name: str) -> tuple[str, str, str]:
    parts = name.split("/")
    if len(parts) == 1:
        parts = ["default", *parts]
    return parts[0], parts[1], parts[2] if len(parts) > 2 else "latest"
