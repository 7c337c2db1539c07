"""``pilotage secrets``: out of a password manager, and out of the secrets files."""

from __future__ import annotations

import click

from pilotage.cli.options import Settings, common


@click.group("secrets")
def command() -> None:
    """Fetch secrets from a password manager, for the secrets files.

    In `.kamal/secrets` and `.pilotage/secrets` the words `$(kamal secrets fetch …)` and `$(kamal
    secrets extract …)` are answered without Kamal, and without a process of their own.
    """


@command.command("fetch", context_settings={"ignore_unknown_options": False})
@click.argument("names", metavar="[SECRET]...", nargs=-1)
@click.option("-a", "--adapter", metavar="NAME", required=True, help="1password, lastpass, …")
@click.option("--account", metavar="NAME", help="Whose; some vendors need it.")
@click.option("--from", "source", metavar="PLACE", help="A vault, a folder, a project, an item.")
def fetch(names: tuple[str, ...], *, adapter: str, account: str | None, source: str | None) -> None:
    """Print secrets as JSON, for `extract`.

    Adapters, each by the vendor's own program: 1password (op), lastpass (lpass), bitwarden (bw),
    bitwarden-sm (bws), aws_secrets_manager (aws), gcp_secret_manager (gcloud), doppler, enpass
    (enpass-cli), passbolt. The values are printed as they are.
    """
    import os

    from pilotage.vaults.fetch import dumped
    from pilotage.vaults.fetch import fetch as ask

    found = ask(
        adapter, names, account=account, source=source, environ=os.environ, terminal=os.isatty(0)
    )
    click.echo(dumped(found))


@command.command("extract")
@click.argument("name", metavar="SECRET")
@click.argument("fetched", metavar="FETCHED", nargs=-1, required=True)
def extract(name: str, fetched: tuple[str, ...]) -> None:
    """Print one secret of what `fetch` printed: by its whole name, or by the last part of one."""
    from pilotage.vaults import extract as take

    click.echo(take(name, " ".join(fetched)))


@command.command("print")
@common
def show(settings: Settings) -> None:
    """Print every secret of the secrets files, as it is: NAME=value. Its commands are run."""
    from pilotage.cli.project import configuration

    for name, value in configuration(settings, deploying=True).store.all().items():
        click.echo(f"{name}={value.reveal()}")
