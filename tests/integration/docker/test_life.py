"""Instances on a Docker host beside what else is there: others of their name, Kamal's, stopped ones."""

from __future__ import annotations

import asyncio
import os
import pty
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tests.contract.target.docker_kit import APP
from tests.integration.docker.place import REVISION, WEB, Place, instance, job, open_gate, play
from tests.lab.lab import Lab

from pilotage.errors import TargetError, Unhealthy
from pilotage.model import Kind, Life, release_id
from pilotage.targets.docker import AliveHealth, CommandHealth, DockerRole, HttpHealth

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[3]


def names(place: Place, *, all: bool = True) -> list[str]:
    """What the containers of the first host are called."""
    argv = ("ps", "--format", "{{.Names}}", *(("--all",) if all else ()))
    return sorted(place.host.docker(*argv).split())


def test_one_of_another_configuration_takes_the_name_and_both_are_instances(lab: Lab) -> None:
    async def story(place: Place) -> None:
        host = place.host.address
        old = await place.start(instance(host, config="0ld"))
        new = await place.start(instance(host, config="new"))
        second = await place.start(instance(host, config="new", index=1))
        assert {old.address, new.address, second.address} == {
            found.address for found in (await place.another().observe()).instances
        }
        name = f"shop-web-{REVISION}"
        assert [n.partition("_replaced_")[0] for n in names(place)] == [name, f"{name}-1", name]
        assert place.host.docker("inspect", "-f", "{{.Config.Labels.service}}", name) == "shop\n"
        # The one under the other name is found by what it is, and ended.
        assert await place.another().stop(old, token=1) is False
        assert {i.id for i in (await place.target.observe()).instances} == {new.id, second.id}

    play(lab, {"web": WEB}, story)


def test_what_kamal_started_is_observed_checked_and_ended(lab: Lab) -> None:
    async def story(place: Place) -> None:
        host = place.host
        name = f"shop-web-{REVISION}"
        labels = ("--label", "service=shop", "--label", "role=web", "--label", "destination")
        started = ("run", "-d", "--restart", "unless-stopped", "--network", "kamal", *labels)
        host.docker(*started, "--name", name, APP)
        # Others that have the service's label: another destination's, and a part of pilotage's own.
        elsewhere = (*started[:-1], "destination=staging")
        host.docker(*elsewhere, "--name", "shop-web-staging-1", APP)
        host.docker(*started, "--label", "pilotage.part=edge", "--name", "shop-edge", APP)
        host.docker(*started, "--name", "shop-web-over", APP)
        host.docker("stop", "-t", "0", "shop-web-over")
        (found,) = (await place.target.observe(token=1)).instances
        assert (found.release, found.kind, found.life) == (
            release_id(REVISION),
            Kind.TRAFFIC,
            Life.RUNNING,
        )
        assert "not started by pilotage" in found.detail
        await place.target.check(found)
        # An instance of the same revision takes the name; what Kamal started is the same as before.
        ours = await place.start(instance(host.address))
        again = await place.seen(found.id)
        assert again is not None
        assert again.address == found.address != ours.address
        assert await place.target.stop(found, token=1) is False
        assert [i.id for i in (await place.another().observe()).instances] == [ours.id]
        # What was stopped is left to be pruned by whoever made it.
        await place.target.prune((), token=1, retain=1)
        assert len(names(place)) == 5

    play(lab, {"web": WEB}, story)


def test_what_was_stopped_is_kept_for_its_log_and_pruned(lab: Lab) -> None:
    async def story(place: Place) -> None:
        host = place.host.address
        wanted = instance(host)
        for _ in range(3):
            await place.start(wanted)
            await place.target.stop(wanted, token=1)
        once = job(host, "sh", "-c", "echo of the job; exit 4")
        for _ in range(3):
            assert await place.target.run_once(once, token=1, gate=open_gate, output=print) == 4
            await place.target.stop(once.instance, token=1)
        kept = await place.start(wanted)
        assert len(names(place)) == 7
        # Of the other destination of this service nothing is touched.
        other = replace(place.target, service=replace(place.service, destination="staging"))
        assert await other.prune((), token=1, retain=1) == (0, 0)
        assert len(names(place)) == 7
        assert await place.target.prune((), token=1, retain=1) == (2 + 2, 0)
        assert await place.target.prune((), token=1, retain=1) == (0, 0)
        assert len(names(place)) == 3
        assert [i.id for i in (await place.target.observe()).instances] == [kept.id]
        assert (await place.target.last_lines(once.instance.id)) == ("of the job",)
        await place.target.stop(kept, token=1)
        lines = await place.target.last_lines(kept.id, lines=2)
        assert lines[-1].startswith("web 1 ends")
        assert len(lines) == 2
        assert await place.target.last_lines("nobody") == ()

    play(lab, {"web": WEB, "job": DockerRole()}, story)


def test_logs_are_followed_until_the_end(lab: Lab) -> None:
    async def story(place: Place) -> None:
        started = await place.start(instance(place.host.address))
        whole: list[str] = []
        tail: list[str] = []
        following = [
            asyncio.create_task(place.target.follow(started.id, whole.append)),
            asyncio.create_task(place.another().follow(started.id, tail.append, lines=0)),
        ]
        async with asyncio.timeout(60):
            while not whole:
                await asyncio.sleep(0.05)
        await place.target.stop(started, token=1)
        await asyncio.gather(*following)
        assert whole[0] == "web 1 listens"
        assert whole[-1] == "web 1 ends"
        assert "web 1 listens" not in tail

    play(lab, {"web": WEB}, story)


def test_every_way_to_be_healthy(lab: Lab) -> None:
    worker = DockerRole(cmd=("python3", "/app/app.py", "worker"), stop_timeout=20)
    touch = ("sh", "-c", "sleep 1; touch /tmp/ready; exec python3 /app/app.py worker")
    dockers = {"health-cmd": "test -e /tmp/ready", "health-interval": "1s"}
    roles = {
        "alive": replace(worker, health=AliveHealth(1.5)),
        "dockers": replace(worker, cmd=touch, options=dockers, health=AliveHealth(0.1, limit=60.0)),
        "command": replace(
            worker,
            cmd=touch,
            health=CommandHealth("test -e /tmp/ready", interval=0.2, limit=60.0),
        ),
        "never": replace(worker, health=CommandHealth("exit 3", interval=0.2, limit=5.0)),
        "short": replace(worker, cmd=("sh", "-c", "echo done; exit 0"), options={"restart": "no"}),
        "answers": replace(WEB, health=HttpHealth("/status?code=201", status=201, limit=60.0)),
        "hidden": replace(WEB, app_port=81, health=HttpHealth(limit=1.0)),
    }

    async def story(place: Place) -> None:
        async def checked(role: str) -> str:
            kind = Kind.TRAFFIC if roles[role].traffic else Kind.WORKER
            wanted = instance(place.host.address, role=role, kind=kind)
            started = await place.target.start(wanted, REVISION, token=1, gate=open_gate)
            try:
                await place.target.check(started)
            except Unhealthy as error:
                return error.what
            return ""

        said = dict(zip(roles, await asyncio.gather(*map(checked, roles)), strict=True))
        assert not said["alive"]
        assert not said["dockers"]
        assert not said["command"]
        assert not said["answers"]
        assert "`exit 3` exited 3" in said["never"]
        assert "exited 0" in said["short"]
        assert "done" in said["short"]
        assert "nothing listens" in said["hidden"]

    play(lab, roles, story)


CONSOLE = """
import asyncio, sys
from pathlib import Path
from tests.integration.docker.place import REVISION, DockerRole, OnHosts, job, open_gate
from dataclasses import replace
from pilotage.model import Kind
from pilotage.secret import Secret
from pilotage.shell.address import SshSettings
from pilotage.shell.fleet import Fleet
from pilotage.targets.docker import DockerService, DockerTarget

async def main():
    host, config = sys.argv[1:]
    fleet = Fleet((host,), SshSettings(files=(Path(config),)))
    service = DockerService("shop", (host,), {"job": DockerRole()})
    target = DockerTarget(service, fleet.shells, OnHosts(REVISION), lambda event: None)
    console = job(host, "sh", "-c", 'echo "say it, $NAME"; read word; echo "heard $word"; exit 6')
    console = replace(
        console, interactive=True, env={"NAME": Secret("it's me")},
        instance=replace(console.instance, kind=Kind.CONSOLE),
    )
    try:
        return await target.run_once(console, token=None, gate=open_gate, output=print)
    finally:
        await fleet.close()

sys.exit(asyncio.run(main()))
"""


def console(lab: Lab) -> tuple[subprocess.Popen[bytes], int]:
    """A person's terminal with a console on it; it has greeted."""
    ours, theirs = pty.openpty()
    argv = [sys.executable, "-c", CONSOLE, lab.hosts[0].address, str(lab.ssh_config)]
    process = subprocess.Popen(
        argv, cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    said = b""
    while b"say it, it's me" not in said:
        block = os.read(ours, 4096)
        assert block, said
        said += block
    return process, ours


def test_a_console_is_on_the_terminal_and_goes_with_it(lab: Lab) -> None:
    async def story(place: Place) -> None:
        process, terminal = await asyncio.to_thread(console, lab)
        (seen,) = (await place.target.observe(token=9)).instances
        assert (seen.kind, seen.life) == (Kind.CONSOLE, Life.RUNNING)
        os.write(terminal, b"word\n")
        said = b""
        while b"heard word" not in said:
            said += await asyncio.to_thread(os.read, terminal, 4096)
        assert await asyncio.to_thread(process.wait, 60) == 6
        os.close(terminal)
        assert names(place) == []
        # Killed with its terminal, nothing of it is left either.
        process, terminal = await asyncio.to_thread(console, lab)
        process.kill()
        process.wait()
        os.close(terminal)
        async with asyncio.timeout(60):
            while names(place):
                await asyncio.sleep(0.1)

    play(lab, {"job": DockerRole()}, story)


def test_a_host_that_the_service_does_not_have(lab: Lab) -> None:
    async def story(place: Place) -> None:
        with pytest.raises(TargetError, match="no host 'elsewhere'"):
            await place.start(instance("elsewhere"))
        with pytest.raises(TargetError, match="no role 'other'"):
            await place.start(instance(place.host.address, role="other"))

    play(lab, {"web": WEB}, story)
