"""OpenSSH's own client configuration, read as OpenSSH reads it: the first value that matches wins.

Known: ``Host``, ``Match`` (all, final, host, originalhost, user, localuser, exec), ``Include`` (in the order
of the names), quoted words, ``%`` tokens and ``${VARIABLES}``. A ``Match`` on anything else does not match.
``CanonicalizeHostname`` is not followed. `ssh -G` is what the tests compare it with.
"""

from __future__ import annotations

import getpass
import os
import re
import shlex
import socket
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from pilotage.errors import ConfigError

SYSTEM = Path("/etc/ssh/ssh_config")
_DEPTH = 16

# Values that add up, where of others the first one counts.
_MANY = frozenset({"identityfile", "certificatefile"})
_REST_OF_LINE = frozenset({"proxycommand"})
# Lists of words on one line.
_LISTS = frozenset({"userknownhostsfile", "globalknownhostsfile"})


def default_files() -> tuple[Path, ...]:
    """What OpenSSH reads: the user's file, then the system's."""
    return (Path("~/.ssh/config").expanduser(), SYSTEM)


@dataclass(slots=True)
class HostOptions:
    """What the configuration says of one host. Keywords are in lower case."""

    original: str
    user: str | None
    values: dict[str, list[str]] = field(default_factory=dict)
    final: bool = False
    wants_final: bool = False

    def one(self, keyword: str) -> str | None:
        """The value of a keyword; None where it has none, or ``none``."""
        value = self.values.get(keyword, [""])[0]
        return value if value and value.lower() != "none" else None

    def many(self, keyword: str) -> tuple[str, ...] | None:
        """All values of a keyword; None where it is not set."""
        values = self.values.get(keyword)
        if values is None:
            return None
        return tuple(value for value in values if value.lower() != "none")

    def flag(self, keyword: str) -> bool:
        """Whether a keyword says yes."""
        return (self.one(keyword) or "").lower() in ("yes", "true")

    @property
    def hostname(self) -> str:
        """Where to connect to."""
        name = self.one("hostname")
        return name.replace("%%", "%").replace("%h", self.original) if name else self.original

    def expand(self, value: str, *, port: int, user: str) -> str:
        """``value`` with ``%`` tokens, ``${VARIABLES}`` and ``~`` replaced."""
        here = socket.gethostname()
        tokens = {
            "%": "%",
            "d": os.path.expanduser("~"),  # noqa: PTH111 (a string, for a string)
            "h": self.hostname,
            "i": str(os.getuid()),
            "k": self.one("hostkeyalias") or self.original,
            "L": here.partition(".")[0],
            "l": here,
            "n": self.original,
            "p": str(port),
            "r": user,
            "u": getpass.getuser(),
        }
        value = re.sub(r"%(.)", lambda found: tokens.get(found[1], found[0]), value)
        value = re.sub(r"\$\{(\w+)\}", lambda found: os.environ.get(found[1], ""), value)
        return os.path.expanduser(value)  # noqa: PTH111 (a command need not be a path)


def read(host: str, files: Sequence[Path], *, user: str | None = None) -> HostOptions:
    """What ``files`` say of ``host``, as the user wrote it. A file that is not there says nothing.

    ``user``: the user that is wanted whatever they say.

    Raises
    ------
    ConfigError
        A line cannot be read; names file and line.
    """
    options = HostOptions(host, user)
    for final in (False, True):
        options.final = final
        for path in files:
            _read_file(path, options, depth=0)
        if not options.wants_final:
            break
    return options


def _read_file(path: Path, options: HostOptions, *, depth: int) -> None:
    try:
        text = path.read_text(errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise ConfigError(f"it cannot be read: {error.strerror}", where=str(path)) from error
    active = True
    for number, line in enumerate(text.splitlines(), 1):
        where = f"{path}:{number}"
        keyword, rest = _split(line)
        if not keyword:
            continue
        words = [rest] if keyword in _REST_OF_LINE else _words(rest, where)
        if keyword == "host":
            # In the second reading, as OpenSSH has it, the name is the one that the first one gave.
            active = _matches(options.hostname if options.final else options.original, words)
        elif keyword == "match":
            active = _match(words, options)
        elif not active:
            continue
        elif keyword == "include":
            if depth >= _DEPTH:
                raise ConfigError("files include each other without end", where=where)
            for included in _included(words, path):
                _read_file(included, options, depth=depth + 1)
        elif words:
            _set(keyword, words, options)


def _set(keyword: str, words: list[str], options: HostOptions) -> None:
    if keyword in _MANY:
        known = options.values.setdefault(keyword, [])
        known.extend(words[:1] if words[0] not in known else [])
    else:
        options.values.setdefault(keyword, words if keyword in _LISTS else words[:1])


def _split(line: str) -> tuple[str, str]:
    """The keyword, in lower case, and the rest: ``Key value`` or ``Key=value``."""
    line = line.strip()
    if not line or line.startswith("#"):
        return "", ""
    found = re.match(r"([A-Za-z0-9]+)(?:\s*=\s*|\s+)(.*)", line)
    return (found[1].lower(), found[2]) if found else ("", "")


def _words(rest: str, where: str) -> list[str]:
    lexer = shlex.shlex(rest, posix=True, punctuation_chars=False)
    lexer.whitespace_split = True
    lexer.quotes = '"'
    lexer.escape = "\\"
    lexer.commenters = ""
    try:
        words = list(lexer)
    except ValueError as error:
        raise ConfigError(f"it cannot be read: {error}", where=where) from error
    comment = next((at for at, word in enumerate(words) if word.startswith("#")), None)
    return words[:comment]


def _included(patterns: Sequence[str], by: Path) -> Iterator[Path]:
    base = SYSTEM.parent if by.is_relative_to(SYSTEM.parent) else Path("~/.ssh").expanduser()
    for pattern in patterns:
        path = base / Path(pattern).expanduser()
        relative = str(path.relative_to(path.anchor))
        yield from sorted(found for found in Path(path.anchor).glob(relative) if found.is_file())


def _matches(value: str, patterns: Sequence[str]) -> bool:
    """OpenSSH's lists of patterns: one that matches, and none with a ``!`` that does."""
    found = False
    for listed in patterns:
        for pattern in listed.split(","):
            bare = pattern.removeprefix("!")
            if bare and fnmatchcase(value.lower(), bare.lower().replace("[", "[[]")):
                if bare != pattern:
                    return False
                found = True
    return found


def _match(words: list[str], options: HostOptions) -> bool:
    result = True
    pending = list(words)
    while pending:
        criterion = pending.pop(0)
        negated = criterion.startswith("!")
        name, equals, given = criterion.removeprefix("!").partition("=")
        name = name.lower()
        if name == "final":
            options.wants_final = True
        if name in ("all", "final", "canonical"):
            holds = name == "all" or (name == "final" and options.final)
        else:
            value = given if equals else (pending.pop(0) if pending else "")
            holds = result and _holds(name, value, options)
        result = result and holds != negated
    return result


def _holds(name: str, value: str, options: HostOptions) -> bool:
    user = options.user or options.one("user") or getpass.getuser()
    match name:
        case "host":
            return _matches(options.hostname, [value])
        case "originalhost":
            return _matches(options.original, [value])
        case "user":
            return _matches(user, [value])
        case "localuser":
            return _matches(getpass.getuser(), [value])
        case "exec":
            port = int(options.one("port") or 22)
            command = options.expand(value, port=port, user=user)
            # The user's own file asks for this command, in a shell, as ssh runs it.
            ran = subprocess.run(command, shell=True, check=False, capture_output=True, stdin=subprocess.DEVNULL)  # noqa: S602 # fmt: skip
            return ran.returncode == 0
        case _:
            return False
