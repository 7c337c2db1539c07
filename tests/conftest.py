"""What holds for the whole suite: in CI, nothing is skipped; and signals do what they do by default."""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING

import hypothesis
import pytest

if TYPE_CHECKING:
    from tests.lab.lab import Lab

# No test is a measurement: a machine that is busy makes any example slow.
hypothesis.settings.register_profile("pilotage", deadline=None)
hypothesis.settings.load_profile("pilotage")


def pytest_configure() -> None:
    """A run in the background (``nohup``, ``&``) ignores signals, and every command would inherit that."""
    for which, default in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGHUP, signal.SIG_DFL),
        (signal.SIGQUIT, signal.SIG_DFL),
    ):
        if signal.getsignal(which) is signal.SIG_IGN:
            signal.signal(which, default)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run in CI in which a test was skipped: a missing server is a failure there."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") != "true" or reporter is None:
        return
    skipped = reporter.stats.get("skipped", [])
    if skipped and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say why such a run failed."""
    skipped = terminalreporter.stats.get("skipped", [])
    if skipped and os.environ.get("CI") == "true":
        terminalreporter.section("skipped in CI, where nothing may be", sep="=", red=True)
        for report in skipped:
            terminalreporter.line(report.nodeid)


@pytest.fixture(scope="session")
def whole_lab() -> Iterator[Lab]:
    """Three Docker hosts, a network and a registry, real ones, for this worker: most tests wait more than they work."""
    from tests.lab import lab
    from tests.servers import missing

    if what := lab.missing():
        missing(what)
    with lab.lab(f"pid {os.getpid()}") as made:
        yield made


@pytest.fixture
def lab(whole_lab: Lab) -> Iterator[Lab]:
    """The three Docker hosts for one test: without containers or files, but perhaps with images."""
    try:
        yield whole_lab
    finally:
        whole_lab.clean()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run the tests that are coroutines."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    wanted = inspect.signature(pyfuncitem.obj).parameters
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in wanted}))
    return True
