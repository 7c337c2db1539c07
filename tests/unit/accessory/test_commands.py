"""The argv of every command for an accessory, exactly."""

from __future__ import annotations

import subprocess
from dataclasses import replace

from pilotage.accessory import AccessorySpec, Directory, File, commands
from pilotage.secret import Secret

HOME = "/home/deploy"
SPEC = AccessorySpec(
    name="db",
    service="shop-db",
    image="postgres:16",
    hosts=("10.0.0.1",),
    cmd="postgres -c 'shared_buffers=1 GB'",
    publish="127.0.0.1:5432:5432",
    env={"10.0.0.1": {"POSTGRES_PASSWORD": Secret("hush-hush"), "POSTGRES_DB": "shop"}},
    labels={"tier": "data"},
    options={"cpus": 2},
    files=(File("etc/x.conf", "/etc/x.conf", "0640", "postgres", "ro", content=b"secret!"),),
    directories=(
        Directory("data", "/var/lib/postgresql/data", "0700", "999:999"),
        Directory("/srv/backup", "/backup"),
    ),
    volumes=("shop-wal:/wal",),
)


def test_run() -> None:
    given = ("--env", "POSTGRES_PASSWORD", "--env", "POSTGRES_DB=shop")
    assert commands.run(SPEC, environment=given, home=HOME) == (
        *("docker", "run", "--name", "shop-db", "--detach", "--restart", "unless-stopped"),
        *("--network", "kamal", "--log-opt", "max-size=10m"),
        *("--publish", "127.0.0.1:5432:5432"),
        *given,
        *("--volume", "shop-wal:/wal"),
        *("--volume", "/home/deploy/shop-db/etc/x.conf:/etc/x.conf:ro"),
        *("--volume", "/home/deploy/shop-db/data:/var/lib/postgresql/data"),
        *("--volume", "/srv/backup:/backup"),
        *("--label", "service=shop-db", "--label", "tier=data", "--cpus", "2"),
        *("postgres:16", "postgres", "-c", "shared_buffers=1 GB"),
    )


def test_the_rest() -> None:
    assert commands.state("shop-db", docker="podman") == (
        *("podman", "container", "ls", "--all", "--filter", "name=^shop-db$"),
        *("--format", "{{.State}}"),
    )
    assert commands.remove("shop-db") == ("docker", "container", "rm", "--volumes", "shop-db")
    assert commands.remove_image("postgres:16") == (
        *("docker", "image", "rm", "--force", "postgres:16"),
    )
    assert commands.execute("shop-db", ("psql", "shop"), terminal=True) == (
        *("docker", "exec", "--interactive", "--tty", "shop-db", "psql", "shop"),
    )
    assert commands.logs("shop-db", since="15m", lines=5, follow=True) == (
        *("docker", "logs", "shop-db", "--since", "15m", "--tail", "5"),
        *("--timestamps", "--follow"),
    )


def test_a_command_of_its_own_sees_what_the_accessory_sees() -> None:
    """Its files, its data and its options as well, but for what two containers cannot have at a time."""
    spec = replace(SPEC, options={"cpus": 2, "publish": "5433:5433"})
    given = ("--env", "POSTGRES_PASSWORD")
    once = commands.run_once(spec, ("psql",), environment=given, home=HOME, terminal=False)
    assert once == (
        *("docker", "run", "--rm", "--network", "kamal", *given),
        *("--volume", "shop-wal:/wal"),
        *("--volume", "/home/deploy/shop-db/etc/x.conf:/etc/x.conf:ro"),
        *("--volume", "/home/deploy/shop-db/data:/var/lib/postgresql/data"),
        *("--volume", "/srv/backup:/backup", "--cpus", "2", "postgres:16", "psql"),
    )


def test_directories_are_made_with_mode_and_owner(tmp_path) -> None:
    spec = AccessorySpec(
        name="db",
        service="shop-db",
        image="x",
        hosts=("h",),
        directories=(Directory("data dir/it's", "/data", "0710"), Directory("plain", "/plain")),
    )
    argv = commands.prepare(spec, home=str(tmp_path))
    assert argv is not None
    subprocess.run(argv, check=True)
    subprocess.run(argv, check=True)
    made = tmp_path / "shop-db" / "data dir" / "it's"
    assert made.stat().st_mode & 0o777 == 0o710
    assert (tmp_path / "shop-db" / "plain").is_dir()
    assert commands.prepare(AccessorySpec("a", "a", "a", ("h",)), home="/") is None


def test_no_secret_is_in_a_repr() -> None:
    assert "hush" not in repr(SPEC)
    assert "secret!" not in repr(SPEC)
    assert SPEC.secrets == (Secret("hush-hush"),)
