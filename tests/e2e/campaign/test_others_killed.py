"""Envoy, the database or an instance is killed at each step of a deploy, under load.

The deploy either goes on, or ends in one clear error; the same command, run again (as the error says),
ends right, and whatever was acknowledged is there.
"""

from __future__ import annotations

import pytest

from .load import Load, load
from .service import Ran, Service
from .test_deployer_killed import settled

PARTS = 2


def clear(ran: Ran) -> None:
    """It ended well, or in one error that says what failed, what is left and what to do."""
    assert ran.status in (0, 1), ran.err
    assert "Traceback" not in ran.err
    if ran.status:
        assert ran.err.count("✗ ") == 1, ran.err
        assert "pilotage itself failed" not in ran.err, ran.err
        assert "\n  next " in ran.err, ran.err


def run_again(texts: Service, ran: Ran) -> None:
    """Run the deploy again; one that was taken back is taken up again only with ``--again``."""
    ended = [event for event in ran.events if event.get("event") == "Ended"]
    aborted = bool(ended) and ended[-1]["outcome"] == "aborted"
    texts.done("deploy", "--json", *(["--again"] if aborted else []))


def killed_at_each_step(texts: Service, clients: Load, victim: str, part: int) -> tuple[int, int]:
    """Kill ``victim`` at every ``PARTS``-th step; how many deploys that were, and how many failed."""
    texts.commit()
    texts.done("deploy", "--json")
    step, failed = part, 0
    while True:
        release = texts.commit()
        ran = texts.run("deploy", "--json", at=f"StepStarted:{step}", victim=victim)
        started = [event for event in ran.events if event.get("event") == "StepStarted"]
        clear(ran)
        if len(started) > step and victim == "postgres":
            texts.postgres.start_again()
            texts.run("lock", "release", "--yes")  # it could not be given back
        failed += ran.status
        run_again(texts, ran)
        settled(texts, release, texts.number - 1, texts.number)
        assert clients.settle(30) == [], f"after {ran.out}{ran.err}"
        if len(started) <= step:
            return (step - part) // PARTS, failed
        step += PARTS


def all_stored(texts: Service, clients: Load) -> None:
    """Whatever was acknowledged is in the database."""
    there = texts.texts(texts.number)
    assert clients.requests > 150
    assert {key: there.get(key) for key in clients.stored} == clients.stored


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("victim", ["envoy", "instance"])
def test_killed(texts: Service, victim: str, part: int) -> None:
    with load(texts.port) as clients:
        deploys, failed = killed_at_each_step(texts, clients, victim, part)
    assert deploys >= 6
    assert failed >= 1
    all_stored(texts, clients)


@pytest.mark.parametrize("part", range(PARTS))
def test_database_killed(own_texts: Service, part: int) -> None:
    with load(own_texts.port) as clients:
        deploys, failed = killed_at_each_step(own_texts, clients, "postgres", part)
    assert deploys >= 6
    assert failed >= 3
    all_stored(own_texts, clients)
