"""The hosts that the other tests stand on: three that are up, each with its own Docker."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from tests.lab import images
from tests.lab.image import docker_archive
from tests.lab.lab import Lab


def get(url: str, *, limit: float = 60) -> str:
    """What the URL answers, as soon as something does."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + limit
    while True:
        try:
            with opener.open(url, timeout=10) as answer:
                return str(answer.read().decode())
        except OSError:
            assert time.monotonic() < deadline, url
            time.sleep(0.05)


def test_an_image_is_loaded_pulled_run_and_answers(lab: Lab) -> None:
    first, second, third = lab.hosts
    with docker_archive(images.app("1"), "app:1") as archive:
        first.docker("load", "-i", str(archive))
    first.docker("run", "-d", "--name", "app-1", "-p", "8080:80", "app:1")
    tag = lab.push(images.app("2"), "app:2")
    for host in (second, third):
        host.docker("run", "-d", "--name", "app-2", "-p", "8080:80", tag)
    assert get(f"http://{first.address}:8080/version") == "1"
    assert get(f"http://{second.address}:8080/version") == "2"
    assert get(f"http://{third.address}:8080/up") == "up\n"
    for host, name in ((first, "app-1"), (second, "app-2"), (third, "app-2")):
        assert host.docker("ps", "-a", "--format", "{{.Names}}").split() == [name]


def test_what_docker_hub_would_have_is_pulled_by_its_name(lab: Lab) -> None:
    host = lab.hosts[0]
    lab.provide(images.envoy(), f"{images.ENVOY}:v1")
    host.docker("pull", "-q", f"{images.ENVOY}:v1")
    said = host.docker("run", "--rm", f"{images.ENVOY}:v1", "--version")
    assert "envoy" in said
    lab.provide(images.caddy(), f"{images.CADDY}:2")
    assert host.docker("run", "--rm", "caddy:2", "caddy", "version").startswith("v2.")


def test_a_host_that_was_cut_off_comes_back(lab: Lab) -> None:
    host = lab.hosts[1]
    tag = lab.push(images.app("3"), "app:3")
    host.docker("run", "-d", "--restart", "unless-stopped", "-p", "8080:80", tag)
    url = f"http://{host.address}:8080/up"
    assert get(url) == "up\n"
    host.cut()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with pytest.raises(OSError):
        opener.open(url, timeout=2)
    host.restore()
    assert get(url) == "up\n"
    host.restart_dockerd()
    assert get(url) == "up\n"


def test_a_disk_that_is_full(lab: Lab) -> None:
    host = lab.hosts[2]
    tag = lab.push(images.app("4", files={"/app/big": b"x" * 30_000_000}), "app:4")
    host.fill_disk(leave=5_000_000)
    with pytest.raises(AssertionError, match="no space left on device"):
        host.docker("pull", tag)
    host.empty_disk()
    host.docker("pull", tag)
    host.docker("rmi", tag)


def test_a_lab_is_for_one_test_at_a_time_and_leaves_no_container(lab: Lab) -> None:
    for host in lab.hosts:
        assert host.docker("ps", "-aq") == ""
        assert list(Path(host.home).iterdir()) == []
