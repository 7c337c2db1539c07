"""Readiness when the database hangs, is down, or is asked a thousand times a second."""

from __future__ import annotations

import asyncio
import json
import logging
import multiprocessing
import re
import subprocess
import sys
import time
from collections import Counter

import psycopg
import pytest
from tests.integration.health.conftest import RELEASE, Prepared
from tests.probes import Way, probe, probe_until

from pilotage.health import Readiness

pytestmark = pytest.mark.integration


def told_of(answer: bytes) -> dict[str, object]:
    told = json.loads(answer)
    assert isinstance(told, dict)
    return told


def test_last_answer_is_kept_while_the_database_is_down(
    prepared: Prepared, caplog, monkeypatch
) -> None:
    logger = logging.getLogger("pilotage.health")
    monkeypatch.setattr(
        logger, "disabled", False
    )  # a framework's own set-up of logging turns it off
    caplog.set_level(logging.INFO, "pilotage.health")
    with Way(prepared.postgres.port) as way:
        asked = prepared.readiness(prepared.through(way.port))
        probe_until(asked, lambda told: told["ready"])
        way.cut()
        told = probe_until(asked, lambda told: told["error"])
        assert told["ready"]
        assert told["error"] == "the database does not answer"
        assert probe_until(asked, lambda told: told["age"] > 2.5)["ready"]
        prepared.contract()
        assert probe(asked)["ready"], "nobody saw evidence of a misfit"
        way.mend()
        told = probe_until(asked, lambda told: not told["ready"])
        assert told["error"] is None
        assert told["foreign"] == ["2/contract"]
        way.cut()
        assert not probe_until(asked, lambda told: told["error"])["ready"]
    assert "the last answer stays" in caplog.text
    assert prepared.postgres.password not in caplog.text


def test_not_ready_before_the_first_answer(prepared: Prepared) -> None:
    with Way(prepared.postgres.port) as way:
        way.cut()
        asked = prepared.readiness(prepared.through(way.port))
        told = probe_until(asked, lambda told: told["error"])
        assert not told["ready"]
        assert told["age"] is None
        assert told["why"] == "the database does not answer, and it was never asked before"
        for secret in (prepared.postgres.password, "postgresql://", "127.0.0.1", prepared.name):
            assert secret not in json.dumps(told)
        way.mend()
        probe_until(asked, lambda told: told["ready"])


def test_probe_does_not_hang_with_the_database(prepared: Prepared) -> None:
    with Way(prepared.postgres.port) as way:
        asked = prepared.readiness(prepared.through(way.port))
        probe_until(asked, lambda told: told["ready"])
        way.hang()
        longest, began = 0.0, time.monotonic()
        while time.monotonic() - began < 3:
            before = time.monotonic()
            assert probe(asked)["ready"]
            longest = max(longest, time.monotonic() - before)
            time.sleep(0.01)
        assert longest < 10, longest  # half a second, on a machine that has nothing else to do
        # A look that hangs for long is broken off, and says so.
        told = probe_until(asked, lambda told: told["error"])
        assert told["ready"]
        way.go_on()
        probe_until(asked, lambda told: not told["error"])


def test_hanging_at_first_is_not_ready_and_does_not_hang(prepared: Prepared) -> None:
    with Way(prepared.postgres.port) as way:
        way.hang()
        asked = prepared.readiness(prepared.through(way.port))
        began = time.monotonic()
        for _ in range(100):
            assert not probe(asked)["ready"]
        assert time.monotonic() - began < 20, "only the first probes wait"


LOGGED = re.compile(r"\[(\d+)\] LOG:  (?:execute|statement)")


def test_a_thousand_probes_a_second_are_a_query_a_second(prepared: Prepared) -> None:
    """Statements are counted where they arrive: in the server's own log."""
    prepared.postgres.execute(f"ALTER DATABASE {prepared.name} SET log_statement = 'all'")
    path = prepared.postgres.directory / "log"
    asked = prepared.readiness()
    probe_until(asked, lambda told: told["ready"])
    before = len(LOGGED.findall(path.read_text()))
    seconds, probes, began = 5, 0, time.monotonic()
    while (passed := time.monotonic() - began) < seconds:
        probe(asked)
        probes += 1
        time.sleep(max(0.0, probes / 1000 - passed))
    asked_by = Counter(LOGGED.findall(path.read_text())[before:])
    assert probes > 50 * seconds, "the machine was too slow to count anything"
    assert 2 <= sum(asked_by.values()) <= seconds + 1, (asked_by, probes)
    assert len(asked_by) == 1, "one session is kept while probes come"
    print(f"{probes} probes in {seconds} s cost {sum(asked_by.values())} statements")


def test_a_thousand_concurrent_probes_of_an_event_loop(prepared: Prepared) -> None:
    asked = prepared.readiness()

    async def main() -> tuple[list[bool], float]:
        late = 0.0

        async def tick() -> None:
            nonlocal late
            while True:
                before = time.monotonic()
                await asyncio.sleep(0.01)
                late = max(late, time.monotonic() - before)

        ticking = asyncio.create_task(tick())
        await asyncio.sleep(0.05)
        answers = await asyncio.gather(*(asked.answer_async() for _ in range(1000)))
        while not (await asked.answer_async()).ready:
            await asyncio.sleep(0.05)
        answers += await asyncio.gather(*(asked.answer_async() for _ in range(1000)))
        ticking.cancel()
        return [answer.ready for answer in answers], late

    ready, late = asyncio.run(main())
    assert all(ready[1000:])
    assert late < 5, "the loop was held up"
    sessions = prepared.postgres.execute(
        f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{prepared.name}'"
    )
    assert sessions == [(1,)]


def test_a_cancelled_probe_leaves_the_look_to_the_others(prepared: Prepared) -> None:
    asked = prepared.readiness()

    async def main() -> None:
        first = asyncio.create_task(asked.answer_async())
        second = asyncio.create_task(asked.answer_async())
        await asyncio.sleep(0)
        first.cancel()
        await second
        while not (await asked.answer_async()).ready:
            await asyncio.sleep(0.05)

    asyncio.run(main())


def test_session_is_named_and_goes_away(prepared: Prepared) -> None:
    asked = prepared.readiness()
    probe_until(asked, lambda told: told["ready"])
    query = (
        "SELECT application_name FROM pg_stat_activity"
        f" WHERE datname = '{prepared.name}' AND pid <> pg_backend_pid()"
    )
    with psycopg.connect(prepared.postgres.url(), autocommit=True) as watcher:
        assert watcher.execute(query).fetchall() == [(f"plt-{RELEASE}:readiness",)]
        deadline = time.monotonic() + 60
        while watcher.execute(query).fetchall():
            assert time.monotonic() < deadline, "without probes the session ends"
            time.sleep(0.1)
    probe_until(asked, lambda told: told["ready"] and told["age"] < 1)


def child(asked: Readiness, out: multiprocessing.connection.Connection) -> None:
    out.send(probe_until(asked, lambda told: told["ready"])["age"])


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # fork is the point
def test_forked_worker_asks_for_itself(prepared: Prepared) -> None:
    asked = prepared.readiness()
    probe_until(asked, lambda told: told["ready"])
    fork = multiprocessing.get_context("fork")
    near, far = fork.Pipe()
    worker = fork.Process(target=child, args=(asked, far))
    worker.start()
    assert near.poll(60)
    assert near.recv() < 30
    worker.join(60)
    assert worker.exitcode == 0
    told = probe_until(asked, lambda told: told["age"] < 0.5)
    assert told["ready"]
    assert told["error"] is None, "the child did not touch the session of its parent"


HEAVY = ("click", "hypothesis", "postgast", "psycopg", "pydantic", "rich", "ruamel", "sqlglot")


def test_importing_it_costs_an_application_little() -> None:
    program = "import pilotage.health, sys; pilotage.health.asgi(); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert not {name.partition(".")[0] for name in done.stdout.split()} & set(HEAVY)


def test_without_a_database_it_says_so(monkeypatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    told = probe_until(Readiness(), lambda told: told["error"])
    assert not told["ready"]
    assert "DATABASE_URL is not set" in told["why"]
    assert told_of(Readiness().answer().body)["ready"] is False
