"""Which host keys the user trusts, in OpenSSH's own files.

A key counts for the name that the host has in the configuration (its address is not looked up), as
OpenSSH does it. A new one is written to the user's file by `trust` alone, because a person said so.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import asyncssh

from pilotage.errors import HostError, HostKeyChanged, HostKeyUnknown

if TYPE_CHECKING:
    from pilotage.shell.address import Address

# What a host is asked for where nothing is known of it; the first that it has.
_ALGORITHMS = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)
_OF_TYPE = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256")}


@dataclass(frozen=True, slots=True)
class Known:
    """What the files say of one host. ``files``: those that are there."""

    keys: tuple[asyncssh.SSHKey, ...]
    authorities: tuple[asyncssh.SSHKey, ...]
    revoked: tuple[asyncssh.SSHKey, ...]
    any_port: bool
    files: tuple[Path, ...]

    @property
    def trusted(self) -> tuple[Sequence[asyncssh.SSHKey], ...]:
        """As asyncssh takes it: keys, authorities, revoked keys.

        A revoked key is one that is not trusted, so that we are told of it; for a certificate that does not
        do.
        """
        keys = [key for key in self.keys if key not in self.revoked]
        return (keys, self.authorities, self.revoked if self.authorities else ())

    @property
    def algorithms(self) -> list[str]:
        """Those that the known keys have first, so that a host with several shows a known one."""
        first = [
            name
            for key in self.keys
            for name in _OF_TYPE.get(key.get_algorithm(), (key.get_algorithm(),))
        ]
        certificates = (
            [f"{name}-cert-v01@openssh.com" for name in _ALGORITHMS] if self.authorities else []
        )
        return list(dict.fromkeys([*certificates, *first, *_ALGORITHMS]))


def look_up(address: Address) -> Known:
    """What the files say of this host. A line that cannot be read says nothing, as in OpenSSH."""
    known = asyncssh.SSHKnownHosts()
    files = []
    for path in address.known_hosts:
        try:
            text = path.read_text(errors="replace")
        except OSError:
            continue
        files.append(path)
        for line in text.splitlines():
            try:
                known.load(line)
            except ValueError:
                continue
    keys, authorities, revoked, *_ = known.match(address.known_as, "", None)
    any_port = False
    if not keys and not authorities and address.known_as.startswith("["):
        # A key that is known without a port counts; another one there proves nothing.
        keys, authorities, more, *_ = known.match(address.hostname, "", None)
        revoked = [*revoked, *more]
        any_port = True
    return Known(tuple(keys), tuple(authorities), tuple(revoked), any_port, tuple(files))


def refusal(
    address: Address, known: Known, offered: asyncssh.SSHKey
) -> HostKeyUnknown | HostKeyChanged:
    """The error of a host that showed ``offered``, which is not trusted."""
    kind, fingerprint = offered.get_algorithm(), offered.get_fingerprint()
    if offered in known.revoked:
        return HostKeyChanged(
            f"the host at {address.place} shows the key {kind} {fingerprint}, which is marked as revoked",
            where=address.name,
            state="nothing was begun there",
            next="do not go on: give the host a new key, and find out who has the old one",
        )
    if known.keys and not known.any_port:
        had = ", ".join(
            dict.fromkeys(f"{key.get_algorithm()} {key.get_fingerprint()}" for key in known.keys)
        )
        return HostKeyChanged(
            f"THE HOST KEY HAS CHANGED: {address.place} shows {kind} {fingerprint}, "
            f"and the one that is known for it is {had}; it may be another machine, or somebody in between",
            where=address.name,
            state="nothing was sent and nothing was begun there",
            next="ask who runs the host. Only if it was set up anew: "
            f"`ssh-keygen -R '{address.known_as}'`, then `pilotage server trust {address.name}`",
        )
    written = offered.export_public_key("openssh").decode().split()[:2]
    return HostKeyUnknown(
        f"the host key of {address.place} is not known: {kind} {fingerprint}",
        where=address.name,
        state="nothing was begun there",
        next=f"compare it with what the host itself says (`ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub`), "
        f"then `pilotage server trust {address.name}`",
        kind=kind,
        fingerprint=fingerprint,
        line=" ".join((address.known_as, *written)),
        file=str(address.known_hosts[0]) if address.known_hosts else "",
    )


def trust(unknown: HostKeyUnknown) -> Path:
    """Write the key of this refusal to the user's file; the file.

    Raises
    ------
    HostError
        It cannot be written.
    """
    path = Path(unknown.file or "~/.ssh/known_hosts").expanduser()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "rb+") as file:
            size = file.seek(0, os.SEEK_END)
            torn = size > 0 and (file.seek(size - 1), file.read(1))[1] != b"\n"
            file.write((b"\n" if torn else b"") + unknown.line.encode() + b"\n")
    except OSError as error:
        raise HostError(
            f"{path} cannot be written: {error.strerror}",
            where=unknown.where,
            state="the key is not trusted",
            next="see who owns the file",
        ) from error
    return path
