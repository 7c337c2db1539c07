"""One ``config/deploy.yml``, deployed by the real Kamal and by pilotage: the same containers, key by key.

On one host, one after the other, with the stand-in for kamal-proxy of `benchmarks.kamal` (its image is in no
registry that a test machine reaches). Everything that ``docker inspect`` says of a container is compared but what is
new with each container; what may differ is listed, with the reason.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.kamal.bed import kamal_program, proxy_version
from benchmarks.kamal.images import KAMAL_PROXY, stand_in
from tests.e2e.docker.conftest import Ship
from tests.lab import images
from tests.lab.host import Host

CONFIG = """\
service: shop
image: acme/shop
servers:
  web:
    hosts:
      - {address}: [north, audited]
    labels: {{tier: front}}
    options:
      memory: 96m
      cpu-shares: 512
      cap-add: [NET_ADMIN, SYS_TIME]
      ulimit: [nofile=1024:2048]
      add-host: ["legacy:10.9.9.9"]
      shm-size: 32m
      init: true
      stop-timeout: 17
      stop-signal: SIGINT
      security-opt: ["no-new-privileges"]
      tmpfs: [/scratch]
  job:
    hosts: [{address}]
    cmd: python3 /app/app.py worker "two words" 'single ''quoted'
    env:
      clear: {{ONLY: job, SHARED: job wins}}
      secret: [JOB_KEY]
    labels: {{tier: back, "com.example/owner": "the \\"jobs\\" team"}}
    logging:
      driver: json-file
      options: {{max-size: 3m, max-file: 2}}
  plain:
    hosts: [{address}]
    cmd: python3 /app/app.py worker
registry: {{server: "{registry}", username: me, password: [REGISTRY_PASSWORD]}}
builder: {{arch: amd64}}
ssh: {{config: {ssh}}}
labels: {{com.example.team: "shop & co"}}
volumes: ["data:/data", "/srv/shop:/srv/shop:ro"]
asset_path: /app/public/assets
env:
  clear:
    PLAIN: a b
    NUMBER: 42
    FLAG: yes
    OCTAL: 0600
    FLOAT: 1.50
    CLOCK: 1:30
    BIG: 40_000
    QUOTES: it's "quoted" \\ and `ticked`
    DOLLAR: $HOME costs $5
    UNICODE: Grüße, 世界 ✓
    EMPTY: ""
    SHARED: root
    EXPANDED: ${{HOME}}/data
  secret: [API_KEY, "ALIAS:REAL_NAME", ODD, LINES]
  tags:
    north: {{REGION: north, SHARED: tagged}}
    audited: {{clear: {{AUDIT: "on"}}, secret: [AUDIT_KEY]}}
proxy: {{host: shop.example.com, app_port: 80}}
accessories:
  cache:
    image: {registry}/acme/cache:1
    host: {address}
    port: "127.0.0.1:6379:6379"
    cmd: python3 -m http.server 6379
    env: {{clear: {{SIZE: 5, NOTE: "a 'b'"}}, secret: [CACHE_KEY]}}
    labels: {{tier: cache}}
    files: ["config/cache.conf:/etc/cache.conf"]
    directories: ["data:/data"]
    volumes: ["cache-logs:/logs"]
    options: {{cpus: 0.5, memory: 128m, health-cmd: "true"}}
"""

SECRETS = {
    "REGISTRY_PASSWORD": "anything",
    "API_KEY": "key-0001",
    "REAL_NAME": "found by another name",
    "ODD": "with 'single', \"double\" # and $5 Grüße",
    "LINES": "one\ntwo",
    "JOB_KEY": "job-0001",
    "AUDIT_KEY": "audit-0001",
    "CACHE_KEY": "cache-0001 $5",
}

NEW_WITH_EACH = (
    *("Id", "Created", "ResolvConfPath", "HostnamePath", "HostsPath", "LogPath", "State"),
    *("GraphDriver.Data", "NetworkSettings.SandboxID", "NetworkSettings.SandboxKey"),
    *("NetworkSettings.Networks.kamal.EndpointID", "NetworkSettings.Networks.kamal.NetworkID"),
    *("NetworkSettings.Networks.kamal.IPAddress", "NetworkSettings.Networks.kamal.MacAddress"),
    *("NetworkSettings.Networks.kamal.Gateway", "NetworkSettings.Networks.kamal.IPPrefixLen"),
)
"""What is of one container alone, whoever makes it."""

NOT_THERE = "—"
OF_EACH = re.compile(r".+")


@dataclass(frozen=True, slots=True)
class Meant:
    """What differs on purpose: as Kamal has it, as we have it (a pattern: something like that), and why."""

    kamal: object
    ours: object
    why: str

    def is_so(self, kamal: object, ours: object) -> bool:
        """Whether it differs like this."""
        pairs = ((self.kamal, kamal), (self.ours, ours))
        return all(
            bool(wanted.fullmatch(str(found)))
            if isinstance(wanted, re.Pattern)
            else wanted == found
            for wanted, found in pairs
        )


OURS = (
    "pilotage finds its instances by labels and variables of its own; Kamal does not look at them"
)
VOLUME = (
    "assets are copied from the image into a volume, through Docker alone: a folder on the host "
    "would need a user there who may write what the image's user wrote"
)

MEANT = {
    **{
        f"Config.Labels.pilotage.{name}": Meant(NOT_THERE, OF_EACH, OURS)
        for name in ("config", "index", "instance", "kind", "release", "revision", "token")
    },
    **{
        f"Config.Env.PILOTAGE_{name}": Meant(NOT_THERE, OF_EACH, OURS)
        for name in ("INSTANCE", "RELEASE", "ROLE")
    },
    "Config.Env.PGAPPNAME": Meant(
        NOT_THERE,
        re.compile("plt-[0-9a-f]{12}"),
        "sessions in the database are told apart by release: proof for a contract half",
    ),
    "Config.Hostname": Meant(
        re.compile(r"[\d.]+-[0-9a-f]{12}"),
        re.compile(r"[\d.]+-[0-9a-f]{12}"),
        "Kamal takes twelve random digits, we take them from the instance's id",
    ),
    **{
        f"Config.Attach{stream}": Meant(
            False,
            True,
            "`docker create` before `docker start`: it is on record before it can run; nothing is attached",
        )
        for stream in ("Stdout", "Stderr")
    },
    "Config.Env.EXPANDED": Meant(
        "/root/data", "${HOME}/data", "no shell of the host changes a value: it arrives as written"
    ),
    "Config.Env.LINES": Meant(
        "one\\ntwo", "one\ntwo", "byte for byte: Kamal's file cannot hold a newline"
    ),
}
"""In every container of a role."""

MEANT_OF_WEB = {
    "HostConfig.Binds./app/public/assets": Meant(
        re.compile(r"/root/\.kamal/apps/shop/assets/volumes/web-[0-9a-f]{40}"),
        re.compile(r"shop-web-assets-[0-9a-f]{40}"),
        VOLUME,
    ),
    **{
        f"Mounts./app/public/assets.{key}": Meant(*pair, VOLUME)
        for key, pair in {
            "Driver": (NOT_THERE, "local"),
            "Mode": ("", "z"),
            "Name": (NOT_THERE, re.compile(r"shop-web-assets-[0-9a-f]{40}")),
            "Propagation": ("rprivate", ""),
            "Source": (OF_EACH, OF_EACH),
            "Type": ("bind", "volume"),
        }.items()
    },
    "NetworkSettings.Networks.kamal.Aliases": Meant(
        "",
        re.compile("i[0-9a-f]{12}"),
        "the edge asks Docker for an instance by this name, which stays when its address changes",
    ),
}

MEANT_OF_CACHE = {
    "Config.Hostname": Meant(*[re.compile("[0-9a-f]{12}")] * 2, "Docker's own choice, either time")
}


def test_the_same_containers(ship: Ship) -> None:
    host = ship.hosts[0]
    revision = _project(ship, host)
    theirs = _kamals(ship, host, revision)
    host.clean()
    ship.pilotage("setup", "--skip-push")
    ours = _containers(host)
    assert set(ours) == set(theirs) == {"web", "job", "plain", "shop-cache"}
    meant = {
        "web": MEANT | MEANT_OF_WEB,
        "job": MEANT,
        "plain": MEANT,
        "shop-cache": MEANT_OF_CACHE,
    }
    for name, wanted in meant.items():
        found = _differences(theirs[name], ours[name])
        assert found.keys() == wanted.keys(), f"{name}: {found}"
        astray = {path: pair for path, pair in found.items() if not wanted[path].is_so(*pair)}
        assert not astray, name


def _project(ship: Ship, host: Host) -> str:
    """Write the project, commit it and push its image; the revision."""
    ship.lab.provide(stand_in(), f"{KAMAL_PROXY}:{proxy_version()}")
    text = CONFIG.format(
        address=host.address, registry=ship.lab.registry.address, ssh=ship.lab.ssh_config
    )
    ship.write("config/deploy.yml", text)
    ship.lab.push(images.python(), "acme/cache:1")
    ship.write("config/cache.conf", "size = 5\n")
    ship.secrets = {name: _quoted(value) for name, value in SECRETS.items()}
    ship.write(".kamal/secrets", "".join(f"{k}={v}\n" for k, v in ship.secrets.items()))
    return ship.release("one", files={"/app/public/assets/app.css": "body {}\n"})


def _quoted(value: str) -> str:
    """A value as a secrets file writes it, for either program."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
    return f'"{escaped}"' if set(value) & set("\"'# $\n") else value


def _kamals(ship: Ship, host: Host, revision: str) -> dict[str, Any]:
    """The containers as the real Kamal makes them."""
    home = ship.root.parent / "home"
    home.mkdir()
    variables = {
        name: os.environ[name]
        for name in ("PATH", "LANG", "LC_ALL", "TMPDIR")
        if name in os.environ
    }
    done = subprocess.run(
        [str(kamal_program()), "setup", "--skip-push", f"--version={revision}"],
        cwd=ship.root, env={**variables, "HOME": str(home), "LC_ALL": "C.UTF-8"},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    return _containers(host)


def _containers(host: Host) -> dict[str, Any]:
    """What Docker says of each container of the service and its accessory, by role or name."""
    found = json.loads(host.docker("inspect", *host.docker("ps", "--quiet").split()))
    labels = [one["Config"]["Labels"] for one in found]
    keys = (each.get("role") or each.get("service", "") for each in labels)
    named = zip(keys, labels, found, strict=True)
    wanted = {"web", "job", "plain", "shop-cache"}
    return {
        key: _leaves(one)
        for key, each, one in named
        if key in wanted and each.get("service", "").startswith("shop")
    }


def _leaves(inspected: Any) -> dict[str, Any]:
    """Every value by its dotted path; environment, labels and mounts by their names."""
    config, host = inspected["Config"], inspected["HostConfig"]
    own = (inspected["Id"][:12], config["Hostname"])
    config["Env"] = {line.partition("=")[0]: line.partition("=")[2] for line in config["Env"]}
    inspected["Mounts"] = {mount["Destination"]: mount for mount in inspected["Mounts"]}
    binds = (bind.split(":", 2) for bind in host["Binds"] or ())
    host["Binds"] = {inner: ":".join((outer, *rest)) for outer, inner, *rest in binds}
    for network in inspected["NetworkSettings"]["Networks"].values():
        network["Aliases"] = " ".join(each for each in network["Aliases"] if each not in own)
    return {
        path: value
        for path, value in _flat(inspected, "")
        if not any(path == one or path.startswith(f"{one}.") for one in NEW_WITH_EACH)
    }


def _flat(value: Any, path: str) -> list[tuple[str, Any]]:
    if not isinstance(value, Mapping) or not value:
        return [(path, value)]
    return [
        leaf for key, each in value.items() for leaf in _flat(each, f"{path}.{key}".lstrip("."))
    ]


def _differences(theirs: dict[str, Any], ours: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What is not the same, as Kamal has it and as we have it."""
    pairs = {
        path: (theirs.get(path, NOT_THERE), ours.get(path, NOT_THERE))
        for path in sorted({*theirs, *ours})
    }
    return {path: pair for path, pair in pairs.items() if pair[0] != pair[1]}
