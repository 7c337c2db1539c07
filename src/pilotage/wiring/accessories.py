"""The accessories of a configuration, as values for `pilotage.accessory`."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from pilotage.accessory import AccessorySpec, Directory, Environment, File, Front
from pilotage.config import Config
from pilotage.config.erb import Context, render
from pilotage.config.schema.kamal import Accessory, Place
from pilotage.config.select import accessory_hosts, matching
from pilotage.errors import ConfigError, UsageError
from pilotage.image import Login
from pilotage.secret import Secret, reveal
from pilotage.wiring.edges import certificate, door_settings, fragment, settings_of_doors


def accessory_of(config: Config, name: str, *, whole: bool = True) -> AccessorySpec:
    """The accessory of a name in the configuration.

    ``whole``: with all that it takes to run it; without, no secret is asked for and no file is read.

    Raises
    ------
    UsageError
        There is none of that name.
    ConfigError
        It has no image, or a file that it mounts is not there.
    SecretMissing
        A secret that it names has no value.
    """
    found = config.accessories.get(name)
    if found is None:
        known = ", ".join(config.accessories) or "there is none"
        raise UsageError(
            f"there is no accessory {name!r}", where=str(config.path), next=f"accessories: {known}"
        )
    hosts = accessory_hosts(config, found)
    env = _env(config, name, found) if whole else {}
    return AccessorySpec(
        name=name,
        service=_container(config, name, found),
        image=_image(config, name, found),
        hosts=hosts,
        cmd=found.cmd,
        publish=_published(found.port),
        network=found.network,
        env={host: {"KAMAL_HOST": host, **env} for host in hosts},
        labels=found.labels,
        options=found.options,
        log_driver=config.logging.driver,
        log_options=config.logging.options,
        files=tuple(_file(config, name, it, env) for it in found.files) if whole else (),
        directories=tuple(_directory(it) for it in found.directories),
        volumes=found.volumes,
        login=_login(config, name, found) if whole else None,
        front=_front(config, name, found, hosts, whole=whole),
    )


def _front(
    config: Config, name: str, accessory: Accessory, hosts: tuple[str, ...], *, whole: bool
) -> Front | None:
    """A host has one door: where roles take traffic, theirs."""
    proxy = config.accessory_proxies.get(name)
    if proxy is None:
        return None
    container = _container(config, name, accessory)
    own = certificate(config, proxy, "accessories", name, "proxy", "ssl") if whole else None
    doors = settings_of_doors(config, "docker")
    return Front(
        fragment(
            *(config, proxy),
            service=f"{container}.accessory",
            upstream=f"{container}:{proxy.app_port}",
            certificate=own,
        ),
        {host: doors.get(host) or door_settings(proxy, "docker") for host in hosts},
        own,
    )


def _container(config: Config, name: str, accessory: Accessory) -> str:
    return accessory.service or f"{config.service}-{name}"


def _image(config: Config, name: str, accessory: Accessory) -> str:
    if accessory.image is None:
        raise ConfigError(
            f"the accessory {name} has no image",
            where=str(config.path),
            key=f"accessories.{name}.image",
            next="name it, such as `postgres:16`",
        )
    server = accessory.registry.server if accessory.registry else None
    return f"{server}/{accessory.image}" if server else accessory.image


def _published(port: str | None) -> str | None:
    """``3306`` is short for ``3306:3306``."""
    return f"{port}:{port}" if port and ":" not in port else port


def _env(config: Config, name: str, accessory: Accessory) -> Environment:
    values: dict[str, str | Secret] = {}
    for index, entry in enumerate(accessory.env.secret):
        own, _, alias = entry.partition(":")
        path = ("accessories", name, "env", "secret", index)
        values[own] = config.secret(alias or own, *path, what=f"the accessory {name}")
    return values | accessory.env.clear


def _login(config: Config, name: str, accessory: Accessory) -> Login | None:
    registry = accessory.registry
    if registry is None or not registry.username or not registry.password:
        return None
    user, password = (
        Secret(value)
        if isinstance(value, str)
        else config.secret(
            *(value[0], "accessories", name, "registry", key, 0), what=f"the accessory {name}"
        )
        for key, value in (("username", registry.username), ("password", registry.password))
    )
    return Login(registry.server, user.reveal(), password)


def _parts(place: str | Place) -> Place:
    """``LOCAL:REMOTE[:OPTIONS]`` or the long form, as the long form."""
    if isinstance(place, Place):
        return place
    local, _, rest = place.partition(":")
    remote, _, options = rest.partition(":")
    given = {"local": local, "remote": remote, "options": options}
    return Place.model_validate({name: value for name, value in given.items() if value})


def _directory(place: str | Place) -> Directory:
    it = _parts(place)
    return Directory(it.local or "", it.remote or "", it.mode, it.owner, it.options)


def _file(config: Config, name: str, place: str | Place, env: Environment) -> File:
    it = _parts(place)
    path = config.root / (it.local or "")
    return File(
        # Below the accessory's folder, by its path in the container: as Kamal has it.
        (it.remote or "").lstrip("/"),
        it.remote or "",
        it.mode,
        it.owner,
        it.options,
        content=_content(config, name, path, env),
    )


def _content(config: Config, name: str, path: Path, env: Environment) -> bytes:
    """What a file holds; one that ends in ``.erb`` is rendered, with the accessory's environment."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"the accessory {name} mounts {path}, which cannot be read: {error.strerror}",
            where=str(config.path),
            key=f"accessories.{name}.files",
            next="write it, or name another",
        ) from error
    if path.suffix != ".erb":
        return content
    shown = os.path.relpath(path, config.root)
    environ = {**os.environ, **{key: reveal(value) for key, value in env.items()}}
    text = content.decode(errors="surrogateescape")
    rendered = render(text, shown, Context(environ, config.root, run_commands=True))
    return rendered.text.encode(errors="surrogateescape")


def chosen(
    config: Config, name: str, *, hosts: str | None = None, whole: bool = True
) -> tuple[AccessorySpec, ...]:
    """The accessory of a name, or every one for ``all``, on those of its hosts that ``hosts`` names (with
    commas between, ``*`` and ``?``).

    Raises
    ------
    UsageError
        None of that name, or none on these hosts.
    """
    names = tuple(config.accessories) if name == "all" else (name,)
    specs = [accessory_of(config, each, whole=whole) for each in names]
    if hosts:
        known = dict.fromkeys(host for spec in specs for host in spec.hosts)
        only = matching(hosts, known, "--hosts")
        specs = [replace(it, hosts=tuple(h for h in it.hosts if h in only)) for it in specs]
    found = tuple(spec for spec in specs if spec.hosts)
    if not found:
        raise UsageError(
            f"no accessory of that name runs on {hosts}"
            if hosts
            else "the configuration has no accessories",
            where=str(config.path),
            state="nothing was touched",
        )
    return found
