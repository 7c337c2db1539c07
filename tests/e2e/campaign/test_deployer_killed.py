"""The deployer is killed with SIGKILL after each event of a deploy, a rollback, a contract and a deploy with
downtime, under load.

Every time the same command, run again, ends right; not one request fails (but for the page of a planned
downtime), and whatever was acknowledged is there. Each round is a deploy of the next release, so the state that one round leaves is
what the next begins with.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from .load import Load, load
from .service import Service

PARTS = 4
"""The rounds of a verb are spread over so many tests, which run beside each other."""


def settled(texts: Service, release: str, *columns: int) -> None:
    """The release runs, alone, on a schema with these columns; nothing is unfinished or locked."""
    status = texts.status()
    assert status["settled"], status
    assert status["release"]["id"] == release
    assert status["lock"] is None
    lives = sorted((i["role"], i["release"], i["life"], i["fits"]) for i in status["instances"])
    expected = [("job", release, "running", True), *[("web", release, "running", True)] * 2]
    assert lives == expected
    assert texts.columns() == {f"text_{number}" for number in columns}


def killed_at_each_event(
    texts: Service,
    clients: Load,
    verb: Callable[[], tuple[str, ...]],
    part: int,
    *,
    prepare: Callable[[], object],
    check: Callable[[], None],
    closed: bool = False,
) -> int:
    """Kill ``verb``, as it is named each time, after each event, every ``PARTS``-th of them here.

    Returns how often that was.

    ``closed``: until it is run again, the edge may answer with its page.
    """
    rounds, event = 0, part
    while True:
        prepare()
        words = verb()
        ran = texts.run(*words, "--json", at=f":{event}")
        if ran.status == 0:  # it has fewer events than that
            assert len(ran.events) <= event, ran.out
            check()
            return rounds
        assert ran.status == -9, (ran.status, ran.err)
        failed = [what for what in clients.settle(30) if not (closed and "status 503" in what)]
        assert failed == [], f"after {ran.out.splitlines()[-1]}"
        texts.done("lock", "release", "--yes")
        texts.done(*words, "--json")
        check()
        assert clients.settle(30) == [], f"after {ran.out.splitlines()[-1]}"
        rounds += 1
        event += PARTS


def all_stored(texts: Service, clients: Load) -> None:
    """No request failed at any time, and what was acknowledged is in the database."""
    assert clients.failures == []
    assert clients.requests > 200
    there = texts.texts(texts.number)
    assert {key: there.get(key) for key in clients.stored} == clients.stored


@pytest.mark.parametrize("part", range(PARTS))
def test_deploy(texts: Service, part: int) -> None:
    texts.commit()
    texts.done("deploy", "--json")

    def check() -> None:
        settled(texts, texts.releases[-1], texts.number - 1, texts.number)

    with load(texts.port) as clients:
        rounds = killed_at_each_event(
            texts, clients, lambda: ("deploy",), part, prepare=texts.commit, check=check
        )
    assert rounds > 5
    all_stored(texts, clients)


@pytest.mark.parametrize("part", range(PARTS))
def test_rollback(texts: Service, part: int) -> None:
    def prepare() -> None:
        texts.commit()
        texts.done("deploy", "--json")

    def check() -> None:
        settled(texts, texts.releases[-2], texts.number - 1, texts.number)
        texts.done("deploy", "--json")

    def verb() -> tuple[str, ...]:
        """By name: a rollback that had ended when it was killed is not to go one further back."""
        return ("rollback", texts.releases[-2])

    with load(texts.port) as clients:
        rounds = killed_at_each_event(texts, clients, verb, part, prepare=prepare, check=check)
    assert rounds > 3
    all_stored(texts, clients)


@pytest.mark.parametrize("part", range(PARTS))
def test_contract(texts: Service, part: int) -> None:
    def prepare() -> None:
        texts.commit()
        texts.done("deploy", "--json")

    def check() -> None:
        settled(texts, texts.releases[-1], texts.number)

    with load(texts.port) as clients:
        rounds = killed_at_each_event(
            texts, clients, lambda: ("contract",), part, prepare=prepare, check=check
        )
    assert rounds > 0
    all_stored(texts, clients)


@pytest.mark.parametrize("part", range(PARTS))
def test_deploy_with_downtime(texts: Service, part: int) -> None:
    def check() -> None:
        settled(texts, texts.releases[-1], texts.number)

    with load(texts.port) as clients:
        rounds = killed_at_each_event(
            texts,
            clients,
            lambda: ("deploy", "--downtime"),
            part,
            prepare=texts.commit,
            check=check,
            closed=True,
        )
    assert rounds > 5
    assert clients.failures, "it was down"
    clients.failures = [it for it in clients.failures if ": status 503: b'<!doctype" not in it[1]]
    all_stored(texts, clients)
