"""Tests of hosts over SSH: a real sshd each, whose keys and options the test may change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.sshd import Sshd, sshd

Start = Callable[..., Sshd]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts servers that end with the test."""
    with ExitStack() as stack:
        count = 0

        def begin(*options: str, host_key: str = "ed25519") -> Sshd:
            nonlocal count
            count += 1
            made = sshd(tmp_path / f"sshd{count}", *options, host_key=host_key)
            return stack.enter_context(made)

        yield begin


@pytest.fixture
def server(start: Start) -> Sshd:
    """A server of the test's own."""
    return start()
