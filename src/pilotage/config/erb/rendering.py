"""Renders an ERB template to YAML text, and remembers which line came from where."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable

from pilotage.config.erb import ruby
from pilotage.config.erb.evaluate import Chunk, Evaluator
from pilotage.config.erb.nodes import Unsupported
from pilotage.config.erb.parser import parse
from pilotage.config.erb.rendered import CLOSING, OPENING, Context, NotRun, Rendered
from pilotage.config.erb.template import scan
from pilotage.errors import ConfigError


def render_erb(template: str, shown: str, context: Context) -> Rendered:
    """The text of a template that has ERB; see `pilotage.config.erb.render`."""

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
            text += f"{OPENING}{len(pieces)}{CLOSING}"
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
