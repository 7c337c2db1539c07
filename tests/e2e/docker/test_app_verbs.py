"""What a person does with what runs on hosts: commands, logs, stop and start, boot."""

from __future__ import annotations

import json

from tests.e2e.docker.conftest import Ship

BYTES = bytes(range(256)).hex()
WRITE = f"python3 -c \"import sys; sys.stdout.buffer.write(bytes.fromhex('{BYTES}')); sys.stderr.write('e')\""


def raw(ship: Ship, *arguments: str, status: int = 0) -> tuple[bytes, bytes]:
    """A command's own bytes, from standard output and error."""
    process = ship.start(*arguments, text=False)
    out, err = process.communicate(timeout=300)
    assert process.returncode == status, (out, err)
    return out, err


def test_commands_byte_for_byte_where_they_are_asked_for(ship: Ship) -> None:
    ship.release("one")
    ship.deploy()
    first, second, _ = ship.hosts
    # Every byte there is, through a shell, a container, a host, SSH and us.
    whole = bytes(range(256))
    assert raw(ship, "app", "exec", "-p", "--raw", WRITE) == (whole, b"e")
    assert raw(ship, "app", "exec", "-p", "--raw", "--reuse", WRITE) == (whole, b"e")
    assert raw(ship, "app", "exec", "-p", "-i", "--reuse", WRITE) == (whole, b"e")
    assert raw(ship, "app", "exec", "-p", "-i", WRITE) == (whole, b"e")
    assert raw(ship, "app", "exec", "-p", "--raw", "exit 7", status=7) == (b"", b"")
    # Each role on each of its hosts, told in the order of the configuration.
    said = ship.pilotage("app", "exec", "-e", "WORD=a b'ü$x\n", 'printf "%s" "$KAMAL_HOST$WORD"')
    places = [("web", first), ("web", second), ("job", first)]
    assert said.out == "".join(f"{host.address}a b'ü$x\n" for _, host in places)
    assert said.err.splitlines() == [f"{role} on {host.address}:" for role, host in places]
    one = ship.pilotage(
        *("app", "exec", "--reuse", "--hosts", second.address[:-1] + "*", "-r", "web"),
        *("--hosts", second.address, "-e", "WORD=x", 'printf "%s%s" "$VERSION" "$WORD"'),
    )
    assert one.out == "onex"
    refused = ship.pilotage(
        "app", "exec", "--reuse", "-r", "job", "--version", "two", "x", status=1
    )
    assert "no instance of job at two runs there" in refused.err
    # What nobody waits for is an instance that goes on, and says what it did.
    wait = "echo begun; until [ -e /tmp/go ]; do sleep 0.1; done; echo over"
    told = ship.pilotage("app", "exec", "--detach", "-p", wait)
    name = told.out.split()[0]
    assert f"see `pilotage logs {name}`" in told.out
    assert name in [i["id"] for i in ship.status()["instances"]]
    first.docker("exec", name, "touch", "/tmp/go")
    while "over" not in (logs := ship.pilotage("logs", name).out):
        pass
    assert logs == "begun\nover\n"


def test_logs_are_chosen_by_place_time_and_pattern(ship: Ship) -> None:
    ship.release("one")
    ship.deploy()
    first, second, _ = ship.hosts
    for number in range(5):
        ship.get(second, f"/number-{number}")
    here = ship.pilotage("app", "logs", "-r", "web", "--hosts", second.address, "-g", "number")
    assert here.out.count("/number-") == 5
    assert "/number-" not in ship.pilotage("app", "logs", "--hosts", first.address).out
    for _ in range(120):
        ship.get(second, "/more")
    # A pattern is looked for in all of it, and the last lines are those of no pattern.
    bare = ship.pilotage(
        "app", "logs", "-r", "web", "--hosts", second.address, "-T", "-g", "number"
    )
    assert bare.out == here.out
    few = ship.pilotage("app", "logs", "--hosts", second.address, "-n", "2").out.splitlines()
    assert len(few) == 2
    assert "works" not in ship.pilotage("app", "logs", "-r", "web").out
    now = second.execute("date", "-u", "+%Y-%m-%dT%H:%M:%S.%NZ").strip()
    ship.get(second, "/later")
    later = ship.pilotage("app", "logs", "-r", "web", "--hosts", second.address, "--since", now).out
    assert "/later" in later
    assert "/number-" not in later


def test_stopped_started_booted_and_what_a_deploy_makes_of_it(ship: Ship) -> None:
    ship.release("one")
    refused = ship.pilotage("app", "boot", status=2)
    assert "nothing was deployed yet" in refused.err
    ship.deploy()
    first, second, _ = ship.hosts

    stopped = ship.pilotage("app", "stop", "--hosts", first.address)
    assert "2 instances stopped" in stopped.out
    assert ship.ask(first)[0] == 503
    assert ship.ask(second) == (200, "one")
    told = {(row["host"], row["role"]): row["who"] for row in ship.status()["stopped"]}
    assert told.keys() == {(first.address, "job"), (first.address, "web")}
    (who,) = {*told.values()}
    said = " ".join(ship.pilotage("status").out.split())
    assert f"job on {first.address}, web on {first.address}: stopped by {who}, " in said
    assert "`pilotage app start` starts it again" in said
    assert ship.pilotage("app", "stop").out.count("stopped") >= 1
    assert ship.ask(second)[0] == 503
    said = ship.pilotage("status").out
    assert "is stopped: nothing serves" in said
    assert "pilotage app start" in said
    assert "nothing runs" in ship.pilotage("app", "version").out

    ship.pilotage("app", "start", "-r", "web")
    assert [ship.ask(host) for host in (first, second)] == [(200, "one"), (200, "one")]
    assert "nothing runs" in ship.pilotage("app", "version", "-r", "job").out
    assert [row["role"] for row in ship.status()["stopped"]] == ["job"]
    ship.pilotage("app", "start")
    assert ship.status()["stopped"] == []
    again = ship.pilotage("app", "start")
    assert "nothing to do" in again.out
    revision = ship.git("rev-parse", "HEAD")
    rows = json.loads(ship.pilotage("app", "version", "--json").out)
    assert [row["revisions"] for row in rows] == [[revision]] * 3

    # Booted anew under load, with a variable more: no request is lost, and no release changes.
    before = {i["id"] for i in ship.status()["instances"]}
    ship.configure(more="env: {clear: {MORE: yes indeed}}\n")
    with ship.load(second) as told:
        ship.pilotage("app", "boot")
        ship.pilotage("app", "boot", "-r", "web")
    assert told["failed"] == 0, told
    after = {i["id"] for i in ship.status()["instances"]}
    assert len(after) == len(before) == 3
    assert not before & after
    assert json.loads(ship.get(second, "/env"))["MORE"] == "yes indeed"
    ship.write("config/other", "")
    assert "nothing to do" in ship.deploy("--version", "HEAD").out

    # One that is not healthy never gets a request, and nothing of it is left.
    more = "env: {clear: {FAIL: unhealthy}}\ndeploy_timeout: 3\n"
    ship.configure(more=more)
    with ship.load(second) as told:
        failed = ship.pilotage("app", "boot", status=1)
    assert told["failed"] == 0, told
    assert "what was started is stopped again" in failed.err
    assert {i["id"] for i in ship.status()["instances"]} == after

    # What a person stopped stays so when a deploy fails.
    ship.pilotage("app", "stop", "--hosts", first.address)
    ship.write("config/other", "bad")
    ship.release("bad")
    failed = ship.deploy(status=1)
    left = f"what was stopped then stays so: job on {first.address}, web on {first.address}"
    assert left in " ".join(failed.err.split())
    assert ship.ask(first)[0] == 503
    assert ship.ask(second) == (200, "one")
    assert {i["host"] for i in ship.status()["instances"]} == {second.address}

    ship.configure()
    ship.release("two")
    ship.pilotage("app", "stop")
    ship.deploy()
    assert [ship.ask(host) for host in (first, second)] == [(200, "two"), (200, "two")]
    ship.pilotage("app", "boot", "--version", revision)
    assert ship.ask(first) == (200, "one")
    assert "nothing of another release" in ship.pilotage("app", "stale_containers").out

    listed = ship.pilotage("app", "containers", "--hosts", second.address).out
    assert f"shop-web-{revision}" in listed
    assert first.address not in listed
    images = ship.pilotage("app", "images").out
    assert images.count(f"{ship.lab.registry.address}/acme/shop") >= 2
