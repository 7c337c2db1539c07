"""Brings the short forms of the file into their long form, before the models see it.

``servers: [a, b]`` is a ``web`` role, ``web: [a]`` has hosts, ``env: {A: b}`` is clear, and
``databases: {primary: URL}`` has a url. Every part keeps the place where it is written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pilotage.config.document import Block, Items, Mark

Change = Callable[[Any, Mark], Any]
_ENV = frozenset({"clear", "secret", "tags"})


def normalise(data: Block) -> Block:
    """The file in its long form, without ``x-`` keys."""
    result = Block(data.mark)
    for key, value in data.items():
        if not key.startswith("x-"):
            change = _KEYS.get(key, _same)
            result.put(key, change(value, data.marks[key]), data.marks[key])
    return result


def _same(value: Any, mark: Mark) -> Any:
    return value


def _wrap(key: str, value: Any, mark: Mark) -> Block:
    block = Block(mark)
    block.put(key, value, mark)
    return block


def _servers(value: Any, mark: Mark) -> Any:
    if isinstance(value, Items):
        return _wrap("web", _wrap("hosts", value, mark), mark)
    return _each(value, _role)


def _role(value: Any, mark: Mark) -> Any:
    if isinstance(value, Items):
        return _wrap("hosts", value, mark)
    return _with_env(value)


def _accessories(value: Any, mark: Mark) -> Any:
    return _each(value, lambda inner, _: _with_env(inner))


def _with_env(value: Any) -> Any:
    if isinstance(value, Block) and "env" in value:
        copy = _copy(value)
        copy["env"] = _env(value["env"], value.marks["env"])
        return copy
    return value


def _env(value: Any, mark: Mark) -> Any:
    if not isinstance(value, Block):
        return value
    if not _ENV & value.keys():
        return _wrap("clear", value, mark) if value else value
    if isinstance(value.get("tags"), Block):
        copy = _copy(value)
        copy["tags"] = _each(value["tags"], _env)
        return copy
    return value


def _databases(value: Any, mark: Mark) -> Any:
    def database(inner: Any, at: Mark) -> Any:
        return _wrap("url", inner, at) if isinstance(inner, str) else inner

    return _each(value, database)


def _each(value: Any, change: Change) -> Any:
    if not isinstance(value, Block):
        return value
    result = Block(value.mark)
    for key, inner in value.items():
        result.put(key, change(inner, value.marks[key]), value.marks[key])
    return result


def _copy(value: Block) -> Block:
    return _each(value, _same)  # type: ignore[no-any-return]


_KEYS: Mapping[str, Change] = {
    "servers": _servers,
    "env": _env,
    "databases": _databases,
    "accessories": _accessories,
}
