"""What goes wrong on Docker hosts, and that the next who looks sees what is so."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tests.integration.docker.place import (
    HEALTH,
    REVISION,
    WEB,
    Place,
    instance,
    job,
    open_gate,
    play,
)
from tests.lab.lab import Lab

from pilotage.errors import HostError, LeaseLost, StartFailed, StoreError, TargetError, Unhealthy
from pilotage.events import Note
from pilotage.model import Kind, Life
from pilotage.targets.base import Gate
from pilotage.targets.docker import AliveHealth, DockerRole

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[3]

# A deployer that comes as far as the gate, says so, and stays there.
DEPLOYER = """
import asyncio, sys
from pathlib import Path
from tests.integration.docker.place import REVISION, WEB, OnHosts, instance
from pilotage.shell.address import SshSettings
from pilotage.shell.fleet import Fleet
from pilotage.targets.docker import DockerService, DockerTarget

async def gate():
    print("at the gate", flush=True)
    await asyncio.Event().wait()

async def main():
    host, config = sys.argv[1:]
    fleet = Fleet((host,), SshSettings(files=(Path(config),)))
    service = DockerService("shop", (host,), {"web": WEB})
    target = DockerTarget(service, fleet.shells, OnHosts(REVISION), lambda event: None)
    await target.start(instance(host), REVISION, token=1, gate=gate)

asyncio.run(main())
"""


def test_a_deployer_that_is_killed_between_create_and_start(lab: Lab) -> None:
    async def story(place: Place) -> None:
        wanted = instance(place.host.address)
        argv = [sys.executable, "-c", DEPLOYER, place.host.address, str(lab.ssh_config)]
        with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE) as deployer:
            assert deployer.stdout is not None
            assert deployer.stdout.readline() == b"at the gate\n"
            deployer.kill()
        left = await place.seen(wanted.id)
        assert left is not None
        assert left.life is Life.STARTING  # nobody knows yet that its deployer is gone
        left = await place.seen(wanted.id, token=2)
        assert left is not None
        assert left.life is Life.DEAD
        assert "never started" in left.detail
        # A restart of Docker does not start what was only created.
        place.host.restart_dockerd()
        assert place.host.docker("ps", "-q") == ""
        left = await place.seen(wanted.id)
        assert left is not None
        assert left.life is Life.DEAD
        assert (await place.start(wanted, token=2)).life is Life.RUNNING

    play(lab, {"web": WEB}, story)


def test_an_overtaken_deployer_starts_nothing(lab: Lab) -> None:
    async def story(place: Place) -> None:
        wanted = instance(place.host.address)

        async def overtaken() -> None:
            await place.another().observe(token=2)

        with pytest.raises(LeaseLost):
            await place.target.start(wanted, REVISION, token=1, gate=overtaken)
        assert await place.seen(wanted.id) is None
        assert place.host.docker("ps", "-aq") == ""

    play(lab, {"web": WEB}, story)


def test_two_deployers_start_one_instance(lab: Lab) -> None:
    async def story(place: Place) -> None:
        wanted = instance(place.host.address)
        both = asyncio.Barrier(2)

        async def gate() -> None:
            await both.wait()

        first, second = await asyncio.gather(
            *(
                t.start(wanted, REVISION, token=1, gate=gate)
                for t in (place.target, place.another())
            )
        )
        assert first.address == second.address
        assert len(place.host.docker("ps", "-aq").split()) == 1

    play(lab, {"web": WEB}, story)


# Docker, whose answer to `start` takes its time; what it started may have ended by then.
SLOW = """\
#!/bin/sh
docker "$@"
status=$?
[ "$1" != start ] || { : >"$0.started"; sleep 5; }
exit "$status"
"""


def test_a_job_that_ends_before_its_caller_knows_that_it_began_stays_on_record(
    lab: Lab, tmp_path: Path
) -> None:
    program = tmp_path / "slow-docker"
    program.write_text(SLOW)
    program.chmod(0o755)

    async def story(place: Place) -> None:
        wanted = job(place.host.address, "sh", "-c", "echo ran; exit 3")
        place.service = replace(place.service, docker=str(program))
        caller = asyncio.create_task(
            place.another().run_once(wanted, token=1, gate=open_gate, output=lambda line: None)
        )
        while not Path(f"{program}.started").exists():
            await asyncio.sleep(0.05)
        ran = place.host.docker("ps", "-aq")
        place.host.docker("wait", ran.strip())
        caller.cancel()
        await asyncio.gather(caller, return_exceptions=True)

        lines: list[str] = []
        place.service = replace(place.service, docker="docker")
        again = await place.another().run_once(wanted, token=1, gate=open_gate, output=lines.append)
        assert (again, lines) == (3, ["ran"])
        assert place.host.docker("ps", "-aq") == ran

    play(lab, {"job": DockerRole()}, story)


def test_docker_that_is_down_is_unknown_and_not_empty(lab: Lab) -> None:
    async def story(place: Place) -> None:
        started = await place.start(instance(place.host.address))
        place.host.stop_dockerd()
        (host,) = (await place.target.observe()).hosts
        assert not host.reachable
        assert "docker ps" in host.detail
        with pytest.raises(TargetError):
            await place.target.stop(started, token=1)
        with pytest.raises(TargetError, match="docker ps"):
            await place.target.start(
                instance(place.host.address, index=1), REVISION, token=1, gate=open_gate
            )
        place.host.start_dockerd()
        # Docker brought it back, perhaps elsewhere: what is seen is where it is now.
        again = await place.seen(started.id)
        assert again is not None
        assert again.life is Life.RUNNING
        await place.target.check(again)
        assert await place.target.stop(again, token=1) is False

    play(lab, {"web": WEB}, story)


@pytest.mark.parametrize("moment", ["at the gate", "as it starts"])
def test_a_link_that_breaks_in_the_middle_of_a_start(lab: Lab, moment: str) -> None:
    async def story(place: Place) -> None:
        wanted = instance(place.host.address)

        async def gate() -> None:
            place.host.kill_sshd()

        async def cut_soon() -> None:
            loop = asyncio.get_running_loop()
            loop.call_later(0.01, place.host.kill_sshd)

        with pytest.raises(HostError):
            await place.target.start(
                wanted, REVISION, token=1, gate=gate if moment == "at the gate" else cut_soon
            )
        place.host.start_sshd()
        left = await place.seen(wanted.id, token=2)
        if left is not None and left.life is Life.STARTING:
            raise AssertionError("with authority nothing is about to be started")
        found = (await place.start(wanted, token=2)).address
        running = place.host.docker("ps", "-q").split()
        assert len(running) == 1
        assert found is not None
        assert found.rpartition(":")[0] in place.host.docker("inspect", *running)

    play(lab, {"web": WEB}, story)


def test_a_host_that_is_cut_off_is_unknown_and_the_others_are_seen(lab: Lab) -> None:
    async def story(place: Place) -> None:
        first, second = (host.address for host in lab.hosts[:2])
        for address in (first, second):
            await place.start(instance(address))
        lab.hosts[1].kill_sshd()
        view = await place.target.observe()
        assert [(host.name, host.reachable) for host in view.hosts] == [
            (first, True),
            (second, False),
        ]
        assert [found.host for found in view.instances] == [first]
        lab.hosts[1].start_sshd()
        view = await place.target.observe()
        assert [found.host for found in view.instances] == [first, second]

    play(lab, {"web": WEB}, story, hosts=2)


def test_what_is_not_started_is_told_in_dockers_words(lab: Lab) -> None:
    async def story(place: Place) -> None:
        host = place.host.address
        with pytest.raises(
            StartFailed, match=r"could not be created:\n.*No such image: shop:broken"
        ):
            await place.target.start(instance(host), "broken", token=1, gate=open_gate)
        wrong = instance(host, role="wrong")
        with pytest.raises(StartFailed, match=r"could not be started:(.|\n)*nowhere"):
            await place.target.start(wrong, REVISION, token=1, gate=open_gate)
        busy = instance(host, role="busy", index=1)
        await place.start(instance(host, role="busy"))
        with pytest.raises(StartFailed, match="port is already allocated"):
            await place.target.start(busy, REVISION, token=1, gate=open_gate)
        assert [i.role for i in (await place.target.observe()).instances] == ["busy"]

    roles = {
        "web": WEB,
        "wrong": replace(WEB, cmd=("nowhere",)),
        "busy": replace(WEB, options={"publish": ["8081:80"]}),
    }
    play(lab, roles, story)


def test_what_ends_again_and_again_is_not_waited_for(lab: Lab) -> None:
    async def story(place: Place) -> None:
        host = place.host.address
        began = time.monotonic()
        for role in ("crashing", "greedy"):
            wanted = instance(host, role=role, kind=Kind.WORKER)
            started = await place.target.start(wanted, REVISION, token=1, gate=open_gate)
            with pytest.raises(Unhealthy) as failed:
                await place.target.check(started)
            said = str(failed.value)
            # Docker may hear too late what the process was killed for.
            words = ("this is its last line",) if role == "crashing" else ("memory", "SIGKILL")
            assert any(word in said for word in words), said
            await place.target.stop(started, token=1)
        assert time.monotonic() - began < 200
        assert (await place.target.observe()).instances == ()

    eat = "x = bytearray(1 << 30)\nfor i in range(0, len(x), 4096): x[i] = 1"
    roles = {
        "crashing": replace(WEB, env={"FAIL": "crash"}, health=replace(HEALTH, limit=300.0)),
        "greedy": DockerRole(
            cmd=("python3", "-c", eat),
            options={"memory": "24m"},
            health=AliveHealth(5.0, limit=300.0),
        ),
    }
    play(lab, roles, story)


def test_who_listens_at_another_port_is_told_so_before_the_wait_is_over(lab: Lab) -> None:
    async def story(place: Place) -> None:
        wanted = instance(place.host.address)
        with pytest.raises(Unhealthy) as failed:
            await place.target.boot(
                wanted, REVISION, limit=30.0, token=1, gate=open_gate, output=print
            )
        found = "it listens on port 80, and `proxy.app_port` is 3000"
        assert found in failed.value.what
        (note,) = [event for event in place.events if isinstance(event, Note)]
        assert found in note.text
        await place.target.stop(wanted, token=1)
        # On its own loopback, it is found by nobody.
        inside = instance(place.host.address, role="inside")
        with pytest.raises(Unhealthy, match="loopback alone: have it listen on"):
            await place.start(inside)

    serve = ("python3", "-m", "http.server", "--bind", "127.0.0.1", "3000")
    wrong = replace(WEB, app_port=3000, health=replace(HEALTH, limit=20.0))
    play(lab, {"web": wrong, "inside": replace(wrong, cmd=serve)}, story)


def test_a_job_is_ended_at_its_limit_although_nobody_waits_for_it(lab: Lab) -> None:
    async def story(place: Place) -> None:
        slow = job(place.host.address, "sh", "-c", "echo begun; sleep 600", timeout=2)
        said = asyncio.Event()

        def hear(_line: str) -> None:
            said.set()

        caller = asyncio.create_task(
            place.target.run_once(slow, token=1, gate=open_gate, output=hear)
        )
        async with asyncio.timeout(60):
            await said.wait()
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        async with asyncio.timeout(60):
            while (left := await place.seen(slow.instance.id)) is None or left.alive:
                await asyncio.sleep(0.2)
        assert "longer than its time limit" in left.detail
        output: list[str] = []
        with pytest.raises(TargetError, match="ran longer than its limit"):
            await place.another().run_once(slow, token=1, gate=open_gate, output=output.append)
        assert output == ["begun"]

    play(lab, {"job": DockerRole(stop_timeout=1)}, story)


def test_a_job_goes_on_while_the_link_is_down_and_is_joined(lab: Lab) -> None:
    async def story(place: Place) -> None:
        script = "echo one; while [ ! -e /tmp/go ]; do sleep 0.05; done; echo two; exit 7"
        slow = job(place.host.address, "sh", "-c", script)

        def cut(_line: str) -> None:
            place.host.kill_sshd()

        with pytest.raises(HostError):
            await place.target.run_once(slow, token=1, gate=open_gate, output=cut)
        place.host.start_sshd()
        place.host.docker("exec", place.host.docker("ps", "-q").strip(), "touch", "/tmp/go")
        output: list[str] = []

        async def gate() -> None:
            raise AssertionError("it was begun before")

        shut: Gate = gate
        status = await place.another().run_once(slow, token=2, gate=shut, output=output.append)
        assert (status, output) == (7, ["one", "two"])
        assert len(place.host.docker("ps", "-aq").split()) == 1

    play(lab, {"job": DockerRole(stop_timeout=1)}, story)


def test_the_state_is_out_of_reach_with_its_host(lab: Lab) -> None:
    async def story(place: Place) -> None:
        assert await place.target.state.write({"n": "it's é\n"}, expected=0)
        place.host.kill_sshd()
        for what in (place.target.state.read(), place.target.state.write({}, expected=1)):
            with pytest.raises(StoreError, match=r"state\.json on "):
                await what
        place.host.start_sshd()
        assert await place.target.state.read() == (1, {"n": "it's é\n"})
        (place.host.home / ".pilotage/shop/state.json").write_text("{}")
        with pytest.raises(StoreError, match="not a state document"):
            await place.target.state.read()
        assert not await place.target.state.write({}, expected=1)

    play(lab, {"web": WEB}, story)
