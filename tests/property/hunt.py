"""Looks for an example that fails, in the same order every time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from hypothesis import HealthCheck, Phase, given, seed, settings

from .chaos import Fault
from .oracle import Violation
from .story import Example, tell
from .strategies import examples


def drawn(count: int, at: int, body: Callable[[Example], object], **more: object) -> None:
    """Draw ``count`` examples from the seed ``at``, and run ``body`` on each."""

    @seed(at)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        **more,  # type: ignore[arg-type]
    )
    @given(examples())
    def run(example: Example) -> None:
        body(example)

    run()


class Found(Exception):
    """An example that fails, and how."""

    def __init__(self, example: Example, violation: Violation, number: int) -> None:
        super().__init__(f"example {number}: {violation}")
        self.example = example
        self.violation = violation
        self.number = number


def hunt(count: int, at: int = 0) -> Found | None:
    """The first drawn example that violates something, or None among so many."""
    number = 0

    def body(example: Example) -> None:
        nonlocal number
        number += 1
        try:
            tell(example)
        except Violation as violation:
            raise Found(example, violation, number) from None

    try:
        drawn(count, at, body, phases=[Phase.generate], print_blob=False)
    except Found as found:
        return found
    return None


def at_every_point(example: Example, kind: str, arg: int = 0) -> Iterator[Example]:
    """The example, with one fault more at each of its points in turn, after those that it has."""
    points = tell(example).points_told
    for gap in range(1, points + 1):
        yield replace(example, faults=(*example.faults, Fault(gap, kind, arg)))
