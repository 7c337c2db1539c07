"""``pilotage init``."""

from __future__ import annotations

from pathlib import Path

import click

from pilotage.cli.instead import without
from pilotage.cli.options import Settings, common


@click.command("init")
@without(
    "--bundle", "pilotage is no gem", "`pip install pilotage`, then `pilotage init`", flag=True
)
@common
def command(settings: Settings) -> None:
    """Write a first configuration, a migrations folder and a line in .gitignore.

    What is there already is never overwritten. The commands of the roles are taken from a Procfile
    where there is one.
    """
    from pilotage.cli.templates import files, ignored_lines
    from pilotage.cli.text import dim, good

    root = _root(settings.config_file)
    config = settings.config_file or root / "config" / "deploy.yml"
    wrote = False
    for path, content in files(root, config).items():
        shown = _shown(path)
        if path.exists() or (path == config and _has_config(root)):
            click.echo(dim(f"  {shown} is there already, and stays as it is"))
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600 if path.name == "secrets" else 0o644)
        path.write_text(content)
        click.echo(f"{good('✓')} {shown}")
        wrote = True
    ignore = root / ".gitignore"
    lines = ignored_lines(ignore.read_text() if ignore.exists() else "")
    if lines:
        with ignore.open("a") as file:
            file.write(lines)
        click.echo(f"{good('✓')} {_shown(ignore)}: .pilotage/ is ignored")
        wrote = True
    if wrote:
        click.echo(
            f"\nNext: read {_shown(config)}, commit, then `pilotage plan` and `pilotage deploy`."
        )


def _root(config_file: Path | None) -> Path:
    from pilotage.config.load import project_root

    return Path.cwd() if config_file is None else project_root(config_file)


def _has_config(root: Path) -> bool:
    return any((root / name).exists() for name in ("config/deploy.yml", "deploy.yml"))


def _shown(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
