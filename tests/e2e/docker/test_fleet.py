"""Hosts in turns, parts of a fleet, several roles with traffic and several instances, on real hosts under load."""

from __future__ import annotations

import json

from tests.e2e.docker.conftest import Ship
from tests.lab.host import Host

CONFIG = """\
service: {service}
image: acme/shop
servers:
  web:
    hosts: [{first}, {{{second}: odd}}]
    instances: {instances}
{more}
registry: {{server: "{registry}", username: me, password: [REGISTRY_PASSWORD]}}
builder: {{arch: amd64}}
deploy_timeout: 30
rollout: {{verify: 0{rollout}}}
env: {{clear: {{A: "1"}}, tags: {{odd: {{FAIL: "{fail}"}}}}}}
ssh: {{config: {ssh}}}
"""


def configure(ship: Ship, **changes: object) -> None:
    """Write the configuration: a web role on two hosts, and what is changed."""
    known = {"service": "shop", "instances": 1, "rollout": "", "fail": "", "more": ""}
    text = CONFIG.format(
        first=ship.hosts[0].address, second=ship.hosts[1].address,
        registry=ship.lab.registry.address, ssh=ship.lab.ssh_config, **{**known, **changes},
    )  # fmt: skip
    ship.write("config/deploy.yml", text)


def switches(events: list[dict[str, object]]) -> list[object]:
    """The hosts of each switch."""
    return [event["hosts"] for event in events if event["event"] == "Switched"]


def test_hosts_take_turns_and_all_go_back(ship: Ship) -> None:
    first, second, _ = ship.hosts
    configure(ship, instances=2)
    ship.release("one")
    ship.deploy()
    # Kamal's own key is enough.
    configure(ship, instances=2, more="boot: {limit: 1, wait: 1}")
    ship.release("two")
    with ship.load(first) as one, ship.load(second) as other:
        done = ship.deploy("--json")
    assert switches(done.events) == [[first.address], [second.address]]
    assert done.events[-1]["skew_ms"] > 1000
    for told in (one, other):
        assert told["failed"] == 0, told
        assert set(told["answers"]) == {"one", "two"}
    revision = ship.git("rev-parse", "HEAD")
    for host in (first, second):
        assert _names(host) == [f"shop-web-{revision}", f"shop-web-{revision}-1"]
    # In the second turn the new release crashes: the first host has its old one again.
    configure(ship, instances=2, more="boot: {limit: 1, wait: 1}", fail="crash")
    ship.release("three")
    with ship.load(first) as one, ship.load(second) as other:
        failed = ship.deploy("--json", status=1)
    result = failed.events[-1]
    assert "serves as before" in result["error"]["state"]
    assert switches(failed.events)[0] == [first.address]
    assert one["failed"] == other["failed"] == 0, (one, other)
    assert set(one["answers"]) == {"two", "three"}
    assert set(other["answers"]) == {"two"}
    assert [ship.serving(host) for host in (first, second)] == ["two", "two"]
    assert ship.status()["settled"]


def test_a_part_of_the_fleet_and_then_the_rest(ship: Ship) -> None:
    first, second, _ = ship.hosts
    job = f"  job: {{hosts: [{first.address}], cmd: python3 /app/app.py worker}}"
    configure(ship, more=job)
    ship.release("one")
    ship.deploy()
    ship.release("two")
    with ship.load(first) as one, ship.load(second) as other:
        part = ship.deploy("--hosts", f"{second.address[:-1]}*{second.address[-1]}")
        assert f"left as it is: web on {first.address}, job on {first.address}" in _line(part.out)
        assert [ship.serving(host) for host in (first, second)] == ["one", "two"]
        stands = ship.status()
        assert not stands["settled"]
        assert stands["state"].count("serves on") == 2
        assert "the fleet is MIXED" in ship.pilotage("status").out.replace("\n    ", " ")
        ship.deploy("--roles", "w*")
        assert [ship.serving(host) for host in (first, second)] == ["two", "two"]
        assert not ship.status()["settled"]
        ship.deploy()
        assert ship.status()["settled"]
    assert one["failed"] == other["failed"] == 0, (one, other)
    refused = ship.deploy("--roles", "nobody", status=2)
    assert "matches nothing" in refused.err


def test_two_roles_with_names_of_their_own_and_another_service(ship: Ship) -> None:
    first, second, _ = ship.hosts
    roles = (
        "    proxy: {{host: shop.test}}\n"
        "  admin:\n    hosts: [{}]\n    proxy: {{host: admin.test, app_port: 81}}\n"
        "    env: {{clear: {{PORT: 81, VERSION: {}}}}}\n"
    )
    configure(ship, more=roles.format(first.address, "admin-one"))
    ship.release("one")
    ship.deploy()
    assert _door(first, "shop.test") == "one"
    assert _door(first, "admin.test") == "admin-one"
    configure(ship, more=roles.format(first.address, "admin-two"))
    ship.release("two")
    with ship.load(first) as one, ship.load(second) as other:
        ship.deploy()
        ship.pilotage("maintenance")
        assert _door(first, "admin.test", status=True) == "503"
        ship.pilotage("live")
        ship.pilotage("rollback")
    assert set(one["answers"]) >= {"one", "two"}
    assert set(other["answers"]) >= {"one", "two"}
    assert _door(first, "shop.test") == "one"
    names = _names(first)
    revision = ship.git("rev-parse", "HEAD~1")
    assert names == [f"shop-admin-{revision}", f"shop-web-{revision}"]
    # Another service of the same hosts, with a name of its own; it is removed, and this one goes on.
    other_names = roles.format(first.address, "x").replace("shop.test", "blog.test")
    configure(ship, service="blog", more=other_names.replace("admin.test", "ink.test"))
    ship.release("blog")
    ship.deploy()
    assert _door(first, "blog.test") == "blog"
    assert _door(first, "shop.test") == "one"
    ship.pilotage("remove", "--yes")
    assert _door(first, "shop.test") == "one"
    assert _door(first, "admin.test") == "admin-two"  # old code with the environment of now
    assert not [name for name in _edges(first) if name.startswith("blog")]
    # Two roles that ask for the same are refused by name.
    configure(ship, more=roles.format(first.address, "x").replace("admin.test", "shop.test"))
    ship.release("three")
    refused = ship.deploy(status=2)
    assert "both ask for shop.test" in refused.err


def _line(text: str) -> str:
    return " ".join(text.split())


def _names(host: Host) -> list[str]:
    """The containers of the shop's instances that run."""
    listed = host.docker("ps", "--filter", "label=service=shop", "--format", "{{.Names}}")
    return sorted(listed.split())


def _edges(host: Host) -> list[str]:
    listed = host.docker("ps", "--all", "--filter", "label=pilotage.edge", "--format", "{{.Names}}")
    return listed.split()


def _door(host: Host, name: str, *, status: bool = False) -> str:
    """What the door of a host answers for a name: the body, or the status."""
    script = (
        "import http.client, sys\n"
        "c = http.client.HTTPConnection('127.0.0.1', 80, timeout=20)\n"
        "c.request('GET', '/version', headers={'Host': sys.argv[1]})\n"
        "a = c.getresponse(); print(a.status if sys.argv[2] else a.read().decode())\n"
    )
    return _python(host, script, name, "1" if status else "")


def _python(host: Host, script: str, *words: str) -> str:
    form = json.dumps([script, *words])
    return host.execute(
        "python3", "-c", f"import sys\nsys.argv = {form}\nexec(sys.argv[0])"
    ).strip()
