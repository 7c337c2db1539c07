"""The fence of a host: the highest lease token that was ever seen here.

Every mutation on the host (a start, a stop, a route) is made inside `Fence.hold`, which compares the
deployer's token with the highest one *under a lock that is kept until the mutation is done*. A
deployer that slept through its lease, and wakes after another one came by, changes nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from pilotage.errors import LeaseLost, TargetError
from pilotage.host.files import ensure_state_dir, locked, write_atomic


@dataclass(frozen=True, slots=True)
class Fence:
    """The token file of one ``.pilotage/`` directory: ``fence``, guarded by ``fence.lock``."""

    state_dir: Path

    @property
    def path(self) -> Path:
        """Where the highest token is kept."""
        return self.state_dir / "fence"

    def highest(self) -> int:
        """The highest token seen; 0 before the first.

        Raises
        ------
        TargetError
            The file is not a fence.
        """
        try:
            return int(self.path.read_text())
        except FileNotFoundError:
            return 0
        except ValueError as broken:
            raise TargetError(
                "the fence file does not hold a number",
                where=str(self.path),
                state="nothing was changed",
                next="make sure that no other deploy runs, then delete the file",
            ) from broken

    @contextlib.asynccontextmanager
    async def hold(self, token: int | None) -> AsyncIterator[None]:
        """Keep every other mutation out, and refuse a token that is lower than one seen before.

        ``token`` None (a console, which needs no lease) takes the lock and compares nothing.

        Raises
        ------
        LeaseLost
            A higher token was seen.
        TargetError
            The lock or the file cannot be had.
        """
        try:
            ensure_state_dir(self.state_dir)
        except OSError as error:
            raise unwritable(self.state_dir, error) from error
        async with locked(self.state_dir / "fence.lock"):
            if token is not None:
                highest = self.highest()
                if token < highest:
                    raise LeaseLost(
                        f"another deployer was here with lease token {highest}; ours is {token}",
                        where=str(self.state_dir),
                        state="this deployer touches nothing more",
                        next="`pilotage status` shows what runs; run the command again if need be",
                    )
                if token > highest:
                    try:
                        write_atomic(self.path, f"{token}\n".encode())
                    except OSError as error:
                        raise unwritable(self.path, error) from error
            yield


def unwritable(path: Path, error: OSError) -> TargetError:
    """The error for a file of ours that cannot be written, in the kernel's words."""
    return TargetError(
        f"cannot write: {error.strerror}",
        where=str(path),
        state="it is as it was before",
        next="make room, or give the right to write there; then run this again",
    )
