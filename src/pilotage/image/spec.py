"""What an image is called, what it is built from, and who may push it.

Values of this package's own; the wiring converts the configuration to them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pilotage.secret import Secret


@dataclass(frozen=True, slots=True)
class ImageName:
    """An image without its tag. ``registry``: ``host[:port]``, or None for Docker Hub."""

    repository: str
    registry: str | None = None

    def __str__(self) -> str:
        return f"{self.registry}/{self.repository}" if self.registry else self.repository

    def at(self, revision: str) -> str:
        """The image of a revision: its tag is the whole revision, as Kamal's is."""
        return f"{self}:{revision}"

    def latest(self, destination: str | None) -> str:
        """The tag that moves with every build, as Kamal's does."""
        return f"{self}:latest" + (f"-{destination}" if destination else "")


@dataclass(frozen=True, slots=True)
class Login:
    """Who logs in at a registry. ``server`` None: Docker Hub."""

    server: str | None
    user: str
    password: Secret = field(repr=False)


@dataclass(frozen=True, slots=True)
class Cache:
    """A build cache. ``kind``: ``gha`` or ``registry``; ``image``: where the latter is kept."""

    kind: str
    image: str | None = None
    options: str | None = None


@dataclass(frozen=True, slots=True)
class BuildSecret:
    """A value that a build step may mount (``RUN --mount=type=secret,id=NAME``)."""

    name: str
    value: Secret = field(repr=False)


@dataclass(frozen=True, slots=True)
class Pack:
    """A build by Cloud Native Buildpacks: their builder's image, and which of them."""

    builder: str
    buildpacks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BuildSpec:
    """How the image of a revision is built.

    ``dockerfile`` is relative to the context. ``platforms``: ``linux/amd64`` …; none means the
    builder's own. ``remote``: a Docker host that builds, as URL (``ssh://…``); ``remote_platforms``: those
    alone that it builds, this machine the others; none: all of them. ``ssh``: what build
    steps may use of the agent (``default``, ``ID=SOCKET``). ``pack``: by buildpacks, without a Dockerfile.
    """

    service: str
    image: ImageName
    destination: str | None = None
    dockerfile: str = "Dockerfile"
    target: str | None = None
    args: Mapping[str, str | None] = field(default_factory=dict)
    secrets: tuple[BuildSecret, ...] = ()
    ssh: str | None = None
    platforms: tuple[str, ...] = ()
    remote: str | None = None
    remote_platforms: tuple[str, ...] = ()
    driver: str | None = None
    cache: Cache | None = None
    provenance: str | None = None
    sbom: str | None = None
    pack: Pack | None = None

    def tags(self, revision: str) -> tuple[str, str]:
        """What the image of a revision is called."""
        return self.image.at(revision), self.image.latest(self.destination)

    @property
    def is_cloud(self) -> bool:
        """Whether Docker's Build Cloud builds: ``cloud ORGANISATION/BUILDER``."""
        return (self.driver or "").startswith("cloud")

    @property
    def needs_buildx(self) -> str:
        """The first thing that only Docker's buildx plugin can do, in words; empty when there is none."""
        if len(self.platforms) > 1:
            return f"`builder.arch` with {len(self.platforms)} architectures"
        if self.cache:
            return "`builder.cache`"
        if self.provenance:
            return "`builder.provenance`"
        if self.sbom:
            return "`builder.sbom`"
        if self.driver and self.driver != "docker":
            return f"`builder.driver: {self.driver}`"
        return ""

    @property
    def needs_buildkit(self) -> str:
        """The first thing that Docker's older builder cannot do, in words; empty when there is none."""
        if self.secrets:
            return "`builder.secrets`"
        return "`builder.ssh`" if self.ssh else ""
