"""LastPass: ``lpass``. A secret is ``[FOLDER/]NAME``."""

from __future__ import annotations

from collections.abc import Sequence

from pilotage.vaults.names import prefixed
from pilotage.vaults.program import Program, missing


def fetch(
    program: Program, names: Sequence[str], *, account: str | None, source: str | None
) -> dict[str, str]:
    """Each password by the full name of its entry."""
    assert account is not None
    status = (
        program.text("status", "--color", "never", what="its status") if _logged_in(program) else ""
    )
    if status.strip() != f"Logged in as {account}.":
        program.log_in("login", account)
    wanted = prefixed(names, source)
    items = program.json("show", *wanted, "--json", what=", ".join(wanted))
    found = {item["fullname"]: item["password"] for item in items}
    if lacking := [name for name in wanted if name not in found]:
        raise missing(program.vendor, lacking)
    return found


def _logged_in(program: Program) -> bool:
    """``lpass status`` exits 1 where nobody is."""
    return program.succeeds("status", "--color", "never")
