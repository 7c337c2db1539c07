"""Envoy's files as pure data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pilotage.docker.names import network_alias
from pilotage.host.files import dump_json
from pilotage.model import Endpoint, Front, Route
from pilotage.proxy.envoy import EnvoySettings, TlsFiles, clusters, config, routes
from pilotage.proxy.envoy.names import cluster_name
from pilotage.proxy.envoy.state import State
from pilotage.proxy.envoy.steps import steps

SETTINGS = EnvoySettings(Path("/srv/shop/.pilotage"), "here", 8080)
ONE = Endpoint("web-1", "0123456789ab", "127.0.0.1:20001")
TOO = Endpoint("web-4", ONE.release, "127.0.0.1:20004")
TWO = Endpoint("web-2", "ba9876543210", "127.0.0.1:20002")
THREE = Endpoint("web-3", TWO.release, "127.0.0.1:20003")


def state_of(route: Route) -> State:
    """What Envoy does with all the files of a route."""
    written = {it.kind: list(it.resources) for it in steps(SETTINGS, State(), route).before}
    written = json.loads(json.dumps(written))
    return State(
        listeners={it["name"]: it for it in written.get("lds", ())},
        routes=written["rds"][0],
        clusters={it["name"]: it for it in written["cds"]},
        endpoints={k.partition("/")[2]: it[0] for k, it in written.items() if k[:3] == "eds"},
    )


@pytest.mark.parametrize(
    "route",
    [
        Route(),
        Route((ONE,)),
        Route((TWO,), (ONE,)),
        Route((), (ONE,)),
        Route((TWO, ONE, TOO), (THREE,)),
        Route((ONE,), trial=(TWO,), share=0.05),
        Route((ONE,), (TOO,), (TWO, THREE), 1.0),
        Route((ONE,), (TWO,), front=Front("maintenance", "<p>", status=200, retry_after=9)),
        Route((ONE,), (TWO,), front=Front("pause", "later", limit=2.5)),
        Route((ONE,), trial=(TWO,), share=0.5, front=Front("pause")),
    ],
)
def test_a_route_is_read_back_as_it_was_written(route):
    assert state_of(route).route() == route


def health(route: Route, release: str) -> list[str]:
    (locality,) = clusters.endpoints(route, cluster_name(release))["endpoints"]
    return [entry["health_status"] for entry in locality["lb_endpoints"]]


def test_a_draining_endpoint_gets_no_new_request_however_few_others_there_are():
    assert health(Route((ONE,), (TOO,)), ONE.release) == ["HEALTHY", "DRAINING"]
    cluster = clusters.cluster(SETTINGS, "any")
    assert cluster["common_lb_config"]["healthy_panic_threshold"]["value"] == 0


def test_the_endpoints_of_a_release_without_traffic_are_left_as_they_are():
    """A request that was on its way to them at the switch may still be retried at any of them."""
    assert health(Route((TWO,), (ONE, TOO)), ONE.release) == ["HEALTHY", "HEALTHY"]


def test_each_release_is_a_cluster_and_its_name_can_be_a_file():
    assert cluster_name("0123456789ab") == "release-0123456789ab"
    assert "/" not in cluster_name("../a")
    assert cluster_name("a.b") != cluster_name("a/b")


def test_only_what_the_app_has_not_seen_is_sent_again():
    (host,) = routes.routes(SETTINGS, Route((ONE,)))["virtual_hosts"]
    policy = host["routes"][0]["route"]["retry_policy"]
    assert policy["retry_on"] == "connect-failure,refused-stream,reset-before-request"


def test_no_clock_ends_a_quiet_stream():
    (chain,) = config.listener(SETTINGS)["filter_chains"]
    manager = chain["filters"][0]["typed_config"]
    assert manager["stream_idle_timeout"] == manager["request_timeout"] == "0s"
    (host,) = routes.routes(SETTINGS, Route((ONE,)))["virtual_hosts"]
    assert host["routes"][0]["route"]["timeout"] == "0s"


def test_two_edges_never_share_a_port():
    assert config.listener(SETTINGS)["enable_reuse_port"] is False


def test_every_file_is_watched_in_a_directory_of_its_own():
    text = json.dumps(
        [
            config.bootstrap(SETTINGS),
            config.listener(SETTINGS),
            clusters.cluster(SETTINGS, "one"),
        ]
    )
    for kind, name in (("lds", "lds"), ("cds", "cds"), ("rds", "rds"), ("eds/one", "one")):
        file = f'"path": "{kind}/{name}.json", "watched_directory": {{"path": "{kind}"}}'
        assert file in text


def test_a_certificate_is_named_and_never_written():
    tls = TlsFiles(Path("/etc/tls/shop.crt"), Path("/etc/tls/shop.key"))
    secret = config.certificate(tls)
    assert secret["tls_certificate"]["private_key"] == {"filename": "/etc/tls/shop.key"}


FIRST, SECOND = [{"name": "first"}], [{"name": "second"}]


def test_a_version_names_its_content():
    one = config.discovery(FIRST, number=1)
    same = config.discovery(FIRST, number=2)
    other = config.discovery(SECOND, number=2)
    assert one["version_info"].partition("-")[2] == same["version_info"].partition("-")[2]
    assert same["version_info"] != other["version_info"]
    assert config.same_content(one, same)
    assert not config.same_content(one, other)
    assert not config.same_content(None, one)


def test_an_endpoint_says_by_which_name_its_address_is_found_and_says_it_first():
    """What runs beside Envoy reads the file line by line."""
    away = Endpoint("shop-web-host-2-c0ffee-0", "2", "172.18.0.4:80")
    lines = dump_json(clusters.endpoints(Route((away, ONE)), cluster_name("2"))).decode()
    where = [
        line.strip() for line in lines.splitlines() if '"alias"' in line or '"address": "' in line
    ]
    assert where == [f'"alias": "{network_alias(away.instance)}"', '"address": "172.18.0.4",']
    here = clusters.endpoints(Route((ONE,)), cluster_name(ONE.release))
    assert "alias" not in str(here), "a process of this machine stays where it is"
