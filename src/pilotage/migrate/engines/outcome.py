"""How a run of a framework's command came out: by what is applied, not by its exit status. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pilotage.errors import HalfFailed
from pilotage.model import HalfRef


@dataclass(frozen=True, slots=True)
class Outcome:
    """``done`` and ``left`` of what was asked for; ``beyond``: what nobody asked for, as people know it."""

    framework: str
    done: tuple[HalfRef, ...]
    left: tuple[HalfRef, ...]
    beyond: tuple[str, ...] = ()

    @property
    def state(self) -> str:
        """What is applied now that was not before, and what is not."""
        named = {
            "applied now": self.done,
            "not applied": self.left,
            "applied besides": self.beyond,
        }
        parts = [f"{what}: {_joined(some)}" for what, some in named.items() if some]
        return "; ".join(parts) or "nothing more is applied than before"

    def judge(self, *, where: str) -> None:
        """Raise unless exactly what was asked for is applied.

        Raises
        ------
        HalfFailed
            Something was left out, or the command went too far.
        """
        if self.beyond:
            asked = _joined(sorted((*self.done, *self.left))) or "nothing of the project"
            raise HalfFailed(
                f"the command of {self.framework} went too far: asked for {asked}, it also applied "
                f"{_joined(self.beyond)}",
                where=where,
                state=self.state,
                next="`pilotage status` shows what does not fit any more; take back what came too early "
                "with the framework's own command, if that loses nothing; and have the command apply "
                "$PILOTAGE_VERSIONS and nothing else",
            )
        if self.left:
            raise HalfFailed(
                f"the command of {self.framework} ended well, and {_joined(self.left)} is not applied",
                where=where,
                state=self.state,
                next="see what it printed: it may not look in the folder of these files, or may have "
                "changed another database than the one that `migrations: {database: …}` names",
            )


def _joined(some: Iterable[object]) -> str:
    return ", ".join(map(str, some))
