"""AWS Secrets Manager: ``aws``. A secret is its name; one whose value is a JSON object has several."""

from __future__ import annotations

import json
from collections.abc import Sequence

from pilotage.vaults.names import prefixed
from pilotage.vaults.program import Program, missing


def fetch(
    program: Program, names: Sequence[str], *, account: str | None, source: str | None
) -> dict[str, str]:
    """Each by ``NAME``, or by ``NAME/KEY``. ``account``: a profile of the AWS configuration."""
    wanted = prefixed(names, source)
    profile = ("--profile", account) if account else ()
    command = ("secretsmanager", "batch-get-secret-value", "--secret-id-list", *wanted)
    given = program.json(*command, *profile, "--output", "json", what=", ".join(wanted))
    if errors := given.get("Errors"):
        raise missing(program.vendor, [f"{e['SecretId']} ({e.get('Message', '')})" for e in errors])
    found: dict[str, str] = {}
    for secret in given["SecretValues"]:
        name, text = secret["Name"], secret["SecretString"]
        try:
            inner = json.loads(text)
        except ValueError:
            inner = None
        if isinstance(inner, dict):
            found |= {f"{name}/{key}": value for key, value in inner.items()}
        else:
            found[name] = text
    return found
