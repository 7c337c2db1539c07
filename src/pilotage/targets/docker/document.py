"""Deploy state of a service without a database: ``state.json`` on the primary host, swapped whole."""

from __future__ import annotations

import json
import shlex
import time
from dataclasses import dataclass, field
from typing import Any

from pilotage.errors import HostError, StoreError
from pilotage.shell.base import Result, Shell
from pilotage.targets.docker.host import host_clock

_CONFLICT, _LOCKED = 75, 74
_LOCK_WAIT = 30
_LIMIT = 60.0
_FRESH = 1.0
_END = "END_OF_PILOTAGES_STATE"


class _Clock:
    """How far the host's clock is from ours, as of a moment ago."""

    __slots__ = ("ahead", "seen")

    def __init__(self) -> None:
        self.ahead = 0.0
        self.seen = -_FRESH

    def set(self, host_now: float) -> None:
        self.seen = time.monotonic()
        self.ahead = host_now - self.seen

    def now(self) -> float | None:
        moment = time.monotonic()
        return self.ahead + moment if moment - self.seen < _FRESH else None


@dataclass(frozen=True, slots=True)
class DockerDocument:
    """`pilotage.targets.base.Document` in a file of a host, compared and swapped under a lock of its own.

    The lock is not the fence: a heartbeat of the lease must not wait for a container to start. The
    version stands in the first line, so that the host can compare it with nothing but ``sh``.
    """

    shell: Shell
    directory: str
    _clock: _Clock = field(default_factory=_Clock, repr=False, compare=False)

    @property
    def path(self) -> str:
        """The file, relative to the home."""
        return f"{self.directory}/state.json"

    async def read(self) -> tuple[int, dict[str, Any]]:
        """Version and body; no lock is needed, since the file is only ever replaced."""
        result = await self._run(
            f"date +%s.%N\nif [ -e {self._quoted} ]; then cat {self._quoted}; fi\n", "read"
        )
        if result.status:
            raise StoreError(
                f"deploy state cannot be read:\n    {_words(result)}", where=self._where
            )
        clock, _, text = result.out.decode(errors="replace").partition("\n")
        self._clock.set(host_clock(clock))
        if not text:
            return 0, {}
        try:
            data = json.loads(text)
            version, body = data["version"], data["body"]
        except (ValueError, KeyError, TypeError) as error:
            raise self._foreign() from error
        if not isinstance(version, int) or not isinstance(body, dict):
            raise self._foreign()
        return version, body

    async def write(self, body: dict[str, Any], *, expected: int) -> bool:
        """Swap the document when its version is ``expected``."""
        result = await self._run(_swap(self.directory, body, expected), "written")
        if result.status == _CONFLICT:
            return False
        if result.status == _LOCKED:
            raise StoreError(
                f"state.lock has been locked for {_LOCK_WAIT} s by another process",
                where=self._where,
                state="the state is as it was before",
                next=f"see which one (`fuser -v ~/{self.directory}/state.lock`) and end it; then run "
                "this again",
            )
        if result.status:
            raise StoreError(
                f"deploy state cannot be written:\n    {_words(result)}",
                where=self._where,
                state="it is as it was before",
                next="make room, or give the right to write there; then run this again",
            )
        self._clock.set(host_clock(result.text))
        return True

    async def now(self) -> float:
        """The host's clock."""
        known = self._clock.now()
        if known is None:
            result = await self._run("date +%s.%N\n", "asked for its clock")
            known = host_clock(result.text)
            self._clock.set(known)
        return known

    async def _run(self, script: str, what: str) -> Result:
        try:
            return await self.shell.run(
                ("sh",), input=f"main() {{\n{script}}}\nmain\n".encode(), limit=_LIMIT, check=False
            )
        except HostError as error:
            raise StoreError(
                f"deploy state cannot be {what}: {error.what}",
                where=self._where,
                state=error.state,
                next=error.next,
            ) from error

    def _foreign(self) -> StoreError:
        return StoreError(
            "this is not a state document of pilotage",
            where=self._where,
            state="nothing was changed",
            next="put the right file back, or move this one away to begin anew",
        )

    @property
    def _where(self) -> str:
        return f"{self.path} on {self.shell.host}"

    @property
    def _quoted(self) -> str:
        return shlex.quote(self.path)


def _first_line(version: int) -> str:
    return f'{{"version": {version},'


def _swap(directory: str, body: dict[str, Any], expected: int) -> str:
    """The script that compares the first line and puts a new file in its place."""
    text = f'{_first_line(expected + 1)}\n"body": {json.dumps(body)}}}'
    was = (
        f'read -r first <"$dir/state.json" && [ "$first" = {shlex.quote(_first_line(expected))} ]'
        if expected
        else '[ ! -e "$dir/state.json" ]'
    )
    return f"""\
umask 077
trap '' HUP PIPE
dir={shlex.quote(directory)}
mkdir -p "$dir" || exit 1
exec 9>>"$dir/state.lock"
flock -x -w {_LOCK_WAIT} 9
case $? in 0) ;; 1) exit {_LOCKED} ;; *) exit 1 ;; esac
[ -e "$dir/state.json" ] || [ {expected} -eq 0 ] || exit {_CONFLICT}
{was} || exit {_CONFLICT}
said=$(dd of="$dir/.state.$$" conv=fsync 2>&1 <<'{_END}'
{text}
{_END}
) || {{
  echo "$said" >&2
  rm -f "$dir/.state.$$"
  exit 1
}}
mv -f "$dir/.state.$$" "$dir/state.json" || exit 1
date +%s.%N
"""


def _words(result: Result) -> str:
    return result.err.decode(errors="replace").strip() or f"exit status {result.status}"
