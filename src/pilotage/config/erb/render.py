"""Renders an ERB template to YAML text, and remembers which line came from where."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass
from pathlib import Path

from pilotage.config.erb import ruby
from pilotage.config.erb.evaluate import Chunk, Evaluator, NotRun
from pilotage.config.erb.nodes import Unsupported
from pilotage.config.erb.parser import parse
from pilotage.config.erb.template import scan
from pilotage.errors import ConfigError

# Private-use characters: they may stand anywhere in YAML and mean nothing there, so the text of a
# command that was not run cannot break the file around it.
_PLACE = re.compile("\ue000(\\d+)\ue001")


@dataclass(frozen=True, slots=True)
class Context:
    """What a template may use.

    ``environ``: its ``ENV``, which it may write to. ``root``: where its paths and commands start.
    """

    environ: MutableMapping[str, str]
    root: Path
    run_commands: bool = False


@dataclass(frozen=True, slots=True)
class Rendered:
    """YAML text; ``lines[i]`` is the line of the template that line ``i + 1`` came from."""

    text: str
    lines: tuple[int, ...] = ()
    pieces: tuple[str, ...] = ()
    not_run: tuple[str, ...] = ()

    def line(self, number: int) -> int:
        """The line of the template behind a line of the text; 0 when nobody knows."""
        if not self.lines:
            return number
        return self.lines[min(number, len(self.lines)) - 1]

    def restore(self, text: str) -> str:
        """A scalar with the commands that were not run put back in; then it is a `NotRun`."""
        if not self.pieces or "\ue000" not in text:
            return text
        return NotRun(_PLACE.sub(self._piece, text))

    def _piece(self, found: re.Match[str]) -> str:
        index = int(found[1])  # the file may hold such characters itself
        return self.pieces[index] if index < len(self.pieces) else found[0]


def render(template: str, shown: str, context: Context) -> Rendered:
    """The text of a template. ``shown`` is the file's name in messages.

    Raises
    ------
    ConfigError
        The template says no, a command cannot be run, or it holds Ruby that nobody here can run.
    """
    if "<%" not in template:
        return Rendered(template)

    def where(line: int) -> str:
        return f"{shown}:{line}"

    def run(command: str, written: str, line: int) -> str:
        return run_command(command, written, where(line), context)

    evaluator = Evaluator(
        environ=context.environ,
        root=context.root,
        command=run if context.run_commands else None,
        where=where,
    )
    try:
        evaluator.run(parse(scan(template)))
    except RecursionError:
        raise ConfigError("its ERB is nested too deeply", where=shown) from None
    except Unsupported as error:
        if not context.run_commands:
            raise ConfigError(
                f"this ERB needs Ruby itself, because of {error.what}; it may run anything, so it "
                "waits for your word",
                where=where(error.line),
                next="add --allow-erb-commands, or write it with ENV, ENV.fetch, || and ?:",
            ) from error
        return Rendered(ruby.render(template, shown, context.environ, context.root, error))
    return _assemble(evaluator.output, evaluator.not_run, shown)


def _assemble(output: Iterable[Chunk], not_run: Iterable[tuple[str, int]], shown: str) -> Rendered:
    text = ""
    pieces: list[str] = []
    lines = [1]
    for chunk in output:
        if isinstance(chunk.text, NotRun):
            text += f"\ue000{len(pieces)}\ue001"
            pieces.append(str(chunk.text))
            continue
        if not text or text.endswith("\n"):
            lines[-1] = chunk.line
        step = 1 if chunk.template else 0
        newlines = chunk.text.count("\n")
        lines += [chunk.line + step * offset for offset in range(1, newlines + 1)]
        text += chunk.text
    return Rendered(
        text,
        tuple(lines),
        tuple(pieces),
        tuple(f"{shown}:{line}: {command}" for command, line in not_run),
    )


def run_command(command: str, written: str, where: str, context: Context) -> str:
    """The output of a shell command, as Ruby's backticks give it: its exit status is not asked.

    Raises
    ------
    ConfigError
        There is no such command.
    """
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=context.root,
        env=dict(context.environ),
        stdout=subprocess.PIPE,
        check=False,
    )
    if done.returncode in {126, 127}:
        raise ConfigError(f"the command cannot be run: {written}", where=where)
    return done.stdout.decode("utf-8", "replace")
