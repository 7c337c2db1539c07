"""Verify and canary on the real edge, under a bounded load: what is worse goes back on its own."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from typing import Any, NamedTuple

import pytest
from tests.e2e.local.conftest import App

HEALTH = 'self.path == "/up"'
BROKEN = f'if not {HEALTH}: return self.answer(500, os.environ["PILOTAGE_RELEASE"] + " no")'
SLOW = f"import time; time.sleep(0 if {HEALTH} else 1.0)"
LONG = "60s"
"""A watch that only a verdict ends: the test would not wait for it."""


class Answer(NamedTuple):
    """When a request was sent and answered, in Unix time, and with what; status 0: it was not."""

    sent: float
    got: float
    status: int
    release: str


@dataclass(slots=True)
class Load:
    """What a few clients saw."""

    port: int
    answers: list[Answer] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def client(self, limit: int) -> None:
        """One kept-alive connection after the other, at most ``limit`` requests."""
        at = 0.0
        while not self.over.is_set() and limit:
            with closing(HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
                try:
                    while not self.over.is_set() and limit:
                        limit -= 1
                        at = time.time()
                        connection.request("GET", "/")
                        answer = connection.getresponse()
                        words = answer.read().decode().split()
                        self.answers.append(Answer(at, time.time(), answer.status, words[0]))
                        time.sleep(0.01)
                except (OSError, HTTPException):
                    self.answers.append(Answer(at, time.time(), 0, ""))

    def failed(self) -> list[Answer]:
        """The answers that were none, or 5xx."""
        return [answer for answer in self.answers if answer.status == 0 or answer.status >= 500]

    def share(self, release: str, since: float, until: float) -> tuple[float, int]:
        """Which part of the requests sent between two times a release answered, and how many there were."""
        found = [answer.release for answer in self.answers if since <= answer.sent <= until]
        return (found.count(release) / len(found) if found else 0.0), len(found)


@contextmanager
def load(app: App, *, clients: int = 4, limit: int = 10_000) -> Iterator[Load]:
    """Requests as long as the block lasts; begun when it is entered, over when it is left."""
    made = Load(app.port)
    threads = [threading.Thread(target=made.client, args=(limit,)) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        while len(made.answers) < 100:  # what the old release is compared by
            time.sleep(0.01)
        yield made
    finally:
        made.over.set()
        for thread in threads:
            thread.join()


def watched(app: App, **rollout: Any) -> None:
    """Configure what is watched."""
    app.configure()
    path = app.root / "config" / "deploy.yml"
    told = ", ".join(f"{key}: {value}" for key, value in rollout.items())
    path.write_text(path.read_text().replace("rollout: {verify: 0}", f"rollout: {{{told}}}"))


def judged(events: list[dict[str, Any]]) -> list[tuple[float, str]]:
    return [(e["share"], e["finding"]) for e in events if e["event"] == "Judged"]


def taken_back(app: App, old: str, bad: str, instances: list[int]) -> None:
    """The old release serves with the very processes that it had, and the bad one is gone."""
    status = app.status()
    assert app.serving() == old
    assert app.pids("web") == instances, "never stopped"
    assert {i["release"] for i in status["instances"]} == {old}
    assert status["spec"]["to"] == bad
    assert "answered worse" in status["spec"]["aborted_reason"]
    (route,) = status["routes"].values()
    assert (route["trial"], route["share"], route["draining"]) == ([], 0.0, [])
    assert status["lock"] is None


@pytest.fixture
def served(app: App) -> str:
    """Release 1 is deployed, without a watch; its id."""
    app.pilotage("deploy")
    return app.serving()


# ----------------------------------------------------------------------------------------------
# After the switch
# ----------------------------------------------------------------------------------------------


def test_a_release_that_fails_is_switched_back_on_its_own(app, served):
    watched(app, verify=LONG)
    processes = app.pids("web")
    app.code(on_request=BROKEN)
    bad = app.release(2)
    with load(app) as clients:
        failed = app.pilotage("deploy", "--json", status=1)
        ended = time.time()

    assert judged(failed.events) == [(1.0, "worse")]
    error = failed.result["error"]
    assert error["error"] == "Worse"
    assert error["what"].startswith(f"release {bad} answered worse: ")
    assert "requests failed (" in error["what"]
    assert error["state"] == f"release {served} serves as before"
    taken_back(app, served, bad, processes)
    history = app.pilotage("history", "--json").json[0]
    assert history["outcome"] == "aborted"
    assert history["verdict"].startswith("worse: ")
    assert "answered worse" in app.pilotage("history").out
    assert not any("job" in e["instance"] for e in events(failed, "InstanceStarted")), "no worker"

    first, *_, last = [e["at"] for e in failed.events if e["event"] == "Switched"]
    errors = clients.failed()
    assert errors
    assert {answer.release for answer in errors} == {bad}, "nobody else failed a request"
    assert all(first - 1 <= answer.got and answer.sent <= ended for answer in errors)
    assert last - first < 45, "long before the watch would have ended"
    assert not [a for a in clients.failed() if a.sent > last + 1]

    refused = app.pilotage("deploy", status=1).err
    assert f"release {bad} was aborted before" in refused


def events(ran: Any, kind: str) -> list[dict[str, Any]]:
    return [event for event in ran.events if event["event"] == kind]


def test_a_slow_release_is_switched_back(app, served):
    watched(app, verify=LONG, max_p99_ratio=3.0)
    processes = app.pids("web")
    app.code(on_request=SLOW)
    bad = app.release(2)
    with load(app, clients=8) as clients:
        failed = app.pilotage("deploy", status=1)
    assert "p99 is " in failed.err
    assert "more than 3 times that" in failed.err
    assert clients.failed() == []
    taken_back(app, served, bad, processes)


def test_a_good_release_is_kept(app, served):
    watched(app, verify="4s", max_p99_ratio=9000.0, min_requests=20)
    good = app.release(2)
    plan = " ".join(app.pilotage("plan").out.split())
    assert (
        f"watch {good} for 4 s: at most 1 % errors, p99 at most 9000 × that of {served}, "
        "or the traffic goes back" in plan
    )
    with load(app) as clients:
        done = app.pilotage("deploy", "--json")
    assert judged(done.events) == [(1.0, "good")]
    verdict = done.result["verdict"]
    assert verdict["finding"] == "good"
    assert "0 % failed, p99 " in verdict["why"]
    assert clients.failed() == []
    (switched,) = events(done, "Switched")
    worker = next(e for e in events(done, "InstanceStarted") if e["role"] == "job")
    assert worker["at"] - switched["at"] >= 4.0, "workers start when the watch is over"
    looks = events(done, "Watched")
    assert looks[-1]["new"]["requests"] >= 20
    assert looks[-1]["old"]["requests"] >= 20
    assert "good: " in app.pilotage("history").out


def test_without_traffic_a_release_is_unverified_and_kept(app, served):
    watched(app, verify="1s")
    release = app.release(2)
    done = app.pilotage("deploy")
    assert f"{release} is unverified: 0 requests came, and a judgement takes 50" in done.out
    assert done.out.rstrip().endswith("unverified: 0 requests came, and a judgement takes 50")
    assert app.serving() == release
    (entry,) = app.pilotage("history", "--json", "-n", "1").json
    assert (entry["outcome"], entry["verdict"]) == (
        "done",
        "unverified: 0 requests came, and a judgement takes 50",
    )


def test_a_rollback_is_watched(app, served):
    second = app.release(2)
    app.pilotage("deploy")
    watched(app, verify="1s")
    done = app.pilotage("rollback", "--json")
    assert judged(done.events) == [(1.0, "unverified")]
    assert app.serving() == served != second


# ----------------------------------------------------------------------------------------------
# The canary
# ----------------------------------------------------------------------------------------------

STAGES = {"verify": "2s", "canary": "[5%, 25%]", "step": "5s", "min_requests": 10}


def test_a_canary_goes_from_share_to_share(app, served):
    watched(app, **STAGES)
    release = app.release(2)
    plan = " ".join(app.pilotage("plan").out.split())
    assert f"CANARY 5 % of new requests to {release} on " in plan
    with load(app) as clients:
        done = app.pilotage("deploy", "--json")
    assert [share for share, _ in judged(done.events)] == [0.05, 0.25, 1.0]
    assert "worse" not in dict(judged(done.events)).values()
    assert clients.failed() == []
    for share in (0.05, 0.25):
        times = [e["at"] for e in events(done, "Watched") if e["share"] == share]
        measured, requests = clients.share(release, times[0] + 0.5, times[-1])
        assert requests > 100
        allowed = 5 * (share * (1 - share) / requests) ** 0.5
        assert abs(measured - share) <= allowed, (measured, share, requests)
    (switched,) = events(done, "Switched")
    assert clients.share(release, switched["at"] + 0.5, time.time())[0] == 1.0
    assert clients.share(release, 0.0, times[0] - 5.5)[0] < 0.2
    status = app.status()
    (route,) = status["routes"].values()
    assert (route["trial"], route["share"]) == ([], 0.0)
    assert {i["release"] for i in status["instances"]} == {release}


def test_a_bad_canary_is_taken_back_and_up_again_when_asked(app, served):
    watched(app, **{**STAGES, "step": LONG, "max_error_rate": "1%"})
    processes = app.pids("web")
    flag = app.root.parent / "mended"
    app.code(
        on_request=f"if not {HEALTH} and not os.path.exists({str(flag)!r}): "
        'return self.answer(500, os.environ["PILOTAGE_RELEASE"] + " no")'
    )
    bad = app.release(2)
    with load(app) as clients:
        failed = app.pilotage("deploy", "--json", status=1)
        taken_back(app, served, bad, processes)
        assert "with 5 % of the requests: " in failed.result["error"]["what"]
        assert not [e for e in events(failed, "Switched") if e["release"] == bad]
        seen = Counter(answer.release for answer in clients.answers)
        assert {answer.release for answer in clients.failed()} == {bad}
        assert seen[bad] < seen[served] / 2, "only a few met it"

        flag.touch()
        watched(app, **STAGES)
        errors = len(clients.failed())
        app.pilotage("deploy", "--version", bad, "--again")
        assert app.serving() == bad
        assert len(clients.failed()) == errors


@pytest.mark.parametrize("end", ["goes on", "goes back"])
def test_killed_in_a_canary(app, served, end):
    watched(app, **STAGES)
    release = app.release(2)
    with load(app) as clients:
        process = app.start("deploy", "--json")
        app.until(process, event="Watched", share=0.05)
        app.kill(process)

        status = app.status()
        assert status["release"]["id"] == served, "the old one is what serves"
        assert (
            f"{release} has 5 % of the requests; release {served} serves the rest"
            in (status["state"])
        )
        traffic = {i["release"]: i["traffic"] for i in status["instances"] if i["role"] == "web"}
        assert traffic == {served: "active", release: "trial"}
        assert "5 % of traffic" in app.pilotage("status").out

        if end == "goes on":
            done = app.pilotage("deploy", "--json")
            assert [share for share, _ in judged(done.events)] == [0.05, 0.25, 1.0]
            wanted = release
        else:
            app.pilotage("rollback")
            wanted = served
    status = app.status()
    assert app.serving() == wanted
    assert status["settled"]
    assert {i["release"] for i in status["instances"]} == {wanted}
    (route,) = status["routes"].values()
    assert (route["trial"], route["share"], route["draining"]) == ([], 0.0, [])
    assert clients.failed() == []
