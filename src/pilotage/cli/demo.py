"""``pilotage demo``."""

from __future__ import annotations

import click


@click.command("demo")
@click.option(
    "--json", "as_json", is_flag=True, help="Print the numbers as JSON, on the last line."
)
@click.option("--keep", is_flag=True, help="Keep the folder in which it played.")
@click.option("--rate", metavar="N", type=click.FloatRange(min=1), help="Requests a second.")
def command(*, as_json: bool, keep: bool, rate: float | None) -> None:
    """Watch a shop go through four releases under load, and lose no request.

    Builds a git repository of the example in a temporary folder, starts PostgreSQL and Envoy there,
    and deploys breaking schema changes while 32 connections read and write. Needs no configuration.
    """
    from pilotage.demo.__main__ import lacking
    from pilotage.errors import UsageError

    wanting = lacking()
    if wanting:
        raise UsageError(f"the demo cannot run: {wanting}")
    from pilotage.demo.story import Options, main

    options = Options(json=as_json, keep=keep)
    if rate is not None:
        options = Options(json=as_json, keep=keep, rate=rate)
    raise click.exceptions.Exit(main(options))
