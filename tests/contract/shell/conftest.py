"""Every test of this folder runs once for every shell: on this machine, and over a real sshd."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from tests.sshd import Sshd, sshd

from pilotage.shell.base import Shell
from pilotage.shell.local import LocalShell

Opened = Callable[[], AbstractAsyncContextManager[Shell]]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """One server for all tests of this process that break nothing."""
    with sshd(tmp_path_factory.mktemp("sshd")) as running:
        yield running


@pytest.fixture(params=["local", "ssh"])
def opened(request: pytest.FixtureRequest) -> Opened:
    """Opens the shell of this run."""
    if request.param == "local":

        @asynccontextmanager
        async def local() -> AsyncIterator[Shell]:
            yield LocalShell()

        return local
    server: Sshd = request.getfixturevalue("server")
    return server.shell


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory that every shell sees."""
    return tmp_path
