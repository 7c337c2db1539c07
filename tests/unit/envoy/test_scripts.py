"""The commands of an edge on a Docker host, word by word."""

from __future__ import annotations

import shlex

import pytest

from pilotage.proxy.envoy import EnvoySettings, config, scripts
from pilotage.proxy.envoy.scripts import EdgeContainer, Found
from pilotage.shell.fenced import Then

EDGE = EdgeContainer("shop-staging", ".pilotage/shop-staging")
FOUND = Found("-", 0, "1000:1000", "/home/kim/.pilotage/shop-staging/edge", {}, frozenset())


def test_the_container_is_replaced_and_has_the_directory_and_the_network():
    network, gone, socket, run = scripts.start(EDGE, FOUND, ("-c", "bootstrap.json"))
    assert network.argv[-2:] == ("docker", "kamal")
    assert gone.argv == ("docker", "rm", "--force", "shop-staging-edge")
    assert gone.then is Then.ALWAYS
    assert socket.argv == ("rm", "-f", ".pilotage/shop-staging/edge/admin.sock")
    *words, script, name, option, file = run.argv
    assert (name, option, file) == ("edge", "-c", "bootstrap.json")
    assert script.endswith('exec envoy "$@"\n')
    assert shlex.join(words) == (
        "docker run --detach --name shop-staging-edge --network kamal --restart unless-stopped "
        "--log-opt max-size=10m --label pilotage.edge=shop-staging "
        "--sysctl net.ipv4.ip_unprivileged_port_start=0 "
        "--volume /home/kim/.pilotage/shop-staging/edge:/edge --workdir /edge --user 1000:1000 "
        "--entrypoint sh envoyproxy/envoy:v1.40.0 -c"
    )


def test_podman_takes_the_same_words_and_its_root_is_the_user_who_logs_in():
    edge = EdgeContainer("shop", ".pilotage/shop", program="podman")
    *_, run = scripts.start(edge, FOUND, ())
    assert run.argv[0] == "podman"
    assert run.argv[run.argv.index("--user") + 1] == "0:0"
    assert {it.argv[0] for it in scripts.stop(edge)} == {"podman"}


def test_what_is_stopped_is_looked_for_afterwards():
    assert [shlex.join(it.argv) for it in scripts.stop(EDGE)] == [
        "docker stop --time 5 shop-staging-edge",
        "docker rm --force shop-staging-edge",
        "docker ps --all --filter 'name=^/?shop-staging-edge$' --format '{{.State}}'",
    ]


def test_a_listing_is_parsed_and_a_broken_one_is_said():
    out = "7f 1700000000 0:0 /root/my home\n\x1fcds/cds.json\n{}\n\x1fgate-1.sock\n\x1frds.previous.json"
    found = scripts.parse_listing(out)
    assert (found.generation, found.clock, found.user) == ("7f", 1_700_000_000, "0:0")
    assert found.directory == "/root/my home"
    assert found.contents == {"cds/cds.json": b"{}\n"}
    assert found.names == {"cds/cds.json", "gate-1.sock", "rds.previous.json"}
    with pytest.raises(ValueError, match="unpack"):
        scripts.parse_listing("")


@pytest.mark.parametrize("text", ["x" * 300_000, "ü€😀" * 100_000])
def test_no_argument_is_longer_than_a_kernel_takes(text):
    commands = list(scripts.write(EDGE, {"rds/rds.json": text.encode()}, keep={}))
    assert max(len(word.encode()) for it in commands for word in it.argv) < 128 * 1024
    assert "".join(it.argv[-1] for it in commands[:-1]) == text


def test_headers_of_a_proxy_of_ours_in_front_are_believed_and_passed_on_as_they_are(tmp_path):
    def manager(**more):
        listener = config.listener(EnvoySettings(tmp_path, "here", 80, **more))
        return listener["filter_chains"][0]["filters"][0]["typed_config"]

    behind = manager(in_front=1)
    assert behind["xff_num_trusted_hops"] == 1
    assert behind["skip_xff_append"] is True
    assert "xff_num_trusted_hops" not in manager()
