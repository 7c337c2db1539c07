"""The live view of a run, on a terminal: what is done above, what is going on below.

Finished steps become ordinary lines that scroll away; only the step at work and the few after it are
drawn again and again. Rich is imported here alone.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live as RichLive
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from pilotage import events
from pilotage.cli.options import Settings
from pilotage.cli.render import words
from pilotage.cli.text import one_line, plural, seconds
from pilotage.events import Event
from pilotage.plan import Plan
from pilotage.secret import mask

_FRAME = 0.1  # seconds
_AHEAD = 5
_OUTPUT = 4


class Live:
    """A renderer that draws with rich."""

    def __init__(self, settings: Settings, console: Console) -> None:
        self._settings = settings
        self._console = console
        self._view = _View()
        self._live = RichLive(
            get_renderable=self._view.render,
            console=self._console,
            auto_refresh=False,
            transient=True,
        )
        # Rich's own refresh measures what it drew outside of its lock: a print at the same moment then
        # erases lines above. One lock around both, here, and every line stays.
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._ticker = threading.Thread(target=self._tick, name="live", daemon=True)

    def __enter__(self) -> Self:
        self._live.start()
        self._ticker.start()
        return self

    def _tick(self) -> None:
        while not self._over.wait(_FRAME):
            with self._lock:
                self._live.refresh()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._over.set()
        self._ticker.join()
        if self._view.step:
            stopped = Text("interrupted", style="yellow")
            self._print(_row(Text("■", style="yellow"), Text(self._view.step), stopped))
        self._view.clear()
        self._live.stop()

    def __call__(self, event: Event) -> None:
        with self._lock:
            self._show(event)
            self._live.refresh()

    def _show(self, event: Event) -> None:
        view = self._view
        match event:
            case events.Planned():
                view.plan = event.plan
                self._print(_title(event))
                for note in event.plan.notes:
                    self._print(Text(f"  ! {one_line(self._mask(note), 400)}", style="yellow"))
                self._print(Text())
            case events.StepStarted():
                view.begin(event)
            case events.StepFinished():
                self._finished(event)
            case events.StepFailed():
                self._print(
                    _row(Text("✗", style="bold red"), Text(event.step), Text("failed", style="red"))
                )
                view.end()
            case events.BackfillProgress():
                view.fraction = event.fraction
                view.bar = _bar(event.fraction, words.backfill(event).partition(": ")[2])
            case events.StatementProgress():
                told = words.statement_progress(event).partition(": ")[2]
                view.bar = _bar(event.fraction, told)
            case events.HalfStatement() if event.number < event.statements:
                view.bar = None
            case events.BackfillHeld():
                told = self._mask("; ".join(event.why))
                view.bar = _bar(view.fraction, f"pauses: {told}", style="yellow")
            case events.Watched():
                told = words.watched(event).partition(": ")[2]
                view.bar = _bar(event.elapsed / event.seconds, told)
            case events.Output():
                view.output = [*view.output[-_OUTPUT + 1 :], self._mask(words.of(event) or "")]
            case events.CommandRan() if self._settings.verbose:
                typed = Text(self._mask(words.command(event)), style="dim")
                where = Text(words.ran(event), style="dim")
                self._print(_row(Text("$", style="dim"), typed, where))
            case _:
                line = words.of(event, verbose=self._settings.verbose)
                if line is None:
                    pass
                elif words.is_warning(event):
                    self._print(Text(f"  ! {self._mask(line)}", style="yellow"))
                else:
                    view.lines = [*view.lines, self._mask(line)]

    def _finished(self, event: events.StepFinished) -> None:
        took = Text(seconds(event.seconds), style="dim")
        self._print(_row(Text("✓", style="green"), Text(event.step), took))
        if event.detail:
            self._print(Text(f"    {self._mask(event.detail)}", style="dim"))
        if self._settings.verbose:
            for line in self._view.lines:
                self._print(Text(f"    {line}", style="dim"))
        self._view.end()

    def _mask(self, text: str) -> str:
        return mask(text, self._settings.secrets)

    def _print(self, what: RenderableType) -> None:
        self._console.print(what)


class _View:
    """What is drawn below: the step at work, and the few after it."""

    def __init__(self) -> None:
        self.plan: Plan | None = None
        self.index = -1
        self.step = ""
        self.since = 0.0
        self.lines: list[str] = []
        self.output: list[str] = []
        self.bar: RenderableType | None = None
        self.fraction: float | None = None
        self._spinner = Spinner("dots", style="cyan")

    def begin(self, event: events.StepStarted) -> None:
        """A step is at work."""
        self.index, self.step, self.since = event.index, event.step, time.monotonic()
        self.lines, self.output, self.bar, self.fraction = [], [], None, None

    def end(self) -> None:
        """It is no longer."""
        self.step, self.lines, self.output, self.bar = "", [], [], None

    def clear(self) -> None:
        """The run is over: nothing is drawn any more."""
        self.end()
        self.plan = None

    def render(self) -> RenderableType:
        """Called by rich, ten times a second."""
        return Group(*self._parts())

    def _parts(self) -> Iterator[RenderableType]:
        if self.step:
            took = Text(seconds(time.monotonic() - self.since), style="dim")
            yield _row(self._spinner, Text(self.step, style="bold"), took)
        for line in self.lines[-8:]:
            yield Text(f"    {line}", style="dim", no_wrap=True, overflow="ellipsis")
        if self.bar:
            yield self.bar
        for line in self.output:
            yield Text(f"    {line}", style="dim", no_wrap=True, overflow="ellipsis")
        if self.plan:
            yield from self._ahead(self.plan)

    def _ahead(self, plan: Plan) -> Iterator[RenderableType]:
        coming = plan.steps[self.index + 1 :]
        for number, step in enumerate(coming[:_AHEAD], self.index + 1):
            mark = "↯" if number == plan.point_of_no_return else "·"
            yield _row(Text(mark, style="dim"), Text(step.describe(), style="dim"), Text())
        if len(coming) > _AHEAD:
            yield Text(f"  · and {len(coming) - _AHEAD} more", style="dim")


def _title(event: events.Planned) -> Text:
    plan = event.plan
    text = Text("\n")
    text.append(words.title(event), style="bold")
    text.append(f"   {plural(len(plan.steps), 'step')}, plan {plan.fingerprint}", style="dim")
    return text


def _row(mark: RenderableType, what: Text, took: Text) -> Table:
    grid = Table.grid(padding=(0, 1, 0, 0), expand=True)
    grid.add_column(width=3, justify="right")
    grid.add_column(ratio=1, overflow="fold")
    grid.add_column(justify="right", no_wrap=True)
    grid.add_row(mark, what, took)
    return grid


def _bar(fraction: float | None, told: str, *, style: str = "dim") -> RenderableType:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(width=3)
    grid.add_column(width=32)
    grid.add_column()
    bar: RenderableType = Text()
    if fraction is not None:
        bar = ProgressBar(
            total=1.0, completed=fraction, width=30, complete_style="cyan",
            finished_style="green",
        )  # fmt: skip
    grid.add_row("", bar, Text(told, style=style))
    return grid
