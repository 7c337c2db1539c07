"""What containers are as instances: read from what `docker inspect` writes, without a Docker."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

import pytest

from pilotage.model import Kind, Life, release_id
from pilotage.targets.docker import DockerRole, DockerService
from pilotage.targets.docker.containers import Container, parse
from pilotage.targets.docker.sight import CONSOLE_WAIT, Sight

SERVICE = DockerService("shop", ("h1",), {"web": DockerRole(traffic=True, app_port=3000)})
OURS = {
    "service": "shop",
    "role": "web",
    "destination": "",
    "pilotage.instance": "web-1",
    "pilotage.release": "0123456789ab",
    "pilotage.config": "c0ffee",
    "pilotage.kind": "traffic",
    "pilotage.index": "2",
    "pilotage.token": "7",
}
NOW = 1_800_000_000.0


def line(status: str = "running", labels: Mapping[str, str] = OURS, **state: object) -> str:
    """A line as Docker writes it."""
    given = {
        "Status": status,
        "ExitCode": 0,
        "OOMKilled": False,
        "Error": "",
        "StartedAt": "2026-11-22T08:00:00.123456789Z",
        "FinishedAt": "0001-01-01T00:00:00Z",
        **state,
    }
    networks = {"kamal": {"IPAddress": "10.0.0.5"}, "other": {"IPAddress": "10.9.9.9"}}
    return json.dumps(
        [
            "c" * 64,
            "/shop-web-1",
            "2026-11-22T07:59:59Z",
            0,
            given,
            labels,
            "",
            False,
            "kamal",
            networks,
        ]
    )


def seen(*containers: Container, fence: int = 7, service: DockerService = SERVICE) -> Sight:
    return Sight(service, "h1", containers, fence, NOW)


def test_one_that_runs() -> None:
    (container,) = parse(line() + "\n")
    (instance,) = seen(container).instances()
    assert instance.to_json() == {
        "id": "web-1",
        "service": "shop",
        "role": "web",
        "host": "h1",
        "release": "0123456789ab",
        "config": "c0ffee",
        "kind": "traffic",
        "life": "running",
        "index": 2,
        "address": "10.0.0.5:3000",
        "started_at": pytest.approx(1795334400.123456),
        "detail": "container cccccccccccc",
        "by": "",
    }


def test_podmans_words() -> None:
    (container,) = parse(line("configured", StartedAt="0001-01-01T00:00:00Z"))
    assert not container.was_started
    (container,) = parse(line("stopping"))
    assert container.runs
    (container,) = parse(line("stopped", Healthcheck={"Status": "healthy"}))
    assert (container.status, container.health) == ("exited", "healthy")


@pytest.mark.parametrize(
    ("status", "state", "life", "detail"),
    [
        ("paused", {}, Life.RUNNING, "container cccccccccccc"),
        ("exited", {"ExitCode": 3}, Life.DEAD, "exited 3"),
        ("exited", {"ExitCode": 137}, Life.DEAD, "ended by SIGKILL (exit status 137)"),
        ("exited", {"ExitCode": 137, "OOMKilled": True}, Life.DEAD, "more memory than it may have"),
        ("dead", {"FinishedAt": "2026-11-22T08:00:01Z"}, Life.DEAD, "at 2026-11-22 08:00:01 UTC"),
        ("exited", {"Error": "no such file"}, Life.DEAD, "it did not start: no such file"),
    ],
)
def test_how_it_is(status: str, state: dict[str, object], life: Life, detail: str) -> None:
    (instance,) = seen(*parse(line(status, **state))).instances()
    assert instance.life is life
    assert detail in instance.detail
    assert (instance.address is None) is (life is Life.DEAD)


CREATED = Container("c" * 64, "shop-web-1", "created", OURS, created=NOW - 5)


@pytest.mark.parametrize(("fence", "life"), [(6, "starting"), (7, "starting"), (8, "dead")])
def test_one_that_was_created_will_start_while_its_token_counts(fence: int, life: str) -> None:
    (instance,) = seen(CREATED, fence=fence).instances()
    assert instance.life == life


@pytest.mark.parametrize(("age", "life"), [(5, "starting"), (CONSOLE_WAIT + 1, "dead")])
def test_a_console_that_was_created_will_start_soon_or_never(age: float, life: str) -> None:
    labels = {k: v for k, v in OURS.items() if k != "pilotage.token"} | {"pilotage.kind": "console"}
    console = replace(CREATED, labels=labels, created=NOW - age)
    (instance,) = seen(console, fence=99).instances()
    assert (instance.kind, instance.life) == (Kind.CONSOLE, life)


RUNNING = replace(
    CREATED, id="a" * 64, status="running", started=NOW, addresses={"kamal": "10.0.0.5"}
)


def test_of_two_containers_of_one_instance_the_living_one_is_it() -> None:
    dead = replace(CREATED, status="exited", started=NOW, created=NOW)
    for containers in ((dead, RUNNING), (RUNNING, dead)):
        sight = seen(*containers)
        (instance,) = sight.instances()
        assert instance.alive
        assert sight.of("web-1") == (RUNNING, dead)


def test_what_is_none_of_its_instances() -> None:
    others = (
        replace(RUNNING, labels=OURS | {"service": "other"}),
        replace(RUNNING, labels=OURS | {"destination": "staging"}),
        replace(RUNNING, labels=OURS | {"pilotage.part": "edge"}),
        replace(RUNNING, status="exited", name="shop-web-1_retired_aaaaaaaaaaaa"),
        replace(RUNNING, status="removing"),
    )
    assert seen(*others).instances() == ()
    staging = replace(SERVICE, destination="staging")
    assert len(seen(*others, service=staging).instances()) == 1


KAMAL = {"service": "shop", "role": "web", "destination": ""}


def test_what_kamal_started() -> None:
    found = replace(
        RUNNING, name="shop-web-5eed5eed5eed5eed_replaced_0123456789abcdef", labels=KAMAL
    )
    (instance,) = seen(found).instances()
    assert instance.id == "shop-web-container-aaaaaaaaaaaa"
    assert instance.release == release_id("5eed5eed5eed5eed")
    assert (instance.kind, instance.address) == (Kind.TRAFFIC, "10.0.0.5:3000")
    job = replace(found, name="shop-job-1", labels=KAMAL | {"role": "job"})
    (instance,) = seen(job).instances()
    assert (instance.kind, instance.address) == (Kind.WORKER, None)
    assert seen(replace(found, status="exited")).instances() == ()
    assert seen(replace(found, name="by-hand")).instances() == ()


def test_addresses() -> None:
    assert RUNNING.address(80) == "10.0.0.5:80"
    assert replace(RUNNING, host_network=True, addresses={}).address(80) == "127.0.0.1:80"
    assert replace(RUNNING, addresses={"mine": "10.1.1.1"}).address(80) == "10.1.1.1:80"
    assert replace(RUNNING, addresses={"kamal": ""}).address(80) is None
    assert replace(RUNNING, status="exited").address(80) is None


def test_what_may_go() -> None:
    def ended(n: int, **labels: str) -> Container:
        return replace(
            RUNNING,
            id=f"{n:064x}",
            name=f"x_retired_{n:012x}",
            status="exited",
            finished=NOW + n,
            labels=OURS | labels,
        )

    web = [ended(n) for n in range(4)]
    job = [ended(n, **{"role": "job", "pilotage.kind": "once"}) for n in range(10, 13)]
    other = [ended(n, destination="staging") for n in range(20, 24)]
    sight = seen(*web, *job, *other, RUNNING, CREATED)
    surplus = sight.surplus(2)
    assert sorted(container.id for container in surplus) == [web[0].id, web[1].id, job[0].id]
    assert sight.surplus(5) == ()


def test_a_job_that_ran_until_its_limit() -> None:
    job = replace(
        RUNNING,
        status="exited",
        labels=OURS | {"pilotage.timeout": "2"},
        started=NOW,
        finished=NOW + 2.1,
        exit_code=143,
    )
    assert job.timed_out
    assert "longer than its time limit" in job.describe()
    assert not replace(job, finished=NOW + 1.9).timed_out
