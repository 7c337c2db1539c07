"""Hosts, links and Docker fail in the middle of deploys, under load.

Each time the old release or the new one serves on every host, and what is not known is said; not one request
fails on a host that is up; and the same command, run again, ends right.
"""

from __future__ import annotations

import os
import shlex
import threading
import time

from tests.e2e.docker.conftest import Ship
from tests.e2e.docker.faults import (
    PACE,
    cut,
    kill_sshd,
    loads,
    run_at,
    serves_again,
    serving,
    settled,
)
from tests.lab.network import alive
from tests.lab.slow import slow

MOMENTS = {
    "before": ("InstanceStarted:0", "{cut}"),
    # While the files of the edges are written: a command there takes some 30 ms.
    "during": ("StepStarted/Switch:0", "(sleep 0.15; {cut}) >/dev/null 2>&1 &"),
    "after": ("Switched:0", "{cut}"),
}


def test_a_link_is_cut_before_during_and_after_the_switch(ship: Ship) -> None:
    second = ship.hosts[1]
    ship.release("none")
    ship.deploy()
    old = "none"
    with loads(ship):
        for version, (when, script) in MOMENTS.items():
            ship.release(version)
            failed = run_at(ship, when, script.format(cut=cut(second)), "deploy", "--skip-push")
            second.restore()
            assert failed.status == 1, failed.out
            assert second.address in failed.err
            found = serving(ship)
            assert set(found) <= {old, version}
            if version != "during":
                assert found == [{"before": old, "after": version}[version]] * 2
            elif found[0] != found[1]:
                assert f"whether {second.address} switched is unknown" in failed.err
            # Whoever reads the error knows who serves, and that a host could not be asked.
            assert (
                f"serves on the hosts that answer (no answer from {second.address})" in failed.err
            )
            ship.deploy()
            settled(ship, version)
            old = version


def test_sshd_is_killed_and_comes_back(ship: Ship) -> None:
    ship.release("one")
    ship.deploy()
    second = ship.hosts[1]
    old = "one"
    with loads(ship):
        for version, moment in (("two", "InstanceStarted:0"), ("three", "Switched:0")):
            ship.release(version)
            failed = run_at(ship, moment, kill_sshd(second), "deploy", "--skip-push")
            assert failed.status == 1, failed.out
            assert second.address in failed.err
            assert serving(ship) == [old if version == "two" else version] * 2
            second.start_sshd()
            ship.deploy()
            settled(ship, version)
            old = version


def test_docker_is_restarted_and_gives_other_addresses(ship: Ship) -> None:
    """What answers at an instance's old address is somebody else: nobody is sent there."""
    ship.release("one")
    ship.deploy()
    first, second, _ = ship.hosts
    (web,) = second.docker("ps", "--quiet", "--filter", "label=role=web").split()
    form = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    was = second.docker("inspect", web, "--format", form)
    second.docker("stop", web)
    image = second.docker("inspect", web, "--format", "{{.Config.Image}}").strip()
    stranger = ("--name", "stranger", "--network", "kamal", "--env", "VERSION=stranger")
    second.docker("run", "-d", *stranger, image)
    assert second.docker("inspect", "stranger", "--format", form) == was
    second.docker("start", web)
    serves_again(ship, second, "one")
    second.docker("rm", "-f", "stranger")
    for host in (first, second):
        host.restart_dockerd()
    for host in (first, second):
        serves_again(ship, host, "one")
    settled(ship, "one")

    # In the middle of deploys, and its containers with it: no verdict on the release, whatever was under way.
    old = "one"
    for version, moment in (("two", "InstanceStarted:0"), ("three", "StepStarted/Switch:0")):
        ship.release(version)
        end = (
            f"kill -TERM {second.dockerd}; while [ -e /proc/{second.dockerd} ]; do sleep 0.05; done"
        )
        with ship.load(first, pace=PACE) as told:
            failed = run_at(ship, moment, end, "deploy", "--skip-push")
            assert failed.status == 1, failed.out
            assert second.address in failed.err
            assert ship.serving(first) == old
            second.start_dockerd()
            serves_again(ship, second, old)
            ship.deploy()
        assert told["failed"] == 0, told
        settled(ship, version)
        old = version


def test_docker_that_comes_back_in_time_is_waited_for(ship: Ship) -> None:
    """It goes as the new instances are asked whether they are healthy; an old one has the new one's address then."""
    ship.configure(more="migrations: {engine: none}\ndeploy_timeout: 90\n")
    ship.release("one")
    ship.deploy()
    second = ship.hosts[1]
    pid = second.dockerd

    def again() -> None:
        while alive(pid):
            time.sleep(0.05)
        time.sleep(2)  # it is missed
        second.start_dockerd()

    starting = threading.Thread(target=again)
    ship.release("two", env={"STARTUP": "3"})
    with ship.load(ship.hosts[0], pace=PACE) as told:
        starting.start()
        end = f"kill -TERM {pid}; while [ -e /proc/{pid} ]; do sleep 0.05; done"
        done = run_at(ship, "StepStarted/Check:0", end, "deploy", "--skip-push")
        starting.join()
        assert done.status == 0, done.err
    assert told["failed"] == 0, told
    settled(ship, "two")


def test_a_disk_that_fills_up_and_a_slow_registry(ship: Ship) -> None:
    ship.configure(more="migrations: {engine: none}\n")
    old = ship.release("one")[:12]
    ship.deploy()
    ship.release("two")
    second = ship.hosts[1]
    with loads(ship):
        # After the look at the disk, and before the containers are made.
        full = shlex.join(second.filling())
        failed = run_at(ship, "StepStarted/Start:0", full, "deploy", "--skip-push")
        assert failed.status == 1, failed.out
        assert second.address in failed.err
        assert "its disk is full: 0 MiB are free" in failed.err
        assert f"release {old} serves" in failed.err
        assert "aborted" not in failed.out
        assert serving(ship) == ["one"] * 2
        second.empty_disk()
        ship.deploy()  # not `--again`: nothing is wrong with the release
        settled(ship, "two")

        server = ship.lab.registry.address
        with slow(server, ship.lab.network.address, rate=200_000) as address:
            ship.configure(more="migrations: {engine: none}\n")
            text = (ship.root / "config/deploy.yml").read_text()
            ship.write("config/deploy.yml", text.replace(server, address))
            ship.release("three", files={"/app/much": os.urandom(1_600_000)})
            began = time.monotonic()
            ship.deploy()
            assert time.monotonic() - began > 8
            settled(ship, "three")
