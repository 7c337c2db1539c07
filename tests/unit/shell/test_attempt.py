"""What an attempt to connect that failed is said to be."""

from __future__ import annotations

import subprocess
from dataclasses import replace

import asyncssh
import pytest

from pilotage.errors import HostUnreachable
from pilotage.shell.address import Address
from pilotage.shell.attempt import Attempt, Said, Transient, Witness
from pilotage.shell.keys import Offer
from pilotage.shell.known_hosts import Known

ADDRESS = Address("web", "192.0.2.1", 22, "root", "web", ())
KNOWN = Known((), (), (), any_port=False, files=())

CLOSED = [
    asyncssh.ConnectionLost("Connection lost"),
    BrokenPipeError(),
    ConnectionResetError(),
]
"""A connection that the other side closed: before we wrote to it, while we did, or with words of ours unread."""


def attempt(said: Said | None = None, *, proxy_command: str | None = None) -> Attempt:
    address = replace(ADDRESS, proxy_command=proxy_command)
    return Attempt(address, KNOWN, Offer(), Witness(), said, limit=30)


@pytest.mark.parametrize("error", CLOSED, ids=lambda error: type(error).__name__)
def test_a_proxy_command_that_ends_is_told_by_its_last_line(error: Exception) -> None:
    said = Said()
    subprocess.run(said.argv("echo one >&2; echo no route today >&2; exit 1"), check=False)
    told = attempt(said, proxy_command="nc %h %p").told(error)
    said.close()
    assert isinstance(told, HostUnreachable)
    assert told.what == "the proxy command ended before the log-in: no route today"
    assert told.next == "try it: `nc %h %p`"


@pytest.mark.parametrize("error", CLOSED, ids=lambda error: type(error).__name__)
def test_a_host_that_closes_the_connection_is_asked_again(error: Exception) -> None:
    told = attempt().told(error)
    assert isinstance(told, Transient)
    assert told.told.what == "root@192.0.2.1 closed the connection before the log-in"
