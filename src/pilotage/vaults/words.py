"""``$(kamal secrets …)`` in a secrets file, answered here: Kamal need not be installed.

Kamal, too, answers them itself. What has more in it than words (a pipe, a second command) is left to the
shell.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping

from pilotage.errors import ConfigError
from pilotage.vaults.fetch import dumped, extract, fetch, shell_escaped

_OURS = re.compile(
    r"\s*(?:bundle\s+exec\s+)?(?:\S*/)?(?:kamal|pilotage)\s+secrets\s+(?:fetch|extract)\s"
)
_OPERATORS = frozenset("|&;<>()")


def is_ours(command: str) -> bool:
    """Whether a command is ``kamal secrets fetch`` or ``extract``, and nothing besides."""
    if not _OURS.match(command):
        return False
    lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        return not any(word and set(word) <= _OPERATORS for word in lexer)
    except ValueError:
        return False


def answer(command: str, environ: Mapping[str, str], *, terminal: bool) -> str:
    """What is put in place of the command.

    Raises
    ------
    ConfigError
        As `fetch` and `extract`; or its words are wrong.
    """
    words = shlex.split(command)
    verb, *rest = words[words.index("secrets") + 1 :]
    options, names = _parsed(rest)
    if verb == "extract":
        if len(names) < 2:
            raise ConfigError("`secrets extract` needs a name, and what was fetched")
        return extract(names[0], " ".join(names[1:]))
    if "adapter" not in options:
        raise ConfigError("`secrets fetch` needs --adapter")
    found = fetch(
        options["adapter"],
        names,
        account=options.get("account"),
        source=options.get("from"),
        environ=environ,
        terminal=terminal,
    )
    return shell_escaped(dumped(found))  # one word of the `extract` that it is put into


_OPTIONS = {"--adapter": "adapter", "-a": "adapter", "--account": "account", "--from": "from"}


def _parsed(words: list[str]) -> tuple[dict[str, str], list[str]]:
    options: dict[str, str] = {}
    names: list[str] = []
    left = iter(words)
    for word in left:
        name, equals, value = word.partition("=")
        if name in _OPTIONS:
            options[_OPTIONS[name]] = value if equals else next(left, "")
        elif word != "--inline":
            names.append(word)
    return options, names
