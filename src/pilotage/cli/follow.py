"""The logs of several instances on one terminal, each line with the name of its instance."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from pilotage.cli import text
from pilotage.cli.failure import Interrupted
from pilotage.cli.options import Settings
from pilotage.cli.project import opened
from pilotage.cli.render.lines import warnings
from pilotage.cli.running import run
from pilotage.cli.selecting import Selectors
from pilotage.config.select import Place
from pilotage.errors import UsageError
from pilotage.model import Instance
from pilotage.secret import mask
from pilotage.wiring import Project, Use

_LOOK = 0.5
_COLOURS = ("cyan", "magenta", "blue", "yellow", "green")

Which = str | tuple[Place, ...] | None
"""A role or an instance's id, or roles on hosts; None: everything."""


def print_logs(
    settings: Settings,
    which: Callable[[Project], Which],
    *,
    lines: int | None,
    grep: re.Pattern[str] | None,
    follow: bool,
    since: str | None,
    selectors: Selectors | None = None,
) -> None:
    """What ``logs`` and ``app logs`` do: `show` what ``which`` chooses in the project that is opened.

    Raises
    ------
    UsageError
        As `show` has it.
    """

    async def main() -> None:
        async with opened(
            settings, warnings(settings), use=Use.LOOK, selectors=selectors
        ) as project:
            name = which(project)
            await show(
                project, settings, name, lines=lines, pattern=grep, go_on=follow, since=since
            )

    with ended_by_hand(follow):
        run(main())


@contextmanager
def ended_by_hand(endless: bool) -> Iterator[None]:
    """A block that a person interrupts: to end what is ``endless`` is no failure."""
    try:
        yield
    except Interrupted:
        if not endless:
            raise


async def show(
    project: Project,
    settings: Settings,
    name: Which,
    *,
    lines: int | None,
    pattern: re.Pattern[str] | None,
    go_on: bool,
    since: str | None = None,
) -> None:
    """Print the last lines of every instance that ``name`` means, and with ``go_on`` what follows.

    ``since``: as in `Logs`.

    Raises
    ------
    UsageError
        ``name`` is neither a role nor an instance, or nothing runs.
    """
    chosen = await _chosen(project, name)
    single = name is not None and [i.id for i in chosen] == [name]
    width = max(len(_short(instance)) for instance in chosen)

    def printer(instance: Instance) -> Callable[[str], None]:
        shown = "" if single else f"{_label(instance, width)} {text.dim('│')} "

        def out(line: str) -> None:
            if pattern is None or pattern.search(line):
                click.echo(f"{shown}{mask(line, settings.secrets)}")

        return out

    if not go_on:
        for instance in chosen:
            out = printer(instance)
            for line in await project.logs.last_lines(instance.id, lines=lines, since=since):
                out(line)
        return
    following: dict[str, asyncio.Task[None]] = {}
    shown: int | None = lines
    async with asyncio.TaskGroup() as group:
        while True:
            for instance in chosen:
                if instance.id not in following:
                    following[instance.id] = group.create_task(
                        project.logs.follow(
                            instance.id, printer(instance), lines=shown, since=since
                        )
                    )
            if single:
                return
            shown = since = None  # of an instance that comes later, everything is new
            await asyncio.sleep(_LOOK)
            view = await project.world.target.observe()
            chosen = tuple(i for i in view.instances if i.alive and _means(project, name, i))


def _means(project: Project, name: Which, instance: Instance) -> bool:
    if isinstance(name, tuple):
        local = project.config.target == "local"
        return any(p.role == instance.role and (local or p.host == instance.host) for p in name)
    return name in (None, instance.role)


async def _chosen(project: Project, name: Which) -> tuple[Instance, ...]:
    view = await project.world.target.observe()
    if not isinstance(name, str):
        chosen = tuple(i for i in view.instances if i.alive and _means(project, name, i))
        if not chosen:
            raise UsageError(
                "nothing runs here",
                next="the log of an instance that ended is shown by its id: see `pilotage history`",
            )
        return chosen
    chosen = tuple(i for i in view.instances if i.role == name and i.alive)
    if chosen:
        return chosen
    one = tuple(i for i in view.instances if i.id == name)
    if one:
        return one
    if await project.logs.last_lines(name, lines=1):
        return (Instance(name, project.service, "", project.host, ""),)
    roles = ", ".join(dict.fromkeys(i.role for i in view.instances)) or "none runs"
    raise UsageError(
        f"{name!r} is neither a role nor an instance that printed anything",
        next=f"roles: {roles}; instances: see `pilotage status`",
    )


def _short(instance: Instance) -> str:
    return f"{instance.role or instance.id}.{instance.index} {instance.release[:6]}"


def _label(instance: Instance, width: int) -> str:
    number = sum(instance.id.encode()) % len(_COLOURS)
    return click.style(_short(instance).ljust(width), fg=_COLOURS[number])
