"""What a build is told, from the configuration."""

from __future__ import annotations

from pathlib import Path

from pilotage.config import load_config
from pilotage.wiring.images import build_spec

CONFIG = """\
service: shop
image: acme/shop
servers: [10.0.0.1]
registry: {username: me, password: hush}
builder:
  arch: amd64
  args: {FLAG: true, NUMBER: 40_000, TEXT: "a b", HANDED_ON: }
"""


def test_build_arguments_are_texts_as_kamal_has_them(tmp_path: Path) -> None:
    path = tmp_path / "config" / "deploy.yml"
    path.parent.mkdir()
    path.write_text(CONFIG)
    assert build_spec(load_config(path)).args == {
        "FLAG": "true",
        "NUMBER": "40000",
        "TEXT": "a b",
        "HANDED_ON": None,
    }
