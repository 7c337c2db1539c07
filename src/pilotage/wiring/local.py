"""``target: local``: processes of this machine behind an edge of this machine."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from pilotage.audit import LocalLog
from pilotage.config import Config, RoleConfig
from pilotage.errors import ConfigError, TargetError
from pilotage.events import Emit
from pilotage.host.environment import base_environment
from pilotage.model import Role
from pilotage.plan import Layout
from pilotage.proxy.envoy import EnvoySettings, local_edge
from pilotage.secret import Secret, reveal
from pilotage.source import GitSource
from pilotage.targets.local import (
    AliveHealth,
    LocalPrepare,
    LocalRole,
    LocalService,
    LocalTarget,
    default_host,
)
from pilotage.wiring.health import health_of
from pilotage.wiring.place import Answer, Place
from pilotage.wiring.use import Use

_STATE = ("instances", "logs", "proxy", "releases")


@contextlib.asynccontextmanager
async def open_local(
    config: Config, source: GitSource, *, emit: Emit, use: Use
) -> AsyncIterator[Place]:
    """This machine, as the place of a service.

    Raises
    ------
    ConfigError
        It asks for what this target cannot do, or lacks a secret.
    """
    _supported(config)
    state_dir = source.state_dir
    host = _host(state_dir, use)
    target = LocalTarget(_service(config, state_dir, host, use), source, emit)
    settings = EnvoySettings(
        state_dir=state_dir, host=host, port=config.proxy.port, service=config.service
    )
    yield Place(
        target=target,
        logs=target,
        proxy=local_edge(settings, emit),
        layout=_layout(config, host, use),
        host=host,
        wipe=lambda: asyncio.to_thread(_wipe, state_dir),
        ask=_Question(config),
        build=_nothing,
        tidy=_nothing_more,
        notes=_notes(state_dir, use),
        audit=LocalLog(state_dir),
    )


@dataclass(frozen=True, slots=True)
class _Question:
    """`pilotage.wiring.place.Ask` in the project's folder."""

    config: Config

    async def __call__(self, line: str, env: Mapping[str, str | Secret], *, limit: float) -> Answer:
        config = self.config
        whole = {**config.env(config.primary), **env}
        process = await asyncio.create_subprocess_exec(
            *("/bin/sh", "-c", line),
            cwd=config.root,
            env=base_environment(os.environ) | {name: reveal(v) for name, v in whole.items()},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(limit):
                out, err = await process.communicate()
        except TimeoutError:
            raise TargetError(
                f"`{line}` was not done after {limit:g} s",
                where=str(config.root),
                state="nothing was changed",
                next="run it by hand, in the project's folder, with the environment of the role",
            ) from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        said, wrong = (data.decode("utf-8", "replace") for data in (out, err))
        return Answer(process.returncode or 0, said, wrong, str(config.root))


async def _nothing(revision: str, *, fresh: bool = False) -> None:
    """The checkout itself is run."""


async def _nothing_more(
    keep: Collection[str], token: int, *, retain: int, hosts: Collection[str] | None = None
) -> tuple[str, ...]:
    """There is nothing of a revision but its checkout."""
    return ()


def _host(state_dir: Path, use: Use) -> str:
    """This machine's name; only a verb that acts writes it down."""
    if use is Use.ACT or (state_dir / "host").exists():
        return default_host(state_dir)
    return socket.gethostname()


def _supported(config: Config) -> None:
    """Refuse what the configuration may say and this target does not do."""
    where = str(config.path)
    traffic = [role.name for role in config.roles if role.traffic]
    if len(traffic) > 1:
        raise ConfigError(
            f"`target: local` has one edge, and {len(traffic)} roles ask for traffic: "
            f"{', '.join(traffic)}",
            where=where,
            key="servers",
            next=f"set `proxy: false` on all but one (the primary role is {config.primary})",
        )
    if config.proxy.ssl:
        raise ConfigError(
            "`proxy.ssl` is not built yet for `target: local`",
            where=where,
            key="proxy.ssl",
            next="set `ssl: false`, and end HTTPS in front of the edge",
        )


def _notes(state_dir: Path, use: Use) -> tuple[str, ...]:
    """What a plan does not know that was made without writing a file."""
    if use is Use.LOOK or (state_dir / "host").exists():
        return ()
    return (
        "the first deploy from here gives this machine its name in the inventory, so its plan "
        "will have another fingerprint than this one",
    )


def _wipe(state_dir: Path) -> tuple[str, ...]:
    """Delete everything of ours in ``.pilotage/`` but the secrets files."""
    for name in _STATE:
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(state_dir / name)
    for path in state_dir.glob("*"):
        if path.is_file() and not path.name.startswith("secrets"):
            path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        state_dir.rmdir()  # not when secrets are in it
    return ("checkouts, logs and state are deleted",)


def _service(config: Config, state_dir: Path, host: str, use: Use) -> LocalService:
    roles = {role.name: _role(config, role, use) for role in config.roles}
    prepare = None
    if config.local.prepare:
        prepare = LocalPrepare(config.local.prepare, _env(config, config.primary, use))
    return LocalService(config.service, state_dir, host, roles, prepare)


def _env(config: Config, role: str, use: Use) -> Mapping[str, str | Secret]:
    """The environment of a role; not asked for where nothing is going to be started."""
    return {} if use is Use.LOOK else config.env(role)


def _role(config: Config, role: RoleConfig, use: Use) -> LocalRole:
    return LocalRole(
        cmd=role.cmd or "",
        env=_env(config, role.name, use),
        traffic=role.traffic,
        stop_timeout=role.stop_timeout,
        health=health_of(config, role, alive=AliveHealth(role.health.delay)),
    )


def _layout(config: Config, host: str, use: Use) -> Layout:
    roles = tuple(
        Role(
            name=role.name,
            hosts=(host,),
            instances=role.instances,
            traffic=role.traffic,
            overlap=role.overlap,
        )
        for role in config.roles
    )
    digests = {} if use is Use.LOOK else {r.name: config.digest(r.name) for r in config.roles}
    return Layout(config.service, roles, digests)
