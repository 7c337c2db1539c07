"""Evaluates the tree of a template to text. Reads files, runs commands where that is allowed."""

from __future__ import annotations

import operator
import os
import platform
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pilotage.config import dotenv
from pilotage.config.erb import nodes as n
from pilotage.config.erb.methods import BLOCK_METHODS, METHODS, to_s
from pilotage.config.erb.nodes import Unsupported
from pilotage.config.erb.rendered import NotRun
from pilotage.errors import ConfigError

_LIBRARIES = frozenset({"dotenv", "dotenv/load", "erb", "json", "yaml", "active_support"})
_BINARY: Mapping[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
}
_ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


RunCommand = Callable[[str, str, int], str]  # the command, how it is written, its line


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of output and the line it comes from; ``template``: text that stands there as it is."""

    text: str
    line: int
    template: bool = False


class Evaluator:
    """One run over one template.

    Parameters
    ----------
    environ:
        What ``ENV`` is. Written to by ``Dotenv.load`` and ``ENV["X"] =``.
    root:
        The folder that relative paths and commands start from.
    command:
        Runs a command and returns its output, or None where commands may not run.
    where:
        The file of a line, as ``file:line``.
    """

    def __init__(
        self,
        *,
        environ: MutableMapping[str, str],
        root: Path,
        command: RunCommand | None,
        where: Callable[[int], str],
    ) -> None:
        self._environ = environ
        self._root = root
        self._command = command
        self._where = where
        self._locals: dict[str, Any] = {}
        self.output: list[Chunk] = []
        self.not_run: list[tuple[str, int]] = []

    def run(self, node: n.Node) -> Any:
        """The value of a node; text goes to ``output``.

        Raises
        ------
        Unsupported
            A method or a name that the evaluator does not know.
        ConfigError
            The template itself says no: a missing variable, a missing file, ``raise``.
        """
        match node:
            case n.Text(text=text, line=line):
                self.output.append(Chunk(text, line, template=True))
                return None
            case n.Output(value=inner, line=line):
                value = self.run(inner)
                self.output.append(Chunk(_as_text(value, line), line))
                return None
            case n.Sequence(items=items):
                value = None
                for item in items:
                    value = self.run(item)
                return value
            case n.Literal(value=value):
                return value
            case n.String(parts=parts):
                return self._interpolate(parts)
            case n.Array(items=items):
                return [self.run(item) for item in items]
            case n.Command():
                return self._run_command(node)
            case n.Not(value=inner, line=line):
                return not self._truth(self.run(inner), line)
            case n.Logic():
                return self._logic(node)
            case n.Binary():
                return self._binary(node)
            case n.If():
                if self._truth(self.run(node.condition), node.line):
                    return self.run(node.then)
                return self.run(node.otherwise) if node.otherwise else None
            case n.Assign():
                return self._assign(node)
            case n.Name(name=name, line=line):
                return self._name(name, line)
            case n.Call():
                return self._call(node)
        raise Unsupported("this", node.line)

    def _interpolate(self, parts: tuple[str | n.Node, ...]) -> str:
        texts = [
            part if isinstance(part, str) else _as_text(self.run(part), part.line) for part in parts
        ]
        return _like("".join(texts), *texts)

    def _run_command(self, node: n.Command) -> str:
        if self._command is None:
            self.not_run.append((node.source, node.line))
            return NotRun(f"[not run: {node.source}]")
        return self._command(self._interpolate(node.parts), node.source, node.line)

    def _truth(self, value: Any, line: int) -> bool:
        if isinstance(value, _Undecided):
            raise ConfigError(
                "what this file says depends on the output of a command, which was not run: "
                f"{value.text}",
                where=self._where(line),
                next="add --allow-erb-commands",
            )
        return value is not None and value is not False

    def _logic(self, node: n.Logic) -> Any:
        left = self.run(node.left)
        if self._truth(left, node.line) == (node.operator == "||"):
            return left
        return self.run(node.right)

    def _binary(self, node: n.Binary) -> Any:
        left, right = self.run(node.left), self.run(node.right)
        undecided = next((v for v in (left, right) if isinstance(v, NotRun)), None)
        if undecided is not None:
            if node.operator == "+" and isinstance(left, str) and isinstance(right, str):
                return NotRun(left + right)
            return _Undecided(undecided)
        try:
            if node.operator == "/" and isinstance(left, int) and isinstance(right, int):
                return left // right
            return _BINARY[node.operator](left, right)
        except (KeyError, TypeError, ZeroDivisionError) as error:
            raise Unsupported(f"`{node.operator}` here", node.line) from error

    def _assign(self, node: n.Assign) -> Any:
        target = node.target
        if node.operator != "=":
            old = self._locals.get(target.name) if isinstance(target, n.Name) else self.run(target)
            if node.operator == "||=" and self._truth(old, node.line):
                return old
            value = self.run(node.value)
            if node.operator == "+=":
                try:
                    total = old + value
                except TypeError as error:
                    raise Unsupported("`+=` here", node.line) from error
                value = _like(total, old, value) if isinstance(total, str) else total
        else:
            value = self.run(node.value)
        match target:
            case n.Name(name=name):
                self._locals[name] = value
            case n.Call(receiver=n.Constant(path="ENV"), args=(key,)) if isinstance(value, str):
                self._environ[_as_text(self.run(key), node.line)] = value
            case _:
                raise Unsupported("an assignment to this", node.line)
        return value

    def _name(self, name: str, line: int) -> Any:
        if name in self._locals:
            return self._locals[name]
        raise Unsupported(f"`{name}`", line)

    # ------------------------------------------------------------------ calls

    def _call(self, node: n.Call) -> Any:
        args = [self.run(arg) for arg in node.args]
        if node.receiver is None:
            return self._function(node.name, args, node.line)
        if isinstance(node.receiver, n.Constant):
            return self._constant(node.receiver.path, node, args)
        value = self.run(node.receiver)
        if node.safe and value is None:
            return None
        if node.name in BLOCK_METHODS and node.block is not None:
            return self._iterate(value, node)
        return self._method(value, node.name, args, node.line)

    def _method(self, value: Any, name: str, args: list[Any], line: int) -> Any:
        known = METHODS.get(name)
        if known is None:
            raise Unsupported(f"`.{name}`", line)
        if isinstance(value, _Undecided):
            return value
        try:
            result = known(value, *args)
        except (TypeError, AttributeError) as error:
            raise Unsupported(f"`.{name}` here", line) from error
        if isinstance(value, NotRun):
            if isinstance(result, str):
                return NotRun(value)
            return _Undecided(value)
        return result

    def _iterate(self, values: Any, node: n.Call) -> Any:
        block = node.block
        if not isinstance(values, list) or block is None or len(block.params) > 1:
            if isinstance(values, _Undecided):
                self._truth(values, node.line)
            raise Unsupported(f"`.{node.name}` here", node.line)
        results = [self._yield(block, value) for value in values]
        truths = [self._truth(result, node.line) for result in results]
        match node.name:
            case "each":
                return values
            case "map" | "collect":
                return results
            case "select" | "filter":
                return [value for value, yes in zip(values, truths, strict=True) if yes]
            case "reject":
                return [value for value, yes in zip(values, truths, strict=True) if not yes]
            case "any?":
                return any(truths)
        return all(truths)

    def _yield(self, block: n.Block, value: Any) -> Any:
        if block.method is not None:
            return self._method(value, block.method, [], block.line)
        for name in block.params:
            self._locals[name] = value
        return self.run(block.body) if block.body else None

    def _function(self, name: str, args: list[Any], line: int) -> Any:
        if name == "require" and len(args) == 1 and args[0] in _LIBRARIES:
            if args[0] == "dotenv/load":
                self._dotenv([], required=False, overload=False, line=line)
            return True
        if name in {"raise", "fail", "abort"} and len(args) == 1 and isinstance(args[0], str):
            raise ConfigError(args[0], where=self._where(line))
        raise Unsupported(f"`{name}`", line)

    def _constant(self, path: str, node: n.Call, args: list[Any]) -> Any:
        name, line = node.name, node.line
        if path == "ENV":
            return self._env(node, args)
        if path in {"File", "IO", "Dir"} and all(isinstance(arg, str) for arg in args):
            return self._file(path, name, args, line)
        if path == "Kamal::Utils" and name == "docker_arch":
            machine = platform.machine().lower()
            return _ARCHITECTURES.get(machine, machine)
        if path == "Dotenv" and name in {"load", "load!", "overload"}:
            files = [_as_text(arg, line) for arg in args]
            self._dotenv(files, required=name == "load!", overload=name == "overload", line=line)
            return True
        raise Unsupported(f"`{path}.{name}`", line)

    def _env(self, node: n.Call, args: list[Any]) -> Any:
        line = node.line
        if not args or not isinstance(args[0], str):
            raise Unsupported(f"`ENV.{node.name}` here", line)
        key = args[0]
        if node.name == "[]":
            return self._environ.get(key)
        if node.name in {"key?", "has_key?", "include?", "member?"}:
            return key in self._environ
        if node.name != "fetch":
            raise Unsupported(f"`ENV.{node.name}`", line)
        if key in self._environ:
            return self._environ[key]
        if node.block is not None:
            return self._yield(node.block, key)
        if len(args) > 1:
            return args[1]
        raise ConfigError(
            f"the environment variable {key} is not set, and ENV.fetch has no default for it",
            where=self._where(line),
            next=f'set {key}, or write ENV.fetch("{key}", "…")',
        )

    def _file(self, path: str, name: str, args: list[str], line: int) -> Any:
        match (path, name, args):
            case ("File" | "IO", "read", [file]):
                return self._read(file, line)
            case ("File", "exist?" | "file?", [file]):
                return (self._root / file).exists()
            case ("File", "join", [_, *_]):
                return "/".join(args)
            case ("File", "basename", [file]):
                return Path(file).name
            case ("File", "dirname", [file]):
                return os.path.dirname(file) or "."  # noqa: PTH120 - on text, as Ruby does
            case ("File", "expand_path", [file]):
                return os.path.normpath(self._root / Path(file).expanduser())
            case ("Dir", "pwd", []):
                return str(self._root)
        raise Unsupported(f"`{path}.{name}` here", line)

    def _read(self, file: str, line: int) -> str:
        try:
            return (self._root / file).read_text(encoding="utf-8")
        except OSError as error:
            raise ConfigError(
                f"{file}: cannot be read: {error.strerror}", where=self._where(line)
            ) from error
        except UnicodeDecodeError as error:
            raise ConfigError(f"{file} is not UTF-8 text", where=self._where(line)) from error

    def _dotenv(self, files: list[str], *, required: bool, overload: bool, line: int) -> None:
        for file in files or [".env"]:
            if not (self._root / file).exists():
                if required:
                    raise ConfigError(f"{file} does not exist", where=self._where(line))
                continue
            for entry in dotenv.parse(self._read(file, line), file):
                if entry.name in self._environ and not overload:
                    continue
                value = entry.evaluate(
                    lambda name: self._environ.get(name, ""),
                    partial(self._dotenv_command, entry=entry, line=line),
                )
                self._environ[entry.name] = value

    def _dotenv_command(self, command: str, *, entry: dotenv.Entry, line: int) -> str:
        written = entry.commands[0]
        if self._command is None:
            self.not_run.append((written, line))
            return f"[not run: {written}]"
        return self._command(command, written, line)


class _Undecided:
    """A value that follows from the output of a command that was not run."""

    def __init__(self, text: str | NotRun) -> None:
        self.text = str(text)


def _as_text(value: Any, line: int) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, _Undecided):
        return NotRun(value.text)
    try:
        return to_s(value)
    except TypeError as error:
        raise Unsupported("this as text", line) from error


def _like(text: str, *sources: object) -> str:
    """``text``, which is not certain when one of its sources is not."""
    if any(isinstance(source, NotRun) for source in sources):
        return NotRun(text)
    return text
