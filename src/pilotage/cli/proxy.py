"""``pilotage proxy``: the doors of hosts, which all services on a host share, and the edges behind them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import click

from pilotage.cli.instead import Group
from pilotage.cli.options import (
    Settings,
    common,
    deploying,
    grep_option,
    last_lines,
    on_group,
    skip_timestamps,
)
from pilotage.cli.selecting import Selectors, selecting

if TYPE_CHECKING:
    import re

    from pilotage.events import Emit
    from pilotage.proxy.door import Door
    from pilotage.wiring import Project, Use

    Doors = Mapping[str, Door]


_REMOVE = "`pilotage proxy remove` removes it, with its image and its folder"
INSTEAD = {
    "boot_config": "`proxy.run` of the configuration says it; `pilotage proxy reboot` after a change",
    "upgrade": "that is for Kamal 1: `pilotage proxy boot --take-over` takes the ports over",
    **dict.fromkeys(("remove_container", "remove_image", "remove_proxy_directory"), _REMOVE),
}


@click.group("proxy", cls=Group, instead=INSTEAD)
@on_group
def command() -> None:
    """Work with what stands before the service on its hosts.

    Each host has one door, for all services there: it has the ports and the certificates. Each service has
    an edge behind it, which switches, drains and pauses.
    """


@command.command("boot")
@click.option(
    "--take-over",
    is_flag=True,
    help="Where kamal-proxy has the ports: take them at the next switch, from other services too.",
)
@selecting
@deploying
@common
def boot(
    settings: Settings, *, take_over: bool, selectors: Selectors, lock_wait: float, reason: str
) -> None:
    """Make sure that the door and the service's edge run on every host, with the route that they had.

    As long as kamal-proxy has the ports of a host, and nothing of this service was deployed there, the door
    waits for the first switch. It does not take the ports from services that are not deployed with
    pilotage, unless --take-over allowed it: until they are deployed as well nobody answers for them.
    """
    import asyncio

    from pilotage.store import hold

    async def story(project: Project, doors: Doors, emit: Emit) -> None:
        from pilotage.cli.project import claim
        from pilotage.proxy.fleet import EdgeFleet

        if take_over:
            await asyncio.gather(*(door.allow() for door in doors.values()))
        proxy = project.world.proxy
        if doors.keys() != project.place.doors.keys():
            proxy = EdgeFleet({host: project.place.edges[host] for host in doors})
        who = claim("proxy boot", reason=reason, wait=lock_wait)
        async with hold(project.world.store, who, emit) as lease:
            await proxy.ensure(token=lease.token)

    _opened(settings, selectors, story, "the edges run")


@command.command("reboot")
@click.option("--rolling", is_flag=True, help="One host after the other, not all at once.")
@click.option("-y", "--confirmed", is_flag=True, help="Do not ask.")
@selecting
@deploying
@common
def reboot(
    settings: Settings,
    *,
    rolling: bool,
    confirmed: bool,
    selectors: Selectors,
    lock_wait: float,
    reason: str,
) -> None:
    """Replace the door's container on each host.

    Every service on a host is out of reach for a moment. Needed when `proxy.run` changed, or the image did.
    The hooks pre-proxy-reboot and post-proxy-reboot run around it, with --rolling around each host.
    """
    import asyncio

    from pilotage.hooks import Hook
    from pilotage.store import hold

    if not confirmed:
        click.confirm("Every service on these hosts is cut off for a moment. Go on?", abort=True)

    async def story(project: Project, doors: Doors, emit: Emit) -> None:
        from pilotage.cli.project import claim

        hooks = project.world.hooks
        who = claim("proxy reboot", reason=reason, wait=lock_wait)
        async with hold(project.world.store, who, emit):
            for group in [(host,) for host in doors] if rolling else [tuple(doors)]:
                told = {"HOSTS": ",".join(group)}
                await hooks.run(Hook.PRE_PROXY_REBOOT, lock=True, details=told)
                done = await asyncio.gather(
                    *(doors[host].reboot() for host in group), return_exceptions=True
                )
                for failed in filter(None, done):  # only now, when none is half-way any more
                    raise failed
                await hooks.run(Hook.POST_PROXY_REBOOT, lock=True, details=told)
                for host in group:
                    click.echo(f"{host}: a new door")

    _opened(settings, selectors, story, "the doors are new")


@command.command("start")
@selecting
@deploying
@common
def start(settings: Settings, *, selectors: Selectors, lock_wait: float, reason: str) -> None:
    """Start the door again on each host where it was stopped, with the routes that it had."""

    async def begin(door: Door) -> str:
        return "started" if await door.begin() else "runs already"

    _act(settings, selectors, "start", begin, "the doors run", wait=lock_wait, reason=reason)


@command.command("stop")
@selecting
@deploying
@common
def stop(settings: Settings, *, selectors: Selectors, lock_wait: float, reason: str) -> None:
    """Stop the door on each host: no service there is reached, until `start` or a deploy."""

    async def halt(door: Door) -> str:
        return "stopped" if await door.halt() else "did not run"

    _act(settings, selectors, "stop", halt, "the doors are stopped", wait=lock_wait, reason=reason)


@command.command("restart")
@selecting
@deploying
@common
def restart(settings: Settings, *, selectors: Selectors, lock_wait: float, reason: str) -> None:
    """Stop the door on each host and start it again, without hooks. `reboot` takes a new configuration as well."""

    async def again(door: Door) -> str:
        await door.halt()
        await door.begin()
        return "restarted"

    _act(settings, selectors, "restart", again, "the doors run", wait=lock_wait, reason=reason)


@command.command("details")
@selecting
@common
def details(settings: Settings, *, selectors: Selectors) -> None:
    """Show the doors, as Docker does."""

    async def show(host: str, door: Door) -> None:
        click.echo(f"{host}\n{await door.details()}\n")

    _each(settings, selectors, show)


@command.command("logs")
@click.option(
    "-s", "--since", metavar="TIME", default="", help="From a time on, or for the last `15m`."
)
@click.option(
    "-n", "--lines", metavar="N", type=int, help="The last lines, 100 without --since or --grep."
)
@click.option("-f", "--follow", is_flag=True, help="Go on with what is printed.")
@grep_option
@skip_timestamps
@selecting
@common
def logs(
    settings: Settings,
    *,
    since: str,
    lines: int | None,
    follow: bool,
    grep: re.Pattern[str] | None,
    times: bool,
    selectors: Selectors,
) -> None:
    """Show what the doors print; with --follow that of the first host."""
    from pilotage.cli.follow import ended_by_hand
    from pilotage.shell.lines import Lines

    wanted = last_lines(lines, since or None, grep)
    shown = 0

    async def show(host: str, door: Door) -> None:
        nonlocal shown
        shown += 1
        if follow and shown > 1:
            return

        def out(line: str) -> None:
            if grep is None or grep.search(line):
                click.echo(f"{host} │ {line}")

        taken = Lines(out)
        await door.logs(
            lambda _, block: taken.feed(block),
            lines=wanted,
            since=since,
            follow=follow,
            times=times,
        )
        taken.close()

    with ended_by_hand(follow):
        _each(settings, selectors, show)


@command.command("remove")
@click.option("-y", "--confirmed", "--force", "confirmed", is_flag=True, help="Do not ask.")
@selecting
@common
def remove(settings: Settings, *, confirmed: bool, selectors: Selectors) -> None:
    """Take the doors down for every service on these hosts. `pilotage remove` takes away this service's part."""
    if not confirmed:
        click.confirm("No service on these hosts can be reached then. Go on?", abort=True)

    async def story(project: Project, doors: Doors, emit: Emit) -> None:
        for door in doors.values():
            await door.destroy()

    _opened(settings, selectors, story, "the doors are gone")


def _act(
    settings: Settings,
    selectors: Selectors,
    verb: str,
    change: Callable[[Door], Awaitable[str]],
    done: str,
    *,
    wait: float,
    reason: str,
) -> None:
    """Change the door of each host, all at once, with the deploy lock; ``change`` says what became of it."""
    import asyncio

    from pilotage.store import hold

    async def story(project: Project, doors: Doors, emit: Emit) -> None:
        from pilotage.cli.project import claim

        async with hold(
            project.world.store, claim(f"proxy {verb}", reason=reason, wait=wait), emit
        ):
            told = await asyncio.gather(
                *(change(door) for door in doors.values()), return_exceptions=True
            )
            for host, became in zip(doors, told, strict=True):
                if isinstance(became, str):
                    click.echo(f"{host}: {became}")
            for failed in (each for each in told if isinstance(each, BaseException)):
                raise failed

    _opened(settings, selectors, story, done)


def _each(
    settings: Settings, selectors: Selectors, show: Callable[[str, Door], Awaitable[None]]
) -> None:
    """Look at the door of each host."""
    from pilotage.cli.render.lines import warnings
    from pilotage.cli.running import run
    from pilotage.wiring import Use

    async def main() -> None:
        async with _doors(settings, selectors, warnings(settings), use=Use.LOOK) as (_, doors):
            for host, door in doors.items():
                await show(host, door)

    run(main())


def _opened(
    settings: Settings,
    selectors: Selectors,
    story: Callable[[Project, Doors, Emit], Awaitable[None]],
    done: str,
) -> None:
    """Change something, and say so."""
    from pilotage.cli.render import renderer
    from pilotage.cli.running import run
    from pilotage.cli.text import good
    from pilotage.wiring import Use

    async def main() -> None:
        with renderer(settings) as emit:
            async with _doors(settings, selectors, emit, use=Use.ACT) as (project, doors):
                await story(project, doors, emit)
        click.echo(f"{good('✓')} {done}")

    run(main())


@asynccontextmanager
async def _doors(
    settings: Settings, selectors: Selectors, emit: Emit, *, use: Use
) -> AsyncIterator[tuple[Project, Doors]]:
    """The project, and the doors that are meant, by host; other hosts than those need not answer."""
    from pilotage.cli.project import configuration, hooks_for, opened_with
    from pilotage.wiring import Use
    from pilotage.wiring.edges import edge_hosts

    acts = use is Use.ACT
    config = configuration(settings, deploying=acts)
    hosts = selectors.part(config, edge_hosts(config))
    hooks = hooks_for(config, settings, emit, hosts=hosts, roles=selectors.wanted_roles)
    async with opened_with(
        *(config, hooks, settings, emit), use=use, changes=acts, selected=hosts
    ) as project:
        doors = project.place.doors
        wanted = doors if hosts is None else hosts
        yield project, {host: door for host, door in doors.items() if host in wanted}
