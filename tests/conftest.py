"""What holds for the whole suite: in CI, nothing is skipped; and signals do what they do by default."""

from __future__ import annotations

import os
import signal

import pytest


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
