"""The property tests bite: every mutant of the planner and the executor is told by its story.

A witness is a story of the same kind as the drawn ones, in which the mutant does harm. Should the code
change so that it no longer does there, drawn stories are tried as well before the test gives up.
"""

from __future__ import annotations

import pytest

from .hunt import hunt
from .mutants import MUTANTS, Mutant
from .oracle import Violation
from .story import tell


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_mutant_is_killed(mutant: Mutant) -> None:
    tell(mutant.witness)  # and pilotage itself is not
    with mutant.alive():
        try:
            tell(mutant.witness)
        except Violation:
            return
        found = hunt(500)
    assert found is not None, f"{mutant.name} survived; its witness is out of date"
