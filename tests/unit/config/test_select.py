"""``--hosts``, ``--roles`` and ``--primary``: what they select of a configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from pilotage.config import Config, load_config
from pilotage.config.select import select, select_hosts
from pilotage.errors import UsageError


@pytest.fixture
def config(tmp_path: Path) -> Config:
    path = tmp_path / "config" / "deploy.yml"
    path.parent.mkdir()
    path.write_text(
        "service: shop\nimage: me/shop\nbuilder: {arch: amd64}\n"
        "registry: {username: u, password: p}\n"
        "servers:\n  job: {hosts: [b1, b2]}\n  web: [a1, b1]\n  web_eu: {hosts: [eu1]}\n"
    )
    return load_config(path)


def chosen(config: Config, **asked: object) -> list[str]:
    return [f"{p.role}@{p.host}" for p in select(config, **asked)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, ["job@b1", "job@b2", "web@a1", "web@b1", "web_eu@eu1"]),
        ({"roles": "web"}, ["web@a1", "web@b1"]),
        ({"roles": "web*"}, ["web@a1", "web@b1", "web_eu@eu1"]),
        ({"roles": "job, web_eu"}, ["job@b1", "job@b2", "web_eu@eu1"]),
        ({"hosts": "b?"}, ["job@b1", "job@b2", "web@b1"]),
        ({"hosts": "b1", "roles": "web"}, ["web@b1"]),
        ({"primary": True}, ["web@a1"]),
        ({"primary": True, "hosts": "b1"}, ["web@b1"]),
    ],
)
def test_what_is_meant(config, asked, found):
    assert chosen(config, **asked) == found


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"roles": "wbe"}, "--roles wbe matches nothing"),
        ({"hosts": "a1,z*"}, r"--hosts z\* matches nothing"),
        ({"hosts": "a1", "roles": "job"}, "no role on any host"),
        ({"hosts": "b2", "primary": True}, "no role on any host"),
    ],
)
def test_what_is_refused(config, asked, words):
    with pytest.raises(UsageError, match=words):
        select(config, **asked)


EVERY = ("b1", "b2", "a1", "eu1", "d1")


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, EVERY),
        ({"hosts": "d1,b?"}, ("b1", "b2", "d1")),
        ({"roles": "web*"}, ("a1", "b1", "eu1")),
        ({"roles": "job", "hosts": "b1"}, ("b1",)),
        ({"primary": True}, ("a1",)),
        ({"primary": True, "hosts": "b1"}, ("b1",)),
    ],
)
def test_which_hosts_are_meant(config, asked, found):
    assert select_hosts(config, EVERY, **asked) == found


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"hosts": "z"}, "--hosts z matches nothing"),
        ({"roles": "wbe"}, "--roles wbe matches nothing"),
        ({"hosts": "d1", "roles": "job"}, "no host is meant"),
        ({"hosts": "b2", "primary": True}, "no host is meant"),
        ({"roles": "job", "primary": True}, "no host is meant"),
    ],
)
def test_which_hosts_are_refused(config, asked, words):
    with pytest.raises(UsageError, match=words) as refused:
        select_hosts(config, EVERY, **asked)
    assert refused.value.next.startswith("there are: ")
