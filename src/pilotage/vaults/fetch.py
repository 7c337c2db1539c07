"""Which adapter is asked, and one secret out of what it gave."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from pilotage.errors import ConfigError, SecretMissing
from pilotage.vaults import (
    aws,
    bitwarden,
    bitwarden_sm,
    doppler,
    enpass,
    gcp,
    lastpass,
    onepassword,
    passbolt,
)
from pilotage.vaults.program import Program

_Fetch = Callable[..., dict[str, str]]


class Adapter(NamedTuple):
    """How a vendor is asked. ``account``: whether it must be told which."""

    vendor: str
    program: str
    fetch: _Fetch
    account: bool = False


ADAPTERS: Mapping[str, Adapter] = {
    "1password": Adapter("1Password", "op", onepassword.fetch, account=True),
    "lastpass": Adapter("LastPass", "lpass", lastpass.fetch, account=True),
    "bitwarden": Adapter("Bitwarden", "bw", bitwarden.fetch, account=True),
    "bitwarden-sm": Adapter("Bitwarden's Secrets Manager", "bws", bitwarden_sm.fetch),
    "aws_secrets_manager": Adapter("AWS Secrets Manager", "aws", aws.fetch),
    "gcp_secret_manager": Adapter("Google's Secret Manager", "gcloud", gcp.fetch, account=True),
    "doppler": Adapter("Doppler", "doppler", doppler.fetch),
    "enpass": Adapter("Enpass", "enpass-cli", enpass.fetch),
    "passbolt": Adapter("Passbolt", "passbolt", passbolt.fetch),
}

_OTHER_NAMES = {
    "gcp": "gcp_secret_manager",
    "one_password": "1password",
    "last_pass": "lastpass",
    "bitwarden_secrets_manager": "bitwarden-sm",
}


def fetch(
    adapter: str,
    names: Sequence[str],
    *,
    account: str | None = None,
    source: str | None = None,
    environ: Mapping[str, str],
    terminal: bool = False,
) -> dict[str, str]:
    """Secrets by the names under which `extract` finds them. ``source``: what ``--from`` says.

    ``terminal``: a person sits there, who can be asked to log in.

    Raises
    ------
    ConfigError
        No such adapter; its program is missing, or refuses; a secret is not there. Never has a value.
    """
    known = adapter.lower()
    chosen = ADAPTERS.get(_OTHER_NAMES.get(known, known))
    if chosen is None:
        raise ConfigError(
            f"there is no adapter {adapter!r} for secrets", next=f"there are: {', '.join(ADAPTERS)}"
        )
    if chosen.account and not account:
        raise ConfigError(f"{chosen.vendor} needs --account", next="--account NAME")
    program = Program(chosen.program, chosen.vendor, environ, terminal)
    program.require()
    try:
        found = chosen.fetch(program, names, account=account, source=source)
    except (KeyError, TypeError, AttributeError, IndexError, ValueError):
        raise ConfigError(
            f"{chosen.vendor} answered {', '.join(names) or source} in a form that is not known",
            next=f"see whether `{chosen.program}` is of a version that is supported",
        ) from None
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in found.items()
    }


def extract(name: str, fetched: str) -> str:
    """One secret of what `fetch` gave, as JSON: by its whole name, or by the last part of one.

    Raises
    ------
    SecretMissing
        It is not among them; names those that are.
    ConfigError
        ``fetched`` is no such JSON.
    """
    known = _read(fetched)
    if isinstance(known, dict):
        found = known.get(name)
        if found is None:
            found = next((v for k, v in known.items() if k.endswith(f"/{name}")), None)
        if found is not None:
            return str(found)
        raise SecretMissing(
            f"{name} is not among the secrets that were fetched",
            next=f"there are: {', '.join(known) or 'none'}",
        )
    raise ConfigError(
        f"{name} is looked for in something that `secrets fetch` has not printed",
        next="`SECRETS=$(kamal secrets fetch …)`, then `$(kamal secrets extract NAME $SECRETS)`",
    )


def _read(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:  # between double quotes what `$(…)` gave is still escaped
        return json.loads("".join(shlex.split(text)))
    except ValueError:
        return None


def dumped(found: Mapping[str, str]) -> str:
    """What ``secrets fetch`` prints: JSON in one line."""
    return json.dumps(found, separators=(",", ":"), ensure_ascii=False)


def shell_escaped(text: str) -> str:
    """One word for a shell, with a backslash before each character that is special to it."""
    if not text:
        return "''"
    return re.sub(r"[^A-Za-z0-9_\-.,:+/@\n]", r"\\\g<0>", text).replace("\n", "'\n'")
