"""The public API: every name is there, and importing the package loads nothing of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pilotage


def test_every_public_name_can_be_had() -> None:
    assert {name for name in pilotage.__all__ if getattr(pilotage, name) is not None} == set(
        pilotage.__all__
    )
    assert set(pilotage.__all__) <= set(dir(pilotage))


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    assert not hasattr(pilotage, "no_such_name")


def test_importing_the_package_loads_no_module_of_it() -> None:
    code = "import sys, pilotage; print([m for m in sys.modules if m.startswith('pilotage.')])"
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ran.stdout.strip() == "[]"


def test_no_public_name_hides_a_module() -> None:
    """`from pilotage import deploy` is the module, whoever imported what before."""
    package = Path(pilotage.__file__).parent
    modules = {path.stem for path in package.iterdir()}
    assert not modules & set(pilotage.__all__)
