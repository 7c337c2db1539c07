"""Accessories of a configuration, as what `pilotage.accessory` is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from pilotage.config import Config, load_config
from pilotage.errors import ConfigError
from pilotage.wiring.accessories import accessory_of

CONFIG = """\
service: shop
image: acme/shop
servers: [10.0.0.1]
registry: {username: me, password: hush}
builder: {arch: amd64}
accessories:
"""


def config(folder: Path, accessory: str) -> Config:
    path = folder / "config" / "deploy.yml"
    path.parent.mkdir()
    path.write_text(f"{CONFIG}  db: {accessory}\n")
    return load_config(path)


def test_one_without_an_image_is_refused_when_it_is_wanted(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the accessory db has no image"):
        accessory_of(config(tmp_path, "{host: 10.0.0.2}"), "db")
