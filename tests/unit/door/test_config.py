"""From fragments to Caddy's configuration."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pilotage.errors import ProxyError
from pilotage.proxy.door import Acme, DoorSettings, Fragment
from pilotage.proxy.door.config import caddy, ordered, root_file

SHOP = Fragment("shop", "shop-edge:80", names=("shop.example.org",))
ANY = Fragment("any", "any-edge:80")
SETTINGS = DoorSettings()


def routes(*fragments, server="http"):
    """Those of services: the first one of a server ends connections before a change."""
    servers = caddy(fragments, SETTINGS)["apps"]["http"]["servers"]
    closing, *found = servers[server]["routes"]
    assert closing["match"][0]["file"] == {"root": "/door", "try_files": ["/closing"]}
    assert "terminal" not in closing
    return found


def proxy_of(route):
    return next(it for it in route["handle"] if it["handler"] == "reverse_proxy")


def test_the_order_of_fragments_does_not_matter():
    assert caddy((SHOP, ANY), SETTINGS) == caddy((ANY, SHOP), SETTINGS)


def test_the_narrower_comes_before_the_wider():
    api = Fragment(
        "api", "api:80", names=("*.example.org", "shop.example.org"), prefixes=("/api/v1",)
    )
    docs = Fragment("docs", "docs:80", prefixes=("/docs",))
    parts = [(it.service, names, path) for it, names, path in ordered((ANY, docs, SHOP, api))]
    assert parts == [
        ("api", ("shop.example.org",), "/api/v1"),
        ("shop", ("shop.example.org",), "/"),
        ("api", ("*.example.org",), "/api/v1"),
        ("docs", (), "/docs"),
        ("any", (), "/"),
    ]


def test_who_asks_for_nothing_gets_what_nobody_asks_for_and_the_rest_is_not_found():
    *_, last, nobody = routes(ANY, SHOP)
    assert "match" not in last
    assert proxy_of(last)["upstreams"] == [{"dial": "any-edge:80"}]
    assert nobody["handle"] == [{"handler": "error", "status_code": 404}]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (ANY, replace(ANY, service="else")),
        (SHOP, replace(SHOP, service="else", names=("SHOP.example.org",))),
        (replace(SHOP, prefixes=("/a",)), replace(SHOP, service="else", prefixes=("a/", "b"))),
    ],
)
def test_two_services_that_ask_for_the_same_are_refused_by_name(one, other):
    with pytest.raises(ProxyError, match="both ask for"):
        caddy((one, other), SETTINGS)


def test_the_same_name_with_other_paths_is_no_conflict():
    caddy((SHOP, replace(SHOP, service="api", prefixes=("/api",))), SETTINGS)


def test_a_prefix_is_taken_away_and_told_unless_it_is_to_stay():
    (route, _) = routes(replace(SHOP, prefixes=("/app",)))
    assert route["match"] == [{"host": ["shop.example.org"], "path": ["/app", "/app/*"]}]
    assert route["handle"][0]["request"]["set"] == {"X-Forwarded-Prefix": ["/app"]}
    assert route["handle"][1] == {"handler": "rewrite", "strip_path_prefix": "/app"}
    (route, _) = routes(replace(SHOP, prefixes=("/app",), strip=False))
    assert [it["handler"] for it in route["handle"]] == ["reverse_proxy"]


def test_time_size_and_headers_of_others():
    (route, _) = routes(replace(SHOP, timeout=7.5, largest_body=1000, forward_headers=False))
    assert route["handle"][0] == {"handler": "request_body", "max_size": 1000}
    assert proxy_of(route)["transport"]["response_header_timeout"] == "7.5s"
    assert "trusted_proxies" not in proxy_of(route)
    (route, _) = routes(SHOP)
    assert proxy_of(route)["trusted_proxies"] == ["0.0.0.0/0", "::/0"]


def test_https_by_acme_sends_http_on_and_serves_only_who_has_it():
    acme = Acme("https://ca.test/dir", "PEM", "kim@example.org")
    secure = replace(SHOP, tls=True, acme=acme, names=("shop.example.org", "www.example.org"))
    config = caddy((secure, ANY), SETTINGS)
    first, second, _ = routes(secure, ANY)
    assert first["handle"][0]["status_code"] == 301
    assert proxy_of(second)
    https = routes(secure, ANY, server="https")
    assert [it.get("match") for it in https] == [first["match"], None]
    assert config["apps"]["tls"] == {
        "certificates": {"automate": ["shop.example.org", "www.example.org"]},
        "automation": {
            "policies": [
                {
                    "subjects": ["shop.example.org", "www.example.org"],
                    "issuers": [
                        {
                            "module": "acme",
                            "ca": "https://ca.test/dir",
                            "email": "kim@example.org",
                            "trusted_roots_pem_files": [root_file("PEM")],
                        }
                    ],
                }
            ]
        },
    }
    assert proxy_of(routes(replace(secure, redirect=False))[0])


def test_an_own_certificate_is_read_from_its_files_and_none_is_asked_for():
    tls = caddy((replace(SHOP, tls=True, certificate="abc"),), SETTINGS)["apps"]["tls"]
    assert tls == {
        "certificates": {
            "load_files": [
                {"certificate": "/door/certificates/abc.crt", "key": "/door/certificates/abc.key"}
            ]
        }
    }


def test_without_https_there_is_no_second_server_and_with_a_port_there_are_metrics():
    assert caddy((SHOP,), SETTINGS)["apps"]["http"]["servers"].keys() == {"http"}
    apps = caddy((SHOP,), DoorSettings(metrics=9000))["apps"]
    assert apps.keys() == {"http"}
    assert apps["http"]["servers"].keys() == {"http", "metrics"}


def test_pages_are_a_services_own():
    config = caddy((replace(SHOP, pages={"502": "<p>{oh}</p>"}), ANY), SETTINGS)
    page, default = config["apps"]["http"]["servers"]["http"]["errors"]["routes"]
    assert page["match"] == [
        {"expression": "{http.error.status_code} == 502", "host": ["shop.example.org"]}
    ]
    assert page["handle"][0]["body"] == "<p>\\{oh}</p>"
    assert default["handle"][0]["status_code"] == "{http.error.status_code}"


def test_a_fragment_is_what_its_file_says():
    one = replace(SHOP, prefixes=("/a",), acme=Acme("ca"), pages={"503": "x"}, largest_body=1)
    assert Fragment.from_json(one.to_json()) == one
