"""A YAML file as plain data in which every key remembers its file and line.

Whatever a later check finds wrong can then be told as ``config/deploy.yml:12``, in whichever of the
merged files it was written. Used by `pilotage.config.load` alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from pilotage.config.erb import NotRun, Rendered
from pilotage.config.scalars import plain
from pilotage.errors import ConfigError

_TAG = re.compile(r"(?:&\S+\s+)?(!\S*)")
_SURROGATE = re.compile("[\ud800-\udfff]")
_MAX_NODES = 100_000  # a file of nested aliases can stand for billions of nodes


class Mark(NamedTuple):
    """Where something is written: the file as shown, the line (from 1), the dotted path of its key."""

    file: str
    line: int
    path: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


class Block(dict[str, Any]):
    """A mapping; ``marks`` says where each of its keys is written."""

    __slots__ = ("mark", "marks")

    def __init__(self, mark: Mark) -> None:
        super().__init__()
        self.mark = mark
        self.marks: dict[str, Mark] = {}

    def put(self, key: str, value: Any, mark: Mark) -> None:
        """Set a key that is written at ``mark``."""
        self[key] = value
        self.marks[key] = mark


class Items(list[Any]):
    """A list; ``marks`` says where each of its items is written."""

    __slots__ = ("mark", "marks")

    def __init__(self, mark: Mark) -> None:
        super().__init__()
        self.mark = mark
        self.marks: list[Mark] = []


def read_text(path: Path, shown: str) -> str:
    """The text of a file.

    Raises
    ------
    ConfigError
        It cannot be read, or it is not UTF-8.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=shown) from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            "is not UTF-8 text", where=f"{shown}:{line}", next="save the file as UTF-8"
        ) from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise ConfigError("is not a text file: it has a NUL byte", where=f"{shown}:{line}")
    return text.replace("\r\n", "\n")


def parse(rendered: Rendered, shown: str, *, may_be_empty: bool = False) -> Block:
    """The mapping that a rendered file holds.

    Raises
    ------
    ConfigError
        It is not YAML, not a mapping, or has a key twice.
    """
    reader = YAML(typ="safe", pure=True)
    reader.composer.warn_double_anchors = False
    try:
        node = _first(reader, rendered.text)
    except MarkedYAMLError as error:
        raise _syntax(error, rendered, shown) from error
    except RecursionError:
        raise ConfigError("it is nested too deeply", where=shown) from None
    except YAMLError as error:
        raise ConfigError(f"is not YAML: {error}", where=shown) from error
    mark = Mark(shown, 1)
    if node is None or (isinstance(node, ScalarNode) and plain(node.value) is None):
        if may_be_empty:
            return Block(mark)
        raise ConfigError(
            "is empty", where=shown, next="run `pilotage init` in an empty folder for an example"
        )
    if not isinstance(node, MappingNode):
        raise ConfigError(
            "should be a mapping of keys to values, such as `service: shop`", where=str(mark)
        )
    value = _Builder(rendered, shown).build(node, "")
    assert isinstance(value, Block)
    return value


def _first(reader: YAML, text: str) -> Node | None:
    """The first document, as Ruby's ``YAML.load`` takes it."""
    documents = reader.compose_all(text)
    try:
        return next(documents, None)
    finally:
        documents.close()


def _syntax(error: MarkedYAMLError, rendered: Rendered, shown: str) -> ConfigError:
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return ConfigError("is not YAML", where=shown)
    lines = rendered.text.split("\n")
    text = lines[mark.line] if mark.line < len(lines) else ""
    where = f"{shown}:{rendered.line(mark.line + 1)}"
    if "\t" in text[: len(text) - len(text.lstrip())]:
        return ConfigError(
            "a tab indents this line; YAML wants spaces", where=where, next="replace the tab"
        )
    problem = (error.problem or "cannot be read").strip()
    context = f" {error.context.strip()}" if error.context else ""
    return ConfigError(f"is not YAML: {problem}{context}", where=where)


class _Builder:
    """Turns a node graph into `Block`, `Items` and scalars."""

    def __init__(self, rendered: Rendered, shown: str) -> None:
        self._rendered = rendered
        self._shown = shown
        self._count = 0
        self._open: list[Node] = []

    def build(self, node: Node, path: str) -> Any:
        self._count += 1
        mark = self._mark(node, path)
        if self._count > _MAX_NODES:
            raise ConfigError("its aliases expand to more than 100,000 values", where=str(mark))
        if any(node is parent for parent in self._open):
            raise ConfigError("this alias contains itself", where=str(mark), key=path)
        self._open.append(node)
        try:
            if isinstance(node, MappingNode):
                return self._mapping(node, path, mark)
            if isinstance(node, SequenceNode):
                return self._sequence(node, path, mark)
            assert isinstance(node, ScalarNode)
            return self._scalar(node, mark)
        finally:
            self._open.pop()

    def _mark(self, node: Node, path: str) -> Mark:
        return Mark(self._shown, self._rendered.line(node.start_mark.line + 1), path)

    def _mapping(self, node: MappingNode, path: str, mark: Mark) -> Block:
        block = Block(mark)
        merged: list[Block] = []
        for key_node, value_node in node.value:
            key_mark = self._mark(key_node, path)
            if not isinstance(key_node, ScalarNode):
                raise ConfigError("a key should be a text", where=str(key_mark), key=path)
            key = self._key(key_node, key_mark)
            if key == "<<" and key_node.style is None:
                merged += self._merged(value_node, path)
                continue
            inner = f"{path}.{key}" if path else key
            if key in block:
                raise ConfigError(
                    f"`{key}` is written twice (first on line {block.marks[key].line})",
                    where=str(key_mark),
                    key=inner,
                    next="remove one of the two",
                )
            block.put(key, self.build(value_node, inner), key_mark._replace(path=inner))
        for other in merged:
            for key, value in other.items():
                if key not in block:
                    block.put(key, value, other.marks[key])
        return block

    def _key(self, node: ScalarNode, mark: Mark) -> str:
        text = self._text(node, mark)
        if node.style is None and len(text) > 1 and text[0] == ":":
            return str(plain(text))
        return str(text)

    def _merged(self, node: Node, path: str) -> list[Block]:
        nodes: Sequence[Node] = node.value if isinstance(node, SequenceNode) else [node]
        if not all(isinstance(item, MappingNode) for item in nodes):
            raise ConfigError(
                "`<<` should name a mapping, or a list of them",
                where=str(self._mark(node, path)),
                key=path,
            )
        blocks = [self.build(item, path) for item in nodes]
        return [block for block in blocks if isinstance(block, Block)]

    def _sequence(self, node: SequenceNode, path: str, mark: Mark) -> Items:
        items = Items(mark)
        for index, item in enumerate(node.value):
            inner = f"{path}[{index}]"
            items.append(self.build(item, inner))
            items.marks.append(self._mark(item, inner))
        return items

    def _scalar(self, node: ScalarNode, mark: Mark) -> str | int | float | bool | None:
        text = self._text(node, mark)
        if isinstance(text, NotRun):
            return text
        tag = self._written_tag(node)
        if tag is None:
            return text if node.style is not None else plain(text)
        if tag in {"!!str", "!"}:
            return text
        if tag in {"!!int", "!!float", "!!bool", "!!null"}:
            return plain(text)
        raise ConfigError(f"the tag {tag} is not allowed", where=str(mark), key=mark.path)

    def _text(self, node: ScalarNode, mark: Mark) -> str:
        """What a scalar says. A character beyond U+FFFF may be written as in JSON, as two escapes of a pair."""
        text = self._rendered.restore(node.value)
        if not _SURROGATE.search(text):
            return text
        try:
            return text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            raise ConfigError(
                "half of a surrogate pair is no character", where=str(mark), key=mark.path
            ) from None

    def _written_tag(self, node: Node) -> str | None:
        """The tag as it is written before the value; the parser's own does not say whether it is."""
        source = self._rendered.text[node.start_mark.index : node.end_mark.index]
        found = _TAG.match(source)
        return found[1] if found else None


def merge(base: Block, over: Block) -> Block:
    """``over`` laid on ``base``: mappings are merged key by key, everything else is replaced."""
    result = Block(base.mark)
    for key, value in base.items():
        result.put(key, value, base.marks[key])
    for key, value in over.items():
        old = result.get(key)
        if isinstance(old, Block) and isinstance(value, Block):
            result.put(key, merge(old, value), result.marks[key])
        else:
            result.put(key, value, over.marks[key])
    return result
