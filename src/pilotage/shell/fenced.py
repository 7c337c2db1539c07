"""Several commands on a host in one go, under the fence of a service: one round trip for all of them.

Every mutation carries the deployer's lease token. The host keeps the highest one that it has seen, in
``.pilotage/SERVICE[-DESTINATION]/fence``, and a script compares and acts under one ``flock``: a deployer
that slept through its lease changes nothing when it wakes. A script takes effect only once all of it has
arrived, and then goes to its end whatever becomes of the connection.

Needs of a host: a POSIX ``sh``, ``dd``, and ``flock`` of util-linux.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from pilotage.errors import HostError, LeaseLost
from pilotage.secret import Secret
from pilotage.shell.base import Result, Shell
from pilotage.shell.script import MARK, exports, handed

LOCK_WAIT = 30
"""Seconds that a script waits for the fence's lock. Others hold it for as long as Docker takes."""

_LEASE_LOST, _LOCKED, _BROKEN, _UNLOCKABLE = 75, 74, 76, 77
_QUOTED = 12


class Then(Enum):
    """When a script goes on after a command."""

    IF_DONE = "it exited with 0"
    IF_SILENT = "it exited with 0 and wrote nothing"
    IF_SPOKEN = "it exited with 0 and wrote something"
    ALWAYS = "whatever it did"


@dataclass(frozen=True, slots=True)
class Command:
    """One command. ``env``: variables of this command alone, which go into no argv.

    ``lines``: what it can read as `script.LINES`, for what cannot be in an environment. ``words``: what the command
    before it wrote is split into words and appended;
    where that one wrote nothing, this one is not run. ``otherwise``: it is run only where the last command
    of `Then.ALWAYS` that is none of these failed. ``detached``: it is left running, and nobody sees what it writes.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str | Secret] = field(default_factory=dict)
    lines: tuple[Secret, ...] = ()
    then: Then = Then.IF_DONE
    words: bool = False
    otherwise: bool = False
    detached: bool = False


class Lock(Enum):
    """What a script does with the fence between two commands."""

    LET_GO = "let go of it, since what comes next only waits"
    TAKE = "take it again, and compare again"


Part = Command | Lock


@dataclass(frozen=True, slots=True)
class Fence:
    """``directory``: relative to the home. ``token`` None takes the lock and compares nothing.

    Scripts of one token run beside each other, unless one is ``alone``; a token that is higher than
    the highest waits for all of them.
    """

    directory: str
    token: int | None
    alone: bool = False


@dataclass(frozen=True, slots=True)
class Done:
    """One command that was run. ``out``: what it wrote, without newlines at the end."""

    argv: tuple[str, ...]
    status: int
    out: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of a script: its commands as far as they were run, and what they wrote as errors."""

    done: tuple[Done, ...]
    err: str
    finished: bool

    @property
    def last(self) -> Done:
        """The command at which it ended."""
        return self.done[-1]

    @property
    def words(self) -> str:
        """The last lines that were written as errors, on lines of their own; or that there are none."""
        lines = self.err.strip().splitlines()[-_QUOTED:]
        return "".join(f"\n    {line}" for line in lines) or " (it said nothing)"


def state_dir(service: str, destination: str | None) -> str:
    """Where a host keeps what pilotage knows of a service, relative to the home."""
    return f".pilotage/{service}-{destination}" if destination else f".pilotage/{service}"


async def run_script(
    shell: Shell, parts: Sequence[Part], fence: Fence | None = None, *, limit: float | None = None
) -> Ran:
    """Run the commands one after the other, under the fence where one is given.

    Raises
    ------
    LeaseLost
        The host has seen a higher token.
    HostError
        The lock cannot be had, or the fence cannot be read or written; or as `Shell.run`.
    """
    result = await shell.run(("sh",), input=script(parts, fence), limit=limit, check=False)
    ran = _read(parts, result)
    if fence is not None:
        _refused(shell, fence, result, ran)
    return ran


# -- the text --------------------------------------------------------------------------------

# What a command writes is caught, so that none is hurt by a connection that breaks.
_RUN = """\
run() {
  number=$1
  shift
  read -r began _ </proc/uptime
  out=$("$@" </dev/null)
  status=$?
  read -r ended _ </proc/uptime
  printf '%s\\n\\036%s %s %s %s\\n' "$out" "$number" "$status" "$began" "$ended"
  return "$status"
}
"""

_FENCE = f"""\
highest() {{
  highest=0
  [ ! -e "$dir/fence" ] || read -r highest <"$dir/fence" || exit {_BROKEN}
  case $highest in '' | *[!0-9]*) exit {_BROKEN} ;; esac
}}
refuse() {{
  echo "$highest" >&2
  exit {_LEASE_LOST}
}}
take() {{
  flock "$1" -w {LOCK_WAIT} 9
  case $? in 0) ;; 1) exit {_LOCKED} ;; *) exit {_UNLOCKABLE} ;; esac
}}
fence() {{
  take "$lock"
  [ -n "$token" ] || return 0
  highest
  [ "$token" -ge "$highest" ] || refuse
  [ "$token" -gt "$highest" ] || return 0
  take -x
  highest
  [ "$token" -ge "$highest" ] || refuse
  said=$(echo "$token" | dd of="$dir/.fence.$$" conv=fsync 2>&1) || {{
    echo "$said" >&2
    rm -f "$dir/.fence.$$"
    exit 1
  }}
  mv -f "$dir/.fence.$$" "$dir/fence" || exit
  [ "$lock" = -x ] || fence
}}
"""


def script(parts: Sequence[Part], fence: Fence | None = None) -> bytes:
    """The text for ``sh``: one function, so that a text that was cut off on its way does nothing."""
    # Without its mark, what was begun is not ended with a script that nobody waits for any more.
    lines = ["umask 077", "trap '' HUP PIPE", f"unset {MARK}"]
    helpers = _RUN
    if fence is not None:
        helpers += _FENCE
        lines += [
            f"dir={shlex.quote(fence.directory)}",
            f"token={'' if fence.token is None else fence.token}",
            f"lock={'-x' if fence.alone else '-s'}",
            'mkdir -p "$dir" || exit',
            'exec 9>>"$dir/fence.lock"',
            "fence",
        ]
    for number, part in enumerate(parts):
        if isinstance(part, Lock):
            lines.append("flock -u 9" if part is Lock.LET_GO else "fence")
        else:
            lines += _command(number, part)
    lines.append("exit 0")
    body = "\n".join(lines)
    return f"main() {{\n{helpers}{body}\n}}\nmain\n".encode()


def _command(number: int, command: Command) -> list[str]:
    if command.detached:
        return [f"setsid {shlex.join(command.argv)} </dev/null >/dev/null 2>&1 9>&- &"]
    run = f"run {number} {shlex.join(command.argv)}"
    if command.lines:
        run += handed(command.lines)
    if command.words:
        # Unquoted: what the last one wrote is split into words.
        run = f'[ -z "$out" ] || {run} $out'
    if command.env:
        # In a shell of its own, so that no other command has these in its environment.
        run = f"(\n{exports(command.env)}{run}\n)"
    elif command.lines:
        run = f"(\n{run}\n)"
    if command.otherwise:
        run = f'[ "$before" = 0 ] || {run}'
    match command.then:
        case Then.IF_DONE:
            return [f"{run} || exit 1"]
        case Then.IF_SILENT:
            return [f"{run} || exit 1", '[ -z "$out" ] || exit 1']
        case Then.IF_SPOKEN:
            return [f"{run} || exit 1", '[ -n "$out" ] || exit 1']
        case Then.ALWAYS:
            return [run] if command.otherwise else [run, "before=$?"]


# -- what came back --------------------------------------------------------------------------

_DONE = re.compile(r"(.*?)\n\x1e(\d+) (\d+) ([\d.]+) ([\d.]+)\n", re.DOTALL)


def _read(parts: Sequence[Part], result: Result) -> Ran:
    done: list[Done] = []
    for found in _DONE.finditer(result.out.decode(errors="replace")):
        part = parts[int(found[2])]
        assert isinstance(part, Command)
        argv = part.argv
        if part.words and done:
            argv = (*argv, *done[-1].out.split())
        seconds = max(0.0, float(found[5]) - float(found[4]))
        done.append(Done(argv, int(found[3]), found[1], seconds))
    err = result.err.decode(errors="replace")
    return Ran(tuple(done), err, finished=result.status == 0)


def _refused(shell: Shell, fence: Fence, result: Result, ran: Ran) -> None:
    where = f"{fence.directory} on {shell.host}"
    if result.status == _LEASE_LOST:
        highest = ran.err.split()[-1]
        raise LeaseLost(
            f"another deployer was here with lease token {highest}; ours is {fence.token}",
            where=where,
            state="this deployer touches nothing more",
            next="`pilotage status` shows what runs; run the command again if need be",
        )
    if result.status == _LOCKED:
        raise HostError(
            f"fence.lock has been locked for {LOCK_WAIT} s by another process",
            where=where,
            state="nothing was changed",
            next=f"see which one (`fuser -v ~/{fence.directory}/fence.lock`) and end it; then run "
            "this again",
        )
    if result.status == _BROKEN:
        raise HostError(
            "the fence file does not hold a number",
            where=where,
            state="nothing was changed",
            next="make sure that no other deploy runs, then delete the file",
        )
    if not ran.done and not ran.finished:
        raise HostError(
            f"the fence cannot be taken:{ran.words}",
            where=where,
            state="nothing was changed",
            next="it takes a home that can be written, and flock (util-linux); mend it, then run this again",
        )
