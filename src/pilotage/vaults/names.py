"""How the names of secrets are put together. Pure."""

from __future__ import annotations

from collections.abc import Sequence


def prefixed(names: Sequence[str], source: str | None) -> list[str]:
    """Each name below ``--from``, where that is given."""
    return [f"{source}/{name}" if source else name for name in names]
