"""One service at one destination, ready to be looked at or changed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from pilotage.audit import Audit
from pilotage.config import Config
from pilotage.errors import UsageError
from pilotage.events import Emit
from pilotage.model import DeployState, Release
from pilotage.observe import World
from pilotage.plan import Layout, Policy
from pilotage.source import GitSource, Revision
from pilotage.targets.base import Logs
from pilotage.wiring.place import Place
from pilotage.wiring.use import Use


@dataclass(frozen=True, slots=True)
class Project:
    """The parts of one service. ``dialect`` is the database's (``postgresql``, ``mysql``, ``sqlite``) or None.

    ``notes``: what a person should know of the wiring itself.
    """

    config: Config
    use: Use
    world: World
    place: Place
    source: GitSource
    policy: Policy
    emit: Emit
    audit: Audit
    dialect: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def service(self) -> str:
        """Its name."""
        return self.config.service

    @property
    def host(self) -> str:
        """Where release commands and consoles run: the first host of the primary role."""
        return self.place.host

    @property
    def state_dir(self) -> Path:
        """``.pilotage/`` of the destination, beside the configuration."""
        return self.source.state_dir

    @property
    def layout(self) -> Layout:
        """How the service should look."""
        return self.place.layout

    @property
    def logs(self) -> Logs:
        """What its instances printed."""
        return self.place.logs

    async def revision(self, wanted: str | None, *, dirty: bool = False) -> Revision:
        """The commit to deploy; None means ``HEAD``, whose worktree must be clean unless ``dirty``.

        ``wanted`` may be the id of a recorded release as well. ``dirty`` of the result is empty when
        a revision was named: what is in the worktree is then beside the point.

        Raises
        ------
        UsageError
            No such revision, or what is on the screen is not what is committed.
        """
        recorded = find_release(await self.world.store.read(), wanted) if wanted else None
        found = await self.source.resolve(recorded.revision if recorded else wanted)
        paths = tuple(path for path in found.dirty if not path.startswith(".pilotage/"))
        if wanted is not None:
            return replace(found, ref=wanted, dirty=())
        if paths and not dirty:
            shown = ", ".join(paths[:3]) + (f" and {len(paths) - 3} more" if paths[3:] else "")
            raise UsageError(
                f"the worktree has changes that are not committed: {shown}",
                where=str(self.config.root),
                state="nothing was touched",
                next="commit them (a release is a commit), or deploy the last commit with "
                "--version HEAD",
            )
        return replace(found, dirty=paths)


def find_release(state: DeployState, wanted: str) -> Release | None:
    """The recorded release that ``wanted`` names by its id, or by the beginning of its revision."""
    known = state.release(wanted)
    if known or len(wanted) < 4:
        return known
    found = [r for r in state.releases if r.revision.startswith(wanted)]
    return found[0] if len(found) == 1 else None
