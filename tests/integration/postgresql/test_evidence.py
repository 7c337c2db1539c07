"""Which sessions a real server shows by the name of their release, and what a contract may conclude."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psycopg
import pytest
from tests.servers import server

from pilotage.migrate.runner import SqlSchema
from pilotage.model import (
    DeployState,
    Host,
    Instance,
    Observed,
    Release,
    SchemaView,
    Ships,
    contract,
    release_id,
    session_name,
)
from pilotage.proof import Proof, prove
from pilotage.secret import Secret
from pilotage.targets.local.environment import instance_environment

OLD, NEW = release_id("v1"), release_id("v2")
REFS = (contract("2"),)
SHIPS = {
    OLD: Ships(expands=frozenset("1")),
    NEW: Ships(expands=frozenset({"1", "2"}), contracts=frozenset("2")),
}
# Connects, says so, and waits until its input is closed.
CLIENT = """
import os, sys, psycopg
options = {"application_name": sys.argv[1]} if len(sys.argv) > 1 else {}
with psycopg.connect(os.environ["DATABASE_URL"], **options) as connection:
    connection.execute("SELECT 1")
    print("connected", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def url() -> Iterator[str]:
    with server(15).database() as name:
        yield server(15).url(name)


def view(url: str) -> SchemaView:
    async def ask() -> SchemaView:
        schema = SqlSchema(url=Secret(url), stream="shop", service="shop")
        async with schema:
            await schema.prepare()
            return await schema.view()

    return asyncio.run(ask())


def instance(release: str) -> Instance:
    return Instance(f"web-{release}", "shop", "web", "here", release)


@contextmanager
def running(url: str, release: str, *words: str) -> Iterator[None]:
    """A process of this release, in the environment that the local target gives it."""
    environment = instance_environment(
        instance(release), {"DATABASE_URL": Secret(url)}, environ=os.environ, port=None
    )
    argv = [sys.executable, "-c", CLIENT, *words]
    process = subprocess.Popen(
        argv, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "connected\n"
        yield
        assert process.stdin is not None
        process.stdin.close()


def proof(url: str, *instances: Instance) -> Proof:
    releases = tuple(Release(name, name, ships) for name, ships in SHIPS.items())
    observed = Observed(
        state=DeployState(releases=releases),
        hosts=(Host("here"),),
        instances=instances,
        schema=view(url),
    )
    return prove(observed, REFS)


def test_sessions_of_the_running_release_are_seen_by_name(url: str) -> None:
    with running(url, NEW):
        told = proof(url, instance(NEW))
    assert not told.blockers
    assert any("seen by name, so an older one would be" in line for line in told.evidence)


def test_a_session_of_an_older_release_blocks_though_no_instance_is_left(url: str) -> None:
    with running(url, NEW), running(url, OLD):
        told = proof(url, instance(NEW))
    (blocker,) = told.blockers
    assert f"is of release {OLD}" in blocker


def test_a_driver_that_ignores_the_name_is_no_evidence(url: str) -> None:
    """What connects under a name of its own could hide an old session just as well."""
    with running(url, NEW, "my-own-driver"):
        told = proof(url, instance(NEW))
    assert not told.blockers
    assert any("instances only" in line and NEW in line for line in told.evidence)


def test_both_ways_carry_the_name(url: str) -> None:
    environment = instance_environment(
        instance(NEW), {"DATABASE_URL": Secret(url)}, environ={}, port=None
    )
    with ExitStack() as stack:
        by_url = stack.enter_context(psycopg.connect(environment["DATABASE_URL"]))
        os.environ["PGAPPNAME"] = environment["PGAPPNAME"]
        stack.callback(os.environ.pop, "PGAPPNAME")
        by_variable = stack.enter_context(psycopg.connect(url))
        names = {
            connection.execute("SHOW application_name").fetchone()
            for connection in (by_url, by_variable)
        }
    assert names == {(session_name(NEW),)}


def test_a_name_of_their_own_is_kept_behind_ours_and_the_cut_at_63_bytes_takes_theirs(
    url: str,
) -> None:
    long = "a-very-long-name-of-a-service-in-a-cluster-in-a-region-of-a-company"
    environment = instance_environment(
        instance(NEW),
        {"DATABASE_URL": Secret(f"{url}?application_name={long}")},
        environ={},
        port=None,
    )
    with psycopg.connect(environment["DATABASE_URL"]):
        (session,) = [s for s in view(url).sessions or () if s.application_name != "pilotage"]
    assert len(session.application_name) == 63
    assert session.application_name.startswith(f"{session_name(NEW)}:a-very-long-name")
    assert session.release == NEW


def test_a_release_that_the_server_cut_off_proves_nothing(url: str) -> None:
    name = "x" * 50 + session_name(NEW)
    with psycopg.connect(url, application_name=name):
        (session,) = [s for s in view(url).sessions or () if s.application_name != "pilotage"]
    assert session.application_name == name[:63]
    assert session.release is None
