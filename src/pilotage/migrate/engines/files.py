"""From the files of a release to its migrations, whichever framework they are written for. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from pilotage.config.frameworks import Order, Status
from pilotage.errors import MigrationFileError
from pilotage.migrate.engines.globs import matcher
from pilotage.migrate.engines.python import alembic, django
from pilotage.migrate.migration import Framework, Migration, Migrations, Section
from pilotage.model import version_key

_NAME = re.compile(r"(?P<version>\d+)[_-]?(?P<name>.*)")

_Graph = dict[str, tuple[Path, tuple[str, ...]]]


def read(
    files: Mapping[Path, bytes],
    *,
    contract_files: Iterable[str],
    status: Status,
    order: Order,
    framework: Framework,
) -> Migrations:
    """The migrations, each with the one half that it is, in the order of the framework.

    ``files``: path from the project's folder → content.

    Raises
    ------
    MigrationFileError
        A file cannot be read, or the order makes no sense.
    """
    match status:
        case "alembic_version":
            graph = alembic(files)
        case "django_migrations":
            graph = django(files)
        case _:
            graph = _by_name(files, order)
    is_contract = matcher(contract_files)
    made = {}
    for version in _sorted(graph):
        path, before = graph[version]
        section = Section(files[path].decode("utf-8", "replace"), 1)
        contract = is_contract(path.as_posix())
        made[version] = Migration(
            version,
            _name(version, path),
            path,
            expand=None if contract else section,
            contract=section if contract else None,
            after=before,
        )
    return Migrations(made, framework)


def _by_name(files: Mapping[Path, bytes], order: Order) -> _Graph:
    """Versions are the digits that a name begins with, else the whole of it."""
    paths: dict[str, Path] = {}
    for path in files:
        found = _NAME.fullmatch(path.stem)
        version = found["version"] if found else path.stem
        if version in paths:
            raise MigrationFileError(
                f"version {version} has another file: {paths[version]}",
                where=str(path),
                next="give one of them a version of its own",
            )
        paths[version] = path
    graph: _Graph = {}
    before: tuple[str, ...] = ()
    for version in sorted(paths, key=version_key):
        graph[version] = (paths[version], before)
        if order == "linear":
            before = (version,)
    return graph


def _name(version: str, path: Path) -> str:
    """What is left of the file's name without its version."""
    found = _NAME.fullmatch(path.stem)
    if found and found["version"] == version:
        return found["name"]
    if version.endswith(path.stem):
        return ""  # Django's versions are the names
    return path.stem.removeprefix(version).lstrip("_-") or path.stem


def _sorted(graph: _Graph) -> list[str]:
    """Every version after those that come before it; where that leaves a choice, by file."""
    order: list[str] = []
    state: dict[str, bool] = {}  # False: being visited, True: in the order
    for start in sorted(graph, key=lambda v: (version_key(v)[0], graph[v][0])):
        stack = [(start, iter(graph[start][1]))]
        if start in state:
            continue
        state[start] = False
        while stack:
            version, before = stack[-1]
            for one in before:
                if one not in graph or state.get(one):
                    continue
                if one in state:
                    raise MigrationFileError(
                        f"{version} and {one} each come after the other",
                        where=str(graph[version][0]),
                    )
                state[one] = False
                stack.append((one, iter(graph[one][1])))
                break
            else:
                state[version] = True
                order.append(version)
                stack.pop()
    return order
