"""The argv of every command that builds, pushes and logs in, exactly."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pilotage.image import BuildSecret, BuildSpec, Cache, ImageName, Pack, commands
from pilotage.secret import Secret

SHA = "4f2a9c0d11e2b3a4958677665544332211009988"
PLAIN = BuildSpec(service="shop", image=ImageName("acme/shop", "registry.example.org:5000"))
FULL = replace(
    PLAIN,
    destination="staging",
    dockerfile="docker/Dockerfile",
    target="web",
    args={"RUBY": "3.3", "NOTE": "a b", "CI": None},
    secrets=(BuildSecret("GEM_KEY", Secret("hush-hush")),),
    ssh="default",
    platforms=("linux/amd64", "linux/arm64"),
    cache=Cache("registry", options="mode=max"),
    provenance="false",
    sbom="true",
)


def test_docker_build() -> None:
    assert commands.build(PLAIN, SHA, "/src") == (
        *("docker", "build"),
        *("-t", f"registry.example.org:5000/acme/shop:{SHA}"),
        *("-t", "registry.example.org:5000/acme/shop:latest"),
        *("--label", "service=shop", "--file", "/src/Dockerfile", "/src"),
    )


def test_buildx_with_everything() -> None:
    repository = "registry.example.org:5000/acme/shop"
    assert commands.buildx(FULL, SHA, "/src/", builder="own", push=True, docker="podman") == (
        *("podman", "buildx", "build", "--push", "--builder", "own"),
        *("--platform", "linux/amd64,linux/arm64"),
        *("-t", f"{repository}:{SHA}", "-t", f"{repository}:latest-staging"),
        *("--label", "service=shop"),
        *("--build-arg", "RUBY=3.3", "--build-arg", "NOTE=a b", "--build-arg", "CI"),
        *("--secret", "id=GEM_KEY,env=GEM_KEY"),
        *("--file", "/src/docker/Dockerfile", "--target", "web", "--ssh", "default"),
        *("--cache-to", f"type=registry,ref={repository}-build-cache,mode=max"),
        *("--cache-from", f"type=registry,ref={repository}-build-cache"),
        *("--provenance", "false", "--sbom", "true"),
        "/src/",
    )


def test_no_secret_is_in_an_argv() -> None:
    assert "hush-hush" not in " ".join(commands.buildx(FULL, SHA, "/s", builder=None, push=False))
    assert "hush-hush" not in " ".join(commands.build(FULL, SHA, "/s"))
    assert "hush-hush" not in repr(FULL)


def test_a_remote_host_builds_and_pushes() -> None:
    remote = replace(PLAIN, remote="ssh://builder@10.0.0.9")
    head = ("docker", "--host", "ssh://builder@10.0.0.9")
    assert commands.build(remote, SHA, "/src")[:4] == (*head, "build")
    assert commands.push(remote, "a:b") == (*head, "push", "--quiet", "a:b")


def test_a_cache_image_is_in_the_registry() -> None:
    spec = replace(PLAIN, cache=Cache("registry", image="acme/cache"))
    argv = commands.buildx(spec, SHA, "/s", builder=None, push=True)
    assert "type=registry,ref=registry.example.org:5000/acme/cache" in argv


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"platforms": ("linux/amd64", "linux/arm64")}, "architectures"),
        ({"cache": Cache("gha")}, "builder.cache"),
        ({"provenance": "false"}, "builder.provenance"),
        ({"sbom": "true"}, "builder.sbom"),
        ({"driver": "kubernetes"}, "builder.driver"),
        ({"driver": "docker", "platforms": ("linux/amd64",)}, ""),
    ],
)
def test_what_needs_buildx_is_named(change: dict[str, object], what: str) -> None:
    assert what in replace(PLAIN, **change).needs_buildx  # type: ignore[arg-type]
    assert bool(replace(PLAIN, **change).needs_buildx) == bool(what)  # type: ignore[arg-type]


def test_login_and_logout() -> None:
    assert commands.login("ghcr.io", "me") == (
        *("docker", "login", "ghcr.io", "-u", "me", "--password-stdin"),
    )
    assert commands.login(None, "me") == ("docker", "login", "-u", "me", "--password-stdin")
    assert commands.logout("ghcr.io") == ("docker", "logout", "ghcr.io")


def test_docker_hub_has_no_host_in_the_name() -> None:
    assert ImageName("acme/shop").at("v1") == "acme/shop:v1"


def test_a_builder_here_there_or_on_both() -> None:
    remote = replace(PLAIN, remote="ssh://builder@10.0.0.9")
    both = replace(
        remote,
        platforms=("linux/amd64", "linux/arm64"),
        remote_platforms=("linux/arm64",),
    )
    create = ("docker", "buildx", "create")
    driver = ("--driver", "docker-container")
    assert commands.create_builder(PLAIN, "own") == ((*create, "--name", "own", *driver),)
    assert commands.create_builder(remote, "far", host_network=True) == (
        (*create, "--name", "far", *driver, "--driver-opt", "network=host", remote.remote),
    )
    assert commands.create_builder(both, "both") == (
        (*create, "--name", "both", *driver, "--platform", "linux/amd64"),
        (*create, "--name", "both", "--append", "--platform", "linux/arm64", remote.remote),
    )
    cloud = replace(PLAIN, driver="cloud acme/fast")
    assert commands.create_builder(cloud, "x") == ((*create, "--driver", "cloud", "acme/fast"),)


def test_buildpacks() -> None:
    spec = replace(
        FULL, pack=Pack("heroku/builder:24", ("heroku/ruby",)), platforms=("linux/amd64",)
    )
    repository = "registry.example.org:5000/acme/shop"
    argv = commands.pack(spec, SHA, "/src", fresh=True)
    assert argv == (
        *("pack", "build", repository, "--platform", "linux/amd64", "--creation-time", "now"),
        *("--builder", "heroku/builder:24"),
        *("--buildpack", "heroku/ruby", "--buildpack", "paketo-buildpacks/image-labels"),
        *("-t", f"{repository}:{SHA}", "-t", f"{repository}:latest-staging", "--clear-cache"),
        *("--env", "BP_IMAGE_LABELS=service=shop", "--env", "RUBY=3.3", "--env", "NOTE=a b"),
        *("--env", "CI", "--env", "GEM_KEY", "--path", "/src"),
    )


def test_a_build_without_its_cache() -> None:
    assert commands.build(PLAIN, SHA, "/src", fresh=True)[-2:] == ("--no-cache", "/src")
    argv = commands.buildx(PLAIN, SHA, "/s", builder=None, push=True, fresh=True)
    assert argv[-2:] == ("--no-cache", "/s")


def test_something_else_than_an_image() -> None:
    export = ("--output", "type=local,dest=out")
    argv = commands.buildx(PLAIN, SHA, "/s", builder=None, push=True, export="local,dest=out")
    assert argv[:5] == ("docker", "buildx", "build", *export)
    assert "--push" not in argv
    assert commands.build(PLAIN, SHA, "/s", export="local,dest=out")[-3:] == (*export, "/s")


def test_githubs_cache_is_read_where_it_is_written() -> None:
    spec = replace(PLAIN, cache=Cache("gha", options="mode=max,scope=shop"))
    argv = commands.buildx(spec, SHA, "/s", builder=None, push=True)
    assert argv[argv.index("--cache-to") + 1] == "type=gha,mode=max,scope=shop"
    assert argv[argv.index("--cache-from") + 1] == "type=gha,scope=shop"
