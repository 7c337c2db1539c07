"""Envoy's files as pure data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pilotage.model import Endpoint, Route
from pilotage.proxy.envoy import EnvoySettings, TlsFiles, config
from pilotage.proxy.envoy.files import EnvoyFiles

SETTINGS = EnvoySettings(Path("/srv/shop/.pilotage"), "here", 8080)
ONE = Endpoint("web-1", "0123456789ab", "127.0.0.1:20001")
TWO = Endpoint("web-2", "ba9876543210", "127.0.0.1:20002")


@pytest.mark.parametrize(
    "route", [Route(), Route((ONE,)), Route((TWO,), (ONE,)), Route((), (ONE,))]
)
def test_a_route_is_read_back_as_it_was_written(route):
    written = json.loads(json.dumps(config.endpoints(route)))
    assert config.read_endpoints(written) == route


def test_a_draining_endpoint_gets_no_new_request_however_few_others_there_are():
    (locality,) = config.endpoints(Route((TWO,), (ONE,)))["endpoints"]
    states = [entry["health_status"] for entry in locality["lb_endpoints"]]
    assert states == ["HEALTHY", "DRAINING"]
    assert config.cluster(SETTINGS)["common_lb_config"]["healthy_panic_threshold"]["value"] == 0


def test_only_what_the_app_has_not_seen_is_sent_again():
    (host,) = config.routes(SETTINGS)["virtual_hosts"]
    policy = host["routes"][0]["route"]["retry_policy"]
    assert policy["retry_on"] == "connect-failure,refused-stream,reset-before-request"


def test_no_clock_ends_a_quiet_stream():
    (chain,) = config.listener(SETTINGS)["filter_chains"]
    manager = chain["filters"][0]["typed_config"]
    assert manager["stream_idle_timeout"] == manager["request_timeout"] == "0s"
    (host,) = config.routes(SETTINGS)["virtual_hosts"]
    assert host["routes"][0]["route"]["timeout"] == "0s"


def test_two_edges_never_share_a_port():
    assert config.listener(SETTINGS)["enable_reuse_port"] is False


def test_every_file_is_watched_in_a_directory_of_its_own():
    text = json.dumps(
        [
            config.bootstrap(SETTINGS),
            config.listener(SETTINGS),
            config.cluster(SETTINGS),
        ]
    )
    for kind in ("lds", "cds", "rds", "eds"):
        assert f'"path": "{kind}/{kind}.json", "watched_directory": {{"path": "{kind}"}}' in text


def test_a_certificate_is_named_and_never_written():
    tls = TlsFiles(Path("/etc/tls/shop.crt"), Path("/etc/tls/shop.key"))
    secret = config.certificate(tls)
    assert secret["tls_certificate"]["private_key"] == {"filename": "/etc/tls/shop.key"}


def test_a_version_names_its_content():
    one = config.discovery(config.endpoints(Route((ONE,))), number=1)
    same = config.discovery(config.endpoints(Route((ONE,))), number=2)
    other = config.discovery(config.endpoints(Route((TWO,))), number=2)
    assert one["version_info"].partition("-")[2] == same["version_info"].partition("-")[2]
    assert same["version_info"] != other["version_info"]
    assert config.same_content(one, same)
    assert not config.same_content(one, other)
    assert not config.same_content(None, one)


def test_a_file_is_written_when_it_says_something_new_and_can_be_taken_back(tmp_path):
    files = EnvoyFiles(tmp_path)
    assert files.version("eds") is None
    assert files.route() is None
    first = files.write("eds", config.endpoints(Route((ONE,))))
    assert first.startswith("1-")
    assert files.write("eds", config.endpoints(Route((ONE,)))) == first
    second = files.write("eds", config.endpoints(Route((TWO,))))
    assert second.startswith("2-")
    assert files.route() == (second, Route((TWO,)))
    assert files.restore("eds") == first
    assert files.route() == (first, Route((ONE,)))


def test_a_write_that_changed_nothing_takes_nothing_back(tmp_path):
    files = EnvoyFiles(tmp_path)
    files.write("eds", config.endpoints(Route((ONE,))))
    second = files.write("eds", config.endpoints(Route((TWO,))))
    assert files.write("eds", config.endpoints(Route((TWO,)))) == second
    assert files.restore("eds") == second


def test_the_same_is_written_anew_where_envoy_does_not_have_it(tmp_path):
    files = EnvoyFiles(tmp_path)
    first = files.write("eds", config.endpoints(Route((ONE,))))
    assert files.write("eds", config.endpoints(Route((ONE,))), anew=True) != first


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"version_info": 1}'])
def test_a_file_that_somebody_broke_is_replaced(tmp_path, text):
    files = EnvoyFiles(tmp_path)
    files.write("eds", config.endpoints(Route((ONE,))))
    files.path("eds").write_text(text)
    assert files.version("eds") is None
    files.write("eds", config.endpoints(Route((ONE,))))
    assert files.route()[1] == Route((ONE,))
