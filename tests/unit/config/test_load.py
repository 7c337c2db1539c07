"""Finding, merging and loading; what the rest of pilotage reads from a `Config`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from pilotage.config import Config, find_config, load_config
from pilotage.config.describe import describe, to_yaml
from pilotage.errors import ConfigError, SecretMissing, UsageError
from pilotage.secret import MASK, Secret

HERE = Path(__file__).parent
LOCAL = """\
service: shop
target: local
proxy: {port: 8123}
servers:
  web: {cmd: python -m shop.web, instances: 2}
  worker: {cmd: python -m shop.worker, overlap: false}
env:
  clear: {A: 1, LEVEL: info}
  secret: [DATABASE_URL]
databases: {primary: {url: DATABASE_URL}}
"""


def write(root: Path, text: str = LOCAL, **files: str) -> Path:
    path = root / "config" / "deploy.yml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dedent(text))
    for name, content in files.items():
        other = root / name.replace("__", "/")
        other.parent.mkdir(parents=True, exist_ok=True)
        other.write_text(dedent(content))
    return path


def load(root: Path, text: str = LOCAL, **options: object) -> Config:
    return load_config(write(root, text), environ={}, **options)  # type: ignore[arg-type]


# ---------------------------------------------------------------------- finding the file


def test_finds_the_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        find_config(tmp_path)
    assert "config/deploy.yml nor deploy.yml" in caught.value.what
    assert "pilotage init" in caught.value.next
    assert caught.value.exit_status == 2
    (tmp_path / "deploy.yml").write_text("service: a\ntarget: local\nservers: {web: {cmd: x}}\n")
    assert find_config(tmp_path) == tmp_path / "deploy.yml"
    config = load_config(tmp_path / "deploy.yml", environ={})
    assert config.root == tmp_path
    path = write(tmp_path)
    assert find_config(tmp_path) == path
    assert load_config(path, environ={}).root == tmp_path


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file") as caught:
        load_config(tmp_path / "deploy.yml", environ={})
    assert caught.value.where == "deploy.yml"
    (tmp_path / "folder.yml").mkdir()
    with pytest.raises(ConfigError, match="Is a directory"):
        load_config(tmp_path / "folder.yml", environ={})
    (tmp_path / "latin.yml").write_bytes("service: a\nimage: ä\n".encode("latin-1"))
    with pytest.raises(ConfigError, match="not UTF-8") as caught:
        load_config(tmp_path / "latin.yml", environ={})
    assert caught.value.where == "latin.yml:2"
    (tmp_path / "zero.yml").write_bytes(b"service: a\n\0\n")
    with pytest.raises(ConfigError, match="NUL") as caught:
        load_config(tmp_path / "zero.yml", environ={})
    assert caught.value.where == "zero.yml:2"
    (tmp_path / "bom.yml").write_bytes(b"\xef\xbb\xbf" + LOCAL.encode())
    assert load_config(tmp_path / "bom.yml", environ={}).service == "shop"


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("service: a\nx-a: &a [*a]\n", 2, "contains itself"),
        ("service: !ruby/object:Gem a\n", 1, "tag !ruby/object:Gem is not allowed"),
        ("service: a\n? [b]\n: c\n", 2, "a key should be a text"),
        ("service: a\nx-a:\n  <<: 5\n", 3, "`<<` should name a mapping"),
        ("service: *none\n", 1, "undefined alias"),
        ("service: [a\n", 2, "is not YAML"),
        ("service: a\nservice: b\n", 2, "written twice"),
        ("# only a comment\n", 0, "is empty"),
        ("--- ~\n", 0, "is empty"),
        ("just text\n", 1, "should be a mapping"),
        ("a:\n  - b\n c: d\n", 3, "is not YAML"),
    ],
)
def test_bad_yaml_is_one_clear_error(text: str, line: int, says: str, tmp_path: Path) -> None:
    (tmp_path / "deploy.yml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path / "deploy.yml", environ={})
    assert says in caught.value.what
    assert caught.value.where == (f"deploy.yml:{line}" if line else "deploy.yml")


def test_a_bomb_of_aliases_is_refused(tmp_path: Path) -> None:
    lines = ["service: a", "x-0: &x0 [a, a, a, a, a, a, a, a, a, a]"]
    lines += [f"x-{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 10)}]" for n in range(1, 8)]
    (tmp_path / "deploy.yml").write_text("\n".join(lines))
    with pytest.raises(ConfigError, match="more than 100,000 values"):
        load_config(tmp_path / "deploy.yml", environ={})


# ---------------------------------------------------------------------- destinations


def test_a_destination_is_merged_deeply(tmp_path: Path) -> None:
    path = write(tmp_path)
    (path.parent / "deploy.staging.yml").write_text(
        "servers:\n  web: {instances: 1}\nenv:\n  clear: {LEVEL: debug, B: <%= ENV['KAMAL_DESTINATION'] %>}\n"
        "  secret: [OTHER]\n"
    )
    config = load_config(path, destination="staging", environ={})
    assert config.destination == "staging"
    assert config.role("web").instances == 1
    assert config.role("web").cmd == "python -m shop.web"
    assert config.clear_env("web") == {"A": "1", "LEVEL": "debug", "B": "staging"}
    assert config.secret_names("web") == ("OTHER",)
    assert load_config(path, environ={"KAMAL_DESTINATION": "x"}).destination is None
    (path.parent / "deploy.staging.yml").write_text("# nothing differs\n")
    assert load_config(path, destination="staging", environ={}).role("web").instances == 2
    with pytest.raises(ConfigError, match="did you mean `staging`") as caught:
        load_config(path, destination="stagin", environ={})
    assert caught.value.where == "config/deploy.stagin.yml"


def test_an_error_names_the_file_of_the_two_that_it_is_in(tmp_path: Path) -> None:
    path = write(tmp_path)
    other = path.parent / "deploy.production.yml"
    other.write_text("env: {clear: {B: 1}}\n\nrollout:\n  strategi: fleet\n")
    with pytest.raises(ConfigError, match="did you mean `strategy`") as caught:
        load_config(path, destination="production", environ={})
    assert caught.value.where == "config/deploy.production.yml:4"
    assert caught.value.key == "rollout.strategi"
    other.write_text("require_destination: true\n")
    assert load_config(path, destination="production", environ={}).require_destination


def test_secrets_of_a_destination(tmp_path: Path) -> None:
    path = write(tmp_path)
    (path.parent / "deploy.staging.yml").write_text("env: {secret: [K, B, C, D]}\n")
    for name, text in {
        ".kamal/secrets-common": "K=kamal common\nB=kamal common\nC=kamal common\nD=kamal common\n",
        ".kamal/secrets": "B=not for a destination\n",
        ".kamal/secrets.staging": "B=kamal staging\nC=kamal staging\nD=kamal staging\n",
        ".pilotage/secrets-common": "C=own common\nD=own common\n",
        ".pilotage/secrets.staging": "D=own staging\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    config = load_config(path, destination="staging", environ={})
    env = {
        name: value.reveal()
        for name, value in config.env("web").items()
        if isinstance(value, Secret)
    }
    assert env == {
        "K": "kamal common",
        "B": "kamal staging",
        "C": "own common",
        "D": "own staging",
    }


# ---------------------------------------------------------------------- environments


def test_env_precedence_is_kamals(tmp_path: Path) -> None:
    (tmp_path / ".kamal").mkdir()
    (tmp_path / ".kamal/secrets").write_text(
        "MYSQL_PASSWORD=main\nREADONLY_PASSWORD=readonly\nKAMAL_REGISTRY_PASSWORD=r\n"
    )
    text = (HERE / "accepted" / "host-tags.yml").read_text()
    config = load(tmp_path, text)
    assert config.env("web", "172.1.0.1") == {
        "MYSQL_PASSWORD": Secret("main"),
        "MYSQL_USER": "app",
        "ROLE": "base",
    }
    assert config.env("web", "172.1.0.3")["ROLE"] == "second"
    assert config.env("web", "172.1.0.3")["EXPERIMENT"] == "one"
    assert config.env("workers", "172.1.0.5") == {
        "MYSQL_PASSWORD": Secret("readonly"),
        "MYSQL_USER": "readonly",
        "ROLE": "base",
    }
    assert config.env("workers", "elsewhere") == config.env("workers")
    assert config.registry_login() == ("acme", Secret("r"))
    assert config.digest("web", "172.1.0.1") != config.digest("web", "172.1.0.2")


def test_a_clear_value_wins_over_a_secret(tmp_path: Path) -> None:
    write(tmp_path, **{".pilotage__secrets": "DATABASE_URL=x\nA=secret\n"})
    text = LOCAL.replace("secret: [DATABASE_URL]", "secret: [A]")
    assert load(tmp_path, text).env("web")["A"] == "1"


def test_a_missing_secret_is_told_when_it_is_needed(tmp_path: Path) -> None:
    config = load(tmp_path)
    for ask in (config.env, config.digest):
        with pytest.raises(SecretMissing, match="the role web needs the secret DATABASE_URL"):
            ask("web")
    with pytest.raises(SecretMissing, match="nor is it set in the environment") as caught:
        _ = config.databases["primary"].url
    assert caught.value.key == "databases.primary.url"
    assert caught.value.where == "config/deploy.yml:10"
    assert describe(config)["roles"]["web"]["env"]["DATABASE_URL"] == MASK


# ---------------------------------------------------------------------- the digest


def _digest(root: Path, text: str = LOCAL, secret: str = "s", role: str = "web") -> str:
    write(root, **{".pilotage__secrets": f"DATABASE_URL={secret}\n"})
    return load(root, text).digest(role)


def test_the_digest_changes_with_what_an_instance_is_made_of(tmp_path: Path) -> None:
    first = _digest(tmp_path)
    assert len(first) == 12
    assert int(first, 16)
    assert _digest(tmp_path) == first
    assert _digest(tmp_path, secret="other") != first
    assert _digest(tmp_path, LOCAL.replace("LEVEL: info", "LEVEL: debug")) != first
    assert _digest(tmp_path, LOCAL.replace("shop.web", "shop.web2")) != first
    assert _digest(tmp_path, LOCAL + "local: {prepare: pip install .}\n") != first
    assert _digest(tmp_path, role="worker") != first


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("instances: 2", "instances: 3"),
        ("port: 8123", "port: 8124"),
        ("overlap: false", "overlap: true"),
        ("service: shop", "service: shop\ndeploy_timeout: 99"),
        ("service: shop", "service: shop\nrollout: {verify: 1m}"),
        ("service: shop", "service: shop\naliases: {a: b}"),
        ("service: shop", "service: shop\nx-a: b"),
        ("shop.worker", "shop.other"),
    ],
)
def test_the_digest_does_not_change_with_anything_else(old: str, new: str, tmp_path: Path) -> None:
    assert _digest(tmp_path, LOCAL.replace(old, new)) == _digest(tmp_path)


CONTAINER = (HERE / "accepted" / "roles-and-workers.yml").read_text()


@pytest.mark.parametrize(
    "change",
    [
        ("image: acme/shop", "image: acme/shop2"),
        ("memory: 2g", "memory: 3g"),
        ("tier: front", "tier: back"),
        ("service: shop", "service: shop\nvolumes: [a:/b]"),
        ("service: shop", "service: shop\nasset_path: /a"),
        ("service: shop", "service: shop\nlogging: {driver: local}"),
        ("service: shop", "service: shop\nproxy: {app_port: 3000}"),
    ],
)
def test_the_digest_of_a_container(change: tuple[str, str], tmp_path: Path) -> None:
    write(
        tmp_path, **{".kamal__secrets": "DATABASE_URL=a\nRAILS_MASTER_KEY=b\nSIDEKIQ_LICENSE=c\n"}
    )
    before = load(tmp_path, CONTAINER).digest("web", "10.0.0.1")
    assert load(tmp_path, CONTAINER.replace(*change)).digest("web", "10.0.0.1") != before


def test_a_digest_that_waits_for_a_command_says_so(tmp_path: Path) -> None:
    write(tmp_path, **{".pilotage__secrets": "DATABASE_URL=$(echo postgresql://h/d)\n"})
    config = load(tmp_path)
    assert not config.digest_is_certain("web")
    assert config.not_run == (".pilotage/secrets:1: echo postgresql://h/d",)
    with pytest.raises(ConfigError, match="was not run") as caught:
        _ = config.databases["primary"].url
    assert "--allow-erb-commands" in caught.value.next
    config = load(tmp_path, run_commands=True)
    assert config.digest_is_certain("web")
    assert config.databases["primary"].url == Secret("postgresql://h/d")


# ---------------------------------------------------------------------- roles, paths, defaults


def test_defaults_of_the_local_target(tmp_path: Path) -> None:
    config = load(tmp_path)
    web, worker = config.roles
    assert config.primary_role is web
    assert (web.traffic, worker.traffic) == (True, False)
    assert (web.hosts, worker.hosts) == (("localhost",), ("localhost",))
    assert (web.stop_timeout, worker.stop_timeout) == (10.0, 30.0)
    assert (web.overlap, worker.overlap) == (True, False)
    assert worker.health.delay == 1.0
    assert config.proxy.port == 8123
    check = config.proxy.healthcheck
    assert (check.path, check.interval, check.timeout, check.host, check.status) == (
        "/up",
        0.1,
        5.0,
        None,
        None,
    )
    assert (config.deploy_timeout, config.drain_timeout) == (30.0, 30.0)
    assert config.state == "database"
    assert config.migrations is not None
    assert config.migrations.path == tmp_path / "db/migrations"
    assert config.migrations.stream == "shop"
    assert config.migrations.database == "primary"
    assert config.hosts == ("localhost",)
    assert web.to_model().instances == 2


def test_defaults_of_containers(tmp_path: Path) -> None:
    config = load(tmp_path, CONTAINER)
    assert config.target == "docker"
    assert [role.name for role in config.roles] == ["web", "job", "cron"]
    assert [role.traffic for role in config.roles] == [True, False, False]
    assert config.role("job").health.delay == 1.0
    assert config.role("job").logging.driver == "local"
    assert config.role("cron").cmd == 'bash -c "cat config/crontab | crontab - && cron -f"'
    assert config.role("web").options["ulimit"] == ("nofile=65536:65536", "nproc=4096")
    assert config.hosts == ("10.0.0.1", "10.0.0.2", "10.0.0.3")
    assert (config.proxy.port, config.proxy.app_port) == (80, 80)
    assert config.proxy.healthcheck.interval == 1.0
    assert config.migrations is None
    assert config.databases == {}
    assert config.state == "target"
    with pytest.raises(UsageError, match="did you mean `cron`"):
        config.role("corn")


def test_what_stands_after_an_equals_sign_is_a_text(tmp_path: Path) -> None:
    """As Ruby writes it: ``--log-opt compress=true``."""
    more = "logging: {driver: json-file, options: {compress: true, max-file: 3}}\n"
    config = load(tmp_path, CONTAINER + more)
    assert config.logging.options == {"compress": "true", "max-file": "3"}


def test_a_role_changes_the_proxy_for_itself(tmp_path: Path) -> None:
    config = load(tmp_path, PROXIES)
    web, api, admin = config.roles
    assert api.traffic
    assert admin.traffic
    assert (web.proxy.app_port, api.proxy.app_port, admin.proxy.app_port) == (3000, 4000, 3000)
    assert api.proxy.healthcheck.path == "/healthz"
    assert api.proxy.healthcheck.interval == 2.0
    assert web.proxy.hosts == ()
    assert api.proxy.hosts == ("api.example.com", "api2.example.com")
    assert api.proxy.path_prefixes == ("/v1", "/v2")
    assert api.proxy.ssl
    assert not api.proxy.forward_headers
    assert web.proxy.forward_headers
    assert config.proxy == web.proxy


PROXIES = """\
service: api
image: acme/api
servers:
  web: [10.0.0.1]
  api:
    hosts: [10.0.0.1]
    proxy:
      hosts: [api.example.com, api2.example.com]
      app_port: 4000
      ssl: true
      path_prefix: /v1, /v2
      healthcheck: {path: /healthz}
  admin: {hosts: [10.0.0.2], proxy: true}
proxy:
  app_port: 3000
  healthcheck: {path: /health, interval: 2}
registry: {username: acme, password: [P]}
builder: {arch: amd64}
"""


def test_boot_gives_the_rollout_what_it_does_not_say(tmp_path: Path) -> None:
    text = LOCAL + "boot: {limit: 25%, wait: 10}\n"
    assert (load(tmp_path, text).rollout.limit, load(tmp_path, text).rollout.wait) == ("25%", 10.0)
    text += "rollout: {strategy: rolling, limit: 3, wait: 2s, max_error_rate: 1%}\n"
    rollout = load(tmp_path, text).rollout
    assert (rollout.strategy, rollout.limit, rollout.wait) == ("rolling", "3", 2.0)
    assert rollout.max_error_rate == 0.01


@pytest.mark.parametrize(
    ("more", "strategy"),
    [
        ("", "fleet"),
        ("boot: {wait: 10}", "fleet"),
        ("boot: {limit: 25%}", "rolling"),
        ("rollout: {limit: 2}", "rolling"),
        ("boot: {limit: 2}\nrollout: {strategy: fleet}", "fleet"),
        ("boot: {limit: 2}\nrollout: {canary: 5%}", "fleet"),
        ("rollout: {strategy: rolling}", "rolling"),
    ],
)
def test_a_limit_lets_hosts_take_turns(tmp_path: Path, more: str, strategy: str) -> None:
    assert load(tmp_path, f"{LOCAL}{more}\n").rollout.strategy == strategy


def test_our_own_keys(tmp_path: Path) -> None:
    config = load(tmp_path, OWN)
    assert config.state == "target"
    assert config.consumers == ("billing", "search")
    assert config.local.prepare == "pip install -r requirements.txt"
    worker = config.role("worker")
    assert worker.health.cmd == "bin/healthy"
    assert (worker.health.delay, worker.health.interval, worker.health.timeout) == (0.5, 2.0, 3.0)
    assert worker.stop_timeout == 60.0
    assert config.role("web").stop_timeout == 20.0
    assert config.proxy.healthcheck.host == "shop.example.com"
    assert config.proxy.healthcheck.status == 204
    assert config.proxy.healthcheck.interval == 0.25
    m = config.migrations
    assert m is not None
    assert m.path == tmp_path / "sql"
    assert m.folder == "sql"
    assert (m.stream, m.database, m.engine) == ("orders", "primary", "sql")
    assert (m.lock_timeout, m.timeout, m.soak, m.contract) == (0.25, 7200.0, 1800.0, "auto")
    assert (m.schema, m.seed) == (tmp_path / "schema.sql", tmp_path / "seed.sql")
    r = config.rollout
    assert (r.verify, r.max_error_rate, r.max_p99_ratio) == (10.0, 0.02, 1.5)
    assert (r.min_requests, r.canary, r.step) == (100, (0.05,), 90.0)
    database = config.databases["primary"]
    assert database.url == Secret("sqlite:///shop.db")
    assert config.databases["reports"].migration_url is None
    assert "[secret]" in str(describe(config)["databases"])


@pytest.mark.parametrize(
    ("written", "canary"),
    [
        ("5%", (0.05,)),
        ("0.1", (0.1,)),
        ("[5%, 25%]", (0.05, 0.25)),
        ("[1%, 0.5]", (0.01, 0.5)),
        ("[]", ()),
    ],
)
def test_a_canary_is_one_share_or_a_list(
    tmp_path: Path, written: str, canary: tuple[float, ...]
) -> None:
    text = OWN.replace("canary: 5%", f"canary: {written}")
    assert load(tmp_path, text).rollout.canary == canary


OWN = """\
service: shop
target: local
state: target
consumers: [billing, search]
local: {prepare: pip install -r requirements.txt}
stop_timeout: 20
servers:
  web: {cmd: run}
  worker:
    cmd: work
    stop_timeout: 1m
    health: {cmd: bin/healthy, delay: 500ms, interval: 2s, timeout: 3}
proxy:
  port: 8000
  healthcheck: {path: /up, host: shop.example.com, status: 204, interval: 250ms}
rollout:
  strategy: fleet
  limit: 10
  wait: 0
  verify: 10s
  max_error_rate: 2%
  max_p99_ratio: 1.5
  min_requests: 100
  canary: 5%
  step: 1m30s
migrations:
  path: sql
  engine: sql
  stream: orders
  database: primary
  lock_timeout: 250ms
  timeout: 2h
  contract: auto
  soak: 30m
  schema: schema.sql
  seed: seed.sql
databases:
  primary: {url: "sqlite:///shop.db", migration_url: "sqlite:///shop.db", replicas: ["sqlite:///r.db"]}
  reports: sqlite:///reports.db
"""


@pytest.mark.parametrize(
    ("old", "new", "key", "says"),
    [
        (
            "target: local",
            "target: locla",
            "target",
            "should be one of 'local', 'docker', 'kubernetes'",
        ),
        ("state: target", "state: disk", "state", "should be one of 'database', 'target'"),
        ("strategy: fleet", "strategy: rolling", "rollout.canary", "goes with `strategy: fleet`"),
        (
            "strategy: fleet",
            "strategy: all",
            "rollout.strategy",
            "should be one of 'fleet', 'rolling'",
        ),
        ("verify: 10s", "verify: 10 seconds", "rollout.verify", "is not a duration"),
        (
            "max_error_rate: 2%",
            "max_error_rate: 200%",
            "rollout.max_error_rate",
            "between 0% and 100%",
        ),
        ("max_p99_ratio: 1.5", "max_p99_ratio: 0", "rollout.max_p99_ratio", "above 0"),
        ("limit: 10", "limit: some", "rollout.limit", "a number of hosts"),
        ("canary: 5%", "canary: 100%", "rollout.canary", "above 0% and below 100%"),
        ("canary: 5%", "canary: [5%, 5%]", "rollout.canary", "should be ascending"),
        ("canary: 5%", "canary: [25%, 5%]", "rollout.canary", "should be ascending"),
        ("canary: 5%", "canary: [5%, half]", "rollout.canary", "such as 1%"),
        ("contract: auto", "contract: later", "migrations.contract", "'next', 'auto', 'manual'"),
        ("engine: sql", "engine: flyway", "migrations.engine", "should be one of 'sql', 'alembic'"),
        ("database: primary", "database: primry", "migrations.database", "did you mean `primary`?"),
        ("soak: 30m", "sock: 30m", "migrations.sock", "did you mean `soak`?"),
        ("  database: primary\n", "", "databases", "say which one"),
        ("cmd: work", "instances: 0", "servers.worker.instances", "should be 1 or more"),
        ("    cmd: work\n", "", "servers.worker", "`worker` has no `cmd`"),
        ("{cmd: run}", "{cmd: run, health: {cmd: x}}", "servers.web.health", "has traffic"),
        ("delay: 500ms", "dely: 500ms", "servers.worker.health.dely", "did you mean `delay`?"),
        (
            "  reports: sqlite:///reports.db",
            "  reports: {migration_url: x}",
            "databases.reports.url",
            "required",
        ),
        ("replicas: [", "replica: [", "databases.primary.replica", "did you mean `replicas`?"),
        ("prepare: pip", "prepar: pip", "local.prepar", "did you mean `prepare`?"),
        ("port: 8000", 'port: "8000"', "proxy.port", "whole number"),
        (
            'url: "sqlite:///shop.db", m',
            "url: host=h password=hunter2, m",
            "databases.primary.url",
            "should be a URL",
        ),
        (
            "{cmd: run}",
            "{cmd: run, env: {secret: [A=hunter2]}}",
            "servers.web.env.secret[0]",
            "goes to a secrets file",
        ),
        ("status: 204", "status: 99", "proxy.healthcheck.status", "100 or more"),
        ("port: 8000", "port: 65536", "proxy.port", "from 1 to 65535"),
        ("status: 204", "status: ok", "proxy.healthcheck.status", "whole number"),
    ],
)
def test_our_own_keys_are_checked(old: str, new: str, key: str, says: str, tmp_path: Path) -> None:
    assert old in OWN
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, OWN.replace(old, new))
    assert caught.value.key == key
    assert says in caught.value.what
    assert caught.value.where.startswith("config/deploy.yml:")
    assert "hunter2" not in str(caught.value)


def test_kubernetes_needs_an_image(tmp_path: Path) -> None:
    text = "service: a\ntarget: kubernetes\nimage: acme/a\nservers: {web: {instances: 3}}\n"
    config = load(tmp_path, text)
    assert config.role("web").instances == 3
    config = load(tmp_path, text.replace("servers: {web: {instances: 3}}\n", ""))
    assert config.primary_role.instances == 1
    with pytest.raises(ConfigError, match="`image` is required for `target: kubernetes`"):
        load(tmp_path, text.replace("image: acme/a\n", ""))


def test_migrations_without_a_database(tmp_path: Path) -> None:
    text = "service: a\ntarget: local\nservers: {web: {cmd: x}}\nmigrations: {path: m}\n"
    with pytest.raises(ConfigError, match="no database is") as caught:
        load(tmp_path, text)
    assert "databases:" in caught.value.next
    with pytest.raises(ConfigError, match="needs one under `databases`"):
        load(tmp_path, text.replace("migrations: {path: m}", "state: database"))
    config = load(
        tmp_path, text.replace("{path: m}", "{engine: command, commands: {expand: bin/up}}")
    )
    assert config.migrations is not None
    assert config.migrations.database is None


def test_the_version(tmp_path: Path) -> None:
    path = write(tmp_path)
    assert load_config(path, environ={}).version is None
    assert load_config(path, environ={"VERSION": "abc"}).version == "abc"
    assert load_config(path, environ={"VERSION": "abc"}, version="def").version == "def"


# ---------------------------------------------------------------------- the public files


@pytest.mark.parametrize("path", sorted((HERE / "accepted").glob("*.yml")), ids=lambda p: p.stem)
@pytest.mark.parametrize("run", [False, True], ids=["reading", "deploying"])
def test_public_files_load_unchanged(path: Path, run: bool, tmp_path: Path) -> None:
    copy = write(tmp_path, path.read_text(), **{".env": "SERVICE=erb\n"})
    config = load_config(copy, environ={"PATH": "/usr/bin:/bin"}, run_commands=run)
    data = describe(config)
    assert data["service"] == config.service
    assert "\nservice: " in to_yaml(describe(config))
    assert bool(config.not_run) == (path.stem == "erb-command" and not run)


def test_what_the_public_files_say(tmp_path: Path) -> None:
    def accepted(name: str, **environ: str) -> Config:
        path = write(tmp_path / name, (HERE / "accepted" / f"{name}.yml").read_text())
        return load_config(path, environ={"PATH": "/usr/bin:/bin", **environ}, run_commands=True)

    config = accepted("rails-template")
    assert config.proxy.ssl
    assert config.proxy.hosts == ("app.example.com",)
    assert config.clear_env("web") == {"SOLID_QUEUE_IN_PUMA": "true"}
    assert config.aliases["logs"] == "app logs -f"
    config = accepted("local-registry")
    assert config.image == "homelab"
    assert config.registry_login() is None
    config = accepted("extensions")
    assert config.clear_env("job") == {"TZ": "UTC", "LANG": "C.UTF-8", "QUEUE": "default"}
    assert config.clear_env("web") == {"TZ": "UTC", "LANG": "de_DE.UTF-8"}
    assert config.role("web").options == {"cpus": 2, "memory": "1g"}
    config = accepted("phoenix")
    assert config.clear_env("web")["ECTO_IPV6"] == "true"
    assert (config.ssh.user, config.ssh.port) == ("deploy", "2222")
    config = accepted("boot-and-hooks")
    assert config.hook_output("pre-deploy") == "verbose"
    assert config.hook_output("post-deploy") is None
    assert config.labels["cost-center"] == "4711"
    assert config.hooks_path == config.root / "deploy/hooks"
    config = accepted("primary-role")
    assert config.primary_role.name == "workers"
    assert not config.primary_role.traffic
    assert (config.role("spare2").asset_path, config.role("spare2").asset_options) == (
        "/app/public",
        "ro",
    )
    config = accepted("erb-env", WEB_HOST="10.9.9.9", CI="1")
    assert config.hosts == ("10.9.9.9",)
    assert config.registry is not None
    assert config.registry.password == ("CI_TOKEN",)
    assert config.clear_env("web") == {"WORKERS": "4", "HOST": "app-production.example.com"}
    config = accepted("erb-logic", STAGE="staging", HOSTS="h1, h2")
    assert config.role("web").hosts == ("h1", "h2")
    assert [role.name for role in config.roles] == ["web", "debug"]
    assert config.clear_env("web") == {"HOST_COUNT": "2", "FIRST": "H1"}
    config = accepted("erb-command")
    assert config.registry_login() == (
        "AWS",
        Secret("ecr-password\n"),
    ) or config.registry_login() == (
        "AWS",
        Secret("ecr-password"),
    )
    assert config.builder is not None
    assert config.builder.args["REVISION"] == "4f2a9c1"
    assert config.builder.args["LINES"] == "2"
    assert "ecr-password" not in to_yaml(describe(config))


# ---------------------------------------------------------------------- printing and start-up


def test_no_secret_is_printed(tmp_path: Path) -> None:
    write(
        tmp_path, **{".pilotage__secrets": "DATABASE_URL=postgresql://u:hunter22@h/d\nP=sesame42\n"}
    )
    text = LOCAL.replace("A: 1", "A: sesame42, B: x-hunter22-y") + (
        "registry: {server: r, username: u, password: pass-in-the-file}\n"
        "ssh: {key_data: ['-----BEGIN OPENSSH PRIVATE KEY----- abc']}\n"
    )
    config = load(tmp_path, text)
    assert config.databases["primary"].url
    printed = to_yaml(describe(config)) + str(describe(config)) + repr(config)
    for secret in ("hunter22", "sesame42", "pass-in-the-file", "BEGIN OPENSSH"):
        assert secret not in printed
    assert describe(config)["roles"]["web"]["env"]["A"] == MASK


def test_the_package_imports_nothing_heavy() -> None:
    code = "import pilotage.config, sys; print([m for m in ('pydantic', 'ruamel.yaml') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_config_cannot_be_changed(tmp_path: Path) -> None:
    config = load(tmp_path)
    with pytest.raises(AttributeError):
        config.service = "other"  # type: ignore[misc]
    with pytest.raises(AttributeError):
        config.roles[0].cmd = "other"  # type: ignore[misc]


# ------------------------------------------------------------------ migrations of a framework

FRAMEWORK = """\
service: a
target: local
servers: {web: {cmd: x}}
databases: {primary: {url: DATABASE_URL}}
migrations:
  engine: ENGINE
"""


def test_a_framework_is_a_preset(tmp_path: Path) -> None:
    config = load(tmp_path, FRAMEWORK.replace("ENGINE", "rails"))
    assert config.migrations is not None
    rails = config.migrations.framework
    assert rails is not None
    assert rails.contract_files == ("db/post_migrate/*.rb",)
    assert rails.status == "schema_migrations"
    assert rails.order == "set"
    assert "db:migrate:up" in rails.commands.expand
    assert rails.commands.fresh == "bin/rails db:migrate"
    sql = load(tmp_path, FRAMEWORK.replace("ENGINE", "sql")).migrations
    assert sql is not None
    assert sql.framework is None


def test_every_key_of_a_preset_can_be_said_otherwise(tmp_path: Path) -> None:
    text = FRAMEWORK.replace("ENGINE", "command") + (
        "  files: db/*.sql\n  contract_files: [db/late/, '*_contract*']\n  order: set\n"
        "  status: {command: bin/status}\n  lock_timeout: 2s\n"
        "  commands: {expand: bin/up, fresh: bin/all}\n"
    )
    config = load(tmp_path, text)
    assert config.migrations is not None
    tool = config.migrations.framework
    assert tool is not None
    assert tool.files == ("db/*.sql",)
    assert tool.contract_files == ("db/late/", "*_contract*")
    assert (tool.status, config.migrations.status_command) == ("command", "bin/status")
    assert (tool.commands.expand, tool.commands.contract) == ("bin/up", "bin/up")
    assert tool.commands.fresh == "bin/all"
    assert config.migrations.asked_lock_timeout == 2.0
    own = load(tmp_path, FRAMEWORK.replace("ENGINE", "rails") + "  commands: {expand: bin/up}\n")
    assert own.migrations is not None
    assert own.migrations.framework is not None
    assert own.migrations.framework.commands.contract == "bin/up"
    assert own.migrations.framework.commands.fresh is None


@pytest.mark.parametrize(
    ("engine", "more", "key", "says"),
    [
        ("sql", "files: x", "migrations.files", "is for a framework's own command"),
        ("sql", "commands: {expand: x}", "migrations.commands", "is for a framework's own command"),
        ("rails", "path: db/migrations", "migrations.path", "is for `engine: sql`"),
        ("rails", "schema: x.sql", "migrations.schema", "is for `engine: sql`"),
        ("entrypoint", "path: db/migrations", "migrations.path", "it runs none"),
        ("none", "contract: auto", "migrations.contract", "it runs none"),
        ("entrypoint", "timeout: 2h", "databases", "it runs none"),
        ("command", "timeout: 1h", "migrations.engine", "has no command"),
        ("rails", "status: schema_migration", "migrations.status", "'schema_migrations'"),
        ("rails", "status: {comand: x}", "migrations.status.comand", "did you mean `command`?"),
        (
            "command",
            "commands: {expand: x}\n  files: y",
            "migrations.files",
            "needs a `status`",
        ),
        (
            "command",
            "commands: {expand: x}\n  contract_files: y",
            "migrations.contract_files",
            "needs a `status`",
        ),
        (
            "command",
            "commands: {expand: x}\n  status: schema_migrations",
            "migrations.status",
            "needs `files`",
        ),
    ],
)
def test_frameworks_that_cannot_be(
    tmp_path: Path, engine: str, more: str, key: str, says: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, FRAMEWORK.replace("ENGINE", engine) + f"  {more}\n")
    assert says in str(caught.value) + caught.value.next
    assert caught.value.key == key
    assert "deploy.yml:" in caught.value.where


def test_a_character_may_be_written_as_json_writes_it(tmp_path):
    config = load(tmp_path, LOCAL.replace("LEVEL: info", r'SHIP: "a \ud83d\udea2"'))
    assert config.clear_env(config.primary)["SHIP"] == "a 🚢"


@pytest.mark.parametrize("half", [r'"\ud83d"', r'"\udea2\ud83d"'])
def test_half_a_surrogate_pair_is_refused_where_it_is_written(tmp_path, half):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, LOCAL.replace("LEVEL: info", f"SHIP: {half}"))
    assert "half of a surrogate pair" in caught.value.what
    assert caught.value.where.endswith(":8")
