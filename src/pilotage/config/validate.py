"""Checks plain data against the models, and tells what is wrong by file, line, key and nearest key."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from pilotage.config.document import Block, Items, Mark
from pilotage.config.erb import NotRun
from pilotage.config.schema.base import BRANCH, Section
from pilotage.config.schema.file import File
from pilotage.errors import ConfigError

_WORDS: Mapping[str, str] = {
    "model_type": "should be a mapping of keys to values",
    "model_attributes_type": "should be a mapping of keys to values",
    "dict_type": "should be a mapping of keys to values",
    "tuple_type": "should be a list",
    "missing": "is required",
    "string_type": "should be a text",
}
_MANY = 20  # a longer list of keys helps nobody
_OLD_KEYS: Mapping[str, str] = {
    "healthcheck": "Kamal 2 has it under `proxy:`",
    "traefik": "Kamal 2 replaced it by `proxy:`",
    "stop_wait_time": "Kamal 2 replaced it by `drain_timeout`",
}


def validate(data: Block) -> File:
    """The file as a model.

    A key whose value should be a number and comes from a command that was not run falls back to its
    default.

    Raises
    ------
    ConfigError
        The first thing that is wrong, in the order of the file.
    """
    while True:
        try:
            return File.model_validate(data)
        except ValidationError as error:
            details = error.errors(include_url=False)
            dropped = [_drop_not_run(data, detail["loc"]) for detail in details]
            if not any(dropped):
                raise _translate(data, details) from None


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that is most like ``word``, if one is like it."""
    import difflib  # only for errors

    found = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return found[0] if found else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``did you mean `x`?``, or a list of what there is."""
    words = sorted(known)
    if best := nearest(word, words):
        return f"did you mean `{best}`?"
    return f"known here: {', '.join(words)}" if 0 < len(words) <= _MANY else ""


def mark_of(data: Block, *path: str | int) -> Mark:
    """Where a key is written, or the nearest key above it that is; its ``path`` is the key's own."""
    mark = data.mark
    here: Any = data
    for depth, step in enumerate(path):
        if isinstance(here, Block) and step in here:
            mark = here.marks[str(step)]
            here = here[str(step)]
        elif isinstance(here, Items) and isinstance(step, int) and step < len(here):
            mark = here.marks[step]
            here = here[step]
        elif not (isinstance(step, str) and step.startswith(BRANCH)):
            rest = [str(name) for name in path[depth:] if not str(name).startswith(BRANCH)]
            return mark._replace(path=".".join([mark.path, *rest] if mark.path else rest))
    return mark


def _drop_not_run(data: Block, location: tuple[str | int, ...]) -> bool:
    here: Any = data
    for step in location:
        if not isinstance(here, Block) or step not in here:
            continue
        if isinstance(here[str(step)], NotRun):
            del here[str(step)]
            return True
        here = here[str(step)]
    return False


def _translate(data: Block, details: list[ErrorDetails]) -> ConfigError:
    """The error that stands first in its file; unknown keys before all others."""

    def order(detail: ErrorDetails) -> tuple[bool, str, int]:
        mark = mark_of(data, *detail["loc"])
        return (detail["type"] != "extra_forbidden", mark.file, mark.line)

    return _error(data, min(details, key=order))


def _error(data: Block, detail: ErrorDetails) -> ConfigError:
    location, context = detail["loc"], detail.get("ctx", {})
    if detail["type"] == "empty_key":
        location = (*location, str(context["key"]))
    mark = mark_of(data, *location)
    path = mark.path
    if detail["type"] == "extra_forbidden":
        return _unknown(data, location, mark)
    what = _WORDS.get(detail["type"], detail["msg"])
    if detail["type"] == "literal_error":
        what = f"should be one of {context['expected'].replace(' or ', ', ')}"
    if detail["type"] == "greater_than_equal":
        what = f"should be {context['ge']} or more"
    if detail["type"] == "less_than_equal":
        what = f"should be {context['le']} or less"
    return ConfigError(f"`{path}` {what}" if path else what, where=str(mark), key=path)


def _unknown(data: Block, location: tuple[str | int, ...], mark: Mark) -> ConfigError:
    key = str(location[-1])
    known = known_keys(location[:-1])
    where = (
        f"in `{parent}`" if (parent := mark.path.removesuffix(key).rstrip(".")) else "in the file"
    )
    hint = _OLD_KEYS.get(key, "") if len(location) == 1 else ""
    if not hint and (place := _elsewhere(key)):
        near = f"did you mean `{best}`? " if (best := nearest(key, known)) else ""
        hint = f"{near}`{key}` goes under `{place}`"
    return ConfigError(
        f"unknown key `{key}` {where}; {hint or did_you_mean(key, known)}".removesuffix("; "),
        where=str(mark),
        key=mark.path,
        next="keys that begin with `x-` are yours to use" if len(location) == 1 else "",
    )


def _elsewhere(key: str) -> str:
    """The section that has a key of exactly this name, nearest to the top; or nothing."""
    return next((path for path, section in sections() if path and key in keys_of(section)), "")


def sections() -> Iterator[tuple[str, type[Section]]]:
    """Every section once, breadth first, with the path of its first place in the file."""
    seen: set[type[Section]] = set()
    waiting: list[tuple[str, type[Section]]] = [("", File)]
    while waiting:
        path, section = waiting.pop(0)
        if section in seen:
            continue
        seen.add(section)
        yield path, section
        for key, field in keys_of(section).items():
            name = f"{path}.{key}" if path else key
            waiting += [
                (f"{name}.NAME" if named else name, inner)
                for inner, named in _named_sections(field.annotation)
            ]


def _named_sections(kind: Any, *, named: bool = False) -> Iterator[tuple[type[Section], bool]]:
    """The sections in a type, and whether they stand under names of the user's own."""
    if isinstance(kind, type) and issubclass(kind, Section):
        yield kind, named
        return
    for inner in get_args(kind):
        yield from _named_sections(inner, named=named or get_origin(kind) is dict)


def known_keys(location: tuple[str | int, ...]) -> tuple[str, ...]:
    """The keys that the section at this place of the file may have."""
    section: Any = File
    for step in location:
        section = _step(section, step)
    found = next((found for found, _ in _named_sections(section)), None)
    return tuple(keys_of(found)) if found else ()


def keys_of(section: type[Section]) -> Mapping[str, FieldInfo]:
    """The keys of a section, as they are written in the file."""
    return {field.alias or name: field for name, field in section.model_fields.items()}


def _step(kind: Any, step: str | int) -> Any:
    """The type below a type, one step further down the path."""
    if isinstance(step, str) and step.startswith(BRANCH):
        return kind
    origin, args = get_origin(kind), get_args(kind)
    if origin is dict:
        return args[1]
    if origin is tuple:
        return args[0]
    if isinstance(kind, type) and issubclass(kind, Section):
        field = keys_of(kind).get(str(step))
        return field.annotation if field else None
    return next((found for arg in args if (found := _step(arg, step)) is not None), None)
