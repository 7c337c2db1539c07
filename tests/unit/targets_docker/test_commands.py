"""Docker's commands, exactly."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pilotage.docker.names import found_id, network_alias
from pilotage.model import Instance, Kind
from pilotage.targets.docker import DockerRole, DockerService, Logging, commands, names
from pilotage.targets.docker.containers import FORMAT

INSTANCE = Instance(
    id="shop-web-10.0.0.1-0123456789ab-c0ffee-0",
    service="shop",
    role="web",
    host="10.0.0.1",
    release="0123456789ab",
    config="c0ffee123456",
    kind=Kind.TRAFFIC,
)
REVISION = "0123456789abcdef0123456789abcdef01234567"
ROLE = DockerRole(
    cmd=("bin/rails", "server"),
    traffic=True,
    options={"publish": ["1:1", "2:2"], "memory": "1g", "init": True, "restart": "on-failure:3"},
    volumes=("data:/data", "/srv/x y:/x:ro"),
    labels={"team": "checkout", "role": "theirs"},
    logging=Logging("local", {"max-size": "5m"}),
)
SERVICE = DockerService("shop", ("10.0.0.1",), {"web": ROLE}, destination="staging")
LABELS = names.labels(SERVICE, INSTANCE, revision=REVISION, token=7)


def created(role: DockerRole = ROLE, service: DockerService = SERVICE) -> tuple[str, ...]:
    return commands.create(
        service,
        role,
        image=f"registry.example.com/shop:{REVISION}",
        name=names.container_name(service, INSTANCE, REVISION),
        hostname=names.hostname(INSTANCE.host, INSTANCE.id),
        alias=network_alias(INSTANCE.id),
        environment=("--env", "RAILS_ENV=production", "--env", "SECRET_KEY_BASE"),
        labels=LABELS,
    )


def test_an_instance() -> None:
    assert created() == (
        *("docker", "create", "--pull", "never"),
        *("--name", f"shop-web-staging-{REVISION}", "--hostname", "10.0.0.1-d6be53140085"),
        *("--network", "kamal", "--network-alias", "id6be53140085", "--restart", "on-failure:3"),
        *("--env", "RAILS_ENV=production", "--env", "SECRET_KEY_BASE"),
        *("--log-driver", "local", "--log-opt", "max-size=5m"),
        *("--volume", "data:/data", "--volume", "/srv/x y:/x:ro"),
        *("--label", "team=checkout", "--label", "role=web"),
        *("--label", "service=shop", "--label", "destination=staging"),
        *("--label", f"pilotage.instance={INSTANCE.id}"),
        *("--label", "pilotage.release=0123456789ab", "--label", "pilotage.config=c0ffee123456"),
        *("--label", "pilotage.kind=traffic", "--label", "pilotage.index=0"),
        *("--label", f"pilotage.revision={REVISION}", "--label", "pilotage.token=7"),
        *("--publish", "1:1", "--publish", "2:2", "--memory", "1g", "--init"),
        f"registry.example.com/shop:{REVISION}",
        *("bin/rails", "server"),
    )


def test_an_instance_with_nothing_said_about_it() -> None:
    argv = created(DockerRole(), replace(SERVICE, destination=None, docker="podman"))
    assert argv[:11] == (
        *("podman", "create", "--pull", "never", "--name", f"shop-web-{REVISION}"),
        *("--hostname", "10.0.0.1-d6be53140085", "--network", "kamal", "--restart"),
    )
    assert argv[11:18] == (
        *("unless-stopped", "--env", "RAILS_ENV=production", "--env", "SECRET_KEY_BASE"),
        *("--log-opt", "max-size=10m"),
    )
    assert argv[-1] == f"registry.example.com/shop:{REVISION}"


def test_a_network_of_the_roles_own() -> None:
    argv = created(DockerRole(options={"network": "host"}))
    assert "kamal" not in argv
    assert argv[argv.index("--network") + 1] == "host"


def test_a_job_is_made_without_what_two_cannot_have() -> None:
    argv = commands.create_job(
        SERVICE,
        ROLE,
        image="shop:1",
        name="shop-migrate-1",
        hostname="h",
        environment=(),
        labels={"service": "shop"},
        argv=("bin/rails", "db:migrate"),
    )
    assert argv == (
        *("docker", "create", "--pull", "never", "--name", "shop-migrate-1", "--hostname", "h"),
        *("--network", "kamal", "--log-driver", "local", "--log-opt", "max-size=5m"),
        *("--volume", "data:/data", "--volume", "/srv/x y:/x:ro"),
        *("--label", "team=checkout", "--label", "role=theirs", "--label", "service=shop"),
        *("--memory", "1g", "--init", "shop:1", "bin/rails", "db:migrate"),
    )


def test_a_tool_reaches_what_its_role_reaches_and_has_nothing_else_of_it() -> None:
    options = {**ROLE.options, "network": "own", "add-host": ["db:10.0.0.5"], "entrypoint": "rails"}
    role = replace(ROLE, env={"KEY": "of the role"}, options=options, stop_timeout=90)
    tool = role.tool("/bin/sh", {"DATABASE_URL": "of the tool"})
    assert tool.stop_timeout == 90
    assert tool.env == {"DATABASE_URL": "of the tool"}
    argv = commands.create_job(
        SERVICE, tool, image="acme/pilotage:1", name="run-1", hostname="h", environment=(), labels={}, argv=("-c", "true"),
    )  # fmt: skip
    assert argv == (
        *("docker", "create", "--pull", "never", "--name", "run-1", "--hostname", "h"),
        *("--log-opt", "max-size=10m"),
        *("--network", "own", "--add-host", "db:10.0.0.5", "--entrypoint", "/bin/sh"),
        *("acme/pilotage:1", "-c", "true"),
    )


def test_a_console_has_a_terminal() -> None:
    argv = commands.create_job(
        SERVICE,
        DockerRole(),
        image="shop:1",
        name="c",
        hostname="h",
        environment=(),
        labels={},
        argv=("sh",),
        interactive=True,
        terminal=True,
    )
    assert argv[4:10] == ("--name", "c", "--hostname", "h", "--interactive", "--tty")
    assert commands.start_attached(SERVICE, "c1") == (
        *("docker", "start", "--attach", "--interactive", "c1"),
    )


LISTED = ("docker", "ps", "--all", "--quiet", "--no-trunc")


@pytest.mark.parametrize(
    ("argv", "wanted"),
    [
        (commands.list_all(SERVICE), (*LISTED, "--filter", "label=service=shop")),
        (
            commands.free_name(SERVICE, "old", "new"),
            (
                *("sh", "-c"),
                '"$1" container inspect "$2" >/dev/null 2>&1 || exit 0; exec "$1" rename "$2" "$3"',
                *("free", "docker", "old", "new"),
            ),
        ),
        (commands.list_one(SERVICE, "c1"), (*LISTED, "--filter", "id=c1")),
        (
            commands.list_created(SERVICE, "c1"),
            (*LISTED, "--filter", "id=c1", "--filter", "status=created"),
        ),
        (
            commands.list_under_way(SERVICE, "shop-web-1"),
            (
                *(*LISTED, "--filter", "label=pilotage.instance=shop-web-1"),
                *("--filter", "status=created", "--filter", "status=running"),
                *("--filter", "status=paused", "--filter", "status=restarting"),
            ),
        ),
        (
            commands.inspect(SERVICE, "c1", "c2"),
            ("docker", "inspect", "--type", "container", "--format", FORMAT, "c1", "c2"),
        ),
        (commands.start(SERVICE, "c1"), ("docker", "start", "c1")),
        (
            commands.signal(SERVICE, "c1", "SIGQUIT"),
            ("docker", "kill", "--signal", "SIGQUIT", "c1"),
        ),
        (commands.wait(SERVICE, "c1"), ("docker", "wait", "c1")),
        (commands.wait(SERVICE, "c1", limit=9.2), ("timeout", "10", "docker", "wait", "c1")),
        (commands.wait(SERVICE, "c1", limit=0), ("timeout", "1", "docker", "wait", "c1")),
        (commands.rename(SERVICE, "c1", "new"), ("docker", "rename", "c1", "new")),
        (commands.remove(SERVICE, "c1", "c2"), ("docker", "rm", "--volumes", "c1", "c2")),
        (
            commands.execute(SERVICE, "c1", "pgrep x && true", limit=10),
            ("timeout", "10", "docker", "exec", "c1", "sh", "-c", "pgrep x && true"),
        ),
        (commands.logs(SERVICE, "c1"), ("docker", "logs", "c1")),
        (
            commands.logs(SERVICE, "c1", lines=5, follow=True),
            ("docker", "logs", "--follow", "--tail", "5", "c1"),
        ),
        (
            commands.ensure_network(SERVICE),
            (
                *("sh", "-c"),
                "mkdir -p .pilotage && exec 8>>.pilotage/network.lock && flock 8 || exit\n"
                '"$1" network inspect "$2" >/dev/null 2>&1 || "$1" network create "$2" 8>&-\n',
                *("network", "docker", "kamal"),
            ),
        ),
    ],
)
def test_the_others(argv: tuple[str, ...], wanted: tuple[str, ...]) -> None:
    assert argv == wanted


# -- names -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("service", "index", "revision", "name"),
    [
        (SERVICE, 0, "abc", "shop-web-staging-abc"),
        (replace(SERVICE, destination=None), 0, "abc", "shop-web-abc"),
        (SERVICE, 2, "abc", "shop-web-staging-abc-2"),
        (SERVICE, 0, "feature/x y", "shop-web-staging-feature-x-y"),
    ],
)
def test_a_container_is_called_as_kamal_calls_it(service, index, revision, name) -> None:
    assert names.container_name(service, replace(INSTANCE, index=index), revision) == name


def test_names_of_containers_that_are_no_longer_what_they_were() -> None:
    long = "0123456789abcdef" * 4
    assert names.replaced("shop-web-1", "c0ffee") == "shop-web-1_replaced_c0ffee"
    assert names.retired("shop-web-1", long) == "shop-web-1_retired_0123456789ab"
    assert (
        names.retired(names.replaced("shop-web-1", "c0ffee"), long)
        == "shop-web-1_retired_0123456789ab"
    )
    assert names.is_retired("shop-web-1_retired_0123456789ab")
    assert not names.is_retired("shop-web-1_replaced_0123456789abcdef")
    assert not names.is_retired("shop_retired-web-1")


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("shop-web-staging-abc", "abc"),
        ("shop-web-staging-abc_uncommitted_0123", "abc_uncommitted_0123"),
        ("shop-web-staging-abc_replaced_0123456789abcdef", "abc"),
        ("shop-web-abc", None),
        ("shop-web-staging-", None),
        ("other", None),
    ],
)
def test_the_version_of_what_kamal_started(name: str, version: str | None) -> None:
    assert names.kamal_version(name, "shop", "web", "staging") == version


def test_an_id_for_what_pilotage_did_not_start() -> None:
    found = found_id("shop", "web", "0123456789abcdef" * 4)
    assert found == "shop-web-container-0123456789ab"
    # Docker itself gives a container this name on its network.
    assert network_alias(found) == "0123456789ab"


def test_a_hostname_is_never_too_long() -> None:
    assert names.hostname("web1.example.com.", "x") == "web1.example.com-2d711642b726"
    assert len(names.hostname("h" * 80, "x")) == 63
    assert names.hostname("user@[::1]", "x") == "user----1--2d711642b726"


def test_what_is_entered_gets_a_terminal_only_where_there_is_one() -> None:
    words = ("--env", "A=b c")
    assert commands.enter(SERVICE, "c1", ("ls", "-l"), environment=words) == (
        *("docker", "exec", "--env", "A=b c", "c1", "ls", "-l"),
    )
    assert commands.enter(SERVICE, "c1", ("sh",), interactive=True, terminal=True) == (
        *("docker", "exec", "--interactive", "--tty", "c1", "sh"),
    )


def test_logs_since_a_time() -> None:
    assert commands.logs(SERVICE, "c1", lines=5, since="42m", follow=True) == (
        *("docker", "logs", "--follow", "--since", "42m", "--tail", "5", "c1"),
    )
