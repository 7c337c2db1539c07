"""Accessories on real Docker hosts: booted once, their data kept, and taken away."""

from __future__ import annotations

import signal
import time

from tests.e2e.docker.conftest import Ship
from tests.lab import images

ACCESSORY = """\
accessories:
  cache:
    image: {image}
    hosts: {hosts}
    cmd: python3 -c 'import time; print("warm", flush=True); time.sleep(3600)'
    env:
      clear: {{MODE: "a 'quoted' é", discovery.type: single-node, DOCKER_HOST: tcp://nowhere}}
      secret: [CACHE_KEY, "cache.key:CACHE_KEY"]
    files: [config/cache.conf.erb:/etc/cache.conf]
    directories: [data:/data]
"""


def cached(ship: Ship) -> None:
    """Give the project an accessory on its first two hosts."""
    image = ship.lab.push(images.python(), "acme/cache:1")
    hosts = [host.address for host in ship.hosts[:2]]
    ship.configure(more=ACCESSORY.format(image=image, hosts=hosts))
    ship.secrets["CACHE_KEY"] = "hush-hush-hush"
    ship.write("config/cache.conf.erb", 'key = <%= ENV["CACHE_KEY"] %>\n')


def test_setup_boots_it_and_a_deploy_leaves_it_alone(ship: Ship) -> None:
    cached(ship)
    ship.release("one")
    said = ship.pilotage("setup", "--skip-push", "-v")
    assert "hush" not in said.out + said.err
    first, second, _ = ship.hosts
    for host in (first, second):
        assert (
            host.docker("exec", "shop-cache", "cat", "/etc/cache.conf") == "key = hush-hush-hush\n"
        )
        env = host.docker("exec", "shop-cache", "sh", "-c", 'printf "%s|%s" "$MODE" "$CACHE_KEY"')
        assert env == "a 'quoted' é|hush-hush-hush"
        whole = host.docker("exec", "shop-cache", "env").splitlines()
        assert {"discovery.type=single-node", "cache.key=hush-hush-hush"} <= {*whole}
        assert ship.serving(host) == "one"
    before = first.docker("inspect", "shop-cache", "--format", "{{.Id}}")
    ship.pilotage("accessory", "boot", "all")
    ship.deploy()
    assert first.docker("inspect", "shop-cache", "--format", "{{.Id}}") == before


def test_its_data_outlives_its_container_and_not_its_removal(ship: Ship) -> None:
    cached(ship)
    ship.release("one")
    ship.pilotage("accessory", "boot", "cache")
    host = ship.hosts[0]
    wrote = ship.pilotage(
        "accessory",
        "exec",
        "cache",
        "--reuse",
        "--",
        "sh",
        "-c",
        "echo kept > /data/file; echo ok >&2",
    )
    assert (wrote.out, wrote.err.replace("ok\n", "")) == ("", "")
    ship.pilotage("accessory", "reboot", "cache")
    assert host.docker("exec", "shop-cache", "cat", "/data/file") == "kept\n"
    logs = ship.pilotage("accessory", "logs", "cache", "--hosts", host.address, "--grep", "warm")
    assert logs.out.endswith("warm\n")
    assert len(logs.out) > len("warm\n")
    bare = ship.pilotage("accessory", "logs", "cache", "--hosts", host.address, "-T", "-s", "1h")
    assert bare.out == "warm\n"
    # To end what goes on for ever is no failure.
    following = ship.start("accessory", "logs", "cache", "--hosts", host.address, "--follow")
    assert following.stdout is not None
    assert following.stdout.readline().endswith("warm\n")
    following.send_signal(signal.SIGINT)
    _, err = following.communicate(timeout=60)
    assert (following.returncode, err) == (0, "")
    ship.pilotage("accessory", "stop", "cache", "--hosts", host.address)
    assert host.docker("inspect", "shop-cache", "--format", "{{.State.Running}}") == "false\n"
    ship.pilotage("accessory", "boot", "cache")
    assert host.docker("inspect", "shop-cache", "--format", "{{.State.Running}}") == "true\n"
    ship.pilotage("accessory", "remove", "cache", "--confirmed")
    assert host.docker("ps", "--all", "--quiet") == ""
    assert not (host.home / "shop-cache").exists()


def test_a_command_in_a_container_of_its_own_has_all_that_the_accessory_has(ship: Ship) -> None:
    cached(ship)
    ship.release("one")
    only = ("--hosts", ship.hosts[0].address)
    within = ("accessory", "exec", "cache", *only, "--")
    variables = {"discovery.type=single-node", "cache.key=hush-hush-hush"}
    assert variables <= {*ship.pilotage(*within, "env").out.splitlines()}
    line = "cat /etc/cache.conf; echo kept > /data/file"
    assert ship.pilotage(*within, "sh", "-c", line).out == "key = hush-hush-hush\n"
    ship.pilotage("accessory", "boot", "cache", *only)
    assert ship.hosts[0].docker("exec", "shop-cache", "cat", "/data/file") == "kept\n"


BOARD = """\
proxy: {{host: shop.test}}
accessories:
  board:
    image: {image}
    host: {host}
    cmd: python3 -m http.server 9000
    proxy: {{host: board.test, app_port: 9000, run: {{debug: true}}}}
"""


def test_one_with_a_proxy_is_behind_the_door(ship: Ship) -> None:
    """Through a deploy and another container, until it is removed."""
    host = ship.hosts[0]
    image = ship.lab.push(images.python(), "acme/board:1")
    ship.configure(more=BOARD.format(image=image, host=host.address))
    ship.release("one")
    ship.pilotage("setup", "--skip-push")

    def board() -> int:
        """What it answers once it listens."""
        for _ in range(100):
            if (status := ship.ask(host, "/", name="board.test")[0]) != 502:
                break
            time.sleep(0.2)
        return status

    assert board() == 200
    assert ship.ask(host, name="shop.test") == (200, "one")
    ship.pilotage("accessory", "reboot", "board")
    ship.release("two")
    ship.deploy()
    assert board() == 200
    assert ship.ask(host, name="shop.test") == (200, "two")
    ship.pilotage("accessory", "remove", "board", "-y")
    assert board() == 404
    assert ship.ask(host, name="shop.test") == (200, "two")
    ship.pilotage("accessory", "boot", "board")
    ship.pilotage("remove", "-y")
    assert host.docker("ps", "--all", "--quiet") == ""


def test_a_reboot_takes_what_the_registry_has_today(ship: Ship) -> None:
    cached(ship)
    text = (ship.root / "config/deploy.yml").read_text()
    ship.write("config/deploy.yml", text.replace("acme/cache:1", "acme/moving:1"))
    ship.lab.push(images.python(), "acme/moving:1")
    ship.release("one")
    ship.pilotage("accessory", "boot", "cache")
    ship.lab.push(images.app("two", service="shop"), "acme/moving:1")
    ship.pilotage("accessory", "reboot", "cache")
    for host in ship.hosts[:2]:
        assert "VERSION=two" in host.docker("exec", "shop-cache", "env")


def test_an_accessory_that_cannot_start_says_why(ship: Ship) -> None:
    cached(ship)
    text = (ship.root / "config/deploy.yml").read_text()
    ship.write("config/deploy.yml", text.replace("acme/cache:1", "acme/nowhere:1"))
    ship.release("one")
    failed = ship.pilotage("accessory", "boot", "cache", status=1)
    assert "acme/nowhere" in failed.err
    first, second, _ = ship.hosts
    assert f"  where  {first.address}, {second.address}\n" in failed.err

    # Where hosts say different things, each is named with its own.
    image = f"{ship.lab.registry.address}/acme/cache:1"
    first.docker("create", "--name", "shop-cache", image, "/no/such/program")
    failed = ship.pilotage("accessory", "boot", "cache", status=1)
    assert "shop-cache could not be booted on 2 of 2 hosts:" in failed.err
    on_first, on_second = failed.err.split(f" {second.address}: ")
    assert f" {first.address}: " in on_first
    assert "/no/such/program" in on_first
    assert "acme/nowhere" in on_second
    first.docker("rm", "shop-cache")
    unknown = ship.pilotage("accessory", "boot", "cahce", status=2)
    assert "there is no accessory 'cahce'" in unknown.err
