"""``pilotage`` itself: the list of its commands, and how a run of one ends."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from pilotage.cli.aliases import AliasGroup
from pilotage.cli.lazy import Entry
from pilotage.cli.options import Settings, on_group
from pilotage.errors import PilotageError

COMMANDS = {
    "Deploy": {
        "plan": Entry("pilotage.cli.plan", "Show what a deploy would do, and touch nothing."),
        "setup": Entry("pilotage.cli.setup", "Deploy to new hosts, accessories first."),
        "deploy": Entry("pilotage.cli.deploy", "Bring the service and its schema to a release."),
        "redeploy": Entry("pilotage.cli.redeploy", "Deploy, by Kamal's other word."),
        "rollback": Entry("pilotage.cli.rollback", "Go back to a release that fits the schema."),
        "contract": Entry("pilotage.cli.contract", "Apply held contract halves, with proof."),
        "migrate": Entry("pilotage.cli.migrate", "Work with single migrations."),
        "hazards": Entry("pilotage.cli.hazards", "Find what in migrations would do harm."),
    },
    "Edge": {
        "maintenance": Entry("pilotage.cli.maintenance", "Answer requests with a page."),
        "live": Entry("pilotage.cli.live", "End the maintenance: requests pass again."),
        "pause": Entry("pilotage.cli.pause", "Hold requests for a moment."),
        "resume": Entry("pilotage.cli.resume", "Let held requests go on."),
    },
    "Look": {
        "status": Entry("pilotage.cli.status", "Show what runs where, and whether it fits."),
        "details": Entry("pilotage.cli.application.details", "Show what runs where, as status."),
        "history": Entry("pilotage.cli.history", "Show who deployed what, and how it ended."),
        "audit": Entry("pilotage.cli.audit", "Show who did what, and how it ended."),
        "logs": Entry("pilotage.cli.logs", "Show what instances print."),
        "config": Entry("pilotage.cli.config", "Print the resolved configuration."),
    },
    "Work": {
        "app": Entry("pilotage.cli.application", "Kamal's words for what runs."),
        "exec": Entry("pilotage.cli.exec", "Run a command in an instance of its own."),
        "build": Entry("pilotage.cli.build", "Build and push images, apart from a deploy."),
        "registry": Entry("pilotage.cli.registry", "Log in at the registry, here and on hosts."),
        "proxy": Entry("pilotage.cli.proxy", "Work with the doors of hosts."),
        "prune": Entry("pilotage.cli.prune", "Remove what nothing needs any more."),
        "accessory": Entry(
            "pilotage.cli.accessory", "Run databases and caches beside the service."
        ),
        "secrets": Entry("pilotage.cli.secrets", "Fetch secrets from a password manager."),
        "server": Entry("pilotage.cli.server", "Accept the keys of hosts, and run commands there."),
        "lock": Entry("pilotage.cli.lock", "See, take or release the deploy lock."),
        "entrypoint": Entry("pilotage.cli.entrypoint", "Start a container, its schema first."),
        "wait": Entry("pilotage.cli.wait", "Wait until this image fits the schema."),
        "init": Entry("pilotage.cli.init", "Write a first configuration and migration."),
        "remove": Entry("pilotage.cli.remove", "Stop everything of this service here."),
        "demo": Entry("pilotage.cli.demo", "Watch four releases deployed under load."),
    },
}


def _show_version(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"pilotage {version('pilotage')}")
        ctx.exit()


@click.group(
    cls=AliasGroup,
    entries=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="`pilotage COMMAND --help` explains a command. Exit status: 0 done; 1 failed or "
    "refused; 2 wrong usage or configuration.",
)
@on_group
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_show_version,
    help="Print the version.",
)
def root() -> None:
    """Deploys a web app and its database schema together, without losing a request.

    A release fits a schema, or it does not run: pilotage keeps that true at every moment of a
    deploy, of a rollback, and of every migration.
    """


def run(argv: Sequence[str] | None = None) -> int:
    """Run a command line, and turn whatever happens into an exit status."""
    from pilotage.cli.failure import Interrupted, broken_pipe, show, show_crash

    arguments = list(sys.argv[1:] if argv is None else argv)
    settings = Settings(typed=tuple(arguments))
    try:
        status = root.main(arguments, prog_name="pilotage", standalone_mode=False, obj=settings)
    except click.exceptions.Abort:
        show(Interrupted("interrupted"), settings.secrets)
        return 1
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except PilotageError as error:
        show(error, settings.secrets)
        return error.exit_status
    except BrokenPipeError:
        return broken_pipe()
    except Exception as error:  # noqa: BLE001 (the last line of defence)
        show_crash(error, settings.secrets)
        return 1
    return status if isinstance(status, int) else 0
