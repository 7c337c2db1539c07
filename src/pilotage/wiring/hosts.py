"""The hosts of a configuration: how they are reached, connected to at once."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

from pilotage.config import Config
from pilotage.errors import ConfigError
from pilotage.secret import Secret
from pilotage.shell.address import SshSettings
from pilotage.shell.fleet import Fleet
from pilotage.shell.ssh_config import default_files
from pilotage.shell.traced import VARIABLE as TRACE


def hosts_of(config: Config) -> tuple[str, ...]:
    """Every host, that of the primary role first.

    Raises
    ------
    ConfigError
        The primary role has none.
    """
    first = config.primary_role.hosts
    if not first:
        raise ConfigError(
            f"the primary role `{config.primary}` has no host",
            where=str(config.path),
            key="servers",
            next="name one: that is where release commands run, and where the state is",
        )
    return tuple(dict.fromkeys((*first, *config.hosts)))


def ssh_settings(config: Config) -> SshSettings:
    """``ssh:`` and ``sshkit:`` of the configuration. What it does not name is left to OpenSSH's.

    Raises
    ------
    ConfigError
        The port is no number.
    SecretMissing
        A key that is named under ``key_data`` has no value.
    """
    ssh = config.ssh
    given = ssh.model_fields_set
    where = str(config.path)
    return SshSettings(
        user=ssh.user if "user" in given else None,
        port=_port(ssh.port, where) if "port" in given else None,
        jump=ssh.proxy,
        proxy_command=ssh.proxy_command,
        keys_only=ssh.keys_only,
        keys=ssh.keys,
        key_data=tuple(
            # Written out, as it comes from ERB, or the name of a secret.
            Secret(name)
            if "-----BEGIN" in name
            else config.secret(name, "ssh", "key_data", index, what="SSH")
            for index, name in enumerate(ssh.key_data)
        ),
        files=_files(config),
        starts=config.sshkit.max_concurrent_starts,
        dns_retries=config.sshkit.dns_retries,
        trace=Path(os.environ[TRACE]) if os.environ.get(TRACE) else None,
    )


def _port(text: str, where: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise ConfigError(f"{text!r} is not a port", where=where, key="ssh.port", next="1 to 65535")
    return int(text)


def _files(config: Config) -> tuple[Path, ...]:
    """OpenSSH's configuration files: its usual ones, none, or those that are named."""
    wanted = config.ssh.config
    if wanted is True:
        return default_files()
    if wanted is False:
        return ()
    return tuple((config.root / Path(name).expanduser()) for name in wanted)


def _log(level: str) -> None:
    """Let the SSH library say, on standard error, what ``ssh.log_level`` asks for: by default nothing."""
    logger = logging.getLogger("asyncssh")
    if level in ("fatal", "unknown"):
        logger.setLevel(logging.CRITICAL)
        return
    logger.setLevel(level.upper())
    if not logger.handlers:
        logger.addHandler(logging.StreamHandler())


@contextlib.asynccontextmanager
async def open_hosts(config: Config, hosts: Iterable[str]) -> AsyncIterator[Fleet]:
    """The shells of these hosts, all connected.

    Raises
    ------
    HostUnreachable
        Some cannot be reached; names every one, and nothing was begun anywhere.
    """
    _log(config.ssh.log_level)
    async with Fleet(hosts, ssh_settings(config)) as fleet:
        await fleet.connect()
        yield fleet
