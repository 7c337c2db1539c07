"""A secret without a value is told with the line that asks for it, whichever part of the file that is."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from pilotage.config import Config, load_config
from pilotage.errors import SecretMissing
from pilotage.wiring.accessories import accessory_of
from pilotage.wiring.edges import certificate_of
from pilotage.wiring.hosts import ssh_settings
from pilotage.wiring.images import build_spec, login_of

CONFIG = """\
service: shop
image: acme/shop
servers:
  web: [a1]
  job:
    hosts: [b1: tagged]
    cmd: work
    env:
      secret:
        - HELD
        - OF_A_ROLE
  api:
    hosts: [c1]
    proxy:
      host: api.example.com
      ssl:
        certificate_pem: OF_ANOTHER_DOOR
        private_key_pem: HELD
env:
  secret:
    - HELD
  tags:
    tagged:
      secret: [INSIDE:OF_A_TAG]
proxy:
  host: example.com
  ssl:
    certificate_pem: HELD
    private_key_pem: OF_THE_DOOR
registry:
  server: registry.example.com
  username: me
  password:
    - OF_THE_REGISTRY
builder:
  arch: amd64
  secrets:
    - HELD
    - OF_THE_BUILD
ssh:
  key_data:
    - OF_SSH
accessories:
  db:
    image: postgres:17
    host: d1
    env:
      secret:
        - OF_AN_ACCESSORY
  cache:
    image: acme/cache
    registry:
      server: registry.example.com
      username: [OF_AN_ACCESSORYS_REGISTRY]
      password: [HELD]
    host: d1
  front:
    image: acme/front
    host: a1
    proxy:
      host: front.example.com
      ssl:
        certificate_pem: OF_AN_ACCESSORYS_DOOR
        private_key_pem: HELD
databases:
  primary:
    url: OF_THE_DATABASE
    replicas:
      - HELD
      - OF_A_REPLICA
"""

NEEDED: dict[str, tuple[str, Callable[[Config], object]]] = {
    "OF_A_ROLE": ("servers.job.env.secret[1]", lambda it: it.env("job")),
    "OF_A_TAG": ("env.tags.tagged.secret[0]", lambda it: it.env("job", "b1")),
    "OF_THE_REGISTRY": ("registry.password[0]", login_of),
    "OF_THE_BUILD": ("builder.secrets[1]", build_spec),
    "OF_SSH": ("ssh.key_data[0]", ssh_settings),
    "OF_THE_DOOR": ("proxy.ssl.private_key_pem", lambda it: certificate_of(it, it.role("web"))),
    "OF_ANOTHER_DOOR": (
        "servers.api.proxy.ssl.certificate_pem",
        lambda it: certificate_of(it, it.role("api")),
    ),
    "OF_AN_ACCESSORY": ("accessories.db.env.secret[0]", lambda it: accessory_of(it, "db")),
    "OF_AN_ACCESSORYS_REGISTRY": (
        "accessories.cache.registry.username[0]",
        lambda it: accessory_of(it, "cache"),
    ),
    "OF_AN_ACCESSORYS_DOOR": (
        "accessories.front.proxy.ssl.certificate_pem",
        lambda it: accessory_of(it, "front"),
    ),
    "OF_THE_DATABASE": ("databases.primary.url", lambda it: it.databases["primary"].url),
    "OF_A_REPLICA": ("databases.primary.replicas", lambda it: it.databases["primary"].replicas),
}
"""Secret → the key that names it, and who asks for its value."""


@pytest.fixture
def config(tmp_path: Path) -> Callable[[str], Config]:
    """The configuration, with a value for every secret but one."""

    def without(name: str) -> Config:
        (tmp_path / "config").mkdir(exist_ok=True)
        (tmp_path / "config/deploy.yml").write_text(CONFIG)
        (tmp_path / ".kamal").mkdir(exist_ok=True)
        held = {"HELD", *NEEDED} - {name}
        lines = (f"{it}=anything\n" for it in sorted(held))
        (tmp_path / ".kamal/secrets").write_text("".join(lines))
        return load_config(tmp_path / "config/deploy.yml", environ={})

    return without


@pytest.mark.parametrize("name", NEEDED)
def test_the_line_that_asks_for_it(config: Callable[[str], Config], name: str) -> None:
    key, ask = NEEDED[name]
    with pytest.raises(SecretMissing) as caught:
        ask(config(name))
    lines = CONFIG.splitlines()
    (number,) = (n for n, line in enumerate(lines, 1) if re.search(rf"\b{name}\b", line))
    assert caught.value.where == f"config/deploy.yml:{number}"
    assert caught.value.key == key
    assert f"needs the secret {name}, which is not in .kamal/secrets" in caught.value.what
    ask(config(""))


def test_the_line_of_the_destinations_own_file(tmp_path: Path) -> None:
    (tmp_path / "deploy.yml").write_text(CONFIG)
    (tmp_path / "deploy.staging.yml").write_text("\nenv:\n  secret:\n    - ELSEWHERE\n")
    config = load_config(tmp_path / "deploy.yml", destination="staging", environ={})
    with pytest.raises(SecretMissing) as caught:
        config.env("web")
    assert str(caught.value).splitlines()[0] == (
        "deploy.staging.yml:4: the role web needs the secret ELSEWHERE, which has no value: there is no secrets file "
        "(.kamal/secrets-common, .kamal/secrets.staging, .pilotage/secrets-common, .pilotage/secrets.staging)"
    )
