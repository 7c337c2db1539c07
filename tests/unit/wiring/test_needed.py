"""Which hosts must answer for a deploy to some of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pilotage.config import load_config
from pilotage.wiring.needed import needed

CONFIG = """\
service: shop
image: acme/shop
servers: {web: {hosts: [a, b, c]}}
registry: {username: me, password: word}
builder: {arch: amd64}
"""
DATABASE = "databases: {primary: {url: 'postgresql://db/shop'}}\n"
VIA = "databases: {primary: {url: 'postgresql://db/shop', via: %s}}\n"
OWN = "migrations: {path: db/migrations}\n"
COMMAND = "migrations: {engine: command, commands: {expand: migrate}}\n"

LOCK = "keeps the deploy lock and the deploy state"
COMMANDED = "is where the release command runs"
WAY = "is the way to the database (`via`)"
UNSEEN = "may be running a release command that is recorded nowhere else"


@pytest.mark.parametrize(
    ("more", "hosts"),
    [
        ("", {"b": "", "a": LOCK}),
        (DATABASE + OWN, {"b": ""}),
        (DATABASE + OWN + "state: target\n", {"b": "", "a": LOCK}),
        (VIA % "primary" + OWN, {"b": "", "a": WAY}),
        (VIA % "c" + OWN, {"b": "", "c": WAY}),
        (VIA % "b" + OWN, {"b": ""}),
        (DATABASE + COMMAND, {"b": "", "a": COMMANDED}),
        (COMMAND, {"b": "", "a": UNSEEN, "c": UNSEEN}),
        ("migrations: {engine: none}\n", {"b": "", "a": LOCK}),
    ],
)
def test_what_is_needed_besides_what_is_selected(
    tmp_path: Path, more: str, hosts: dict[str, str]
) -> None:
    path = tmp_path / "deploy.yml"
    path.write_text(CONFIG + more)
    assert needed(load_config(path), {"b"}) == hosts
