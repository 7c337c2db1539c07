"""``pilotage config``."""

from __future__ import annotations

import click

from pilotage.cli.options import Settings, common, json_option


@click.command("config")
@json_option
@common
def command(settings: Settings) -> None:
    """Print the resolved configuration, with every secret masked.

    Defaults are filled in, destinations merged, roles shown with their whole environment. Commands in
    the files are not run unless --allow-erb-commands says so; `not_run` lists them.
    """
    from pilotage.cli.project import configuration
    from pilotage.cli.render.lines import print_json
    from pilotage.config.describe import describe, to_yaml

    resolved = describe(configuration(settings))
    if settings.as_json:
        print_json(resolved, settings, pretty=True)
    else:
        click.echo(to_yaml(resolved), nl=False)
