"""``pilotage build``: images, apart from a deploy."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import click

from pilotage.cli.options import Settings, common, on_group
from pilotage.cli.selecting import Selectors, selecting

if TYPE_CHECKING:
    from pilotage.hooks import Hooks
    from pilotage.wiring.build import Images

_version = click.option("--version", "revision", metavar="REV", help="A commit, branch or tag.")
_fresh = click.option("--no-cache", "fresh", is_flag=True, help="Build everything anew.")


@dataclass(frozen=True, slots=True)
class Work:
    """One command on images.

    ``revision``: as it was typed; None for the last commit. ``hosts``: those that were asked for; None for all.
    """

    settings: Settings
    images: Images
    hooks: Hooks
    revision: str | None
    hosts: tuple[str, ...] | None

    async def sha(self) -> str:
        """The commit."""
        return (await self.images.source.resolve(self.revision)).sha


@click.group("build")
@on_group
def command() -> None:
    """Build and push images, and pull them on the hosts.

    `pilotage deploy` does all of it by itself; `pilotage deploy --skip-push` takes what is in the registry.
    """


@command.command("push")
@_version
@_fresh
@click.option(
    "--output",
    metavar="TYPE",
    default="registry",
    show_default=True,
    help="What becomes of it: `docker` keeps it here; `local,dest=DIR` and others are BuildKit's.",
)
@common
def push(settings: Settings, *, revision: str | None, fresh: bool, output: str) -> None:
    """Build the image of a release, and push it to the registry."""

    async def story(work: Work) -> None:
        await _push(work, fresh=fresh, output=output)

    _with_images(settings, story, revision)


@command.command("dev")
@_version
@_fresh
@click.option(
    "--output",
    metavar="TYPE",
    default="docker",
    show_default=True,
    help="What becomes of it: `local,dest=DIR` and others are BuildKit's.",
)
@common
def dev(settings: Settings, *, revision: str | None, fresh: bool, output: str) -> None:
    """Build the image of a release, and keep it on this machine."""

    async def story(work: Work) -> None:
        await _output(work, await work.sha(), fresh=fresh, output=output)

    _with_images(settings, story, revision)


@command.command("pull")
@_version
@selecting
@common
def pull(settings: Settings, *, revision: str | None, selectors: Selectors) -> None:
    """Pull the image of a release on every host."""
    _with_images(settings, _pull, revision, selectors)


@command.command("deliver")
@_version
@_fresh
@selecting
@common
def deliver(settings: Settings, *, revision: str | None, fresh: bool, selectors: Selectors) -> None:
    """Build the image of a release, push it, and pull it on every host."""

    async def story(work: Work) -> None:
        await _push(work, fresh=fresh)
        await _pull(replace(work, settings=replace(work.settings, connected=True)))

    _with_images(settings, story, revision, selectors)


async def _push(work: Work, *, fresh: bool, output: str = "registry") -> None:
    """``pre-connect`` comes first, as with Kamal: whoever builds may be another host."""
    from pilotage.cli.reaching import before_connecting
    from pilotage.hooks import Hook

    await before_connecting(work.hooks, work.settings)
    sha = await work.sha()
    await work.hooks.run(Hook.PRE_BUILD, version=sha)
    if output == "registry":
        await work.images.push(sha, fresh=fresh)
        _done(f"{work.images.reference(sha)} is in the registry")
    else:
        await _output(work, sha, fresh=fresh, output=output)


async def _output(work: Work, sha: str, *, fresh: bool, output: str) -> None:
    """Build it, and push nothing."""
    kept = output == "docker"
    await work.images.build(sha, export=None if kept else output, fresh=fresh)
    _done(
        f"{work.images.reference(sha)} {'is on this machine' if kept else f'was built to {output}'}"
    )


async def _pull(work: Work) -> None:
    from pilotage.cli.reaching import reached
    from pilotage.wiring.hosts import hosts_of

    images, hosts = work.images, work.hosts or hosts_of(work.images.config)
    image = images.reference(await work.sha())
    async with reached(
        *(images.config, work.settings, hosts, images.emit), changes=True, hooks=work.hooks
    ) as fleet:
        found = await images.delivery(fleet).pull(image)
    for host, id_ in found.items():
        click.echo(f"{host}: {id_}")
    if len(set(found.values())) > 1:
        click.echo("these are different images: some hosts pulled before it was pushed again")
    _done(f"{image} is on {len(found)} host(s)")


@command.command("create")
@common
def create(settings: Settings) -> None:
    """Make the builder that the configuration asks for."""

    async def story(work: Work) -> None:
        from pilotage.cli.reaching import before_connecting

        if work.images.builder.spec.remote:
            await before_connecting(work.hooks, settings)
        name = await work.images.builder.create()
        _done(f"the builder is {name}" if name else "Docker's own builder is used: nothing is made")

    _with_images(settings, story)


@command.command("remove")
@common
def remove(settings: Settings) -> None:
    """Take our builder away, with its cache."""

    async def story(work: Work) -> None:
        gone = await work.images.builder.remove()
        _done("the builder is gone" if gone else "there is no builder of ours")

    _with_images(settings, story)


@command.command("details")
@common
def details(settings: Settings) -> None:
    """Show the builders, and Docker's versions."""
    _with_images(settings, lambda work: work.images.builder.details(click.echo))


def _done(text: str) -> None:
    from pilotage.cli.text import good

    click.echo(f"{good('✓')} {text}")


def _with_images(
    settings: Settings,
    story: Callable[[Work], Awaitable[None]],
    version: str | None = None,
    selectors: Selectors | None = None,
) -> None:
    from pilotage.cli.project import configuration, hooks_for
    from pilotage.cli.render import renderer
    from pilotage.cli.running import run
    from pilotage.source import GitSource
    from pilotage.wiring.build import images_of
    from pilotage.wiring.open import state_dir_of

    async def main() -> None:
        config = configuration(settings, deploying=True, version=version)
        only = selectors or Selectors()
        hosts, roles = only.part(config, config.hosts), only.wanted_roles
        with renderer(settings) as emit:
            source = GitSource(root=config.root, state_dir=state_dir_of(config))
            images = images_of(config, source, emit)
            settings.secrets.extend(config.secrets.values())
            hooks = hooks_for(config, settings, emit, version=version, hosts=hosts, roles=roles)
            await story(Work(settings, images, hooks, version, hosts))

    run(main())
