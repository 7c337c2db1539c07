"""What Kamal rejects for a conflict, pilotage rejects, and what it accepts, pilotage accepts.

Every verdict here was taken from Kamal 2.11.0 itself, file by file; the few places where the two
differ on purpose say so (`kamal` of the case). A line that ends in ``#!`` is the one that the error
should name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pilotage.config import load_config
from pilotage.config.describe import describe, to_yaml
from pilotage.errors import ConfigError

BASE = {
    "service": "service: app",
    "image": "image: acme/app",
    "servers": "servers:\n  web:\n    - 10.0.0.1",
    "registry": "registry:\n  username: acme\n  password:\n    - KAMAL_REGISTRY_PASSWORD",
    "builder": "builder:\n  arch: amd64",
}


@dataclass(frozen=True)
class Case:
    """A change to `BASE`; an empty text removes a key. ``says``: what the error has in it."""

    name: str
    changes: Mapping[str, str]
    says: tuple[str, ...] = ()
    key: str = ""
    kamal: str = "rejects"
    files: Mapping[str, str] = field(default_factory=dict)

    def text(self) -> str:
        keys = {**BASE, **self.changes}
        return "\n".join(text for text in keys.values() if text) + "\n"

    def line(self) -> int | None:
        lines = self.text().splitlines()
        return next((i for i, line in enumerate(lines, 1) if line.endswith("#!")), None)


def _c(name: str, key: str, says: str, /, **changes: str) -> Case:
    return Case(name, changes, tuple(says.split("|")), key)


REJECTED = [
    # required
    _c("no service", "service", "`service` is required", service=""),
    _c("no image", "image", "`image` is required", image=""),
    _c("no registry", "registry", "`registry` is required", registry=""),
    _c("no servers", "servers", "neither `servers` nor `accessories`", servers=""),
    _c("no builder", "builder.arch", "`builder.arch` is required|arch: amd64", builder=""),
    _c(
        "builder without arch",
        "builder.arch",
        "`builder.arch` is required",
        builder="builder: #!\n  context: .",
    ),
    _c(
        "empty arch",
        "builder.arch",
        "`builder.arch` is required",
        builder="builder:\n  arch: [] #!",
    ),
    _c(
        "no registry password",
        "registry.password",
        "`registry.password` is required",
        registry="registry: #!\n  username: acme",
    ),
    _c(
        "two registry passwords",
        "registry.password",
        "one secret",
        registry="registry:\n  username: acme\n  password: [A, B] #!",
    ),
    # unknown keys, at every level
    _c("unknown", "imge", "unknown key `imge`|did you mean `image`?", imge="imge: x #!"),
    _c(
        "a key of another section",
        "app_port",
        "unknown key `app_port` in the file; `app_port` goes under `proxy`",
        app_port="app_port: 3000 #!",
    ),
    _c("between two", "ssl", "did you mean `ssh`? `ssl` goes under `proxy`", ssl="ssl: true #!"),
    _c(
        "a key of a section with names",
        "proxy.cmd",
        "`cmd` goes under `servers.NAME`",
        proxy="proxy:\n  cmd: x #!",
    ),
    _c(
        "unknown in proxy",
        "proxy.hotst",
        "unknown key `hotst` in `proxy`|did you mean `host`",
        proxy="proxy:\n  hotst: a #!",
    ),
    _c(
        "unknown in healthcheck",
        "proxy.healthcheck.pth",
        "did you mean `path`?",
        proxy="proxy:\n  healthcheck:\n    pth: /up #!",
    ),
    _c(
        "unknown in run",
        "proxy.run.http_prt",
        "did you mean `http_port`?",
        proxy="proxy:\n  run:\n    http_prt: 1 #!",
    ),
    _c(
        "unknown in buffering",
        "proxy.buffering.request",
        "did you mean `requests`?",
        proxy="proxy:\n  buffering:\n    request: true #!",
    ),
    _c(
        "unknown in proxy logging",
        "proxy.logging.headers",
        "unknown key `headers`",
        proxy="proxy:\n  logging:\n    headers: [a] #!",
    ),
    _c(
        "unknown in role",
        "servers.web.command",
        "unknown key `command` in `servers.web`|did you mean `cmd`?",
        servers="servers:\n  web:\n    hosts: [10.0.0.1]\n    command: x #!",
    ),
    _c(
        "unknown in role's proxy",
        "servers.web.proxy.hst",
        "did you mean `host`",
        servers="servers:\n  web:\n    hosts: [10.0.0.1]\n    proxy:\n      hst: x #!",
    ),
    _c(
        "unknown in role's env",
        "servers.web.env.secrets",
        "did you mean `secret`?",
        servers="servers:\n  web:\n    hosts: [a]\n    env:\n      clear: {A: b}\n      secrets: [A] #!",
    ),
    _c("unknown in ssh", "ssh.usr", "did you mean `user`?", ssh="ssh:\n  usr: a #!"),
    _c(
        "unknown in sshkit",
        "sshkit.default_env",
        "unknown key",
        sshkit="sshkit:\n  default_env: {} #!",
    ),
    _c("unknown in boot", "boot.limits", "did you mean `limit`?", boot="boot:\n  limits: 1 #!"),
    _c(
        "unknown in registry",
        "registry.user",
        "did you mean `username`?",
        registry="registry:\n  user: a #!\n  username: a\n  password: [P]",
    ),
    _c(
        "unknown in builder",
        "builder.arg",
        "did you mean `args`?",
        builder="builder:\n  arch: amd64\n  arg: {A: 1} #!",
    ),
    _c(
        "unknown in cache",
        "builder.cache.kind",
        "unknown key `kind`",
        builder="builder:\n  arch: amd64\n  cache:\n    type: gha\n    kind: x #!",
    ),
    _c(
        "unknown in pack",
        "builder.pack.buildpack",
        "did you mean `buildpacks`?",
        builder="builder:\n  arch: amd64\n  pack:\n    builder: x\n    buildpack: [a] #!",
    ),
    _c(
        "unknown in logging",
        "logging.drivr",
        "did you mean `driver`?",
        logging="logging:\n  drivr: local #!",
    ),
    _c(
        "unknown in accessory",
        "accessories.db.comand",
        "unknown key `comand` in `accessories.db`",
        accessories="accessories:\n  db:\n    image: x\n    host: a\n    comand: x #!",
    ),
    _c(
        "unknown next to clear",
        "env.FOO",
        "unknown key `FOO` in `env`",
        env="env:\n  clear: {A: b}\n  FOO: bar #!",
    ),
    _c("x- below the root", "proxy.x-a", "unknown key `x-a`", proxy="proxy:\n  x-a: 1 #!"),
    _c(
        "kamal 1 healthcheck",
        "healthcheck",
        "under `proxy:`",
        healthcheck="healthcheck: {path: /up} #!",
    ),
    _c("kamal 1 traefik", "traefik", "replaced it by `proxy:`", traefik="traefik: {} #!"),
    # values of the wrong kind
    _c("service without value", "service", "has no value", service="service: #!"),
    _c("env without value", "env", "has no value", env="env: #!"),
    _c("clear without value", "env.clear", "has no value", env="env:\n  clear: #!\n  secret: [A]"),
    _c("variable without value", "env.A", "should be a text", env="env:\n  A: #!"),
    _c("variable with a list", "env.A", "should be a text", env="env:\n  A: [1] #!"),
    _c("secret no list", "env.secret", "should be a list", env="env:\n  secret: A #!"),
    _c("servers a text", "servers", "should be a mapping", servers="servers: 10.0.0.1 #!"),
    _c("role a text", "servers.web", "should be a mapping", servers="servers:\n  web: 10.0.0.1 #!"),
    _c("role without value", "servers.web", "should be a mapping", servers="servers:\n  web: #!"),
    _c(
        "hosts a text",
        "servers.web.hosts",
        "should be a list",
        servers="servers:\n  web:\n    hosts: 10.0.0.1 #!",
    ),
    _c(
        "two hosts in one item",
        "servers.web[0]",
        "one host with its tags",
        servers="servers:\n  web:\n    - a: x #!\n      b: y",
    ),
    _c(
        "host with a mapping of tags",
        "servers[0]",
        "a list of tags",
        servers="servers:\n  - a: {b: c} #!",
    ),
    _c("volumes a text", "volumes", "should be a list", volumes="volumes: a:b #!"),
    _c("labels a list", "labels", "should be a mapping", labels="labels: [a] #!"),
    _c("label with a list", "labels.a", "should be a text", labels="labels:\n  a: [b] #!"),
    _c(
        "timeout a text",
        "deploy_timeout",
        "is not a duration",
        deploy_timeout="deploy_timeout: soon #!",
    ),
    _c("app_port a text", "proxy.app_port", "whole number", proxy='proxy:\n  app_port: "3000" #!'),
    _c("ssl a list", "proxy.ssl", "should be", proxy="proxy:\n  host: a\n  ssl: [a] #!"),
    _c("proxy a flag", "proxy", "should be a mapping", proxy="proxy: true #!"),
    _c(
        "retain a text",
        "retain_containers",
        "whole number",
        retain_containers='retain_containers: "3" #!',
    ),
    _c(
        "options a list",
        "servers.web.options",
        "should be a mapping",
        servers="servers:\n  web:\n    hosts: [a]\n    options: [a] #!",
    ),
    _c("keys a text", "ssh.keys", "should be a list", ssh="ssh:\n  keys: a #!"),
    _c("alias a list", "aliases.a", "should be a text", aliases="aliases:\n  a: [b] #!"),
    _c(
        "hooks_output",
        "hooks_output",
        "should be one of 'quiet', 'verbose'",
        hooks_output="hooks_output: loud #!",
    ),
    _c(
        "hooks_output of a hook",
        "hooks_output.pre-deploy",
        "should be one of 'quiet', 'verbose'",
        hooks_output="hooks_output:\n  pre-deploy: loud #!",
    ),
    # conflicts
    _c("service name", "service", "letters, digits", service='service: "a b" #!'),
    _c(
        "no destination",
        "require_destination",
        "no destination is named",
        require_destination="require_destination: true #!",
    ),
    _c(
        "minimum version",
        "minimum_version",
        "asks for Kamal 3.0",
        minimum_version="minimum_version: 3.0 #!",
    ),
    _c(
        "retain none", "retain_containers", "1 or more", retain_containers="retain_containers: 0 #!"
    ),
    _c(
        "no primary role",
        "servers",
        "no role `web`|did you mean `webb`",
        servers="servers: #!\n  webb:\n    - 10.0.0.1",
    ),
    _c(
        "unknown primary role",
        "primary_role",
        "no role `wrokers`|did you mean `workers`?",
        servers="servers:\n  workers: [a]",
        primary_role="primary_role: wrokers #!",
    ),
    _c("no hosts at all", "servers", "has no hosts", servers="servers: [] #!"),
    _c("no web hosts", "servers.web", "has no hosts", servers="servers:\n  web: [] #!"),
    _c(
        "no job hosts",
        "servers.job",
        "`job` has no hosts|allow_empty_roles",
        servers="servers:\n  web: [a]\n  job: [] #!",
    ),
    _c(
        "one port for two roles",
        "servers.job.options.publish",
        "the roles `web` and `job` both publish port 127.0.0.1:8080 of a|another port",
        servers="servers:\n  web:\n    hosts: [a]\n    options: {publish: [8080:80, 9:9]}\n"
        "  job:\n    hosts: [b, a]\n    options:\n      publish: 127.0.0.1:8080:81 #!",
    ),
    _c(
        "empty primary although roles may be",
        "servers.web",
        "primary role `web` has no hosts",
        servers="servers:\n  web: [] #!",
        allow_empty_roles="allow_empty_roles: true",
    ),
    _c(
        "tags in a role's env",
        "servers.web.env.tags",
        "in the root's `env` only",
        servers="servers:\n  web:\n    hosts: [a]\n    env:\n      tags: {x: {A: b}} #!",
    ),
    _c(
        "reserved label in a role",
        "servers.web.labels.role",
        "is taken",
        servers="servers:\n  web:\n    hosts: [a]\n    labels:\n      role: x #!",
    ),
    _c(
        "reserved label in an accessory",
        "accessories.db.labels.service",
        "is taken",
        accessories="accessories:\n  db:\n    image: x\n    host: a\n    labels:\n      service: x #!",
    ),
    _c("ssl without host", "proxy.ssl", "needs a `host`", proxy="proxy:\n  ssl: true #!"),
    _c(
        "host and hosts",
        "proxy.hosts",
        "write one of them",
        proxy="proxy:\n  host: a\n  hosts: [b, c] #!",
    ),
    _c(
        "certificate without key",
        "proxy.ssl",
        "`proxy.ssl.private_key_pem` is missing",
        proxy="proxy:\n  host: a\n  ssl: #!\n    certificate_pem: A",
    ),
    _c(
        "key without certificate",
        "proxy.ssl",
        "`proxy.ssl.certificate_pem` is missing",
        proxy="proxy:\n  host: a\n  ssl: #!\n    private_key_pem: A",
    ),
    _c(
        "automatic certificate on two hosts",
        "servers.web",
        "work on one host",
        servers="servers:\n  web: [a, b] #!",
        proxy="proxy:\n  host: a\n  ssl: true",
    ),
    _c(
        "two roles, one SSL host",
        "servers.api.proxy",
        "share the host x.com",
        servers="servers:\n  web: [a]\n  api:\n    hosts: [b]\n    proxy: true #!",
        proxy="proxy:\n  host: x.com\n  ssl: true",
    ),
    _c(
        "cache type",
        "builder.cache.type",
        "should be one of 'gha', 'registry'",
        builder="builder:\n  arch: amd64\n  cache:\n    type: s3 #!",
    ),
    _c(
        "no local, no remote",
        "builder.local",
        "no `remote` is set",
        builder="builder:\n  arch: amd64\n  local: false #!",
    ),
    _c(
        "local registry, remote builder over TCP",
        "builder.remote",
        "over ssh://",
        registry="registry:\n  server: localhost:5000",
        builder="builder:\n  arch: amd64\n  remote: tcp://builder:1234 #!",
    ),
    _c(
        "accessory without a place",
        "accessories.db",
        "should have one of host, hosts, role, roles, tag, tags; it has none",
        accessories="accessories:\n  db: #!\n    image: x",
    ),
    _c(
        "accessory with two places",
        "accessories.db.role",
        "it has host and role",
        accessories="accessories:\n  db:\n    image: x\n    host: a\n    role: web #!",
    ),
    _c(
        "accessory on an unknown role",
        "accessories.db.role",
        "names a role `wbe`|did you mean `web`?",
        accessories="accessories:\n  db:\n    image: x\n    role: wbe #!",
    ),
    _c(
        "accessory on unknown roles",
        "accessories.db.roles",
        "names a role `jobs`",
        accessories="accessories:\n  db:\n    image: x\n    roles: [web, jobs] #!",
    ),
    _c(
        "accessory registry without password",
        "accessories.db.registry.password",
        "`accessories.db.registry.password` is required",
        accessories="accessories:\n  db:\n    image: x\n    host: a\n    registry: #!\n      username: a",
    ),
    _c(
        "tags in an accessory's env",
        "accessories.db.env.tags",
        "in the root's `env` only",
        accessories="accessories:\n  db:\n    image: x\n    host: a\n    env:\n      tags: {x: {A: b}} #!",
    ),
    _c("alias name", "aliases.A b", "lower-case letters", aliases='aliases:\n  "A b": x #!'),
    _c(
        "alias of a command",
        "aliases.deploy",
        "is the name of a command",
        aliases="aliases:\n  deploy: x #!",
    ),
    Case(
        "an old hook",
        {},
        ("pre-proxy-reboot",),
        files={".kamal/hooks/pre-traefik-reboot": "#!/bin/sh\n"},
    ),
    _c(
        "buildpacks for two architectures",
        "builder.arch",
        "one architecture",
        builder="builder:\n  arch: [amd64, arm64] #!\n  pack: {builder: x}",
    ),
    _c(
        "ports of a proxy that publishes none",
        "proxy.run.publish",
        "mean nothing",
        proxy="proxy:\n  run:\n    http_port: 8080\n    publish: false #!",
    ),
    _c(
        "restart of a role",
        "servers.web.options.restart",
        "may not be set",
        servers="servers:\n  web:\n    hosts: [a]\n    options:\n      restart: always #!",
    ),
    _c(
        "restart of an accessory",
        "accessories.db.options.restart",
        "may not be set",
        accessories="accessories:\n  db:\n    image: x\n    host: a\n    options:\n      restart: always #!",
    ),
    _c(
        "accessory proxy a flag",
        "accessories.db.proxy",
        "should be a mapping",
        accessories="accessories:\n  db:\n    image: x\n    host: a\n    proxy: true #!",
    ),
    _c(
        "accessory with ssl and no host",
        "accessories.db.proxy.ssl",
        "needs a `host`",
        accessories="accessories:\n  db:\n    image: x\n    host: a\n    proxy:\n      ssl: true #!",
    ),
    _c(
        "two ways to run one proxy",
        "servers.api.proxy.run",
        "share the host a and differ",
        servers="servers:\n  web: [a]\n  api:\n    hosts: [a]\n    proxy:\n      run: #!\n        http_port: 8081",
        proxy="proxy: {run: {http_port: 8080}}",
    ),
    _c(
        "host in the root, hosts in the role",
        "servers.web.proxy.hosts",
        "write one of them",
        servers="servers:\n  web:\n    hosts: [a]\n    proxy:\n      hosts: [x, y] #!",
        proxy="proxy: {host: z}",
    ),
    _c(
        "certificate without host",
        "proxy.ssl",
        "needs a `host`",
        proxy="proxy:\n  ssl: {certificate_pem: A, private_key_pem: B} #!",
    ),
    _c(
        "hosts that are none",
        "proxy.ssl",
        "needs a `host`",
        proxy="proxy:\n  hosts: []\n  ssl: true #!",
    ),
    _c("ssl a text", "proxy.ssl", "should be", proxy="proxy:\n  host: a\n  ssl: maybe #!"),
    _c(
        "tags that are a list",
        "env.tags",
        "should be a mapping",
        env="env:\n  clear: {A: b}\n  tags: [x] #!",
    ),
    _c(
        "tags in a tag",
        "env.tags.x.tags",
        "no tags of their own",
        env="env:\n  tags:\n    x:\n      tags: {y: {A: b}} #!",
    ),
    _c(
        "version that is none",
        "minimum_version",
        "should be a version",
        minimum_version="minimum_version: abc #!",
    ),
    _c(
        "ssh log level",
        "ssh.log_level",
        "should be one of 'debug'",
        ssh="ssh:\n  log_level: foo #!",
    ),
    _c("service with umlaut", "service", "letters, digits", service="service: äpp #!"),
    _c("empty image", "image", "`image` is required", image="image: ''"),
    _c("no roles", "servers", "no role `web`", servers="servers: {} #!"),
    _c(
        "command a list",
        "servers.web.cmd",
        "should be a text",
        servers="servers:\n  web:\n    hosts: [a]\n    cmd: [a, b] #!",
    ),
    _c("label without value", "labels.a", "should be a text", labels="labels:\n  a: #!"),
    _c(
        "options without value",
        "servers.web.options",
        "has no value",
        servers="servers:\n  web:\n    hosts: [a]\n    options: #!",
    ),
    _c("alias without name", "aliases.", "lower-case letters", aliases="aliases:\n  '': x #!"),
    _c(
        "build arguments a list",
        "builder.args",
        "should be a mapping",
        builder="builder:\n  arch: amd64\n  args: [A=1] #!",
    ),
    _c("registry without anything", "registry.username", "is required", registry="registry: {} #!"),
    # the file itself
    Case("a list", {**dict.fromkeys(BASE, ""), "a": "- a"}, ("should be a mapping",)),
    Case("empty", dict.fromkeys(BASE, ""), ("is empty",)),
    Case("a tab", {"builder": "builder:\n\tarch: amd64 #!"}, ("a tab indents this line",)),
    Case("no YAML", {"builder": "builder: [amd64\nx: y"}, ("is not YAML",)),
    # stricter than Kamal, on purpose
    Case(
        "a negative time",
        {"deploy_timeout": "deploy_timeout: -1 #!"},
        ("0 or more",),
        "deploy_timeout",
        kamal="accepts: fails at once",
    ),
    Case(
        "a key of a file that means nothing",
        {
            "accessories": "accessories:\n  db:\n    image: x\n    host: a\n    files:\n"
            "      - local: a\n        remote: b\n        onwer: c #!"
        },
        ("did you mean `owner`?",),
        "accessories.db.files[0].onwer",
        kamal="accepts: ignores the key",
    ),
    Case(
        "a boot limit of none",
        {"boot": "boot:\n  limit: 0 #!"},
        ("1 or more",),
        "boot.limit",
        kamal="accepts: fails in the middle of a deploy",
    ),
    Case(
        "a key twice",
        {"b": "builder: {arch: arm64} #!"},
        ("`builder` is written twice", "first on line 10"),
        "builder",
        kamal="accepts: the second wins",
    ),
    Case(
        "a boot limit that is none",
        {"boot": "boot:\n  limit: abc #!"},
        ("a number of hosts",),
        "boot.limit",
        kamal="accepts: fails in the middle of a deploy",
    ),
]

ACCEPTED = [
    Case("root labels may be reserved ones", {"labels": "labels: {role: x}"}, kamal="accepts"),
    Case(
        "empty sections",
        {
            "env": "env: {}",
            "accessories": "accessories: {}",
            "logging": "logging: {}",
            "proxy": "proxy: {}",
            "ssh": "ssh: {}",
            "sshkit": "sshkit: {}",
            "boot": "boot: {}",
            "aliases": "aliases: {}",
        },
        kamal="accepts",
    ),
    Case(
        "a role with an empty mapping",
        {"servers": "servers:\n  web: [a]\n  job: {hosts: [b]}"},
        kamal="accepts",
    ),
    Case(
        "a literal password", {"registry": "registry: {username: a, password: b}"}, kamal="accepts"
    ),
    Case(
        "a list of one user",
        {"registry": "registry: {username: [A], password: [B]}"},
        kamal="accepts",
    ),
    Case("arch as a text", {"builder": "builder: {arch: arm64}"}, kamal="accepts"),
    Case(
        "provenance a flag",
        {"builder": "builder: {arch: arm64, provenance: false, sbom: true}"},
        kamal="accepts",
    ),
    Case(
        "an option without value",
        {
            "servers": "servers:\n  web:\n    hosts: [a]\n    options:\n      init:\n      privileged: true\n      add-host: [a:1, b:2]"
        },
        kamal="accepts",
    ),
    Case(
        "a number as command",
        {"servers": "servers:\n  web:\n    hosts: [a]\n    cmd: 3"},
        kamal="accepts",
    ),
    Case(
        "aliases that we use",
        {
            "aliases": "aliases: {logs: app logs, status: details, plan: config, migrate: x, exec: y}"
        },
        kamal="accepts",
    ),
    Case("hooks_output for all", {"hooks_output": "hooks_output: :verbose"}, kamal="accepts"),
    Case("ssh config a file", {"ssh": "ssh: {config: ~/.ssh/config, port: 2222}"}, kamal="accepts"),
    Case("a string with a colon", {"volumes": "volumes:\n  - /a:/b:ro"}, kamal="accepts"),
    Case("extensions", {"x-a": "x-a: {b: [1, 2]}", "x-b": "x-b: text"}, kamal="accepts"),
    Case(
        "proxy false on the primary role",
        {
            "servers": "servers:\n  web:\n    hosts: [a, b]\n    proxy: false",
            "proxy": "proxy: {host: x, ssl: true}",
        },
        kamal="accepts",
    ),
    Case(
        "two roles, two SSL hosts",
        {
            "servers": "servers:\n  web:\n    hosts: [a]\n    proxy: {host: x.com, ssl: true}\n  api:\n    hosts: [a]\n    proxy: {host: y.com, ssl: true}"
        },
        kamal="accepts",
    ),
    Case(
        "numbers as hosts and tags",
        {
            "servers": "servers:\n  - 10.0.0.1: 1\n  - 10.0.0.2: [1, 2]",
            "env": "env:\n  clear: {A: b}\n  tags: {1: {A: c}}",
        },
        kamal="accepts",
    ),
    Case(
        "local registry without credentials",
        {"image": "", "registry": "registry: {server: localhost:5000}"},
        kamal="accepts",
    ),
    Case("a YAML document mark", {"service": "---\nservice: app"}, kamal="accepts"),
    Case("boot limit above all", {"boot": "boot: {limit: 200%}"}, kamal="accepts"),
    Case("minimum version, ours", {"minimum_version": "minimum_version: 2.11.0"}, kamal="accepts"),
    Case(
        "both path prefixes",
        {"proxy": "proxy: {path_prefix: /a, path_prefixes: [/b]}"},
        kamal="accepts",
    ),
    Case(
        "an accessory without image",
        {"accessories": "accessories: {db: {host: a}}"},
        kamal="accepts",
    ),
    Case(
        "an accessory port",
        {"accessories": "accessories: {db: {image: x, host: a, port: 3306}}"},
        kamal="accepts",
    ),
    Case(
        "a tag that no host has",
        {"env": "env:\n  clear: {A: b}\n  tags: {x: {A: c}}"},
        kamal="accepts",
    ),
    Case(
        "a host with a tag that env does not know",
        {"servers": "servers:\n  - a: nope"},
        kamal="accepts",
    ),
    Case(
        "a pack builder", {"builder": "builder: {arch: amd64, pack: {builder: x}}"}, kamal="accepts"
    ),
    Case(
        "duplicate hosts in two roles",
        {"servers": "servers:\n  web: [a]\n  job: {hosts: [a], cmd: x}"},
        kamal="accepts",
    ),
    Case("the first of two documents", {"b": "---\nservce: x"}, kamal="accepts"),
    Case(
        "a run for one of two roles",
        {
            "servers": "servers:\n  web: [a]\n  api:\n    hosts: [a]\n    proxy: {run: {http_port: 8081}}"
        },
        kamal="accepts",
    ),
    Case(
        "a run for each host",
        {
            "servers": "servers:\n  web:\n    hosts: [a]\n    proxy: {run: {http_port: 8080}}\n  api:\n    hosts: [b]\n    proxy: {run: {http_port: 8081}}"
        },
        kamal="accepts",
    ),
    Case("an alias named tree", {"aliases": "aliases: {tree: x}"}, kamal="accepts"),
    Case(
        "an accessory's proxy switched off",
        {"accessories": "accessories: {db: {image: x, host: a, proxy: false}}"},
        kamal="accepts",
    ),
    Case("a symbol as key", {"labels": ":labels: {a: b}"}, kamal="accepts"),
    Case("hosts with commas", {"proxy": "proxy: {host: 'a,b', ssl: true}"}, kamal="accepts"),
    Case("no certificate in a mapping", {"proxy": "proxy: {host: a, ssl: {}}"}, kamal="accepts"),
    Case(
        "file without colon",
        {"accessories": "accessories: {db: {image: x, host: a, files: [abc]}}"},
        kamal="accepts",
    ),
    Case(
        "nested options",
        {
            "servers": "servers: {web: {hosts: [a], options: {a: {b: c}}}}",
            "logging": "logging: {options: {a: {b: c}}}",
            "builder": "builder: {arch: amd64, args: {A: {b: c}}}",
        },
        kamal="accepts",
    ),
    Case("the same host twice", {"servers": "servers: [a, a]"}, kamal="accepts"),
    Case(
        "driver docker with all",
        {
            "builder": "builder: {arch: [amd64, sparc], driver: docker, remote: 'ssh://x', cache: {image: x}}"
        },
        kamal="accepts",
    ),
    Case(
        "bound addresses",
        {"proxy": "proxy: {run: {bind_ips: [0.0.0.0, '::1', nope]}}"},
        kamal="accepts",
    ),
    Case("no drain", {"drain_timeout": "drain_timeout: 0"}, kamal="accepts"),
    Case("a secret with two colons", {"env": "env: {secret: ['A:B:C']}"}, kamal="accepts"),
    Case("no cmd", {"servers": "servers:\n  web: [a]\n  job: [b]"}, kamal="accepts"),
]

# What Kamal rejects without a conflict, and means something to us.
WIDER = [
    Case("seconds with a fraction", {"deploy_timeout": "deploy_timeout: 1.5"}),
    Case("a duration", {"drain_timeout": "drain_timeout: 500ms"}),
    Case(
        "ssl of a role, host of the root",
        {
            "servers": "servers: {web: {hosts: [a], proxy: {ssl: true}}}",
            "proxy": "proxy: {host: z}",
        },
    ),
    Case("a date as a text", {"env": "env: {A: 2024-01-01}"}),
    Case("a number as user", {"registry": "registry: {username: 1, password: [P]}"}),
    Case(
        "only accessories", {"servers": "", "accessories": "accessories: {db: {image: x, host: a}}"}
    ),
    Case(
        "one run of the proxy for two roles of a host",
        {
            "servers": "servers:\n  web: [a]\n  api: {hosts: [a], proxy: true}",
            "proxy": "proxy: {run: {http_port: 8080}}",
        },
    ),
]


def _write(folder: Path, case: Case) -> Path:
    path = folder / "config" / "deploy.yml"
    path.parent.mkdir()
    path.write_text(case.text())
    for name, text in case.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return path


@pytest.mark.parametrize("case", REJECTED, ids=lambda case: case.name)
def test_rejected(case: Case, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(_write(tmp_path, case), environ={})
    error = caught.value
    assert error.exit_status == 2
    for part in case.says:
        assert part in str(error)
    if case.key:
        assert error.key == case.key
    if (line := case.line()) is not None:
        assert error.where == f"config/deploy.yml:{line}"
    assert error.where.startswith("config/deploy.yml")


@pytest.mark.parametrize("case", [*ACCEPTED, *WIDER], ids=lambda case: case.name)
def test_accepted(case: Case, tmp_path: Path) -> None:
    config = load_config(_write(tmp_path, case), environ={})
    assert config.service == "app"
    assert describe(config)["service"] == "app"
    assert to_yaml(describe(config))
