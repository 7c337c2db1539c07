"""Models in the migrations of Rails, by a scanner that knows Ruby's strings, comments and heredocs.

It reads names and what is called on them, and nothing of the rest of the language.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pilotage.hazards.models import Model

# Methods of Active Record that read or write rows, or look at the columns.
_CALLS = frozenset(
    {"all", "count", "create", "create!", "delete_all", "delete_by", "destroy_all", "destroy_by"}
    | {"each", "find", "find_by", "find_by!", "find_each", "find_in_batches", "find_or_create_by"}
    | {"find_or_create_by!", "first", "in_batches", "insert", "insert_all", "insert_all!", "joins"}
    | {"last", "new", "pluck", "reset_column_information", "unscoped", "update", "update_all"}
    | {"upsert", "upsert_all", "where", "with_deleted"}
)
_NAME = re.compile(r"[A-Z]\w*(?:::[A-Z]\w*)*")
_CALL = re.compile(r"\s*\.\s*(\w+[!?]?)")
_HEREDOC = re.compile(r"<<[~-]?(['\"`]?)([A-Z_][A-Z0-9_]*)\1")
_CLASS = re.compile(r"\b(?:class|module)\s+([A-Z]\w*(?:::[A-Z]\w*)*)")
_OWN = re.compile(r"\b([A-Z]\w*)\s*=\s*Class\.new\b")
_LIBRARIES = frozenset(
    {"ActiveRecord", "ActiveSupport", "Arel", "Rails", "Time", "Date", "DateTime", "File", "Dir"}
    | {
        "Hash",
        "Array",
        "String",
        "Set",
        "Struct",
        "Class",
        "Module",
        "Kernel",
        "ENV",
        "JSON",
        "YAML",
    }
    | {"CSV", "SecureRandom", "Thread", "Concurrent", "Logger", "IO", "Pathname", "Mutex", "Queue"}
)


def models(text: str) -> Iterator[Model]:
    """The first use of each class that the file calls Active Record on, but does not define."""
    code = _code(text)
    own = {name.rpartition("::")[2] for name in (*_CLASS.findall(code), *_OWN.findall(code))}
    seen: set[str] = set()
    for found in _NAME.finditer(code):
        name = found.group()
        first = name.partition("::")[0]
        if code[found.start() - 1 : found.start()] in (".", ":", "@", "$") or name in seen:
            continue
        if first in _LIBRARIES or first in own or name.rpartition("::")[2].isupper():
            continue
        call = _CALL.match(code, found.end())
        if call and call.group(1) in _CALLS:
            seen.add(name)
            yield Model(name, found.start(), _instead(name))


def _instead(name: str) -> str:
    last = name.rpartition("::")[2]
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", last).lower()
    table = words[:-1] + "ies" if words.endswith("y") else f"{words}s"
    return f'class {last} < ActiveRecord::Base\n  self.table_name = "{table}"\nend\n'


def _code(text: str) -> str:
    """The text with comments, strings and heredocs blanked out, character for character."""
    out: list[str] = []
    heredocs: list[str] = []
    block = False
    for line in text.splitlines(keepends=True):
        if heredocs:
            if line.strip() == heredocs[0]:
                heredocs.pop(0)
            out.append(_blank(line))
        elif block or line.startswith("=begin"):
            block = not line.startswith("=end")
            out.append(_blank(line))
        else:
            heredocs += [end for _, end in _HEREDOC.findall(line)]
            out.append(_without_strings(line))
    return "".join(out)


def _blank(text: str) -> str:
    return "".join("\n" if character == "\n" else " " for character in text)


def _without_strings(line: str) -> str:
    """One line without its strings and its comment; what ``#{…}`` holds is left out with its string."""
    out, index = [], 0
    while index < len(line):
        character = line[index]
        if character == "#":
            out.append(_blank(line[index:]))
            break
        if character in "'\"`":
            end = index + 1
            while end < len(line) and line[end] != character:
                end += 2 if line[end] == "\\" else 1
            end = min(end + 1, len(line))
            out.append(_blank(line[index:end]))
            index = end
            continue
        out.append(character)
        index += 1
    return "".join(out)
