"""The keys that we log in with: from files, from the project's secrets, and from the agent.

In the order in which they are offered, because a server counts them: those that are named, then the rest
of the agent's. A key that cannot be used is left out and remembered, for the error that names it.
"""

from __future__ import annotations

import asyncio
import copy
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh

from pilotage.errors import ConfigError
from pilotage.shell.address import Address, SshSettings

_DEFAULT = ("~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa", "~/.ssh/id_ed25519_sk")
_ABSENT = "(there is no such file)"


@dataclass(slots=True)
class Offer:
    """What is offered to one host. ``left_out``: the keys that could not be, each with the reason."""

    keys: list[asyncssh.SSHKeyPair] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def add(self, name: str, pairs: Sequence[asyncssh.SSHKeyPair]) -> None:
        """Offer these too, each key once. A connection gets copies: it changes what it signs with."""
        known = {pair.public_data for pair in self.keys}
        new = [copy.copy(pair) for pair in pairs if pair.public_data not in known]
        self.keys.extend(new)
        if new:
            self.names.append(name)


class Keyring:
    """Reads each key once, for all hosts, and keeps one connection to each agent."""

    def __init__(self, settings: SshSettings) -> None:
        self._settings = settings
        self._files: dict[tuple[str, tuple[str, ...]], Sequence[asyncssh.SSHKeyPair] | str] = {}
        self._agents: dict[str, tuple[asyncssh.SSHAgentClient | None, str]] = {}
        self._data: Sequence[asyncssh.SSHKeyPair] | None = None
        self._lock = asyncio.Lock()

    async def offer(self, address: Address) -> Offer:
        """The keys for one host.

        Raises
        ------
        ConfigError
            A key under ``ssh.key_data``, or a file under ``ssh.keys``, is none.
        """
        async with self._lock:
            return await self._offer(address)

    async def _offer(self, address: Address) -> Offer:
        offer = Offer()
        offer.add("ssh.key_data", self._from_data())
        held, of_agent = await self._from_agent(address, offer)
        named = address.identities
        for path in _DEFAULT if named is None else named:
            full = expand(path)
            public = _public(full)
            if public is not None and public in held:
                offer.add(f"{path} (agent)", [held[public]])
                continue
            loaded = await self._from_file(full, address.certificates)
            if not isinstance(loaded, str):
                offer.add(path, loaded)
            elif loaded != _ABSENT or path in self._settings.keys:
                offer.left_out.append(f"{path} {loaded}")
        if not address.identities_only:
            offer.add(of_agent, list(held.values()))
        return offer

    def _from_data(self) -> Sequence[asyncssh.SSHKeyPair]:
        if self._data is None:
            pairs: list[asyncssh.SSHKeyPair] = []
            for index, secret in enumerate(self._settings.key_data):
                try:
                    pairs += asyncssh.load_keypairs(secret.reveal().strip().encode() + b"\n")
                except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError, ValueError) as error:
                    raise ConfigError(
                        f"the secret is no private key: {error}",
                        key=f"ssh.key_data[{index}]",
                        next="give a private key without a passphrase, its newlines included",
                    ) from None
            self._data = pairs
        return self._data

    async def _from_agent(
        self, address: Address, offer: Offer
    ) -> tuple[dict[bytes, asyncssh.SSHKeyPair], str]:
        path = os.environ.get("SSH_AUTH_SOCK", "") if address.agent is None else address.agent
        if not path:
            return {}, ""
        if path not in self._agents:
            try:
                self._agents[path] = (await asyncssh.connect_agent(path), "")
            except OSError as error:
                self._agents[path] = (None, error.strerror or type(error).__name__)
        agent, why = self._agents[path]
        if agent is None:
            offer.left_out.append(f"the agent at {path} ({why})")
            return {}, ""
        try:
            pairs = await agent.get_keys()
        except (OSError, ValueError, asyncssh.Error) as error:
            offer.left_out.append(f"the agent at {path} ({error})")
            return {}, ""
        return {pair.public_data: pair for pair in pairs}, f"{len(pairs)} of the agent"

    async def _from_file(
        self, path: str, certificates: tuple[str, ...]
    ) -> Sequence[asyncssh.SSHKeyPair] | str:
        asked = (path, certificates)
        if asked not in self._files:
            self._files[asked] = await asyncio.to_thread(_load, path, certificates)
        return self._files[asked]

    async def close(self) -> None:
        """End the connections to agents."""
        for agent, _ in self._agents.values():
            if agent is not None:
                agent.close()
                await agent.wait_closed()
        self._agents.clear()


def _load(path: str, certificates: tuple[str, ...]) -> Sequence[asyncssh.SSHKeyPair] | str:
    there = [certificate for certificate in certificates if Path(certificate).exists()]
    try:
        # With an empty passphrase a key that has one is told, by its class, from a file that is no key.
        return asyncssh.load_keypairs(path, "", certlist=there)
    except asyncssh.KeyEncryptionError:
        return f"(it has a passphrase: `ssh-add {path}`)"
    except asyncssh.KeyImportError as error:
        return f"({error})"
    except FileNotFoundError:
        return _ABSENT
    except OSError as error:
        return f"({error.strerror})"


def expand(path: str) -> str:
    """``path`` with the home of the user in the place of ``~``."""
    return str(Path(path).expanduser())


def _public(path: str) -> bytes | None:
    """The public key beside a private one, or in the place of it: by it the agent is asked."""
    for candidate in (f"{path}.pub", path):
        try:
            return asyncssh.read_public_key(candidate).public_data
        except (OSError, asyncssh.KeyImportError):
            continue
    return None
