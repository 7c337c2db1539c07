"""Reads ``config/deploy.yml``, its destination and its secrets files: the way in to this package."""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping
from pathlib import Path

from pilotage.config.config import Config
from pilotage.config.document import Block, merge, parse, read_text
from pilotage.config.erb import Context, render
from pilotage.config.resolve import resolve
from pilotage.config.rules import check
from pilotage.config.secrets import Secrets
from pilotage.config.shape import normalise
from pilotage.config.validate import did_you_mean, validate
from pilotage.errors import ConfigError

NAMES = ("config/deploy.yml", "deploy.yml")
OWN_SECRETS = ".pilotage/secrets"


def find_config(start: Path) -> Path:
    """``config/deploy.yml``, else ``deploy.yml``, in ``start``.

    Raises
    ------
    ConfigError
        There is neither.
    """
    for name in NAMES:
        if (start / name).is_file():
            return start / name
    raise ConfigError(
        f"no configuration: neither {' nor '.join(NAMES)} is in {start}",
        next="run `pilotage init` to write one, or name a file with -c",
    )


def project_root(path: Path) -> Path:
    """The project's folder: the parent of ``config/``, else the folder of the file."""
    folder = path.absolute().parent
    return folder.parent if folder.name == "config" else folder


def load_config(
    path: Path | None = None,
    *,
    destination: str | None = None,
    run_commands: bool = False,
    environ: Mapping[str, str] | None = None,
    version: str | None = None,
) -> Config:
    """The configuration of a service at a destination.

    Parameters
    ----------
    path:
        The file; None looks for it in the current folder (`find_config`).
    destination:
        ``deploy.DESTINATION.yml`` is merged onto the file.
    run_commands:
        Whether commands in ERB and in secrets files may run: true for verbs that deploy. Else what
        they would give reads ``[not run: command]``, and `Config.not_run` lists them.
    environ:
        What ``ENV`` is; the process's own by default.
    version:
        The revision that the command line names; else ``VERSION`` of the environment.

    Raises
    ------
    ConfigError
        Names the file, the line, the key, and the nearest known key.
    """
    given = dict(os.environ if environ is None else environ)
    path = (find_config(Path.cwd()) if path is None else path).absolute()
    root = project_root(path)
    environ_of_files: MutableMapping[str, str] = dict(given)
    environ_of_files.pop("KAMAL_DESTINATION", None)
    if destination:
        environ_of_files["KAMAL_DESTINATION"] = destination
    context = Context(environ_of_files, root, run_commands)
    data, not_run = _read(path, root, context)
    if destination:
        other, more = _read_destination(path, root, destination, context)
        data, not_run = merge(data, other), (*not_run, *more)
    data = normalise(data)
    file = validate(data)
    check(file, data, destination=destination, root=root)
    secrets = Secrets(
        root=root,
        files=_secrets_files(root, file.secrets_path, destination),
        environ=given,
        run_commands=run_commands,
    )
    return resolve(
        file,
        data,
        path=path,
        root=root,
        destination=destination,
        version=version or given.get("VERSION") or None,
        secrets=secrets,
        not_run=not_run,
    )


def _read(
    path: Path, root: Path, context: Context, *, may_be_empty: bool = False
) -> tuple[Block, tuple[str, ...]]:
    shown = os.path.relpath(path, root)
    rendered = render(read_text(path, shown), shown, context)
    return parse(rendered, shown, may_be_empty=may_be_empty), rendered.not_run


def _read_destination(
    path: Path, root: Path, destination: str, context: Context
) -> tuple[Block, tuple[str, ...]]:
    other = path.with_name(f"{path.stem}.{destination}{path.suffix}")
    if not other.is_file():
        known = [
            found.name.removeprefix(f"{path.stem}.").removesuffix(path.suffix)
            for found in path.parent.glob(f"{path.stem}.*{path.suffix}")
        ]
        hint = f"; {did_you_mean(destination, known)}" if known else ""
        raise ConfigError(
            f"there is no destination `{destination}`: no such file{hint}",
            where=os.path.relpath(other, root),
        )
    return _read(other, root, context, may_be_empty=True)


def _secrets_files(root: Path, kamal: str, destination: str | None) -> list[Path]:
    """The secrets files, from the weakest to the strongest."""
    suffix = f".{destination}" if destination else ""
    bases = [root / Path(kamal).expanduser(), root / OWN_SECRETS]
    return [base.with_name(base.name + end) for base in bases for end in ("-common", suffix)]
