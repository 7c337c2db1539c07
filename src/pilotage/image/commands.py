"""The commands that build, push and log in: pure functions, each returns an argv.

No secret is in any of them: a password goes to standard input, a build secret comes from the
environment of the command by its name.
"""

from __future__ import annotations

from pilotage.image.spec import BuildSpec, Cache

Argv = tuple[str, ...]


def build(
    spec: BuildSpec,
    revision: str,
    context: str,
    *,
    export: str | None = None,
    fresh: bool = False,
    docker: str = "docker",
) -> Argv:
    """``docker build``: by BuildKit, into the builder's own store of images, or to ``export``, as `buildx` has it.

    ``fresh``: without its cache.
    """
    return (
        *(docker, *_remote(spec), "build", *_common(spec, revision, context)),
        *(_output(export) if export else ()),
        *(("--no-cache",) if fresh else ()),
        context,
    )


def buildx(
    spec: BuildSpec,
    revision: str,
    context: str,
    *,
    builder: str | None,
    push: bool,
    export: str | None = None,
    fresh: bool = False,
    docker: str = "docker",
) -> Argv:
    """``docker buildx build``: pushes by itself, or loads the image here.

    ``export``: what it makes in the place of both, as ``local,dest=FOLDER``.
    """
    return (
        *(docker, "buildx", "build"),
        *(_output(export) if export else ("--push" if push else "--load",)),
        *(("--builder", builder) if builder else ()),
        *_common(spec, revision, context),
        *(_cache(spec, spec.cache) if spec.cache else ()),
        *(("--provenance", spec.provenance) if spec.provenance else ()),
        *(("--sbom", spec.sbom) if spec.sbom else ()),
        *(("--no-cache",) if fresh else ()),
        context,
    )


def pack(spec: BuildSpec, revision: str, context: str, *, fresh: bool = False) -> Argv:
    """``pack build``, as Kamal runs it; the image is kept in Docker's store.

    The label of the service, without which Kamal takes no image, is put on by one of Paketo's buildpacks. Values
    of secrets come from the environment of the command.
    """
    assert spec.pack is not None
    words = ["pack", "build", str(spec.image)]
    if spec.platforms:
        words += ["--platform", spec.platforms[0]]
    words += ["--creation-time", "now", "--builder", spec.pack.builder]
    for buildpack in (*spec.pack.buildpacks, "paketo-buildpacks/image-labels"):
        words += ["--buildpack", buildpack]
    for tag in spec.tags(revision):
        words += ["-t", tag]
    words += ["--clear-cache"] if fresh else []
    words += ["--env", f"BP_IMAGE_LABELS=service={spec.service}"]
    for argument in _arguments(spec):
        words += ["--env", argument]
    for secret in spec.secrets:
        words += ["--env", secret.name]
    return (*words, "--path", context)


def has_pack() -> Argv:
    """Exits with 0 where buildpacks' program is installed."""
    return ("pack", "version")


def push(spec: BuildSpec, tag: str, *, docker: str = "docker") -> Argv:
    """``docker push``, from where the image was built."""
    return (docker, *_remote(spec), "push", "--quiet", tag)


def has_buildx(docker: str = "docker") -> Argv:
    """Exits with 0 where the plugin is installed."""
    return (docker, "buildx", "version")


def client_version(docker: str = "docker") -> Argv:
    """Prints the version of the client, also where no server answers."""
    return (docker, "--version")


def find_builder(name: str, docker: str = "docker") -> Argv:
    """Exits with 0 where a builder of this name is."""
    return (docker, "buildx", "inspect", name)


def create_builder(
    spec: BuildSpec, name: str, *, host_network: bool = False, docker: str = "docker"
) -> tuple[Argv, ...]:
    """A builder of our own: on the remote host, in a container here, on both, or Docker's Build Cloud.

    ``host_network``: it reaches the registry on its machine's loopback.
    """
    create = (docker, "buildx", "create")
    if spec.is_cloud:
        return ((*create, "--driver", *(spec.driver or "").split()),)
    driver = ("--driver", spec.driver or "docker-container")
    options = ("--driver-opt", "network=host") if host_network else ()
    where = (spec.remote,) if spec.remote else ()
    if not spec.remote_platforms:
        return ((*create, "--name", name, *driver, *options, *where),)
    here = [it for it in spec.platforms if it not in spec.remote_platforms]
    there = ("--platform", ",".join(spec.remote_platforms))
    return (
        (*create, "--name", name, *driver, *options, "--platform", ",".join(here)),
        (*create, "--name", name, "--append", *options, *there, *where),
    )


def remove_builder(name: str, docker: str = "docker") -> Argv:
    """Takes it away, with its cache."""
    return (docker, "buildx", "rm", name)


def inspect_builders(docker: str = "docker") -> Argv:
    """Lists them."""
    return (docker, "buildx", "ls")


def version(docker: str = "docker") -> Argv:
    """The versions of the client and of the server."""
    return (docker, "version")


def login(server: str | None, user: str, *, docker: str = "docker") -> Argv:
    """``docker login``; the password is read from standard input."""
    return (docker, "login", *((server,) if server else ()), "-u", user, "--password-stdin")


def logout(server: str | None, *, docker: str = "docker") -> Argv:
    """``docker logout``."""
    return (docker, "logout", *((server,) if server else ()))


def _output(export: str) -> Argv:
    return ("--output", f"type={export}")


def _remote(spec: BuildSpec) -> Argv:
    return ("--host", spec.remote) if spec.remote else ()


def _common(spec: BuildSpec, revision: str, context: str) -> Argv:
    """Options that both ways of building have, in the order in which Kamal gives them."""
    words: list[str] = []
    if spec.platforms:
        words += ["--platform", ",".join(spec.platforms)]
    for tag in spec.tags(revision):
        words += ["-t", tag]
    words += ["--label", f"service={spec.service}"]
    for argument in _arguments(spec):
        words += ["--build-arg", argument]
    for secret in spec.secrets:
        words += ["--secret", f"id={secret.name},env={secret.name}"]
    # The file is named from the context on, whatever folder the command runs in.
    words += ["--file", f"{context.rstrip('/')}/{spec.dockerfile}"]
    if spec.target:
        words += ["--target", spec.target]
    if spec.ssh:
        words += ["--ssh", spec.ssh]
    return tuple(words)


def _arguments(spec: BuildSpec) -> Argv:
    given = spec.args.items()
    return tuple(name if value is None else f"{name}={value}" for name, value in given)


_READ_OPTIONS = ("url", "url_v2", "token", "scope", "timeout")
"""Of GitHub's cache: also for reading it."""


def _cache(spec: BuildSpec, cache: Cache) -> Argv:
    where = f"type={cache.kind}"
    if cache.kind == "registry":
        where += f",ref={_cache_ref(spec, cache)}"
    to = f"{where},{cache.options}" if cache.options else where
    given = (cache.options or "").split(",") if cache.kind == "gha" else ()
    read = (it for it in given if it.partition("=")[0] in _READ_OPTIONS)
    return ("--cache-to", to, "--cache-from", ",".join((where, *read)))


def _cache_ref(spec: BuildSpec, cache: Cache) -> str:
    if cache.image:
        return f"{spec.image.registry}/{cache.image}" if spec.image.registry else cache.image
    return f"{spec.image}-build-cache"
