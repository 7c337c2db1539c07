"""``pilotage remove``."""

from __future__ import annotations

import click

from pilotage.cli.options import Settings, common


@click.command("remove")
@click.option("-y", "--confirmed", "--yes", "yes", is_flag=True, help="Do not ask.")
@click.option(
    "--without-database", is_flag=True, help="Do not ask the database: for when it is gone."
)
@click.option("--keep-accessories", is_flag=True, help="Leave them, and their data, as they are.")
@common
def command(
    settings: Settings, *, yes: bool, without_database: bool, keep_accessories: bool
) -> None:
    """Stop everything of this service, and delete what pilotage keeps of it, as if it had never been here.

    Every instance, consoles too, the edge, images or checkouts, logs and state. A database stays as it is,
    with its data and its schema; so do the secrets files.

    On hosts ACCESSORIES GO AS WELL, WITH THEIR DATA, as Kamal has it; --keep-accessories leaves them. What
    other services there use stays: the door, the network.
    """
    from pilotage.cli.project import configuration
    from pilotage.cli.removing import confirm, take_away

    config = configuration(settings)
    accessories = () if keep_accessories or config.target != "docker" else tuple(config.accessories)
    if not yes:
        data = f", and DELETE THE DATA of {', '.join(accessories)}" if accessories else ""
        confirm(f"Stop everything of {config.service}{data}?", again="pilotage remove -y")
    take_away(settings, without_database=without_database)
    if config.target == "docker":
        _sweep(settings, accessories)


def _sweep(settings: Settings, accessories: tuple[str, ...]) -> None:
    from pilotage.cli.project import configuration
    from pilotage.cli.render import renderer
    from pilotage.cli.running import run
    from pilotage.cli.text import good
    from pilotage.wiring.sweep import sweep

    async def main() -> tuple[str, ...]:
        with renderer(settings) as emit:
            return await sweep(configuration(settings), accessories, emit)

    for line in run(main()):
        click.echo(f"{good('✓')} {line}")
