"""Deploy state of a service without a database: ``.pilotage/state.json``, swapped whole."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pilotage.errors import StoreError, TargetError
from pilotage.host.files import dump_json, ensure_state_dir, locked, read_json, write_atomic


@dataclass(frozen=True, slots=True)
class LocalDocument:
    """`pilotage.targets.base.Document` in a file, compared and swapped under a lock of its own.

    The lock is not the fence: a heartbeat of the lease must not wait for an instance to start.
    """

    state_dir: Path

    @property
    def path(self) -> Path:
        """The file."""
        return self.state_dir / "state.json"

    async def read(self) -> tuple[int, dict[str, Any]]:
        """Version and body; no lock is needed, since the file is only ever replaced."""
        return self._read()

    def _read(self) -> tuple[int, dict[str, Any]]:
        try:
            data = read_json(self.path)
            if data is None:
                return 0, {}
            version, body = data["version"], data["body"]
        except OSError as error:
            raise StoreError(
                f"deploy state cannot be read: {error.strerror}", where=str(self.path)
            ) from error
        except (ValueError, KeyError) as error:
            raise self._foreign() from error
        if not isinstance(version, int) or not isinstance(body, dict):
            raise self._foreign()
        return version, body

    def _foreign(self) -> StoreError:
        return StoreError(
            "this is not a state document of pilotage",
            where=str(self.path),
            state="nothing was changed",
            next="put the right file back, or move this one away to begin anew",
        )

    async def write(self, body: dict[str, Any], *, expected: int) -> bool:
        """Swap the document when its version is ``expected``."""
        try:
            ensure_state_dir(self.state_dir)
            async with locked(self.state_dir / "state.lock"):
                version, _ = self._read()
                if version != expected:
                    return False
                write_atomic(self.path, dump_json({"version": expected + 1, "body": body}))
        except OSError as error:
            raise StoreError(
                f"deploy state cannot be written: {error.strerror}",
                where=str(self.path),
                state="it is as it was before",
                next="make room, or give the right to write there; then run this again",
            ) from error
        except TargetError as error:
            raise StoreError(
                error.what, where=error.where, state=error.state, next=error.next
            ) from error
        return True

    async def now(self) -> float:
        """This machine's clock."""
        return time.time()
