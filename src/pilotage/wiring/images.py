"""The image of a service: its name, how it is built, and who may push it, from the configuration."""

from __future__ import annotations

import platform
from pathlib import Path

from pilotage.config import Config
from pilotage.config.schema.kamal import Builder
from pilotage.errors import ConfigError
from pilotage.events import Emit
from pilotage.image import BuildSecret, BuildSpec, Cache, ImageBuilder, ImageName, Login, Pack
from pilotage.image.architecture import architecture
from pilotage.shell.base import Shell
from pilotage.source import GitSource


def image_of(config: Config) -> ImageName:
    """What the image of the service is called, without a tag.

    Raises
    ------
    ConfigError
        The configuration names no image.
    """
    if config.image is None:
        raise ConfigError("`image` is required", where=str(config.path), key="image")
    return ImageName(config.image, config.registry.server if config.registry else None)


def login_of(config: Config) -> Login | None:
    """Who logs in at the registry; None where it needs nobody.

    Raises
    ------
    SecretMissing
        The user or the password is a secret without a value.
    """
    found = config.registry_login()
    if found is None:
        return None
    user, password = found
    return Login(config.registry.server if config.registry else None, user, password)


def build_spec(config: Config) -> BuildSpec:
    """How the image is built.

    Raises
    ------
    ConfigError
        `builder.pack` names no builder.
    SecretMissing
        A build secret has no value.
    """
    builder = config.builder or Builder()
    architectures = _architectures(builder)
    return BuildSpec(
        service=config.service,
        image=image_of(config),
        destination=config.destination,
        dockerfile=builder.dockerfile,
        target=builder.target,
        args={name: None if it is None else str(it) for name, it in builder.args.items()},
        secrets=tuple(
            BuildSecret(name, config.secret(name, "builder", "secrets", index, what="the build"))
            for index, name in enumerate(builder.secrets)
        ),
        ssh=builder.ssh,
        platforms=tuple(f"linux/{name}" for name in architectures),
        remote=_remote(builder, architectures),
        remote_platforms=_remote_platforms(builder, architectures),
        driver=builder.driver,
        cache=_cache(builder),
        provenance=builder.provenance,
        sbom=builder.sbom,
        pack=_pack(config, builder),
    )


def _pack(config: Config, builder: Builder) -> Pack | None:
    if builder.pack is None:
        return None
    if builder.pack.builder is None:
        raise ConfigError(
            "`builder.pack` names no builder",
            where=str(config.path),
            key="builder.pack.builder",
            next="name its image, such as `heroku/builder:24`",
        )
    return Pack(builder.pack.builder, builder.pack.buildpacks)


def _architectures(builder: Builder) -> tuple[str, ...]:
    arch = builder.arch
    return (arch,) if isinstance(arch, str) else tuple(arch or ())


def _here() -> str:
    """The architecture of this machine, in Docker's words."""
    return architecture(platform.machine())


def _remote(builder: Builder, architectures: tuple[str, ...]) -> str | None:
    """The remote builder, unless this machine has the one architecture that is asked for."""
    return None if builder.local and architectures in ((), (_here(),)) else builder.remote


def _remote_platforms(builder: Builder, architectures: tuple[str, ...]) -> tuple[str, ...]:
    """What the remote builder builds of several architectures, where this machine builds its own."""
    if not (builder.remote and builder.local and _here() in architectures):
        return ()
    return tuple(f"linux/{name}" for name in architectures if name != _here())


def _cache(builder: Builder) -> Cache | None:
    cache = builder.cache
    return Cache(cache.type, cache.image, cache.options) if cache and cache.type else None


async def build_context(config: Config, source: GitSource, revision: str) -> Path:
    """The folder that is built: a checkout of the revision, or the one that ``builder.context`` names."""
    named = config.builder.context if config.builder else None
    if named is None:
        return await source.checkout(revision)
    return (config.root / named).resolve()


def builder_of(config: Config, shell: Shell, emit: Emit, *, docker: str = "docker") -> ImageBuilder:
    """What builds the image, on this machine."""
    return ImageBuilder(shell, build_spec(config), emit, login_of(config), docker)
