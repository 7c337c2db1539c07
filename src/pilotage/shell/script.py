"""Scripts for ``sh``, given on its standard input: the place for what must not be in an argv.

Others on a host can read the argv of every process, and of no process the input or (but for its owner and
root) the environment. The one place where words are quoted for a shell.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence

from pilotage.errors import UsageError
from pilotage.secret import Secret, reveal

MARK = "PILOTAGE_RUN"
"""A variable by which an implementation finds what a command of its left behind."""

LINES = "/dev/fd/3"
"""Where a command finds the lines that it is given, for what cannot be in an environment."""

_END = "END_OF_PILOTAGES_LINES"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def exports(env: Mapping[str, str | Secret]) -> str:
    """Lines that put variables into the environment, byte for byte: quotes, newlines, Unicode.

    Raises
    ------
    UsageError
        A name is none of the shell's, or a value holds a NUL.
    """
    lines = []
    for name, value in env.items():
        if not _NAME.fullmatch(name):
            raise UsageError(
                f"{name!r} cannot be the name of an environment variable",
                next="letters, digits and _ only; it may not begin with a digit",
            )
        text = reveal(value)
        if "\0" in text:
            raise UsageError(f"the value of {name} holds a NUL byte", next="take it out")
        lines.append(f"export {name}={shlex.quote(text)}\n")
    return "".join(lines)


def handed(lines: Iterable[Secret]) -> str:
    """What follows a command that reads these as `LINES`."""
    return f" 3<<'{_END}'\n" + "".join(f"{line.reveal()}\n" for line in lines) + _END


def with_environment(
    argv: Sequence[str],
    env: Mapping[str, str | Secret],
    lines: Sequence[Secret] = (),
    *,
    reads: bool = False,
) -> bytes:
    """A script that becomes ``argv``, with these variables in its environment; it can read ``lines`` as `LINES`.

    ``reads``: the command reads what the caller would read, and the script is file descriptor 3.
    """
    # A script on standard input: the command must not read what is left of it.
    end = "" if reads else " </dev/null"
    if lines:
        end += handed(lines)
    elif reads:
        end += " 3<&-"
    return f"{exports(env)}exec {shlex.join(argv)}{end}\n".encode()
