"""The commands of the door, word by word, and what is read from a host."""

from __future__ import annotations

import json
import shlex

import pytest

from pilotage.proxy.door import DoorSettings, Fragment, OwnCertificate, scripts
from pilotage.proxy.door.scripts import Files, Found
from pilotage.secret import Secret

FOUND = Found("1f", "0:0", "/root/.pilotage/door", {}, ())
SHOP = Fragment("shop", "shop-edge:80")


def test_the_container_publishes_ports_and_keeps_everything_in_its_directory():
    assert shlex.join(scripts.create(DoorSettings(), FOUND)) == (
        "docker create --name pilotage-door --network kamal --restart unless-stopped "
        "--publish 80:80 --publish 443:443 --log-opt max-size=10m --label pilotage.door=true "
        "--sysctl net.ipv4.ip_unprivileged_port_start=0 --volume /root/.pilotage/door:/door "
        "--user 0:0 caddy:2 caddy run --config /door/caddy.json"
    )


def test_addresses_metrics_and_options_of_the_configuration():
    settings = DoorSettings(
        http=8080, bind=("10.0.0.1", "::1"), metrics=9090, options=("--memory", "512m")
    )
    argv = scripts.create(settings, FOUND)
    published = [argv[i + 1] for i, word in enumerate(argv) if word == "--publish"]
    assert published == [
        *("10.0.0.1:8080:80", "10.0.0.1:443:443", "[::1]:8080:80", "[::1]:443:443"),
        "127.0.0.1:9090:9180",
    ]
    assert argv[argv.index("--memory") + 1] == "512m"
    assert "--publish" not in scripts.create(DoorSettings(publish=False), FOUND)


def test_a_key_is_in_no_argv():
    own = OwnCertificate("CHAIN", Secret("KEY-KEY-KEY"))
    *beside, command = scripts.write(
        DoorSettings(),
        FOUND,
        "shop",
        SHOP,
        config={},
        files=Files(own.name, own.chain, own.key),
        generation="2e",
    )
    assert not any("KEY-KEY-KEY" in word for it in (*beside, command) for word in it.argv)
    assert "CHAIN" in command.argv
    assert command.env == {"PILOTAGE_KEY": own.key}


def test_pages_may_be_longer_than_an_argument():
    page = Fragment("shop", "shop-edge:80", pages={"502": "x" * 300_000})
    commands = scripts.write(
        DoorSettings(), FOUND, "shop", page, config={}, files=Files(), generation="2e"
    )
    assert max(len(word) for it in commands for word in it.argv) < 4096
    texts = [json.loads(line.reveal()) for it in commands for line in it.lines]
    assert texts == [{}, page.to_json() | {"names": [], "prefixes": []}]
    assert len(scripts.write(
        DoorSettings(), FOUND, "shop", None, config={}, files=Files(), generation="2e"
    )) == 2  # fmt: skip


def test_a_host_that_can_hand_connections_on_does():
    found = Found("1f", "0:0", "/door", {"net.ipv4.tcp_migrate_req": "known"}, ())
    assert "net.ipv4.tcp_migrate_req=1" in scripts.create(DoorSettings(), found)


def test_a_person_may_let_kamals_proxy_be_replaced():
    out = "1f 0:0 /root/door\ntake-over allowed\nkamal-proxy running\n\x1e\n"
    assert scripts.parse(out).may_take_over
    assert not scripts.parse(out.replace("take-over allowed\n", "")).may_take_over
    assert scripts.parse(out).kamal


def test_another_key_has_another_name():
    one, other = (OwnCertificate("CHAIN", Secret(key)).name for key in ("one", "other"))
    assert one != other


def test_what_a_host_says_is_read():
    out = (
        "7f 1000:1000 /home/my kim/.pilotage/door\npilotage-door running\nkamal-proxy exited\n\x1e\n"
        f"\x1f{json.dumps(SHOP.to_json())}\n"
    )
    found = scripts.parse(out)
    assert (found.generation, found.user) == ("7f", "1000:1000")
    assert found.directory == "/home/my kim/.pilotage/door"
    assert (found.running, found.kamal) == (True, False)
    assert found.fragments == (SHOP,)
    assert scripts.parse("- 0:0 /root/.pilotage/door\n\x1e\n").fragments == ()
    with pytest.raises(ValueError, match="unpack"):
        scripts.parse("")


def test_kamals_proxy_is_named_only_where_it_is_replaced():
    alone = scripts.start(DoorSettings(), FOUND, kamal=False).argv
    instead = scripts.start(DoorSettings(), FOUND, kamal=True).argv
    assert "kamal-proxy" not in alone
    assert "kamal-proxy" in instead
    assert alone[-len(scripts.create(DoorSettings(), FOUND)) :] == scripts.create(
        DoorSettings(), FOUND
    )
