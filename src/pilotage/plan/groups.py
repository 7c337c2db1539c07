"""Which hosts take turns: all at once, or group by group where there is no room for two releases everywhere.

Group by group the old release and the new one serve side by side, for as long as it takes. Both fit the
schema all the while, which the walk through the plan holds as for any other; but a release whose new data
the old code cannot read has no such while: it is switched everywhere at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pilotage.model import Instance, Observed, Release, version_key
from pilotage.steps import Step, Switch


@dataclass(frozen=True, slots=True)
class Rolling:
    """``limit``: so many hosts at once, or a share of them as ``25%``. ``wait``: seconds between groups."""

    limit: str = "1"
    wait: float = 0.0

    def size(self, hosts: int) -> int:
        """How many of so many hosts take their turn together; a share is rounded down, as Kamal does.

        >>> [Rolling(limit).size(7) for limit in ("1", "3", "50%", "10%", "100%")]
        [1, 3, 3, 1, 7]
        """
        if not self.limit.endswith("%"):
            return int(self.limit)
        return max(1, hosts * int(self.limit[:-1]) // 100)


Groups = tuple[tuple[str, ...], ...]
"""Hosts, in the order in which they take turns."""


def groups_of(
    hosts: Iterable[str], busy: Iterable[str], silent: Iterable[str], rolling: Rolling | None
) -> Groups:
    """The groups of ``hosts``; one where ``rolling`` is None.

    ``busy``: where something has to start. Those where everything runs already come first, together: they
    need no room. ``silent``: hosts that do not answer come last, so that what can be done is done before
    it fails there.
    """
    every = tuple(dict.fromkeys(hosts))
    if rolling is None or not every:
        return (every,)
    starting, late = set(busy), set(silent)
    ready = tuple(host for host in every if host not in starting)
    rest = sorted((host for host in every if host in starting), key=lambda host: host in late)
    size = rolling.size(len(every))
    turns = (tuple(rest[at : at + size]) for at in range(0, len(rest), size))
    return tuple(group for group in (ready, *turns) if group)


def unreadable(
    observed: Observed, release: Release, old: tuple[Instance, ...]
) -> dict[str, tuple[str, ...]]:
    """Running release → the versions whose new data ``release`` writes and that one cannot read."""
    breaking = observed.schema.applied.opened
    if release.ships:
        breaking |= release.ships.breaks_old
    found = {}
    for name in dict.fromkeys(i.release for i in old if i.release != release.id):
        ships = observed.ships(name)
        lost = (v for v in breaking if ships is None or not ships.ships_expand(v))
        if versions := tuple(sorted(lost, key=version_key)):
            found[name] = versions
    return found


def notes(
    steps: tuple[Step, ...], rolling: Rolling | None, barred: dict[str, tuple[str, ...]]
) -> list[str]:
    """What a person should know of a fleet that is mixed for a while. ``barred``: see `unreadable`."""
    switches = [step for step in steps if isinstance(step, Switch)]
    if len(switches) > 1:
        turns = ", then ".join(" and ".join(_hosts(step)) for step in switches)
        return [
            f"group by group: {turns}; until the last has switched, old and new code serve side by side"
        ]
    if rolling and switches and barred:
        return [
            f"all hosts switch at once, whatever `rollout` says: {name} cannot read what "
            f"{switches[0].release} writes ({', '.join(versions)})"
            for name, versions in barred.items()
        ]
    return []


def _hosts(step: Switch) -> tuple[str, ...]:
    return tuple(dict.fromkeys(i.host for i in step.instances))
