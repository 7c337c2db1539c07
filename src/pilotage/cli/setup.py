"""``pilotage setup``."""

from __future__ import annotations

from dataclasses import replace

import click

from pilotage.cli.options import Settings, common, deploying


@click.command("setup")
@click.option("--version", "revision", metavar="REV", help="A commit, branch or tag.")
@click.option(
    "-P", "--skip-push", is_flag=True, help="Take the image that is in the registry: build nothing."
)
@click.option("--no-cache", "fresh", is_flag=True, help="Build everything anew.")
@deploying
@common
@click.pass_context
def command(
    ctx: click.Context,
    /,
    settings: Settings,
    *,
    revision: str | None,
    skip_push: bool,
    fresh: bool,
    lock_wait: float,
    reason: str,
) -> None:
    """Deploy to new hosts: install Docker (or have podman) where there is none, boot accessories, then deploy.

    What runs already is left as it is, so this can be run again.
    """
    from pilotage.cli.deploy import command as deploy
    from pilotage.cli.project import configuration, hooks_for
    from pilotage.cli.reaching import reached
    from pilotage.cli.render import renderer
    from pilotage.cli.running import run
    from pilotage.cli.text import good
    from pilotage.config.select import all_hosts
    from pilotage.wiring.setup import boot_accessories, prepare, require_hosts

    async def main() -> None:
        config = configuration(settings, deploying=True, version=revision)
        require_hosts(config)
        with renderer(settings) as emit:
            hooks = hooks_for(config, settings, emit, version=revision)
            async with reached(
                *(config, settings, all_hosts(config), emit),
                changes=True,
                hooks=hooks,
                part="hosts and accessories",
            ) as fleet:
                await prepare(tuple(fleet.shells.values()), hooks, emit)
                names = await boot_accessories(config, fleet, emit)
        ready = f", {', '.join(names)}" if names else ""
        click.echo(f"{good('✓')} Docker answers on every host{ready and f'; there run{ready[1:]}'}")

    run(main())
    words = ["--skip-push"] if skip_push else []
    words += ["--no-cache"] if fresh else []
    words += ["--version", revision] if revision else []
    words += ["--reason", reason] if reason else []
    ctx.obj = replace(settings, connected=True)  # one command, one `pre-connect`
    # Without a name of its own: hooks are told of `setup`, which is what was typed.
    with deploy.make_context("", [*words, "--lock-wait", str(lock_wait)], parent=ctx) as inner:
        deploy.invoke(inner)
