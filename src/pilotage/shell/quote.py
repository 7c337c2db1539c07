"""An argv as a line for a POSIX shell: the one place where quoting is done.

sshd hands a command line to the user's login shell, so an argv has to survive that shell unchanged.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

_NAME = re.compile(r"[A-Za-z0-9_./-]+")

# Words that mean something else than a program where a command begins (POSIX, bash, zsh).
_RESERVED = frozenset(
    [
        "case",
        "coproc",
        "do",
        "done",
        "elif",
        "else",
        "end",
        "esac",
        "fi",
        "for",
        "foreach",
        "function",
        "if",
        "in",
        "nocorrect",
        "noglob",
        "repeat",
        "select",
        "then",
        "time",
        "until",
        "while",
    ]
)

LONGEST = 200
"""Characters of a command line that a message shows."""


def command_line(argv: Sequence[str]) -> str:
    """``argv`` as one line that a POSIX shell splits into exactly these words.

    Raises
    ------
    ValueError
        It is empty, or a word holds a NUL, which no argument can.
    """
    if not argv:
        raise ValueError("an argv has at least one word")
    if any("\0" in word for word in argv):
        raise ValueError("no argument can hold a NUL")
    program, *rest = argv
    # `A=b` alone would be an assignment, and `time` a keyword: neither is unquoted by shlex's rules.
    first = program if _NAME.fullmatch(program) and program not in _RESERVED else _single(program)
    return " ".join([first, *(shlex.quote(word) for word in rest)])


def shown(argv: Sequence[str]) -> str:
    """`command_line` as a message shows it: on one line, and not longer than `LONGEST`."""
    line = command_line(argv).replace("\n", "↵")
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def _single(word: str) -> str:
    return "'" + word.replace("'", "'\"'\"'") + "'"
