"""Models in the migrations of Django and Alembic, by Python's own parser."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import accumulate

from pilotage.hazards.models import Model

_FOLDERS = frozenset({"models", "model"})
_LIBRARIES = ("django.db", "sqlalchemy", "alembic")  # their `models` are no application's


def models(text: str) -> Iterator[Model]:
    """What a file imports from a module of models and uses in one of its functions.

    An import that only a field's definition uses is left alone: Django itself writes such. A file that is
    not Python has none.
    """
    try:
        module = ast.parse(text)
    except (SyntaxError, ValueError):
        return
    starts = list(accumulate((len(line) + 1 for line in text.split("\n")), initial=0))
    used = _used_in_functions(module)
    alembic = not any(isinstance(x, ast.ClassDef) and x.name == "Migration" for x in module.body)
    for node in ast.walk(module):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            for bound, path in _bound(node):
                meant = (_meant(name, bound, path) for name in used)
                full = next((name for name in meant if _is_class(name.rpartition(".")[2])), None)
                if full and _from_models(path):
                    name = full.rpartition(".")[2]
                    # `col_offset` counts bytes, but what stands before an import is nothing but space.
                    at = starts[node.lineno - 1] + node.col_offset
                    yield Model(full, at, _alembic(name) if alembic else _django(path, name))


def _meant(name: str, bound: str, path: str) -> str:
    """The full path of a name as it is used, where it is of this import; else ``""``."""
    if name == bound:
        return path
    return f"{path}{name[len(bound) :]}" if name.startswith(f"{bound}.") else ""


def _bound(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, str]]:
    """The names that an import makes, as they are used, with the full path of what each one is."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield alias.asname or alias.name, alias.name
    else:
        module = node.module or ""
        for alias in node.names:
            path = ".".join(part for part in (module, alias.name) if part)
            yield alias.asname or alias.name, path


def _from_models(path: str) -> bool:
    return bool(_FOLDERS & set(path.split("."))) and not path.startswith(_LIBRARIES)


def _is_class(name: str) -> bool:
    return name[:1].isupper() and not name.isupper()


def _used_in_functions(module: ast.Module) -> list[str]:
    """Names and dotted names that are read inside of functions, longest first."""
    found: dict[str, None] = {}
    for function in ast.walk(module):
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            for node in ast.walk(function):
                name = _dotted(node)
                if name:
                    found[name] = None
    return list(found)


def _dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = _dotted(node.value)
        return f"{before}.{node.attr}" if before else ""
    return ""


def _django(path: str, name: str) -> str:
    parts = path.split(".")
    place = next(i for i, part in enumerate(parts) if part in _FOLDERS)
    app = parts[place - 1] if place else "app"
    return f'{name} = apps.get_model("{app}", "{name}")\n'


def _alembic(name: str) -> str:
    table = name.lower()
    return f'{table} = sa.table("{table}", sa.column("id"))  # the columns that this file needs\n'
