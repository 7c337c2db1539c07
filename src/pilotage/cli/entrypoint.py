"""``pilotage entrypoint``."""

from __future__ import annotations

import click

from pilotage.cli.options import Settings, common


@click.command("entrypoint", context_settings={"allow_interspersed_args": False})
@click.option(
    "--server",
    "servers",
    metavar="PATTERN",
    multiple=True,
    help="A command that is the main server; may be given several times.",
)
@click.option(
    "--worker",
    "workers",
    metavar="PATTERN",
    multiple=True,
    help="A command of another long-running role; may be given several times.",
)
@click.option(
    "--timeout",
    metavar="DURATION",
    default="10m",
    show_default=True,
    help="How long to wait for the database, for other starts, and for the schema.",
)
@click.option(
    "--explain", is_flag=True, help="Say what would be done before COMMAND, and do nothing."
)
@click.argument("arguments", metavar="-- COMMAND [ARGUMENT]...", nargs=-1, required=True)
@common
def command(
    settings: Settings,
    *,
    servers: tuple[str, ...],
    workers: tuple[str, ...],
    timeout: str,
    explain: bool,
    arguments: tuple[str, ...],
) -> None:
    """Start a container: make the schema ready for COMMAND, then become it.

    For images that migrate in their entrypoint. When COMMAND is the main server, the database is
    prepared first, by one of however many start at once: created, loaded, expand halves and backfills
    applied; contract halves wait for `pilotage contract`. Another long-running role waits until its
    release fits the schema. Anything else, such as a console, is run straight away.

    A PATTERN is the beginning of a command, in words, with `*` for any words. Without options they
    are read from PILOTAGE_SERVER and PILOTAGE_WORKER (with `;` between them), else from the roles of
    deploy.yml, else well-known servers and workers are recognised.

    Progress goes to standard error. The exit status is that of COMMAND, which has this process's id;
    128 and the signal's number when a signal ends the start.
    """
    import os

    from pilotage.cli.starting import (
        attempt_limit,
        config_beside,
        emit_to_stderr,
        say_to_stderr,
    )
    from pilotage.entrypoint.match import Duty, duty
    from pilotage.entrypoint.place import commands_of, place_of
    from pilotage.entrypoint.start import start, straight

    limit = attempt_limit(timeout)
    known = bool(servers or os.environ.get("PILOTAGE_SERVER")) and bool(
        workers or os.environ.get("PILOTAGE_WORKER")
    )
    config, trouble = (None, None) if known else config_beside(settings)
    commands = commands_of(os.environ, config, servers=servers, workers=workers)
    what = duty(arguments, servers=commands.servers, workers=commands.workers)
    if explain:
        click.echo(f"{what}: {_SAYS[what]}")
        return
    if what is Duty.NOTHING:
        if trouble is not None:
            say_to_stderr(settings)(f"deploy.yml was not read: {trouble.what}")
        straight(arguments, os.environ)
    if trouble is not None:
        raise trouble
    if known:
        config, trouble = config_beside(settings)
        if trouble is not None:
            raise trouble
    place = place_of(os.environ, config)
    settings.secrets.extend(s for s in (place.url, place.migration_url) if s)
    from pilotage.cli.project import owner
    from pilotage.entrypoint.start import TTL
    from pilotage.store import Claim

    start(
        arguments,
        os.environ,
        place,
        what,
        Claim(owner(), reason="entrypoint", ttl=TTL),
        limit=limit,
        say=say_to_stderr(settings),
        emit=emit_to_stderr(settings),
    )


_SAYS = {
    "prepare": "it is the main server, so the database is prepared first",
    "wait": "it is another long-running role, so it starts once the release fits the schema",
    "nothing": "it is neither a server nor a worker that is known here, so it runs straight away",
}
