"""Tells the story: on a terminal with colour and a live line of the load, elsewhere in plain lines."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TextIO


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table at the end."""

    name: str
    value: str
    good: bool | None = None


class Narrator(Protocol):
    """Where the story goes."""

    def scene(self, number: int, title: str, why: str) -> None:
        """A scene begins."""
        ...

    def command(self, line: str) -> None:
        """A command, as a person would type it."""
        ...

    def output(self, line: str) -> None:
        """A line that a command printed."""
        ...

    def detail(self, line: str) -> None:
        """A line that a command printed, worth a glance while it is the last."""
        ...

    def say(self, text: str) -> None:
        """A sentence."""
        ...

    def outcome(self, text: str, *, good: bool) -> None:
        """What came of it."""
        ...

    def load(self, progress: dict[str, Any] | None) -> None:
        """What the load generator sees now; None when it has stopped."""
        ...

    def table(self, title: str, rows: Sequence[Row]) -> None:
        """The numbers."""
        ...

    def close(self) -> None:
        """The story is over."""
        ...


def narrator(out: TextIO) -> Narrator:
    """The one that fits: rich on a terminal, plain lines elsewhere."""
    return Rich(out) if out.isatty() else Plain(out)


def load_line(progress: dict[str, Any]) -> str:
    """The load in one line."""
    p99 = progress.get("p99_ms")
    return (
        f"{progress['requests']:,} requests, {progress['failed']} failed, "
        f"{progress['rate']} a second, p99 {'–' if p99 is None else f'{p99:.0f} ms'}"
    )


class Plain:
    """Lines without colour. The load is told at the end of a scene."""

    def __init__(self, out: TextIO = sys.stdout) -> None:
        self._out = out
        self._load: dict[str, Any] | None = None

    def _line(self, text: str = "") -> None:
        self._out.write(f"{text}\n")
        self._out.flush()

    def _tell_load(self) -> None:
        if self._load is not None:
            self._line(f"   load: {load_line(self._load)}")

    def scene(self, number: int, title: str, why: str) -> None:
        """A scene begins."""
        self._tell_load()
        self._line()
        self._line(f"{number}. {title}")
        if why:
            self._line(f"   {why}")

    def command(self, line: str) -> None:
        """A command."""
        self._line(f"   $ {line}")

    def output(self, line: str) -> None:
        """A line of output."""
        self._line(f"   | {line}")

    def detail(self, line: str) -> None:
        """Left out."""

    def say(self, text: str) -> None:
        """A sentence."""
        self._line(f"   {text}")

    def outcome(self, text: str, *, good: bool) -> None:
        """What came of it."""
        self._line(f"   {'ok' if good else 'NOT OK'}: {text}")

    def load(self, progress: dict[str, Any] | None) -> None:
        """Kept for the end of the scene."""
        self._load = progress

    def table(self, title: str, rows: Sequence[Row]) -> None:
        """Two columns."""
        self._line()
        self._line(title)
        width = max((len(row.name) for row in rows), default=0)
        for row in rows:
            mark = {None: " ", True: "+", False: "!"}[row.good]
            self._line(f" {mark} {row.name:{width}}  {row.value}")

    def close(self) -> None:
        """Nothing to take down."""


class Rich:
    """Colour; at the bottom of the terminal what happens now, and the load, in two live lines."""

    def __init__(self, out: TextIO) -> None:
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text

        self._text = Text
        self._detail = ""
        self._load = Text("")
        self._console = Console(file=out, highlight=False)
        self._live = Live(Text(""), console=self._console, refresh_per_second=4, transient=True)
        self._live.start()

    def _print(self, text: str, style: str = "", indent: int = 3) -> None:
        from rich.padding import Padding

        self._console.print(Padding(self._text(text, style=style), (0, 0, 0, indent)))

    def scene(self, number: int, title: str, why: str) -> None:
        """A scene begins."""
        self._console.print()
        heading = self._text.assemble((f" {number} ", "bold reverse"), " ", (title, "bold"))
        self._console.print(heading)
        if why:
            self._print(why)

    def command(self, line: str) -> None:
        """A command."""
        text = self._text.assemble(("$ ", "green"), (line, "bold"))
        from rich.padding import Padding

        self._console.print(Padding(text, (0, 0, 0, 3)))

    def output(self, line: str) -> None:
        """A line of output."""
        self.detail("")
        self._print(line, style="dim", indent=5)

    def detail(self, line: str) -> None:
        """Refresh the live line."""
        self._detail = line.strip()
        self._refresh()

    def say(self, text: str) -> None:
        """A sentence."""
        self._print(text)

    def outcome(self, text: str, *, good: bool) -> None:
        """What came of it."""
        self.detail("")
        self._print(f"{'✓' if good else '✗'} {text}", style="green" if good else "bold red")

    def load(self, progress: dict[str, Any] | None) -> None:
        """Refresh the live line."""
        style = "red" if progress and progress["failed"] else "cyan"
        told = f"   load: {load_line(progress)}" if progress else ""
        self._load = self._text(told, style=style)
        self._refresh()

    def _refresh(self) -> None:
        from rich.console import Group

        now = self._text(f"     {self._detail}", style="dim", no_wrap=True, overflow="ellipsis")
        self._live.update(Group(now, self._load) if self._detail else self._load)

    def table(self, title: str, rows: Sequence[Row]) -> None:
        """A table of two columns."""
        from rich.table import Table

        self._live.stop()
        table = Table(title=title, title_justify="left", show_header=False, min_width=60)
        table.add_column()
        table.add_column(justify="right")
        for row in rows:
            style = {None: "", True: "green", False: "bold red"}[row.good]
            table.add_row(row.name, self._text(row.value, style=style))
        self._console.print()
        self._console.print(table)

    def close(self) -> None:
        """Give the last line back to the terminal."""
        self._live.stop()
