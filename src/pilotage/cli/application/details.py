"""``pilotage app details``, and ``pilotage details``: Kamal's words for ``status``."""

from __future__ import annotations

import click

from pilotage.cli.options import Settings, common, json_option


@click.command("details")
@json_option
@common
@click.pass_context
def command(ctx: click.Context, settings: Settings) -> None:
    """Show what runs where: Kamal's word for `pilotage status`."""
    from pilotage.cli.status import command as status

    ctx.invoke(
        status,
        destination=settings.destination,
        config_file=settings.config_file,
        verbose=settings.verbose,
        quiet=settings.quiet,
        allow_erb_commands=settings.run_commands,
        skip_hooks=settings.skip_hooks,
        as_json=settings.as_json,
        forget_host=None,
    )
