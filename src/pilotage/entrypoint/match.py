"""Whether a command is a server, a worker, or neither. Pure.

Rails asks whether the last two words are ``./bin/rails server``: an option behind them, ``bundle exec`` before
them, or a shell around them, and the database is not prepared. Here a command is first brought down to what
runs in the end, then compared word by word with a pattern that is brought down in the same way.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

SERVERS = (
    "rails server",
    "rails s",
    "puma",
    "unicorn",
    "falcon serve",
    "rackup",
    "gunicorn",
    "uvicorn",
    "hypercorn",
    "daphne",
    "granian",
    "uwsgi",
    "waitress-serve",
    "manage.py runserver",
    "django-admin runserver",
    "flask * run",
    "fastapi run",
    "litestar * run",
)
"""Servers that are known where nobody names any."""

WORKERS = (
    "sidekiq",
    "solid_queue",
    "bin/jobs",
    "good_job start",
    "rails jobs:work",
    "rails solid_queue:start",
    "rake jobs:work",
    "celery * worker",
    "celery * beat",
    "rq worker",
    "dramatiq",
    "arq",
    "huey_consumer",
    "procrastinate * worker",
    "manage.py qcluster",
    "manage.py procrastinate worker",
)
"""Other long-running commands that are known where nobody names any."""


class Duty(StrEnum):
    """What is done before a command runs."""

    PREPARE = "prepare"  # the main server: bring the schema to the release
    WAIT = "wait"  # another long-running role: wait until the release fits
    NOTHING = "nothing"  # anything else: a console, a one-off command


@dataclass(frozen=True, slots=True)
class _Wrapper:
    """A program that runs another one: its own words (expressions of whole words), options that take a
    value as a word of their own, and how many more words are its own."""

    words: tuple[str, ...]
    values: frozenset[str] = frozenset()
    own: int = 0


def _wrapper(words: str, values: str = "", own: int = 0) -> _Wrapper:
    return _Wrapper(tuple(words.split()), frozenset(values.split()), own)


_WRAPPERS = (
    _wrapper("exec", "-a"),
    _wrapper("command"),
    _wrapper("env", "-u --unset -C --chdir"),
    _wrapper("nice", "-n --adjustment"),
    _wrapper("nohup"),
    _wrapper("setsid"),
    _wrapper("stdbuf", "-i -o -e --input --output --error"),
    _wrapper("tini", "-p -e"),
    _wrapper("dumb-init", "-r --rewrite"),
    _wrapper("catatonit"),
    _wrapper("gosu", own=1),
    _wrapper("su-exec", own=1),
    _wrapper("bundle exec"),
    _wrapper("thrust"),
    _wrapper("poetry run", "-C -P --directory --project"),
    _wrapper("uv run", "--with --extra --group --env-file -p --python --directory --project"),
    _wrapper("pipenv run"),
    _wrapper("pdm run", "-p --project"),
    _wrapper("hatch run"),
    _wrapper("opentelemetry-instrument"),
    _wrapper("ddtrace-run"),
    _wrapper("newrelic-admin run-program"),
    _wrapper(r"python[\d.]*", "-W -X"),
    _wrapper(r"pypy[\d.]*", "-W -X"),
    _wrapper("ruby", "-I -r"),
    _wrapper("node", "-r --require --import --loader --env-file"),
)
_SHELLS = frozenset({"sh", "ash", "bash", "dash", "ksh", "zsh"})
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_INFORMATION = frozenset({"--help", "--version"})


def duty(argv: Sequence[str], *, servers: Iterable[str], workers: Iterable[str]) -> Duty:
    """What is done before ``argv`` runs. A server's ``--help`` is no server."""
    if any(matches(pattern, argv) for pattern in servers):
        return Duty.PREPARE
    return Duty.WAIT if any(matches(pattern, argv) for pattern in workers) else Duty.NOTHING


def matches(pattern: str, argv: Sequence[str]) -> bool:
    """Whether the command begins with the words of ``pattern``; ``*`` stands for any words, or none.

    The program is compared by the end of its path: ``rails`` and ``bin/rails`` both match
    ``/app/bin/rails``, and ``bin/rails`` does not match ``rails``.
    """
    wanted, found = unwrapped(shlex.split(pattern)), unwrapped(argv)
    if not wanted or not found or _INFORMATION & set(found):
        return False
    return _same_program(wanted[0], found[0]) and _begins(found[1:], wanted[1:])


def _same_program(wanted: str, found: str) -> bool:
    parts, path = _parts(wanted), _parts(found)
    return path[-len(parts) :] == parts


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")] or [path]


def _begins(words: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
    if not wanted:
        return True
    if wanted[0] == "*":
        return any(_begins(words[skipped:], wanted[1:]) for skipped in range(len(words) + 1))
    return bool(words) and words[0] == wanted[0] and _begins(words[1:], wanted[1:])


def unwrapped(argv: Sequence[str]) -> tuple[str, ...]:
    """The words of what runs in the end, without shells, launchers and interpreters around it.

    >>> unwrapped(["/bin/sh", "-c", "cd /app && PORT=80 exec bundle exec ./bin/rails server -b ::"])
    ('./bin/rails', 'server', '-b', '::')
    >>> unwrapped(["/usr/bin/python3", "-u", "-m", "gunicorn", "shop:app"])
    ('gunicorn', 'shop:app')

    A shell's text that is more than commands one after the other stays as it is:

    >>> unwrapped(["sh", "-c", "gunicorn shop:app & tail -f log"])
    ('sh', '-c', 'gunicorn shop:app & tail -f log')
    """
    words = tuple(argv)
    while words:
        inner = _of_shell(words) or _of_wrapper(words)
        if not inner:
            break
        words = inner
    return words


def _of_shell(words: tuple[str, ...]) -> tuple[str, ...]:
    """What ``sh -c TEXT`` runs last; empty when it is no such thing."""
    if _parts(words[0])[-1] not in _SHELLS:
        return ()
    for index, word in enumerate(words[1:], start=1):
        if word == "-c" or re.fullmatch(r"-[a-z]+c|-c[a-z]+|-[a-z]+c[a-z]+", word):
            return _last_command(words[index + 1]) if len(words) > index + 1 else ()
        # `-euo pipefail`: the option of an option
        if not word.startswith(("-", "+")) and not re.fullmatch(r"[-+]\w*[oO]", words[index - 1]):
            return ()
    return ()


def _last_command(text: str) -> tuple[str, ...]:
    lexer = shlex.shlex(text, posix=True, punctuation_chars=";&|()<>\n")
    lexer.whitespace = " \t\r"
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        tokens = list(lexer)
    except ValueError:  # a quotation that does not end
        return ()
    commands: list[list[str]] = [[]]
    for word in tokens:
        if word == "&&" or set(word) <= set(";\n"):
            commands.append([])
        elif set(word) <= set(";&|()<>\n"):
            return ()
        else:
            commands[-1].append(word)
    last = next((command for command in reversed(commands) if command), [])
    while last and _ASSIGNMENT.match(last[0]):
        last = last[1:]
    return tuple(last)


def _of_wrapper(words: tuple[str, ...]) -> tuple[str, ...]:
    """What a launcher or an interpreter runs; empty when the first word is none."""
    program = _parts(words[0])[-1]
    for wrapper in _WRAPPERS:
        size = len(wrapper.words)
        named = (program, *words[1:size])
        if len(named) == size and all(map(re.fullmatch, wrapper.words, named)):
            return _after_options(words[size:], wrapper)
    return ()


def _after_options(words: tuple[str, ...], wrapper: _Wrapper) -> tuple[str, ...]:
    while words and (words[0].startswith("-") or _ASSIGNMENT.match(words[0])):
        option, words = words[0], words[1:]
        if option == "--":
            break
        if option in ("-c", "-e") and option not in wrapper.values:
            return ()  # an interpreter's program text
        if option in wrapper.values:
            words = words[1:]
    return words[wrapper.own :]
