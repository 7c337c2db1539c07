"""The twelve cases of Kamal's own integration tests, on real hosts, by the real command line.

| case | here |
|---|---|
| 1 deploy, redeploy, rollback, details, audit, with the exact hooks | `test_the_life_of_a_service` |
| 2 a bad image: what ran stays, the new worker never runs, the cause is told | `test_the_life_of_a_service` |
| 3 a held lock: names its owner, times out, is waited for | `test_the_life_of_a_service` |
| 4 two apps on a host: removing one keeps the proxy | `test_two_services_come_and_go` |
| 5 maintenance with a message, and live again | `test_closed_stopped_and_with_a_new_door` |
| 6 stopped: no answer; started: 200 | `test_closed_stopped_and_with_a_new_door`, and `test_app_verbs.py` |
| 7 env, secrets, host tags, quotes and Unicode | `test_every_variable_arrives_byte_for_byte` |
| 8 assets of both releases during a switch | `test_deploy.py::test_assets_of_both_releases_…` |
| 9 the output of exec is byte-exact | `test_app_verbs.py::test_commands_byte_for_byte_…` |
| 10 remove before setup; setup and remove leave nothing | `test_two_services_come_and_go` |
| 11 roles that share a host; destinations; a certificate of one's own | `test_destinations_share_a_host` |
| 12 accessory boot twice; a new proxy has its routes | `test_two_services_come_and_go`, `test_closed_stopped_…` |

And a project of Rails' template for Kamal, whose `config/deploy.yml` is taken as it is.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from tests.certificates import own_certificate
from tests.e2e.docker.conftest import CONFIG, Ship
from tests.lab import images
from tests.lab.host import Host

HOOKS = ("pre-connect", "pre-deploy", "pre-app-boot", "post-app-boot", "post-deploy")
TELL = """\
#!/bin/sh
echo "$(basename "$0") $KAMAL_COMMAND $KAMAL_VERSION" >> ../hooks.log
"""


def ran(ship: Ship) -> list[str]:
    """The hooks that ran since the last time."""
    log = ship.root.parent / "hooks.log"
    text = log.read_text() if log.exists() else ""
    log.unlink(missing_ok=True)
    return text.splitlines()


def hooks(command: str, *versions: str) -> list[str]:
    """What every hook of a command writes: the first one knows the commit here, the others the one deployed."""
    first, rest = versions[0], versions[-1]
    told = dict.fromkeys(HOOKS, rest) | {"pre-connect": first}
    return [f"{name} {command} {version}" for name, version in told.items()]


# -- 1, 2, 3 -----------------------------------------------------------------------------------


def test_the_life_of_a_service(ship: Ship) -> None:
    for name in (*HOOKS, "pre-build"):
        ship.write(f".kamal/hooks/{name}", TELL).chmod(0o755)
    first, second, _ = ship.hosts

    one = ship.release("one")
    ship.deploy()
    assert ran(ship) == hooks("deploy", one)
    two = ship.release("two")
    ship.pilotage("redeploy", "--skip-push")
    assert ran(ship) == hooks("redeploy", two)
    assert [ship.ask(host) for host in (first, second)] == [(200, "two"), (200, "two")]

    # 2: a release that cannot start
    running = first.docker("ps", "--format", "{{.ID}} {{.Names}}")
    bad = ship.release("bad", env={"FAIL": "crash"})
    failed = ship.deploy(status=1)
    assert "release bad cannot start: this is its last line" in failed.err
    assert f"release {two[:12]} serves as before" in failed.err
    assert first.docker("ps", "--format", "{{.ID}} {{.Names}}") == running
    made = first.docker("ps", "--all", "--format", "{{.Names}}", "--filter", "label=role=job")
    assert bad not in made
    assert [line.split()[0] for line in ran(ship)] == ["pre-connect", "pre-deploy", "pre-app-boot"]

    # 3: a lock that a person holds
    three = ship.release("three")
    ship.pilotage("lock", "acquire", "-m", "freeze for the fair")
    owner = re.escape(ship.pilotage("lock", "status").out.split()[0])
    for wait in ((), ("--lock-wait", "1")):
        refused = ship.deploy(*wait, status=1)
        assert "freeze for the fair" in refused.err
        assert "holds the deploy lock" in refused.err
        assert ship.ask(first) == (200, "two")
    assert owner
    waiting = ship.start("deploy", "--skip-push", "--lock-wait", "200")
    assert waiting.stdout is not None
    for line in waiting.stdout:
        if "waiting for" in line:
            assert "freeze for the fair" in line
            break
    ship.pilotage("lock", "release")
    out, err = waiting.communicate(timeout=300)
    assert waiting.returncode == 0, (out, err)
    assert ship.ask(second) == (200, "three")

    ran(ship)
    ship.pilotage("rollback")
    assert ran(ship) == hooks("rollback", three, two)
    assert [ship.ask(host) for host in (first, second)] == [(200, "two"), (200, "two")]

    details = ship.pilotage("details").out
    assert details.count(two[:12]) >= 3
    assert first.address in ship.pilotage("app", "containers").out
    told = json.loads(ship.pilotage("audit", "--json").out)
    assert [(row["command"], row["result"]) for row in told] == [
        ("deploy --skip-push", "done"),
        ("redeploy --skip-push", "done"),
        ("deploy --skip-push", "failed"),
        ("lock acquire -m 'freeze for the fair'", "done"),
        ("deploy --skip-push", "refused"),
        ("deploy --skip-push --lock-wait 1", "refused"),
        ("deploy --skip-push --lock-wait 200", "done"),
        ("lock release", "done"),
        ("rollback", "done"),
    ]
    assert {row["who"] for row in told} != {""}


# -- 5, 6, 12 ----------------------------------------------------------------------------------


def test_closed_stopped_and_with_a_new_door(ship: Ship) -> None:
    ship.configure(more="proxy: {host: shop.test}\n")
    ship.release("one")
    ship.deploy()
    hosts = ship.hosts[:2]

    def answers(path: str = "/version") -> list[tuple[int, str]]:
        return [ship.ask(host, path, name="shop.test") for host in hosts]

    ship.pilotage("app", "maintenance", "--message", "Back at noon <ü>")
    for status, page in answers():
        assert status == 503
        assert "Back at noon &lt;ü&gt;" in page
    ship.release("two")
    ship.deploy()
    assert [status for status, _ in answers()] == [503, 503], "a deploy opens nothing"
    ship.pilotage("app", "live")
    assert answers() == [(200, "two")] * 2

    ship.pilotage("app", "stop")
    assert [status for status, _ in answers("/up")] == [503, 503]
    ship.pilotage("app", "start")
    assert [status for status, _ in answers("/up")] == [200, 200]

    before = [host.docker("inspect", "pilotage-door", "--format", "{{.Id}}") for host in hosts]
    ship.pilotage("proxy", "reboot", "-y")
    after = [host.docker("inspect", "pilotage-door", "--format", "{{.Id}}") for host in hosts]
    assert not set(before) & set(after)
    assert answers() == [(200, "two")] * 2

    assert ship.pilotage("proxy", "stop").out.count(": stopped") == 2
    assert ship.pilotage("proxy", "stop").out.count(": did not run") == 2
    for host in hosts:
        with pytest.raises(subprocess.CalledProcessError):
            ship.ask(host, name="shop.test")
    assert ship.pilotage("proxy", "start").out.count(": started") == 2
    assert ship.pilotage("proxy", "start").out.count(": runs already") == 2
    assert answers() == [(200, "two")] * 2
    ship.pilotage("proxy", "restart")
    assert answers() == [(200, "two")] * 2

    # One of the doors alone: the other one stays as it is.
    first, second = hosts
    here = ("--hosts", second.address)
    ids = [host.docker("inspect", "pilotage-door", "--format", "{{.Id}}") for host in hosts]
    ship.pilotage("proxy", "reboot", "-y", *here)
    now = [host.docker("inspect", "pilotage-door", "--format", "{{.Id}}") for host in hosts]
    assert now[0] == ids[0]
    assert now[1] != ids[1]
    assert first.address not in ship.pilotage("proxy", "logs", *here).out
    matching = ("proxy", "logs", *here, "-g", '"level"', "-s", "1h")
    timed, bare = (ship.pilotage(*matching, *more).out.splitlines() for more in ((), ("-T",)))
    assert bare == [f"{second.address} │ {{{line.partition('{')[2]}" for line in timed] != []
    assert not {*timed} & {*bare}
    assert ship.pilotage("proxy", "logs", *here, "-g", "nothing says this").out == ""
    ship.pilotage("proxy", "stop")
    ship.pilotage("proxy", "boot", *here)
    assert ship.ask(second, "/version", name="shop.test") == (200, "two")
    with pytest.raises(subprocess.CalledProcessError):
        ship.ask(first, name="shop.test")
    ship.pilotage("proxy", "boot", "-p")
    assert answers() == [(200, "two")] * 2


# -- 7 -----------------------------------------------------------------------------------------

TAGGED = """\
env:
  clear:
    CLEAR: {clear}
    PLACE: everywhere
  secret:
    - TRICKY
    - RENAMED:TRICKY
  tags:
    east: {{PLACE: "the \\"east\\" – Ost"}}
"""

TRICKY = 'it\'s "so": $HOME `id` \\n\nsecond line, ü 漢 🚢 '


def test_every_variable_arrives_byte_for_byte(ship: Ship, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRICKY_HERE", TRICKY)
    ship.secrets["TRICKY"] = "$TRICKY_HERE"
    first, second, _ = ship.hosts
    ship.configure(more=TAGGED.format(clear=json.dumps(TRICKY, ensure_ascii=False)))
    text = (ship.root / "config/deploy.yml").read_text()
    tagged = json.dumps([first.address, {second.address: "east"}])
    ship.write("config/deploy.yml", re.sub(r"hosts: \[.*\]", f"hosts: {tagged}", text, count=1))
    ship.release("one")
    said = ship.deploy("-v")
    for host, place in ((first, "everywhere"), (second, 'the "east" – Ost')):
        env = json.loads(ship.get(host, "/env"))
        assert (env["CLEAR"], env["TRICKY"], env["RENAMED"]) == (TRICKY, TRICKY, TRICKY)
        assert env["PLACE"] == place
        assert env["KAMAL_HOST"] == host.address
    assert "second line" not in said.out + said.err
    # A rotated secret is a new instance of the same release.
    monkeypatch.setenv("TRICKY_HERE", "rotated")
    ship.deploy()
    assert json.loads(ship.get(second, "/env"))["RENAMED"] == "rotated"
    assert ship.serving(second) == "one"


# -- 4, 10, 12 ---------------------------------------------------------------------------------

CACHE = """\
proxy: {{host: shop.test}}
asset_path: /app/public/assets
accessories:
  cache:
    image: {image}
    hosts: {hosts}
    cmd: python3 -c 'import time; time.sleep(3600)'
    directories: [data:/data]
"""


SHOPS = "*/acme/shop"
"""The images of the service, as `docker image ls` takes a pattern."""


def snapshot(host: Host) -> dict[str, list[str]]:
    """What there is on a host: containers, volumes, networks, images of ours, files of the home."""
    listed = {
        "containers": host.docker("ps", "--all", "--format", "{{.Names}}"),
        "volumes": host.docker("volume", "ls", "--format", "{{.Name}}"),
        "networks": host.docker("network", "ls", "--format", "{{.Name}}"),
        "images": host.docker("image", "ls", "--format", "{{.Repository}}", SHOPS),
        "files": host.execute("find", "/root", "-mindepth", "1"),
    }
    return {what: sorted(text.split()) for what, text in listed.items()}


def another(ship: Ship, root: Path) -> Ship:
    """A second project, of another service, for the first host."""
    root.mkdir()
    blog = Ship(ship.lab, root)
    blog.git("init", "-q", "-b", "main")
    blog.write(".gitignore", ".kamal/secrets\n.pilotage/\n")
    text = CONFIG.format(
        web=json.dumps([ship.hosts[0].address]),
        job=json.dumps([ship.hosts[0].address]),
        registry=ship.lab.registry.address,
        ssh=ship.lab.ssh_config,
    )
    text = text.replace("shop", "blog") + "proxy: {host: blog.test}\n"
    blog.write("config/deploy.yml", text)
    blog.git("add", "-A")
    blog.git("commit", "-qm", "blog")
    revision = blog.git("rev-parse", "HEAD")
    ship.lab.push(images.app("blog 1", service="blog"), f"acme/blog:{revision}")
    return blog


def test_two_services_come_and_go(ship: Ship, tmp_path: Path) -> None:
    first, second, third = ship.hosts
    for host in ship.hosts:  # images stay from test to test
        # By their ids: an image has no tag any more where its tag was pulled anew.
        if known := {*host.docker("image", "ls", "--quiet", "--no-trunc", SHOPS).split()}:
            host.docker("image", "rm", "--force", *known)
    before = [snapshot(host) for host in ship.hosts]
    image = ship.lab.push(images.python(), "acme/cache:1")
    ship.configure(more=CACHE.format(image=image, hosts=json.dumps([first.address, third.address])))
    ship.release("one", files={"/app/public/assets/one.css": "one"})
    assert "0 instance(s) stopped" in ship.pilotage("remove", "-y").out
    assert [snapshot(host) for host in ship.hosts] == before

    ship.pilotage("setup", "--skip-push")
    started = first.docker("inspect", "shop-cache", "--format", "{{.State.StartedAt}}")
    ship.pilotage("accessory", "boot", "cache")
    ship.pilotage("setup", "--skip-push")
    assert started == first.docker("inspect", "shop-cache", "--format", "{{.State.StartedAt}}")
    assert (third.home / "shop-cache" / "data").is_dir()

    blog = another(ship, tmp_path / "blog")
    blog.deploy()
    assert ship.ask(first, name="shop.test") == (200, "one")
    assert ship.ask(first, name="blog.test") == (200, "blog 1")
    door = first.docker("inspect", "pilotage-door", "--format", "{{.State.StartedAt}}")

    refused = ship.pilotage("remove", status=2)
    assert "DELETE THE DATA of cache" in refused.err
    assert ship.ask(first, name="shop.test") == (200, "one")
    ship.pilotage("remove", "-y")
    assert ship.ask(first, name="shop.test")[0] == 404
    assert ship.ask(first, name="blog.test") == (200, "blog 1")
    assert door == first.docker("inspect", "pilotage-door", "--format", "{{.State.StartedAt}}")
    assert [snapshot(host) for host in (second, third)] == before[1:]

    blog.pilotage("remove", "-y")
    assert [snapshot(host) for host in ship.hosts] == before


# -- 11 ----------------------------------------------------------------------------------------

PRODUCTION = """\
proxy:
  host: shop.test
  ssl: {certificate_pem: CERTIFICATE, private_key_pem: PRIVATE_KEY}
env: {clear: {STAGE: production}}
"""


def test_destinations_share_a_host(
    ship: Ship, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    certificate, key = own_certificate("shop.test")
    monkeypatch.setenv("OWN_CERTIFICATE", certificate)
    monkeypatch.setenv("OWN_KEY", key)
    ship.configure(web=1, more="require_destination: true\n")
    ship.write(".gitignore", ".kamal/secrets*\n.pilotage/\n")
    ship.write(".kamal/secrets-common", "REGISTRY_PASSWORD=anything\n")
    ship.write(".kamal/secrets.production", "CERTIFICATE=$OWN_CERTIFICATE\nPRIVATE_KEY=$OWN_KEY\n")
    ship.write("config/deploy.production.yml", PRODUCTION)
    ship.write(
        "config/deploy.staging.yml",
        "proxy: {host: staging.test}\nenv: {clear: {STAGE: staging}}\n",
    )
    one = ship.release("one")
    assert "destination" in ship.deploy(status=2).err
    ship.deploy("-d", "staging")
    two = ship.release("two")
    ship.deploy("-d", "production")

    host = ship.hosts[0]
    assert ship.ask(host, name="staging.test") == (200, "one")
    root = tmp_path / "root.pem"
    root.write_text(certificate)
    assert ship.ask(host, name="shop.test", root=root) == (200, "two")
    assert ship.ask(host, name="shop.test")[0] in (301, 308), "on to HTTPS"
    env = json.loads(ship.ask(host, "/env", name="shop.test", root=root)[1])
    assert env["STAGE"] == "production"
    names = host.docker("ps", "--format", "{{.Names}}", "--filter", "label=role").split()
    assert sorted(names) == sorted(
        f"shop-{role}-{stage}"
        for role in ("web", "job")
        for stage in (f"staging-{one}", f"production-{two}")
    )
    # What one destination removes is not the other's.
    ship.pilotage("remove", "-y", "-d", "staging")
    assert ship.ask(host, name="shop.test", root=root) == (200, "two")
    assert ship.ask(host, name="staging.test")[0] == 404


# -- a project as Rails makes it ---------------------------------------------------------------

TEMPLATE = Path(__file__).parents[2] / "unit" / "config" / "accepted" / "rails-template.yml"
"""As `rails new` writes it; the real Kamal 2.11 accepts it (`kamal config`)."""


def test_a_rails_project_is_deployed_with_its_configuration_as_it_is(ship: Ship) -> None:
    text = TEMPLATE.read_text()
    host = ship.hosts[0]
    assert text.count("192.168.0.1\n") == 2
    text = text.replace("192.168.0.1\n", f"{host.address}\n")
    text = text.replace(
        "  # server: registry", f"  server: {ship.lab.registry.address}\n  # server: registry"
    )
    ship.write("config/deploy.yml", f"{text}\nssh: {{config: {ship.lab.ssh_config}}}\n")
    ship.secrets.update(KAMAL_REGISTRY_PASSWORD="anything", RAILS_MASTER_KEY="hush")

    def release(version: str) -> str:
        revision = ship.release(version)
        css = {f"/rails/public/assets/{version}.css": version}
        image = images.app(version, service="campfire", files={**css, "/rails/storage/.keep": ""})
        ship.lab.push(image, f"acme/campfire:{revision}")
        return revision

    one = release("one")
    ship.pilotage("setup", "--skip-push")
    status, _ = ship.ask(host, name="app.example.com")
    assert status in (301, 308), "ssl: true sends HTTP on to HTTPS"
    edge = host.docker(
        "inspect", "campfire-edge", "--format",
        "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}",
    ).strip()  # fmt: skip
    assert ship.get_from(host, f"http://{edge}/version") == "one"
    two = release("two")
    ship.deploy()
    assert ship.get_from(host, f"http://{edge}/version") == "two"
    env = json.loads(ship.get_from(host, f"http://{edge}/env"))
    assert (env["RAILS_MASTER_KEY"], env["SOLID_QUEUE_IN_PUMA"]) == ("hush", "true")
    volumes = host.docker("volume", "ls", "--format", "{{.Name}}").split()
    assert sorted(volumes) == sorted(
        ["campfire_storage", f"campfire-web-assets-{one}", f"campfire-web-assets-{two}"]
    )
    listed = ship.pilotage("app", "exec", "--reuse", "ls /rails/public/assets")
    assert listed.out.split() == ["one.css", "two.css"]
    assert "listens" in ship.pilotage("app", "logs", "-g", "listens").out
