"""The network of a host's containers: made once, whoever asks for it first."""

from __future__ import annotations

# Docker makes a second network of the same name when two ask at once, and then takes neither for it.
_MAKE = """\
mkdir -p .pilotage && exec 8>>.pilotage/network.lock && flock 8 || exit
"$1" network inspect "$2" >/dev/null 2>&1 || "$1" network create "$2" 8>&-
"""


def ensure_network(program: str, name: str) -> tuple[str, ...]:
    """Make a network where it is missing; writes nothing where it is there. Run in the home."""
    return ("sh", "-c", _MAKE, "network", program, name)
