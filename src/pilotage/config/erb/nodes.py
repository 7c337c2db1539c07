"""The syntax tree of the Ruby subset, as frozen values. Every node knows its line."""

from __future__ import annotations

from dataclasses import dataclass


class Unsupported(Exception):
    """This is Ruby that the evaluator does not know."""

    def __init__(self, what: str, line: int) -> None:
        super().__init__(what)
        self.what = what
        self.line = line


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """The root of all nodes; ``line`` counts from 1 in the template."""

    line: int


@dataclass(frozen=True, slots=True)
class Literal(Node):
    """A number, ``true``, ``false``, ``nil`` or a symbol."""

    value: str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class String(Node):
    """A string; its parts are texts and ``#{…}`` expressions."""

    parts: tuple[str | Node, ...]


@dataclass(frozen=True, slots=True)
class Command(Node):
    """A command in backticks or ``%x(…)``; ``source`` is how it is written."""

    parts: tuple[str | Node, ...]
    source: str


@dataclass(frozen=True, slots=True)
class Array(Node):
    """``[a, b]``, or ``%w[a b]``."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Name(Node):
    """A local variable."""

    name: str


@dataclass(frozen=True, slots=True)
class Constant(Node):
    """``ENV``, ``File``, ``Kamal::Utils``."""

    path: str


@dataclass(frozen=True, slots=True)
class Block(Node):
    """``{ |x| … }``, ``do |x| … end``, or ``&:name`` (then ``method`` is set)."""

    params: tuple[str, ...] = ()
    body: Node | None = None
    method: str | None = None


@dataclass(frozen=True, slots=True)
class Call(Node):
    """``receiver.name(args) { block }``; ``safe`` for ``&.``."""

    receiver: Node | None
    name: str
    args: tuple[Node, ...] = ()
    block: Block | None = None
    safe: bool = False


@dataclass(frozen=True, slots=True)
class Assign(Node):
    """``target = value``; ``operator`` is ``=``, ``||=`` or ``+=``. The target is a name or ``ENV[…]``."""

    target: Node
    operator: str
    value: Node


@dataclass(frozen=True, slots=True)
class Not(Node):
    """``!value``."""

    value: Node


@dataclass(frozen=True, slots=True)
class Logic(Node):
    """``left || right`` or ``left && right``; the right side is evaluated only when it counts."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Binary(Node):
    """``left == right``, ``left + right``, …"""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class If(Node):
    """``if``/``unless``/``elsif``/``else``, the ternary and the postfix forms."""

    condition: Node
    then: Node
    otherwise: Node | None = None


@dataclass(frozen=True, slots=True)
class Sequence(Node):
    """Statements, one after the other; its value is that of the last."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Text(Node):
    """Template text, put out as it is."""

    text: str


@dataclass(frozen=True, slots=True)
class Output(Node):
    """``<%= value %>``."""

    value: Node
