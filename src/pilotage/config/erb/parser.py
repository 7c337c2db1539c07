"""A recursive-descent parser for the Ruby subset.

::

    program    = { statement }
    statement  = TEXT | OUTPUT line | if | line
    line       = expr { ("if" | "unless") expr }
    expr       = not { ("and" | "or") not }              lowest: `and`, `or`, `not`
    assign     = target ("=" | "||=" | "+=") assign | ternary
    ternary    = or [ "?" ternary ":" ternary ]
    or, and, equality, comparison, sum, product          the usual binary levels
    unary      = "!" unary | postfix
    postfix    = primary { "." name [args] [block] | "[" args "]" }
    primary    = literal | string | command | name | constant | "(" line ")" | "[" args "]"
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pilotage.config.erb import nodes as n
from pilotage.config.erb.lexer import Token, tokens
from pilotage.config.erb.methods import KNOWN
from pilotage.config.erb.nodes import Unsupported
from pilotage.config.erb.template import Kind, Part

_COMMANDS = frozenset({"require", "require_relative", "raise", "fail", "abort"})
_LEVELS = (("==", "!="), ("<", "<=", ">", ">="), ("+", "-"), ("*", "/"))


def parse(parts: Iterable[Part]) -> n.Node:
    """The tree of a template.

    The code of all tags makes one stream of tokens, with the text between them as statements: so
    ``<% if x %> … <% end %>`` needs no rule of its own.

    Raises
    ------
    Unsupported
        It has Ruby that the evaluator does not know.
    """
    stream: list[Token] = []
    line = 1
    for part in parts:
        line = part.line
        if part.kind is Kind.TEXT:
            stream.append(Token("text", part.source, line))
            continue
        if part.kind is Kind.OUTPUT:
            stream.append(Token("output", "", line))
        stream += tokens(part.source, line)
        stream.append(Token("newline", "\n", line))
    parser = _Parser(stream, line)
    tree = parser.statements()
    parser.expect_end()
    return tree


class _Parser:
    def __init__(self, stream: list[Token] | tuple[Token, ...], line: int) -> None:
        self._stream = stream
        self._at = 0
        self._end = Token("end", "the end", line)

    @property
    def _token(self) -> Token:
        return self._stream[self._at] if self._at < len(self._stream) else self._end

    def _take(self) -> Token:
        token = self._token
        self._at += 1
        return token

    def _accept(self, kind: str, *values: str) -> Token | None:
        return self._take() if self._token.is_(kind, *values) else None

    def _expect(self, kind: str, value: str) -> Token:
        found = self._accept(kind, value)
        if found is None:
            raise Unsupported(
                f"`{self._token.value.strip()}` where `{value}` should be", self._line
            )
        return found

    @property
    def _line(self) -> int:
        return self._token.line

    def _newlines(self) -> None:
        while self._accept("newline"):
            pass

    def expect_end(self) -> None:
        if self._token.kind != "end":
            raise Unsupported(f"`{self._token.value.strip()}`", self._line)

    # ------------------------------------------------------------------ statements

    def statements(self) -> n.Node:
        """Statements up to ``end``, ``else``, ``elsif``, ``}`` or the end."""
        line = self._line
        items: list[n.Node] = []
        while True:
            self._newlines()
            token = self._token
            if token.kind == "end" or token.is_("keyword", "end", "else", "elsif"):
                break
            if token.is_("operator", "}"):
                break
            items.append(self._statement())
        return items[0] if len(items) == 1 else n.Sequence(tuple(items), line=line)

    def _statement(self) -> n.Node:
        token = self._token
        if self._accept("text"):
            return n.Text(token.value, line=token.line)
        if self._accept("output"):
            self._newlines()
            return n.Output(self._statement(), line=token.line)
        if token.is_("keyword", "if", "unless"):
            return self._if()
        statement = self.line()
        after = self._token
        if not (
            after.kind in {"newline", "text", "end"}
            or after.is_("keyword", "end", "else", "elsif")
            or after.is_("operator", "}")
        ):
            raise Unsupported(f"`{after.value.strip()}`", after.line)
        return statement

    def _if(self) -> n.Node:
        keyword = self._take()
        condition = self._expr()
        if keyword.value == "unless":
            condition = n.Not(condition, line=keyword.line)
        self._accept("keyword", "then")
        then = self.statements()
        otherwise: n.Node | None = None
        if self._token.is_("keyword", "elsif"):
            return n.If(condition, then, self._if(), line=keyword.line)
        if self._accept("keyword", "else"):
            otherwise = self.statements()
        self._expect("keyword", "end")
        return n.If(condition, then, otherwise, line=keyword.line)

    def line(self) -> n.Node:
        """One expression with its postfix ``if`` and ``unless``."""
        value = self._expr()
        while keyword := self._accept("keyword", "if", "unless"):
            condition = self._expr()
            if keyword.value == "unless":
                condition = n.Not(condition, line=keyword.line)
            value = n.If(condition, value, line=keyword.line)
        return value

    # ------------------------------------------------------------------ expressions

    def _expr(self) -> n.Node:
        left = self._not()
        while operator := self._accept("keyword", "and", "or"):
            left = n.Logic(
                {"and": "&&", "or": "||"}[operator.value], left, self._not(), line=operator.line
            )
        return left

    def _not(self) -> n.Node:
        if keyword := self._accept("keyword", "not"):
            return n.Not(self._not(), line=keyword.line)
        return self._assign()

    def _assign(self) -> n.Node:
        target = self._ternary()
        operator = self._accept("operator", "=", "||=", "+=")
        if operator is None:
            return target
        if not isinstance(target, n.Name) and not (
            isinstance(target, n.Call) and target.name == "[]"
        ):
            raise Unsupported("an assignment to this", operator.line)
        self._newlines()
        return n.Assign(target, operator.value, self._assign(), line=operator.line)

    def _ternary(self) -> n.Node:
        condition = self._or()
        if not (question := self._accept("operator", "?")):
            return condition
        self._newlines()
        then = self._ternary()
        self._newlines()
        self._expect("operator", ":")
        self._newlines()
        return n.If(condition, then, self._ternary(), line=question.line)

    def _or(self) -> n.Node:
        return self._logic("||", self._and)

    def _and(self) -> n.Node:
        return self._logic("&&", lambda: self._binary(0))

    def _logic(self, operator: str, inner: Callable[[], n.Node]) -> n.Node:
        left = inner()
        while token := self._accept("operator", operator):
            self._newlines()
            left = n.Logic(operator, left, inner(), line=token.line)
        return left

    def _binary(self, level: int) -> n.Node:
        if level == len(_LEVELS):
            return self._unary()
        left = self._binary(level + 1)
        while token := self._accept("operator", *_LEVELS[level]):
            self._newlines()
            left = n.Binary(token.value, left, self._binary(level + 1), line=token.line)
        return left

    def _unary(self) -> n.Node:
        if token := self._accept("operator", "!"):
            return n.Not(self._unary(), line=token.line)
        if token := self._accept("operator", "-"):
            zero = n.Literal(0, line=token.line)
            return n.Binary("-", zero, self._unary(), line=token.line)
        return self._postfix(self._primary())

    def _postfix(self, value: n.Node) -> n.Node:
        while True:
            self._continued()
            token = self._token
            if self._accept("operator", ".", "&."):
                name = self._take()
                # Refused before anything has run: the evaluator would run the file's commands first.
                if name.kind != "name" or name.value not in KNOWN:
                    raise Unsupported(f"`.{name.value}`", name.line)
                args, block = self._arguments()
                value = n.Call(
                    value, name.value, args, block, safe=token.value == "&.", line=name.line
                )
            elif self._accept("operator", "["):
                args = self._list("]")
                value = n.Call(value, "[]", args, line=token.line)
            else:
                return value

    def _continued(self) -> None:
        """A line that begins with ``.`` goes on with the expression before it."""
        ahead = self._at
        while ahead < len(self._stream) and self._stream[ahead].kind == "newline":
            ahead += 1
        if ahead < len(self._stream) and self._stream[ahead].is_("operator", ".", "&."):
            self._at = ahead

    def _arguments(self) -> tuple[tuple[n.Node, ...], n.Block | None]:
        args: tuple[n.Node, ...] = ()
        block: n.Block | None = None
        if self._accept("operator", "("):
            args = self._list(")", block_allowed=True)
            if args and isinstance(args[-1], n.Block):
                block = args[-1]
                args = args[:-1]
        if opening := self._accept("operator", "{"):
            block = self._block(opening.line, "operator", "}")
        elif opening := self._accept("keyword", "do"):
            block = self._block(opening.line, "keyword", "end")
        return args, block

    def _block(self, line: int, kind: str, closing: str) -> n.Block:
        params: list[str] = []
        if self._accept("operator", "|"):
            while not self._accept("operator", "|"):
                name = self._take()
                if name.kind != "name":
                    raise Unsupported("this block", line)
                params.append(name.value)
                self._accept("operator", ",")
        body = self.statements()
        self._expect(kind, closing)
        return n.Block(tuple(params), body, line=line)

    def _list(self, closing: str, *, block_allowed: bool = False) -> tuple[n.Node, ...]:
        items: list[n.Node] = []
        self._newlines()
        while not self._accept("operator", closing):
            if block_allowed and (token := self._accept("operator", "&")):
                symbol = self._take()
                if symbol.kind != "symbol":
                    raise Unsupported("`&` with this", token.line)
                items.append(n.Block(method=symbol.value, line=token.line))
            else:
                items.append(self._expr())
            self._newlines()
            if not self._token.is_("operator", closing):
                self._expect("operator", ",")
                self._newlines()
        return tuple(items)

    def _primary(self) -> n.Node:
        token = self._take()
        line = token.line
        match token.kind:
            case "int":
                return n.Literal(int(token.value), line=line)
            case "float":
                return n.Literal(float(token.value), line=line)
            case "symbol":
                return n.Literal(token.value, line=line)
            case "string":
                return n.String(self._parts(token), line=line)
            case "command":
                return n.Command(self._parts(token), token.value.strip(), line=line)
            case "words":
                words = (n.Literal(word, line=line) for word in token.value.split())
                return n.Array(tuple(words), line=line)
            case "constant":
                return n.Constant(token.value, line=line)
            case "name":
                return self._name(token)
            case "keyword" if token.value in {"true", "false", "nil"}:
                known = {"true": True, "false": False, "nil": None}
                return n.Literal(known[token.value], line=line)
            case "operator" if token.value == "(":
                self._newlines()
                value = self.line()
                self._newlines()
                self._expect("operator", ")")
                return value
            case "operator" if token.value == "[":
                return n.Array(self._list("]"), line=line)
        raise Unsupported(f"`{token.value.strip()}`", line)

    def _name(self, token: Token) -> n.Node:
        if self._token.is_("operator", "(") or token.value not in _COMMANDS:
            if not self._token.is_("operator", "("):
                return n.Name(token.value, line=token.line)
            args, block = self._arguments()
            return n.Call(None, token.value, args, block, line=token.line)
        args = () if self._token.kind in {"newline", "end"} else (self._expr(),)
        return n.Call(None, token.value, args, line=token.line)

    def _parts(self, token: Token) -> tuple[str | n.Node, ...]:
        parts: list[str | n.Node] = []
        for part in token.parts:
            if isinstance(part, str):
                parts.append(part)
            else:
                inner = _Parser(part, token.line)
                parts.append(inner.statements())
                inner.expect_end()
        return tuple(parts)
