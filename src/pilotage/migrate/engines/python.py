"""What Alembic's and Django's files say of themselves, read as Python source and never run."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

from pilotage.errors import MigrationFileError

# ----------------------------------------------------------------------------------------------
# Alembic
# ----------------------------------------------------------------------------------------------


def alembic(files: Mapping[Path, bytes]) -> dict[str, tuple[Path, tuple[str, ...]]]:
    """Revision → its file, and the revisions that come before it (``down_revision``, ``depends_on``).

    Raises
    ------
    MigrationFileError
        A file cannot be read, two have one revision, or one names a revision that no file has.
    """
    found: dict[str, tuple[Path, tuple[str, ...]]] = {}
    for path, text in files.items():
        module = _parsed(path, text)
        values = dict(_assigned(module))
        revision = _text(values.get("revision"))
        if revision is None:
            continue  # not a migration: a helper that lies beside them
        if revision in found:
            raise MigrationFileError(
                f"the revision {revision} has another file: {found[revision][0]}",
                where=str(path),
                next="give one of them a revision of its own",
            )
        before = tuple(
            name
            for key in ("down_revision", "depends_on")
            for name in _texts(path, values.get(key), key)
        )
        found[revision] = (path, before)
    return {r: (p, tuple(_known(p, n, found) for n in names)) for r, (p, names) in found.items()}


def _known(path: Path, name: str, found: Mapping[str, object]) -> str:
    if name in found:
        return name
    meant = [revision for revision in found if revision.startswith(name)]
    if len(meant) == 1:
        return meant[0]
    raise MigrationFileError(
        f"it comes after the revision {name!r}, which no file has",
        where=str(path),
        next="bring the file back, or correct `down_revision`; `migrations: {files: …}` says where "
        "pilotage looks",
    )


# ----------------------------------------------------------------------------------------------
# Django
# ----------------------------------------------------------------------------------------------


def django(files: Mapping[Path, bytes]) -> dict[str, tuple[Path, tuple[str, ...]]]:
    """``app.name`` → its file, and those of the project's own apps that come before it.

    ``files`` may hold each app's ``apps.py`` as well: it says what the app is called. Otherwise an app is
    called as its folder is.

    Raises
    ------
    MigrationFileError
        A file cannot be read.
    """
    labels = {path.parent: _label(path, text) for path, text in files.items() if _is_apps(path)}
    found: dict[str, tuple[Path, ast.ClassDef]] = {}
    for path, text in files.items():
        migration = None if _is_apps(path) else _class(_parsed(path, text), "Migration")
        if migration is not None:
            folder = path.parent.parent
            app = labels.get(folder) or folder.name
            found[f"{app}.{path.stem}"] = (path, migration)
    first = _firsts(found)
    graph: dict[str, tuple[Path, tuple[str, ...]]] = {}
    for version, (path, migration) in found.items():
        values = dict(_assigned(migration))
        named = [*_pairs(values.get("dependencies")), *_pairs(values.get("replaces"))]
        before = (
            first.get(n.partition(".")[0], n) if n.endswith(".__first__") else n for n in named
        )
        graph[version] = (path, tuple(n for n in before if n in found and n != version))
    return _with_run_before(graph, found)


def _with_run_before(
    graph: dict[str, tuple[Path, tuple[str, ...]]], found: Mapping[str, tuple[Path, ast.ClassDef]]
) -> dict[str, tuple[Path, tuple[str, ...]]]:
    for version, (_, migration) in found.items():
        for later in _pairs(dict(_assigned(migration)).get("run_before")):
            if later in graph:
                path, before = graph[later]
                graph[later] = (path, (*before, version))
    return graph


def _is_apps(path: Path) -> bool:
    return path.name == "apps.py"


def _label(path: Path, text: bytes) -> str | None:
    for node in ast.walk(_parsed(path, text)):
        if isinstance(node, ast.ClassDef):
            label = _text(dict(_assigned(node)).get("label"))
            if label:
                return label
    return None


def _firsts(found: Mapping[str, object]) -> dict[str, str]:
    """App → its first migration, by name."""
    firsts: dict[str, str] = {}
    for version in sorted(found):
        firsts.setdefault(version.partition(".")[0], version)
    return firsts


def _pairs(node: ast.expr | None) -> list[str]:
    """``[("app", "name"), …]`` as ``app.name``; what is computed (a swappable dependency) is left out."""
    if not isinstance(node, (ast.List, ast.Tuple)):
        return []
    pairs = []
    for item in node.elts:
        if isinstance(item, ast.Tuple) and len(item.elts) == 2:
            app, name = (_text(part) for part in item.elts)
            if app and name:
                pairs.append(f"{app}.{name}")
    return pairs


# ----------------------------------------------------------------------------------------------
# Python
# ----------------------------------------------------------------------------------------------


def _parsed(path: Path, text: bytes) -> ast.Module:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None) or 1
        raise MigrationFileError(
            f"it is not Python that can be read: {getattr(error, 'msg', error)}",
            where=f"{path}:{line}",
        ) from error


def _class(module: ast.Module, name: str) -> ast.ClassDef | None:
    classes = (node for node in module.body if isinstance(node, ast.ClassDef))
    return next((node for node in classes if node.name == name), None)


def _assigned(scope: ast.Module | ast.ClassDef) -> Iterator[tuple[str, ast.expr]]:
    for node in scope.body:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    yield target.id, node.value
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            yield node.target.id, node.value


def _text(node: ast.expr | None) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _texts(path: Path, node: ast.expr | None, key: str) -> list[str]:
    """None, a text, or several."""
    if node is None or (isinstance(node, ast.Constant) and node.value is None):
        return []
    items = node.elts if isinstance(node, (ast.Tuple, ast.List, ast.Set)) else [node]
    texts = [_text(item) for item in items]
    if None in texts:
        raise MigrationFileError(
            f"`{key}` is computed, so its order cannot be read",
            where=f"{path}:{node.lineno}",
            next=f"write `{key}` out as a text, as `alembic revision` does",
        )
    return [text for text in texts if text is not None]
