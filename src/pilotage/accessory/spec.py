"""What an accessory is: an image, where it runs, and what of its host it sees.

Values of this package's own; the wiring converts the configuration to them.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pilotage.image import Login
from pilotage.proxy.door import DoorSettings, Fragment, OwnCertificate
from pilotage.secret import Secret

Environment = Mapping[str, str | Secret]


@dataclass(frozen=True, slots=True)
class Mount:
    """Something of the host that the container sees. ``source``: a path on the host; one that is not
    absolute is below the accessory's folder in the home of the user who logs in there.

    ``mode`` and ``owner``: as chmod and chown take them. ``options``: ``ro``, ``z``, ``Z``.
    """

    source: str
    path: str
    mode: str | None = None
    owner: str | None = None
    options: str | None = None

    def at(self, home: str, folder: str) -> str:
        """The source as an absolute path."""
        return posixpath.normpath(posixpath.join(home, folder, self.source))

    def volume(self, home: str, folder: str) -> str:
        """``SOURCE:PATH[:OPTIONS]``."""
        options = f":{self.options}" if self.options else ""
        return f"{self.at(home, folder)}:{self.path}{options}"


@dataclass(frozen=True, slots=True)
class Directory(Mount):
    """A directory that is made if it is not there."""


@dataclass(frozen=True, slots=True)
class File(Mount):
    """A file that is written before the container is started; it may hold a secret."""

    content: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Front:
    """What it wants of the doors of its hosts. ``doors``: how each is run."""

    fragment: Fragment
    doors: Mapping[str, DoorSettings]
    certificate: OwnCertificate | None = None


@dataclass(frozen=True, slots=True)
class AccessorySpec:
    """One accessory. ``name``: its key in the configuration. ``service``: what its container is called.

    ``env``: its environment on each of its hosts. ``publish``: ``[ADDRESS:]PORT:PORT``, or None.
    ``cmd``: words for the image's entrypoint, as a shell would split them. ``front``: for one that answers requests
    from outside.
    """

    name: str
    service: str
    image: str
    hosts: tuple[str, ...]
    cmd: str | None = None
    publish: str | None = None
    network: str = "kamal"
    env: Mapping[str, Environment] = field(default_factory=dict, repr=False)
    labels: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    log_driver: str | None = None
    log_options: Mapping[str, Any] = field(default_factory=dict)
    files: tuple[File, ...] = ()
    directories: tuple[Directory, ...] = ()
    volumes: tuple[str, ...] = ()
    login: Login | None = None
    front: Front | None = None

    @property
    def folder(self) -> str:
        """Its folder in the home of the user: the container's name, as with Kamal, so that data is found."""
        return self.service

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """What must be masked."""
        found = [value for env in self.env.values() for value in env.values()]
        if self.login:
            found.append(self.login.password)
        return tuple(dict.fromkeys(value for value in found if isinstance(value, Secret)))
