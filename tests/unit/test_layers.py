"""The arrows of the design, held by import-linter; and every module has its place in them."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

ROOT = Path(__file__).parents[2]
CONFIGURATION = ROOT / "pyproject.toml"

UNLAYERED = {"pilotage", "pilotage.migrate"}
"""Packages whose `__init__` imports nothing, and whose modules stand in different layers."""


def contracts() -> dict[str, dict[str, object]]:
    tool = tomllib.loads(CONFIGURATION.read_text())["tool"]
    return {contract["id"]: contract for contract in tool["importlinter"]["contracts"]}


def modules() -> set[str]:
    files = (ROOT / "src").rglob("*.py")
    names = (".".join(path.relative_to(ROOT / "src").with_suffix("").parts) for path in files)
    return {name.removesuffix(".__init__") for name in names}


def placed() -> set[str]:
    layers = contracts()["arrows"]["layers"]
    assert isinstance(layers, list)
    return {name for layer in layers for name in re.findall(r"[\w.]+", layer)}


def test_import_linter_keeps_every_contract(capsys):
    status = lint_imports(config_filename=str(CONFIGURATION), no_logo=True, cache_dir=None)
    assert status == EXIT_STATUS_SUCCESS, capsys.readouterr().out


def test_every_module_has_a_place_in_the_layers():
    tops = placed()
    astray = {
        name
        for name in modules() - UNLAYERED
        if not any(name == top or name.startswith(f"{top}.") for top in tops)
    }
    assert not astray, f"give these a layer in [tool.importlinter]: {sorted(astray)}"


def test_packages_without_a_layer_import_nothing():
    for name in UNLAYERED:
        source = (ROOT / "src" / Path(*name.split(".")) / "__init__.py").read_text()
        imported = re.findall(r"^(?:from|import) (\S+)", source, flags=re.MULTILINE)
        assert set(imported) <= {"__future__", "importlib", "importlib.metadata", "typing"}, name


def test_everything_below_the_command_line_is_kept_from_the_terminal():
    held = contracts()["terminal"]["source_modules"]
    assert isinstance(held, list)
    tops = {".".join(name.split(".")[:2]) for name in modules()} - {"pilotage"}
    free = {"pilotage.__main__", "pilotage.cli", "pilotage.demo", "pilotage.wiring"}
    assert tops - free == set(held) - free
