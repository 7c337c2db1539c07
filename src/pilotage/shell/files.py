"""Files on a host, by one command each: written whole or not at all, and read byte for byte.

Plain POSIX shell, so that a host needs nothing but what every Linux has.
"""

from __future__ import annotations

from pilotage.errors import CommandFailed
from pilotage.shell.base import Shell

# $1 path, $2 mode, $3 size. The size is compared because a link that breaks looks like the end of the
# file from there: without it half a file would be renamed into place.
_PUT = """\
set -eu
umask 077
case $1 in */*) directory=${1%/*}; directory=${directory:-/};; *) directory=.;; esac
mkdir -p -- "$directory"
if [ -d "$1" ]; then echo "$1 is a directory" >&2; exit 1; fi
beside=$(mktemp -- "$directory/.pilotage.XXXXXXXX")
trap 'rm -f -- "$beside"' EXIT
trap 'exit 1' HUP INT TERM
trap '' PIPE  # nobody may be there any more to hear of it, and the file goes all the same
cat >"$beside"
if [ "$(wc -c <"$beside")" -ne "$3" ]; then echo "the content arrived in part" >&2; exit 1; fi
chmod -- "$2" "$beside"
sync -- "$beside" 2>/dev/null || sync
mv -f -- "$beside" "$1"
trap - EXIT
sync -- "$directory" 2>/dev/null || sync
"""

# 66: there is no such file, and every directory above it could be looked into.
_MISSING = 66
_GET = """\
if [ -e "$1" ] || [ -L "$1" ]; then exec cat -- "$1"; fi
above=$1
while :; do
    case $above in */*) above=${above%/*}; above=${above:-/};; *) above=.;; esac
    if [ -e "$above" ]; then break; fi
done
if [ -d "$above" ] && [ -x "$above" ]; then exit 66; fi
exec cat -- "$1"
"""


async def put(shell: Shell, path: str, content: bytes, *, mode: int) -> None:
    """`Shell.put` for every shell."""
    argv = ("sh", "-c", _PUT, "put", _operand(path), f"{mode:04o}", str(len(content)))
    result = await shell.run(argv, input=content, check=False)
    if result.status:
        raise _failed(shell, f"{path} could not be written", result.status, result.err)


async def get(shell: Shell, path: str) -> bytes | None:
    """`Shell.get` for every shell."""
    result = await shell.run(("sh", "-c", _GET, "get", _operand(path)), check=False)
    if result.status == _MISSING:
        return None
    if result.status:
        raise _failed(shell, f"{path} could not be read", result.status, result.err)
    return result.out


def _operand(path: str) -> str:
    """A path that no program takes for an option."""
    return path if path.startswith("/") else f"./{path}"


def _failed(shell: Shell, what: str, status: int, err: bytes) -> CommandFailed:
    said = err.decode(errors="replace").strip().splitlines()
    return CommandFailed(
        f"{what}: {said[-1] if said else f'exit status {status}'}",
        where=shell.host,
        state="the file is what it was",
        next="see who owns it and what is free there (`ls -ld`, `df`); then run this again",
        status=status,
        err=err,
    )
